"""The folder of a store: who may open it, and which file holds what.

Records and streams are files of their own, each with its own writer: a burst of telemetry does not make
configuration wait behind its fsync, and a stream's churn does not bloat the records.
"""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from littoral.store.contract import StorageFailed, StoreError
from littoral.store.embedded import blobs, records, streams
from littoral.store.embedded.blobs import EmbeddedBlobs
from littoral.store.embedded.database import Database
from littoral.store.embedded.records import EmbeddedRecords
from littoral.store.embedded.streams import EmbeddedStreams


class EmbeddedStore:
    """Open with ``EmbeddedStore.open``; one process at a time."""

    def __init__(
        self, folder: Path, lock: IO[str], database: Database, log: Database, clock: Callable[[], float]
    ) -> None:
        self.folder = folder
        self._lock = lock
        self._database = database
        self._log = log
        self.streams = EmbeddedStreams(log, clock)
        self._records: dict[str, EmbeddedRecords] = {}
        self._blobs: dict[str, EmbeddedBlobs] = {}

    @classmethod
    async def open(cls, folder: Path, *, clock: Callable[[], float] = time.time) -> EmbeddedStore:
        """Raises StoreError where another process has it open, StorageFailed where the disk refuses."""
        lock = await asyncio.to_thread(_lock, folder)
        try:
            database = await Database.open(folder / "records.db", records.SCHEMA + blobs.SCHEMA)
            log = await Database.open(folder / "streams.db", streams.SCHEMA)
        except BaseException:
            lock.close()
            raise
        return cls(folder, lock, database, log, clock)

    def records(self, bucket: str) -> EmbeddedRecords:
        if bucket not in self._records:
            self._records[bucket] = EmbeddedRecords(self._database, bucket)
        return self._records[bucket]

    def blobs(self, bucket: str) -> EmbeddedBlobs:
        if not bucket or not bucket.replace("-", "").isalnum():
            raise ValueError(f"a bucket of blobs is named by letters, digits and hyphens, not {bucket!r}")
        if bucket not in self._blobs:
            made = EmbeddedBlobs(self._database, bucket, self.folder / "blobs" / bucket)
            made.remove_orphans()
            self._blobs[bucket] = made
        return self._blobs[bucket]

    async def close(self) -> None:
        for bucket in self._blobs.values():
            bucket.close()
        await self._database.close()
        await self._log.close()
        self._lock.close()


def _lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("w")
    except OSError as problem:
        raise StorageFailed(f"{folder}: {problem}") from problem
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        lock.close()
        raise StoreError(f"{folder} is in use by another littoral process") from problem
    return lock
