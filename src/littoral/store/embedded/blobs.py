"""Blobs as files of their own, named at random; an index row says which file a key has.

The way of a commit: fsync of the temporary file, rename, fsync of the folder, then the row. A crash before the row
leaves a file that no row names; opening the store removes it. A replaced file is unlinked a moment later, so that a
reader who has just been told its path still finds it. File names say nothing of keys, so a key may hold anything.

Where the store has a key, files lie sealed (``sealing``), and nobody is told their paths.

The row has checksums of the content, too (``sums``), which are made as it is written, on the thread that writes. Who
reads through here reads what was written or is told ``Damaged``; who is told the path looks by ``BlobInfo.sums``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import IO, Any

from littoral.lasting import until_done
from littoral.store.contract import BlobInfo, Damaged, NotFound, StorageFailed, StoreError
from littoral.store.durable import fsync_folder
from littoral.store.embedded.blobrows import BlobRows, Row
from littoral.store.embedded.database import Database
from littoral.store.embedded.keys import check_key
from littoral.store.embedded.sealedfile import SealedFile
from littoral.store.embedded.sealedstretch import SealedStretch
from littoral.store.embedded.sealing import HEAD, BlobSeal, span
from littoral.store.embedded.spooled import lay_files, take_file
from littoral.store.frames import CannotOpen, Opener
from littoral.store.past import NewFile
from littoral.store.spool import NotSpooled
from littoral.store.sums import BLOCK, Summing, Sums
from littoral.store.whole import WholeBlobs

CHUNK = 1024 * 1024  # of whole blocks
LINGER = 30.0  # seconds that a replaced file stays, for readers who know its path


class EmbeddedBlobs(WholeBlobs):
    """One bucket of blobs."""

    def __init__(self, database: Database, bucket: str, folder: Path, seal: BlobSeal | None = None) -> None:
        self._rows = BlobRows(database, bucket)
        self._folder = folder
        self.seal = seal
        self._leaving: dict[asyncio.TimerHandle, Path] = {}

    async def create(self, key: str) -> EmbeddedBlobWriter:
        check_key(key)
        return EmbeddedBlobWriter(self, key, self._folder)

    async def info(self, key: str) -> BlobInfo | None:
        found = self._rows.find(key)
        return self._info(key, found) if found is not None else None

    async def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, fresh: bool = False
    ) -> AsyncIterator[bytes]:
        found = self._rows.find(key)
        if found is None:
            raise NotFound(f"no blob {key}")
        size = max(0, found[1] - offset)
        left = size if length is None else min(size, length)
        path = self._folder / found[0]
        if self.seal is None:
            chunks = _plain(path, _sums(found), found[1], offset, left, fresh)
        else:
            chunks = _opened(self.seal, path, found[1], offset, left)
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def reader(self, key: str, offset: int, length: int) -> SealedStretch | None:
        """See NearBlobs: of what lies sealed."""
        found = self._rows.find(key)
        if found is None:
            raise NotFound(f"no blob {key}")
        if self.seal is None:
            return None
        return SealedStretch(self.seal, self._folder / found[0], found[1], offset, length)

    async def delete(self, key: str) -> bool:
        return await self._rows.forget(key, self._leave_replaced)

    async def scan(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> Sequence[BlobInfo]:
        return [self._info(key, row) for key, row in self._rows.page(prefix, after, limit)]

    async def adopt(self, key: str, file: Path, size: int, sums: bytes) -> BlobInfo:
        """Make a durable file the content of ``key``; where that fails the file is gone."""
        row = (file.name, size, sums)
        try:
            await self._rows.adopt(key, row, self._leave_replaced)
        except StoreError:
            with contextlib.suppress(OSError):  # a disk that is gone; opening the store cleans up
                await asyncio.to_thread(file.unlink)
            raise
        return self._info(key, row)

    async def take_over(self, key: str, file: Path, sums: bytes) -> BlobInfo:
        """See SpooledBlobs."""
        check_key(key)
        if self.seal is not None:
            raise NotSpooled("this store has a key, and the file lies in the clear")
        made = self._folder / secrets.token_hex(16)
        size = await take_file(file, made, sums)
        return await self.adopt(key, made, size, sums)

    async def lay_out(self, keys: Sequence[str], folder: Path) -> bool:
        """See SpooledBlobs: of plain files whose sums are known."""
        rows = [self._rows.find(key) for key in keys]
        found = [(self._folder / row[0], row[2]) for row in rows if row is not None and row[2] is not None]
        if self.seal is not None or len(found) < len(keys):
            return False
        return await lay_files(found, folder)

    def _leave_replaced(self, gone: tuple[str, int]) -> None:
        self.leave(self._folder / gone[0])

    def _info(self, key: str, row: Row) -> BlobInfo:
        return BlobInfo(key, row[1], self._folder / row[0] if self.seal is None else None, _sums(row))

    def leave(self, file: Path) -> None:
        """Unlink after a while."""

        def unlink() -> None:
            self._leaving.pop(handle, None)
            file.unlink(missing_ok=True)

        handle = asyncio.get_running_loop().call_later(LINGER, unlink)
        self._leaving[handle] = file

    def close(self) -> None:
        for handle, file in self._leaving.items():
            handle.cancel()
            file.unlink(missing_ok=True)
        self._leaving.clear()


class EmbeddedBlobWriter:
    """Writes go through a buffer of 1 MiB to a thread, so that neither the loop nor the memory suffers. A small blob
    costs one visit to the thread: its file is made at its commit."""

    def __init__(self, blobs: EmbeddedBlobs, key: str, folder: Path) -> None:
        self._blobs = blobs
        self._key = key
        self._final = folder / secrets.token_hex(16)
        self._temporary = self._final.with_suffix(".part")
        self._size = 0
        self._sums = Summing()
        self._buffer = bytearray()
        self._file: NewFile | SealedFile | None = None
        self._over = False  # committed, aborted or failed

    async def write(self, chunk: bytes | memoryview) -> None:
        """Raises StorageFailed, after which the writer is aborted."""
        due = self._due(chunk)
        if due:
            await self._on_disk(self._append, due)

    def write_here(self, chunk: bytes | memoryview) -> None:
        """See NearWriter. Raises StorageFailed, after which the writer is aborted."""
        due = self._due(chunk)
        self._here(lambda: self._append(due))

    def _here(self, step: Callable[[], None]) -> None:
        """On this thread."""
        try:
            step()
        except OSError as problem:
            self._over = True
            self._discard()
            raise StorageFailed(f"{self._key}: {problem}") from problem

    def begin_frames(self, key: bytes, name: str) -> bool:
        """See FramedWriter."""
        if self._blobs.seal is None or self._size or self._over:
            return False
        self._final = self._final.with_name(name)
        self._temporary = self._final.with_suffix(".part")
        self._here(lambda: self._begin(key))
        return True

    def _begin(self, key: bytes) -> None:
        assert self._blobs.seal is not None
        self._file = SealedFile(self._temporary, *self._blobs.seal.sealer_of(key, self._final.name))

    def frames_room(self) -> memoryview:
        return self._sealed.room

    def frames_came(self, count: int, content: memoryview) -> None:
        self._size += len(content)
        self._sums.update(content)
        self._here(lambda: self._sealed.came(count))

    def end_frames(self, number: int, begun: int, *, whole: bool) -> None:
        self._sealed.go_on(number, begun, whole=whole)

    @property
    def _sealed(self) -> SealedFile:
        assert isinstance(self._file, SealedFile)
        return self._file

    def _open(self) -> NewFile | SealedFile:
        seal, path = self._blobs.seal, self._temporary
        self._file = NewFile(path) if seal is None else SealedFile(path, *seal.sealer(self._final.name))
        return self._file

    async def commit(self) -> BlobInfo:
        """Raises StorageFailed, after which nothing of it is left."""
        self._check()
        await self._on_disk(self._publish, self._buffer)
        self._over = True
        return await self._blobs.adopt(self._key, self._final, self._size, self._sums.finish())

    async def abort(self) -> None:
        """Harmless after a commit. Never fails: what a broken disk does not let go, opening the store cleans up."""
        if not self._over:
            self._over = True
            await _to_the_end(self._discard)

    def _due(self, chunk: bytes | memoryview) -> bytes | bytearray | memoryview:
        """What is to be written now that this has come."""
        self._check()
        self._size += len(chunk)
        if not self._buffer and len(chunk) >= CHUNK:
            return chunk
        self._buffer += chunk
        if len(self._buffer) < CHUNK:
            return b""
        data, self._buffer = self._buffer, bytearray()
        return data

    def _check(self) -> None:
        if self._over:
            raise StoreError("this blob writer is done with")

    def _append(self, data: bytes | bytearray | memoryview) -> None:
        self._sums.update(data)
        (self._file or self._open()).write(data)

    def _publish(self, data: bytearray) -> None:
        self._append(data)
        assert self._file is not None
        self._file.sync()
        self._file.close()
        self._temporary.rename(self._final)
        fsync_folder(self._final.parent)

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
        with contextlib.suppress(OSError):
            for leftover in (self._temporary, self._final):
                leftover.unlink(missing_ok=True)

    async def _on_disk(self, step: Callable[[Any], None], data: bytes | bytearray | memoryview) -> None:
        """An error of the disk ends this writer: what was written is not to be trusted after a failed fsync."""
        try:
            await _to_the_end(step, data)
        except OSError as problem:
            await self.abort()
            raise StorageFailed(f"{self._key}: {problem}") from problem


async def _to_the_end(step: Callable[..., None], *arguments: object) -> None:
    """In a thread; a cancelled caller goes only when that has let go of the file."""
    running = asyncio.get_running_loop().run_in_executor(None, step, *arguments)
    await until_done([running])
    running.result()


def remove_orphans(database: Database, folder: Path) -> None:
    """Files under ``folder``/bucket that no row names: what a crash left. Only before anybody writes."""
    if not folder.is_dir():
        return
    for bucket in folder.iterdir():
        known = {row[0] for row in database.read("SELECT file FROM blobs WHERE bucket = ?", (bucket.name,))}
        for file in bucket.iterdir():
            if file.name not in known:
                file.unlink()


def _sums(row: Row) -> Sums | None:
    return None if row[2] is None else Sums(row[1], row[2])


async def _plain(
    path: Path, sums: Sums | None, size: int, offset: int, left: int, fresh: bool
) -> AsyncGenerator[bytes, None]:
    """Whole blocks are read, and looked at. Raises Damaged."""
    if left <= 0:
        return
    at, end = offset - offset % BLOCK, offset + left
    file = await asyncio.to_thread(_open_at, path, at)
    if fresh:
        os.posix_fadvise(file.fileno(), offset, left, os.POSIX_FADV_DONTNEED)
    try:
        while at < end:
            wanted = min(size, at + min(CHUNK, -(-(end - at) // BLOCK) * BLOCK)) - at
            chunk = await asyncio.to_thread(_read_sound, file, sums, at, wanted)
            yield chunk if offset <= at and at + wanted <= end else chunk[max(0, offset - at) : end - at]
            at += wanted
    finally:
        file.close()


def _read_sound(file: IO[bytes], sums: Sums | None, at: int, length: int) -> bytes:
    """From the begin of a block on. Raises Damaged."""
    try:
        chunk = file.read(length)
    except OSError as problem:
        raise Damaged(f"blob {file.name}: {problem}") from problem
    if len(chunk) < length:
        raise Damaged(f"blob {file.name} is shorter than it was written")
    if sums is not None:
        view = memoryview(chunk)
        for start in range(0, length, BLOCK):
            if not sums.sound((at + start) // BLOCK, view[start : start + BLOCK]):
                raise Damaged(f"blob {file.name} is not what was written, at {at + start}")
    return chunk


async def _opened(seal: BlobSeal, path: Path, size: int, offset: int, length: int) -> AsyncGenerator[bytes, None]:
    """Raises Damaged."""
    if length <= 0:
        return
    begin, left = span(size, offset, length)
    file = await asyncio.to_thread(_open_at, path, 0)
    try:
        opener = seal.opener(await asyncio.to_thread(file.read, HEAD), path.name, size, offset, length)
        file.seek(begin)
        while left > 0:
            taken = min(CHUNK, left)
            left -= taken
            yield await asyncio.to_thread(_next, file, taken, opener, last=not left)
    except CannotOpen as problem:
        raise Damaged(f"blob {path.name} is not what was written: {problem}") from problem
    finally:
        file.close()


def _next(file: IO[bytes], length: int, opener: Opener, *, last: bool) -> bytes:
    found = opener.update(file.read(length))
    return found + opener.finish() if last else found


def _open_at(path: Path, offset: int) -> IO[bytes]:
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError as problem:
        raise NotFound(f"{path.name} is gone") from problem
    file.seek(offset)
    return file
