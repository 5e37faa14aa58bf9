"""Which blob of a bucket is where: the row of each, whatever keeps the bytes."""

from __future__ import annotations

from collections.abc import Callable

import apsw

from littoral.store.embedded.database import Database
from littoral.store.embedded.keys import ceiling

SCHEMA = """
CREATE TABLE IF NOT EXISTS blobs(
    bucket TEXT NOT NULL, key TEXT NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL, sums BLOB,
    PRIMARY KEY(bucket, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blobs_by_file ON blobs(bucket, file);
"""

Gone = Callable[[tuple[str, int]], None]
"""Told of name and size of bytes that no row names any more, once that is durable."""


Row = tuple[str, int, bytes | None]
"""What a blob's bytes are called where they lie, how many they are, and their checksums where there are some."""


def upgrade(connection: apsw.Connection) -> None:
    """Add the column that a store made by an earlier release lacks; what it holds has no checksums."""
    if "sums" not in {row[1] for row in connection.execute("PRAGMA table_info(blobs)")}:
        connection.execute("ALTER TABLE blobs ADD COLUMN sums BLOB")


class BlobRows:
    """Of one bucket. ``file`` is what the bytes are called where they lie."""

    def __init__(self, database: Database, bucket: str) -> None:
        self._database = database
        self._bucket = bucket

    def find(self, key: str) -> Row | None:
        sql = "SELECT file, size, sums FROM blobs WHERE bucket = ? AND key = ?"
        found = self._database.read(sql, (self._bucket, key))
        return (found[0][0], found[0][1], found[0][2]) if found else None

    def page(self, prefix: str, after: str, limit: int) -> list[tuple[str, Row]]:
        """Keys and rows, in key order."""
        found = self._database.read(
            "SELECT key, file, size, sums FROM blobs WHERE bucket = ? AND key > ? AND key >= ? AND key < ?"
            " ORDER BY key LIMIT ?",
            (self._bucket, after, prefix, ceiling(prefix), limit),
        )
        return [(key, (file, size, sums)) for key, file, size, sums in found]

    def names(self, file: str) -> bool:
        """Whether a row names this file."""
        sql = "SELECT 1 FROM blobs WHERE bucket = ? AND file = ?"
        return bool(self._database.read(sql, (self._bucket, file)))

    async def adopt(self, key: str, row: Row, gone: Gone) -> None:
        """Make a file the content of ``key``; ``gone`` is told of the one that it replaces."""

        def work(connection: apsw.Connection) -> tuple[str, int] | None:
            sql = "SELECT file, size FROM blobs WHERE bucket = ? AND key = ?"
            replaced = list(connection.execute(sql, (self._bucket, key)))
            connection.execute("INSERT OR REPLACE INTO blobs VALUES(?, ?, ?, ?, ?)", (self._bucket, key, *row))
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
