"""One host of a training job: a program in a cell, with its log. Several of one job share its keeper.

Owns: the cell's process, its log pipe, the look at its memory.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from littoral.functions.keeper import Keeper
from littoral.functions.process import Process

MOST_LINE = 64 * 1024  # bytes; what is longer is told in pieces
LOOK = 1.0  # seconds between looks at the memory of all its processes
PACE = 4 * 1024 * 1024  # bytes a second that are heard of what it prints; who prints more waits
BURST = PACE // 4

Heard = Callable[[bytes], None]  # a line without its end; raises nothing


class Host:
    def __init__(self, keeper: Keeper, memory: int, heard: Heard) -> None:
        self.process = Process()
        self.over_memory = False  # it was killed for that
        self._keeper = keeper
        self._memory = memory
        self._lines = _Lines(heard)
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._held: socket.socket | None = None

    async def start(self, cell: Mapping[str, object], argv: list[str], environment: dict[str, str]) -> None:
        """In a keeper that was started. Raises KeeperGone."""
        self._held, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        read, write = os.pipe()
        os.fchmod(write, 0o622)  # another user's program may open /dev/stderr, which leads here
        try:
            with theirs:
                number = self._keeper.execute(cell, argv, environment, [theirs.fileno(), write], self)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self.process.is_of(self._keeper, number)
        await asyncio.get_running_loop().connect_read_pipe(lambda: self._lines, os.fdopen(read, "rb", 0))

    async def ended(self) -> int:
        """Its wait status, when all that it printed was heard. Its memory is looked at meanwhile. May be cancelled and
        called again."""
        while not self._ended.done():
            await asyncio.wait([self._ended], timeout=LOOK)
            if not self._ended.done() and self.process.over_memory(self._memory, closely=True):
                self.over_memory = True
                self.process.kill()
        await self._lines.ended.wait()
        return self._ended.result()

    def close(self) -> None:
        """After its keeper."""
        if self._held is not None:
            self._held.close()

    # ------------------------------------------------------------------------------------ what the keeper says

    def started(self, pid: int) -> None:
        self.process.first = pid

    def exited(self, status: int, peak_kib: int) -> None:
        self._end(status)

    def failed(self, error: str) -> None:
        self._lines.heard(error.encode())
        self._end(1 << 8)

    def companion_ended(self, name: str, status: int) -> None:
        raise NotImplementedError("nothing runs beside a training job")

    def specialised(self) -> None:
        raise NotImplementedError("a training job is nobody's spare")

    def listening(self, listener: socket.socket) -> None:
        listener.close()

    def _end(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)


class _Lines(asyncio.Protocol):
    """What comes by the log pipe, line by line, no faster than PACE: a script that prints without end must not take
    the place's time from others."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.ended = asyncio.Event()
        self._rest = b""
        self._pipe: asyncio.ReadTransport | None = None
        self._lately = 0  # bytes since the last pause
        self._since = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pipe = cast("asyncio.ReadTransport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._lately += len(data)
        if self._lately >= BURST and self._pipe is not None:
            early = self._lately / PACE - (time.monotonic() - self._since)
            self._lately, self._since = 0, time.monotonic() + max(0.0, early)
            if early > 0:
                self._pipe.pause_reading()
                asyncio.get_running_loop().call_later(early, self._go_on, self._pipe)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell(line)
        while len(self._rest) >= MOST_LINE:
            self._tell(self._rest[:MOST_LINE])
            self._rest = self._rest[MOST_LINE:]

    def _go_on(self, pipe: asyncio.ReadTransport) -> None:
        if not pipe.is_closing():
            pipe.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._tell(self._rest)
        self.ended.set()

    def _tell(self, line: bytes) -> None:
        for piece in _pieces(line.rstrip(b"\r")):
            self.heard(piece)


def _pieces(line: bytes) -> Iterator[bytes]:
    yield line[:MOST_LINE]
    for at in range(MOST_LINE, len(line), MOST_LINE):
        yield line[at : at + MOST_LINE]
