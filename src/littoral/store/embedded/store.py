"""The folder of a store: who may open it, and which file holds what.

Records and streams are files of their own, each with its own writer: a burst of telemetry does not make
configuration wait behind its fsync, and a stream's churn does not bloat the records.

Opening one lowers the interpreter's switch interval for the whole process: at Python's 5 ms a committing thread
starves beside a loop that is busy but often in a system call (docs/decisions/2026-11-23-store-group-commit.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from littoral.store.contract import StorageFailed, StoreError
from littoral.store.durable import make_folder
from littoral.store.embedded import blobrows, blobs, log, records
from littoral.store.embedded.blobrows import BlobRows
from littoral.store.embedded.blobs import EmbeddedBlobs
from littoral.store.embedded.database import Database
from littoral.store.embedded.records import EmbeddedRecords
from littoral.store.embedded.sealing import BlobSeal
from littoral.store.embedded.streams import EmbeddedStreams
from littoral.store.key import StoreKey
from littoral.store.sealed import Seal
from littoral.store.spool import SPOOL, Spool

SWITCH = 0.0005  # seconds after which a busy loop lets the committing threads have the interpreter lock


class EmbeddedStore:
    """Open with ``EmbeddedStore.open``; one process at a time."""

    def __init__(
        self,
        folder: Path,
        lock: IO[str],
        database: Database,
        streams: Database,
        clock: Callable[[], float],
        key: StoreKey | None,
        spool: Spool | None,
    ) -> None:
        self.folder = folder
        self._key = key
        self._seal = BlobSeal(key.named("blobs")) if key is not None else None
        self._lock = lock
        self._database = database
        self._streams = streams
        self.streams = EmbeddedStreams(streams, clock)
        self.spool = spool
        self._records: dict[str, EmbeddedRecords] = {}
        self._blobs: dict[str, EmbeddedBlobs] = {}

    @classmethod
    async def open(
        cls, folder: Path, *, clock: Callable[[], float] = time.time, key: StoreKey | None = None
    ) -> EmbeddedStore:
        """With a ``key`` nothing that is kept lies in the clear; a store has one from its first moment or never. Raises
        StoreError where another process has it open, StorageFailed where the disk refuses or the key is another's."""
        spool = None if key is not None else Spool(folder / SPOOL)
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH))
        async with contextlib.AsyncExitStack() as undo:
            lock = undo.enter_context(await asyncio.to_thread(_lock, folder))
            database = await Database.open(
                folder / "records.db", records.SCHEMA + blobrows.SCHEMA, _named(key, "records.db")
            )
            undo.push_async_callback(database.close)
            await database.write(blobrows.upgrade)
            streams = await Database.open(folder / "streams.db", log.SCHEMA, _named(key, "streams.db"))
            undo.push_async_callback(streams.close)
            try:
                await asyncio.to_thread(blobs.remove_orphans, database, folder / "blobs")
                if spool is not None:
                    await asyncio.to_thread(spool.open)
            except OSError as problem:
                raise StorageFailed(f"{folder}: {problem}") from problem
            undo.pop_all()
        return cls(folder, lock, database, streams, clock, key, spool)

    def key_of(self, file: Path) -> bytes | None:
        """Of a database that a capability has beside the store; None where nothing is encrypted."""
        return _named(self._key, file.name)

    def seal(self, file: Path) -> Seal:
        """What values are sealed with by a key of that name: in its file, or made of the store's key. Raises OSError,
        StoreError."""
        key = self.key_of(file)
        return Seal(key) if key is not None else Seal.load_or_create(file)

    def records(self, bucket: str) -> EmbeddedRecords:
        if bucket not in self._records:
            self._records[bucket] = EmbeddedRecords(self._database, bucket)
        return self._records[bucket]

    def blobs(self, bucket: str) -> EmbeddedBlobs:
        if not bucket or not bucket.replace("-", "").isalnum():
            raise ValueError(f"a bucket of blobs is named by letters, digits and hyphens, not {bucket!r}")
        if bucket not in self._blobs:
            folder = self.folder / "blobs" / bucket
            try:
                make_folder(folder)
            except OSError as problem:
                raise StorageFailed(f"{folder}: {problem}") from problem
            self._blobs[bucket] = EmbeddedBlobs(self._database, bucket, folder, self._seal)
        return self._blobs[bucket]

    def blob_rows(self, bucket: str) -> BlobRows:
        """For blobs whose bytes lie elsewhere."""
        return BlobRows(self._database, bucket)

    async def close(self) -> None:
        for bucket in self._blobs.values():
            bucket.close()
        await self._database.close()
        await self._streams.close()
        self._lock.close()


def _named(key: StoreKey | None, name: str) -> bytes | None:
    return key.named(name) if key is not None else None


def _lock(folder: Path) -> IO[str]:
    try:
        make_folder(folder)
        lock = (folder / "lock").open("w")
    except OSError as problem:
        raise StorageFailed(f"{folder}: {problem}") from problem
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        lock.close()
        raise StoreError(f"{folder} is in use by another littoral process") from problem
    return lock
