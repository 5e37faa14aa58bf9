"""Records in one SQLite table. Revisions come from one counter, so they also order changes across keys."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence

import apsw

from littoral.store.contract import Change, Conflict, Record
from littoral.store.embedded.database import Database
from littoral.store.embedded.keys import ceiling, check_key

SCHEMA = """
CREATE TABLE IF NOT EXISTS records(
    bucket TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, revision INTEGER NOT NULL,
    PRIMARY KEY(bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revision(only INTEGER PRIMARY KEY CHECK(only = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO revision VALUES(1, 0);
"""


class EmbeddedRecords:
    """One bucket of records."""

    def __init__(self, database: Database, bucket: str) -> None:
        self._database = database
        self._bucket = bucket
        self._watchers: weakref.WeakSet[_Watcher] = weakref.WeakSet()

    async def get(self, key: str) -> Record | None:
        rows = self._database.read(
            "SELECT value, revision FROM records WHERE bucket = ? AND key = ?", (self._bucket, key)
        )
        return Record(key, rows[0][0], rows[0][1]) if rows else None

    async def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        check_key(key)

        def work(connection: apsw.Connection) -> int:
            self._meet(connection, key, expect)
            revision = _next_revision(connection)
            connection.execute(
                "INSERT OR REPLACE INTO records VALUES(?, ?, ?, ?)", (self._bucket, key, value, revision)
            )
            return revision

        def tell(revision: int) -> None:
            self._tell(Change(key, value, revision))

        return await self._database.write(work, then=tell)

    async def put_all(self, values: Mapping[str, bytes]) -> None:
        for key in values:
            check_key(key)

        def work(connection: apsw.Connection) -> list[Change]:
            first = _next_revision(connection, len(values)) - len(values) + 1
            changes = [Change(key, value, first + place) for place, (key, value) in enumerate(values.items())]
            connection.executemany(
                "INSERT OR REPLACE INTO records VALUES(?, ?, ?, ?)",
                [(self._bucket, each.key, each.value, each.revision) for each in changes],
            )
            return changes

        def tell(changes: list[Change]) -> None:
            for change in changes:
                self._tell(change)

        await self._database.write(work, then=tell)

    async def delete(self, key: str, *, expect: int | None = None) -> bool:
        def work(connection: apsw.Connection) -> int:
            self._meet(connection, key, expect)
            connection.execute("DELETE FROM records WHERE bucket = ? AND key = ?", (self._bucket, key))
            return _next_revision(connection) if connection.changes() else 0

        def tell(revision: int) -> None:
            if revision:
                self._tell(Change(key, None, revision))

        revision = await self._database.write(work, then=tell)
        return revision > 0

    async def scan(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> Sequence[Record]:
        rows = self._database.read(
            "SELECT key, value, revision FROM records WHERE bucket = ? AND key > ? AND key >= ? AND key < ?"
            " ORDER BY key LIMIT ?",
            (self._bucket, after, prefix, ceiling(prefix), limit),
        )
        return [Record(*row) for row in rows]

    def watch(self, prefix: str = "") -> AsyncIterator[Change]:
        watcher = _Watcher(prefix)
        self._watchers.add(watcher)
        return watcher

    def _meet(self, connection: apsw.Connection, key: str, expect: int | None) -> None:
        if expect is None:
            return
        rows = list(
            connection.execute("SELECT revision FROM records WHERE bucket = ? AND key = ?", (self._bucket, key))
        )
        found = rows[0][0] if rows else 0
        if found != expect:
            raise Conflict(f"{self._bucket}/{key} is at revision {found}, not {expect}")

    def _tell(self, change: Change) -> None:
        for watcher in list(self._watchers):
            watcher.tell(change)


class _Watcher:
    """Changes not yet read, at most one a key: a slow reader costs one change per key, not memory without end.

    They are told in the order of their commits, so the order of the dict is the order of revisions."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._waiting: dict[str, Change] = {}
        self._arrived = asyncio.Event()

    def tell(self, change: Change) -> None:
        if change.key.startswith(self._prefix):
            self._waiting.pop(change.key, None)  # so that it moves to the end
            self._waiting[change.key] = change
            self._arrived.set()

    def __aiter__(self) -> _Watcher:
        return self

    async def __anext__(self) -> Change:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.pop(next(iter(self._waiting)))


def _next_revision(connection: apsw.Connection, count: int = 1) -> int:
    """The last of so many."""
    row = connection.execute("UPDATE revision SET last = last + ? RETURNING last", (count,)).get
    assert isinstance(row, int)
    return row
