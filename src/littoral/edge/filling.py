"""A body on its way from the origin into the cache, read by everybody who waits for it.

The last ``SMALL`` bytes are in memory as they came, the same bytes for all readers; what is longer goes on in a
file, and who falls behind reads there. So one origin fetch serves all waiters, none waits for the whole, and memory is
bounded.
"""

from __future__ import annotations

import asyncio
import bisect
import os
from collections.abc import AsyncIterator, Callable

from littoral.edge.entry import SMALL, CacheFile
from littoral.net.message import BodyError

CHUNK = 256 * 1024


class Filling:
    def __init__(self, new_file: Callable[[], CacheFile]) -> None:
        self._new_file = new_file
        self._pieces: list[bytes] = []
        self._starts: list[int] = []  # of the pieces, within the body
        self._file: CacheFile | None = None
        self._descriptor = -1
        self.size = 0
        self.finished = False
        self.failed: str | None = None
        self._moved = asyncio.Event()

    async def write(self, chunk: bytes) -> None:
        if not chunk:
            return
        if self._file is None and self.size + len(chunk) > SMALL:
            await asyncio.to_thread(self._to_file)
        if self._file is not None:
            await asyncio.to_thread(_write_all, self._descriptor, chunk)
        self._pieces.append(chunk)
        self._starts.append(self.size)
        self.size += len(chunk)
        if self._file is not None:
            self._shorten()
        self._wake()

    def _shorten(self) -> None:
        """Only the last part stays in memory."""
        passed = 0
        while passed < len(self._starts) - 1 and self.size - self._starts[passed + 1] >= SMALL:
            passed += 1
        if passed:
            del self._pieces[:passed], self._starts[:passed]

    def _to_file(self) -> None:
        file = self._new_file()
        self._descriptor = os.open(file.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        for piece in self._pieces:
            _write_all(self._descriptor, piece)
        self._file = file

    def finish(self) -> bytes | CacheFile:
        """All of it is here: the body as an entry keeps it."""
        self.finished = True
        self._wake()
        self._close()
        if self._file is not None:
            return self._file
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

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
                    piece = self._held(at, until)
                    if piece is None:
                        if descriptor < 0:
                            assert self._file is not None
                            descriptor = os.open(self._file.path, os.O_RDONLY)
                        piece = await asyncio.to_thread(os.pread, descriptor, min(CHUNK, until - at), at)
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

    def _held(self, at: int, until: int) -> bytes | None:
        """From ``at`` on what one piece in memory has of it."""
        number = bisect.bisect_right(self._starts, at) - 1
        if number < 0:
            return None
        piece, skipped = self._pieces[number], at - self._starts[number]
        if skipped == 0 and len(piece) <= until - at:
            return piece
        return piece[skipped : skipped + until - at]

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
