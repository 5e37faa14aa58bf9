"""Which blob of a bucket is where: the row of each, whatever keeps the bytes."""

from __future__ import annotations

from collections.abc import Callable

import apsw

from littoral.store.embedded.database import Database
from littoral.store.embedded.keys import ceiling

SCHEMA = """
CREATE TABLE IF NOT EXISTS blobs(
    bucket TEXT NOT NULL, key TEXT NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY(bucket, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blobs_by_file ON blobs(bucket, file);
"""

Gone = Callable[[tuple[str, int]], None]
"""Told of name and size of bytes that no row names any more, once that is durable."""


class BlobRows:
    """Of one bucket. ``file`` is what the bytes are called where they lie."""

    def __init__(self, database: Database, bucket: str) -> None:
        self._database = database
        self._bucket = bucket

    def find(self, key: str) -> tuple[str, int] | None:
        """File and size."""
        sql = "SELECT file, size FROM blobs WHERE bucket = ? AND key = ?"
        found = self._database.read(sql, (self._bucket, key))
        return (found[0][0], found[0][1]) if found else None

    def page(self, prefix: str, after: str, limit: int) -> list[tuple[str, str, int]]:
        """(key, file, size) in key order."""
        found = self._database.read(
            "SELECT key, file, size FROM blobs WHERE bucket = ? AND key > ? AND key >= ? AND key < ?"
            " ORDER BY key LIMIT ?",
            (self._bucket, after, prefix, ceiling(prefix), limit),
        )
        return [(key, file, size) for key, file, size in found]

    def names(self, file: str) -> bool:
        """Whether a row names this file."""
        sql = "SELECT 1 FROM blobs WHERE bucket = ? AND file = ?"
        return bool(self._database.read(sql, (self._bucket, file)))

    async def adopt(self, key: str, file: str, size: int, gone: Gone) -> None:
        """Make a file the content of ``key``; ``gone`` is told of the one that it replaces."""

        def work(connection: apsw.Connection) -> tuple[str, int] | None:
            sql = "SELECT file, size FROM blobs WHERE bucket = ? AND key = ?"
            replaced = list(connection.execute(sql, (self._bucket, key)))
            connection.execute("INSERT OR REPLACE INTO blobs VALUES(?, ?, ?, ?)", (self._bucket, key, file, size))
            return replaced[0] if replaced else None

        await self._database.write(work, then=lambda replaced: gone(replaced) if replaced else None)

    async def forget(self, key: str, gone: Gone) -> bool:
        """False where there was none."""

        def work(connection: apsw.Connection) -> tuple[str, int] | None:
            sql = "DELETE FROM blobs WHERE bucket = ? AND key = ? RETURNING file, size"
            removed = list(connection.execute(sql, (self._bucket, key)))
            return removed[0] if removed else None

        done = await self._database.write(work, then=lambda removed: gone(removed) if removed else None)
        return done is not None
