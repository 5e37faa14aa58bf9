"""Blobs in segments of 8 MiB on a far side. The row that names a blob is here, and is written last.

A segment is one PUT, so nothing on the far side is ever half there, and no multipart upload is left behind. The way of
a commit: the far side has acknowledged every segment, then the row is durable. A crash between the two leaves segments
that no row names; ``sweep`` finds them. What is replaced or deleted goes once those who read it have ended.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from littoral.store.contract import BlobInfo, NotFound, StorageFailed, StoreError
from littoral.store.embedded.blobrows import BlobRows
from littoral.store.embedded.keys import check_key
from littoral.store.remote.far import Far
from littoral.store.whole import WholeBlobs

log = logging.getLogger("littoral.store")
SEGMENT = 8 * 1024 * 1024  # bytes; part of how blobs are kept: never to be changed
READ = 4 * 1024 * 1024  # bytes asked for at once
CHUNK = 1024 * 1024
LINGER = 30.0  # seconds that what was replaced stays, for readers who are about to begin
EVERY = 24 * 3600.0  # seconds between two sweeps


class RemoteBlobs(WholeBlobs):
    """One bucket of blobs. ``start`` and ``close`` it."""

    def __init__(self, rows: BlobRows, far: Far, *, linger: float = LINGER) -> None:
        self._rows = rows
        self._far = far
        self._linger = linger
        self._reading: Counter[str] = Counter()
        self._writing: set[str] = set()  # files whose row is still to come
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._begin(self._sweep_daily())

    async def close(self) -> None:
        """What has not been removed is left to the next sweep."""
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def create(self, key: str) -> RemoteBlobWriter:
        check_key(key)
        file = secrets.token_hex(16)
        self._writing.add(file)
        return RemoteBlobWriter(self, self._far, key, file)

    async def info(self, key: str) -> BlobInfo | None:
        found = self._rows.find(key)
        return None if found is None else BlobInfo(key, found[1], None)

    async def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> AsyncIterator[bytes]:
        found = self._rows.find(key)
        if found is None:
            raise NotFound(f"no blob {key}")
        file, size, _ = found
        end = size if length is None else min(size, offset + length)
        self._reading[file] += 1
        try:
            async for data in self._read(file, offset, end):
                for at in range(0, len(data), CHUNK):
                    yield data[at : at + CHUNK]
        finally:
            self._reading[file] -= 1
            if not self._reading[file]:
                del self._reading[file]

    async def _read(self, file: str, offset: int, end: int) -> AsyncIterator[bytes]:
        """One request ahead of who reads."""
        loop = asyncio.get_running_loop()
        following: asyncio.Task[bytes] | None = None
        try:
            while offset < end:
                number, start = divmod(offset, SEGMENT)
                length = min(READ, SEGMENT - start, end - offset)
                ahead = loop.create_task(self._far.read(_segment(file, number), start, length))
                if following is not None:
                    waiting, following = following, ahead
                    yield await waiting
                following = ahead
                offset += length
            if following is not None:
                yield await following
        finally:
            if following is not None and not following.done():
                following.cancel()

    async def delete(self, key: str) -> bool:
        return await self._rows.forget(key, self._leave)

    async def scan(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> Sequence[BlobInfo]:
        return [BlobInfo(key, size, None) for key, (_, size, _) in self._rows.page(prefix, after, limit)]

    # ------------------------------------------------------------------------------------------- for the writer

    async def adopt(self, key: str, file: str, size: int) -> BlobInfo:
        """Also where its caller goes away meanwhile the row is written, or not, before anybody sweeps."""
        adopting = asyncio.ensure_future(self._rows.adopt(key, (file, size, None), self._leave))
        adopting.add_done_callback(lambda _: self._writing.discard(file))
        await asyncio.shield(adopting)
        return BlobInfo(key, size, None)

    def abandon(self, file: str, segments: int) -> None:
        """Its row never came."""
        self._writing.discard(file)
        if segments:
            self._begin(self._remove(file, segments))

    # ------------------------------------------------------------------------------------------------- removal

    def _leave(self, gone: tuple[str, int]) -> None:
        """Remove after a while; later where somebody still reads."""
        file, size = gone

        def now() -> None:
            self._timers.discard(timer)
            if self._reading[file]:
                self._leave(gone)
            else:
                self._begin(self._remove(file, -(-size // SEGMENT)))

        timer = asyncio.get_running_loop().call_later(self._linger, now)
        self._timers.add(timer)

    async def _remove(self, file: str, segments: int) -> None:
        if self._rows.names(file):
            return
        try:
            await self._far.delete([_segment(file, number) for number in range(segments)])
        except StorageFailed as problem:
            log.warning("%s; the next sweep removes it", problem)

    async def sweep(self) -> int:
        """Remove what lies on the far side and no row names; how many segments. Raises StorageAway."""
        gone = 0
        async for page in self._far.names():
            orphans = [name for name in page if self._orphaned(name.partition("/")[0])]
            if orphans:
                await self._far.delete(orphans)
                gone += len(orphans)
        return gone

    def _orphaned(self, file: str) -> bool:
        return file not in self._writing and not self._reading[file] and not self._rows.names(file)

    async def _sweep_daily(self) -> None:
        while True:
            try:
                if gone := await self.sweep():
                    log.info("removed %d segments of blobs that nothing names", gone)
            except StoreError as problem:
                log.warning("the far side could not be swept: %s", problem)
            await asyncio.sleep(EVERY)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class RemoteBlobWriter:
    """Holds two segments at most: one on its way, one that fills."""

    def __init__(self, blobs: RemoteBlobs, far: Far, key: str, file: str) -> None:
        self._blobs = blobs
        self._far = far
        self._key = key
        self._file = file
        self._buffer = bytearray()
        self._size = 0
        self._segments = 0
        self._sending: asyncio.Task[None] | None = None
        self._over = False

    async def write(self, chunk: bytes | memoryview) -> None:
        """Raises StorageAway, after which the writer is aborted."""
        self._check()
        self._buffer += chunk
        self._size += len(chunk)
        while len(self._buffer) >= SEGMENT:
            await self._send(bytes(memoryview(self._buffer)[:SEGMENT]))
            del self._buffer[:SEGMENT]

    async def commit(self) -> BlobInfo:
        """Raises StorageFailed, after which nothing of it is left."""
        self._check()
        if self._buffer:
            await self._send(bytes(self._buffer))
        await self._sent()
        self._over = True
        return await self._blobs.adopt(self._key, self._file, self._size)

    async def abort(self) -> None:
        """Harmless after a commit. Never fails."""
        if not self._over:
            self._over = True
            if self._sending is not None:
                self._sending.cancel()
                await asyncio.gather(self._sending, return_exceptions=True)
            self._blobs.abandon(self._file, self._segments)

    async def _send(self, data: bytes) -> None:
        await self._sent()
        sending = self._far.put(_segment(self._file, self._segments), data)
        self._segments += 1
        self._sending = asyncio.get_running_loop().create_task(sending)

    async def _sent(self) -> None:
        if self._sending is not None:
            try:
                await asyncio.shield(self._sending)
            except StorageFailed:
                await self.abort()
                raise
            self._sending = None

    def _check(self) -> None:
        if self._over:
            raise StoreError("this blob writer is done with")


def _segment(file: str, number: int) -> str:
    return f"{file}/{number:05d}"
