"""A body on its way from the origin into the cache, read by everybody who waits for it.

Up to 1 MiB it stays in memory, beyond that it goes on in a file; readers follow whichever it is, as far as it has
come. So one origin fetch serves all waiters, none waits for the whole, and memory is bounded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable

from littoral.edge.entry import SMALL, CacheFile
from littoral.net.message import BodyError

CHUNK = 256 * 1024


class Filling:
    def __init__(self, new_file: Callable[[], CacheFile]) -> None:
        self._new_file = new_file
        self._memory: bytearray | None = bytearray()
        self._file: CacheFile | None = None
        self._descriptor = -1
        self.size = 0
        self.finished = False
        self.failed: str | None = None
        self._moved = asyncio.Event()

    async def write(self, chunk: bytes) -> None:
        if not chunk:
            return
        if self._memory is not None and self.size + len(chunk) > SMALL:
            await asyncio.to_thread(self._to_file)
        if self._memory is not None:
            self._memory += chunk
        else:
            await asyncio.to_thread(_write_all, self._descriptor, chunk)
        self.size += len(chunk)
        self._wake()

    def _to_file(self) -> None:
        assert self._memory is not None
        self._file = self._new_file()
        self._descriptor = os.open(self._file.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        _write_all(self._descriptor, bytes(self._memory))
        self._memory = None

    def finish(self) -> bytes | CacheFile:
        """All of it is here: the body as an entry keeps it."""
        self.finished = True
        self._wake()
        self._close()
        if self._file is not None:
            return self._file
        assert self._memory is not None
        return bytes(self._memory)

    def fail(self, reason: str) -> None:
        """The origin broke off: readers break off too."""
        self.failed = reason
        self._wake()
        self._close()

    async def follow(self, at: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """From ``at`` to the end, or to before ``end``, waiting for what has not come yet. Raises BodyError."""
        descriptor = -1
        try:
            while True:
                until = self.size if end is None else min(end, self.size)
                while at < until:
                    length = min(CHUNK, until - at)
                    if self._memory is not None:
                        piece = bytes(self._memory[at : at + length])
                    else:
                        if descriptor < 0:
                            assert self._file is not None
                            descriptor = os.open(self._file.path, os.O_RDONLY)
                        piece = await asyncio.to_thread(os.pread, descriptor, length, at)
                    at += len(piece)
                    yield piece
                    until = self.size if end is None else min(end, self.size)
                if at == end:
                    return
                if self.failed is not None:
                    raise BodyError(self.failed)
                if self.finished:
                    return
                await self._moved.wait()
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    async def complete(self) -> None:
        """Wait for the end. Raises BodyError."""
        while not self.finished:
            if self.failed is not None:
                raise BodyError(self.failed)
            await self._moved.wait()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write_all(descriptor: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(descriptor, left) :]
