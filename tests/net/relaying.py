"""Somebody in the middle who sees every byte between a client and a server, and may do something to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from littoral.protocols.widerecords import BODY, HEAD

Spoils = Callable[[list[bytes]], list[bytes]]
_TLS = 5  # bytes of the head of one of its records


class Wiretap:
    """``spoils``: what becomes of a client's wide records, given all of one connection so far. Each is used for one
    connection that has any. ``framed``: bytes of each body in frames."""

    def __init__(self, port: int, spoils: list[Spoils], framed: int = 0) -> None:
        self._target, self._spoils, self._framed = port, spoils, framed
        self.out: list[bytearray] = []  # of clients, by connection
        self.back: list[bytearray] = []
        self._running: set[asyncio.Task[None]] = set()
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self.out.append(bytearray())
        self.back.append(bytearray())
        for way in (
            self._spoil(reader, far_writer, self.out[-1]),
            self._pass(far_reader, writer, self.back[-1]),
        ):
            task = asyncio.create_task(way)
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, seen: bytearray) -> None:
        with suppress(OSError):
            while data := await source.read(100_000):
                seen += data
                target.write(data)
                await target.drain()
        target.close()

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

    async def close(self) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@asynccontextmanager
async def tapped(port: int, *spoils: Spoils, framed: int = 0) -> AsyncIterator[Wiretap]:
    tap = Wiretap(port, list(spoils), framed)
    server = await asyncio.start_server(tap.accept, "127.0.0.1", 0)
    tap.port = server.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        server.close()
        await tap.close()


def parted(seen: bytes, framed: int = 0) -> tuple[list[bytes], list[bytes]]:
    """The whole records of one direction: TLS's, and the wide ones after them, among which a body in frames, that has
    ``framed`` bytes, is one."""
    kinds: tuple[list[bytes], list[bytes]] = [], []
    at = 0
    while at + _TLS <= len(seen):
        if framed and kinds[1][-2:-1] and kinds[1][-2][0] == BODY and len(kinds[1][-1]) < framed:
            kinds[1].append(seen[at : at + framed])
            at += framed
            continue
        tls = 20 <= seen[at] <= 23
        head = _TLS if tls else HEAD
        end = at + head + int.from_bytes(seen[at + head - (2 if tls else 3) : at + head])
        if end > len(seen):
            break
        kinds[0 if tls else 1].append(seen[at:end])
        at = end
    return kinds
