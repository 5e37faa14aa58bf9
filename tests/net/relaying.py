"""Somebody in the middle who sees every byte between a client and a server, and may do something to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

from littoral.protocols.widerecords import BODY, HEAD

Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Passes = Coroutine[Any, Any, None]
R = TypeVar("R", bound="Relay")
Spoils = Callable[[list[bytes]], list[bytes]]
Tamper = Callable[[bytes, int], bytes | None]  # of what is answered, and how much came before; None: the line is cut
_TLS = 5  # bytes of the head of one of its records


class Relay:
    """Passes on what both say. Serve it by ``standing``."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._running: set[asyncio.Task[None]] = set()
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        for way in self.ways((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(way)
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def ways(self, there: Way, back: Way) -> tuple[Passes, Passes]:
        """Of one connection: what a client says, and what is answered."""
        return self._pass(*there), self._pass(*back)

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, seen: bytearray | None = None
    ) -> None:
        with suppress(OSError):
            while data := await source.read(100_000):
                if seen is not None:
                    seen += data
                target.write(data)
                await target.drain()
        target.close()

    async def close(self) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@asynccontextmanager
async def standing(relay: R) -> AsyncIterator[R]:
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.close()


class Wiretap(Relay):
    """``spoils``: what becomes of a client's wide records, given all of one connection so far. Each is used for one
    connection that has any. ``framed``: bytes of each body in frames."""

    def __init__(self, port: int, spoils: list[Spoils], framed: int = 0) -> None:
        super().__init__(port)
        self._spoils, self._framed = spoils, framed
        self.out: list[bytearray] = []  # of clients, by connection
        self.back: list[bytearray] = []

    def ways(self, there: Way, back: Way) -> tuple[Passes, Passes]:
        self.out.append(bytearray())
        self.back.append(bytearray())
        return self._spoil(*there, self.out[-1]), self._pass(*back, self.back[-1])

    async def _spoil(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, seen: bytearray) -> None:
        sent, spoils = 0, None
        with suppress(OSError):
            while (self._spoils or spoils) and (data := await source.read(100_000)):
                seen += data
                tls, wide = parted(bytes(seen), self._framed)
                if spoils is None and wide and self._spoils:
                    spoils = self._spoils.pop(0)
                passed = b"".join(tls + spoils(wide)) if spoils else bytes(seen)
                target.write(passed[sent:])
                sent = max(sent, len(passed))
                await target.drain()
        await self._pass(source, target, seen)


def tapped(port: int, *spoils: Spoils, framed: int = 0) -> AbstractAsyncContextManager[Wiretap]:
    return standing(Wiretap(port, list(spoils), framed))


class Between(Relay):
    """What is answered goes on as ``tampers`` say, one for each connection that says much."""

    def __init__(self, port: int, tampers: list[Tamper]) -> None:
        super().__init__(port)
        self.tampers = tampers  # that are left

    def ways(self, there: Way, back: Way) -> tuple[Passes, Passes]:
        return self._pass(*there), self._tampered(*back)

    async def _tampered(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        came, tamper = 0, None
        with suppress(OSError):
            while data := await source.read(100_000):
                if tamper is None and came > 100_000 and self.tampers:
                    tamper = self.tampers.pop(0)
                changed = data if tamper is None else tamper(data, came)
                came += len(data)
                if changed is None:
                    break
                target.write(changed)
                await target.drain()
        target.close()


def between(port: int, *tampers: Tamper) -> AbstractAsyncContextManager[Between]:
    return standing(Between(port, list(tampers)))


def parted(seen: bytes, framed: int = 0) -> tuple[list[bytes], list[bytes]]:
    """The whole records of one direction: TLS's, and the wide ones after them, among which a body in frames, that has
    ``framed`` bytes, is one."""
    kinds: tuple[list[bytes], list[bytes]] = [], []
    at, before = 0, 0  # records before a body in frames, of which its BODY is one
    while at + _TLS <= len(seen):
        if before == 1 and framed:
            kinds[1].append(seen[at : at + framed])  # which are no record, and begin with any byte
            at, before = at + framed, 0
            continue
        tls = 20 <= seen[at] <= 23
        head = _TLS if tls else HEAD
        end = at + head + int.from_bytes(seen[at + head - (2 if tls else 3) : at + head])
        if end > len(seen):
            break
        kinds[0 if tls else 1].append(seen[at:end])
        before = 2 if not tls and seen[at] == BODY else max(0, before - 1)
        at = end
    return kinds
