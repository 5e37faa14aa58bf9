"""The index: tables, items, entries of secondary indexes, change streams and expiries, in one SQLite file.

A write, its index entries, its expiry and its stream record are one transaction of the store's group commit, so what is
acknowledged is durable and nothing is half there. ::

    tables ──< items                      by the bytes of their keys (protocols.dynamodb.keys)
       ├────< entries >── items           one for each item that has the index's key; the item itself is not copied
       ├────< expiries                    where the table has a TTL attribute
       └────< streams ──< messages        the store's log, in this file

Knows no HTTP and no expression. Every write looks at its table's row first, so that it does what the table's indexes
are at that moment, whatever it was prepared for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

from littoral.store.contract import Message
from littoral.store.embedded import log
from littoral.store.embedded.consumer import messages_after
from littoral.store.embedded.database import Database
from littoral.tables import entries
from littoral.tables.errors import in_use, no_such_table, not_of_the_table
from littoral.tables.table import SecondaryIndex, Table

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS tables(
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
    revision INTEGER NOT NULL, items INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS items(
    tab INTEGER NOT NULL, hash BLOB NOT NULL, range BLOB NOT NULL, size INTEGER NOT NULL, item NOT NULL,
    PRIMARY KEY(tab, hash, range)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS indexes(id INTEGER PRIMARY KEY AUTOINCREMENT, tab INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entries(
    idx INTEGER NOT NULL, hash BLOB NOT NULL, range BLOB NOT NULL, bhash BLOB NOT NULL, brange BLOB NOT NULL,
    PRIMARY KEY(idx, hash, range, bhash, brange)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS expiries(
    at INTEGER NOT NULL, tab INTEGER NOT NULL, hash BLOB NOT NULL, range BLOB NOT NULL,
    PRIMARY KEY(at, tab, hash, range)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens(
    token TEXT PRIMARY KEY, digest BLOB NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tokens_by_time ON tokens(at);
"""


class Index:
    """Open with ``Index.open``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables: dict[str, Table] = {}
        self._arrivals: dict[int, asyncio.Event] = {}  # by store stream; set and replaced when records come
        self.expiring = asyncio.Event()  # set when an item got an expiry
        for number, revision, text in database.read("SELECT id, revision, document FROM tables"):
            table = Table.load(number, revision, text)
            self._tables[table.name] = table

    @classmethod
    async def open(cls, path: Path) -> Self:
        return cls(await Database.open(path, SCHEMA + log.SCHEMA))

    async def close(self) -> None:
        await self._database.close()

    # ------------------------------------------------------------------------------------------------ tables

    def tables(self) -> list[Table]:
        """In the order of their names."""
        return [self._tables[name] for name in sorted(self._tables)]

    def find(self, name: str) -> Table | None:
        return self._tables.get(name)

    def table(self, name: str) -> Table:
        """Raises ResourceNotFoundException."""
        found = self._tables.get(name)
        if found is None:
            raise no_such_table()
        return found

    def counts(self, table: Table) -> tuple[int, int]:
        """Items and their bytes."""
        rows = self.read("SELECT items, bytes FROM tables WHERE id = ?", (table.id,))
        return rows[0] if rows else (0, 0)

    async def create(self, make: Callable[[apsw.Connection, int], Table], name: str) -> Table:
        """``make`` is given the table's id. Raises ResourceInUseException."""

        def work(connection: apsw.Connection) -> Table:
            if list(connection.execute("SELECT 1 FROM tables WHERE name = ?", (name,))):
                raise in_use(f"Table already exists: {name}")
            connection.execute("INSERT INTO tables(name, document, revision) VALUES(?, '', 0)", (name,))
            table = make(connection, connection.last_insert_rowid())
            return _save(connection, table)

        return await self._database.write(work, then=self._keep)

    async def change(
        self, table: Table, work: Callable[[apsw.Connection, Table], Table], *, heavy: bool = False
    ) -> Table:
        """``work`` makes of the table what it is from now on. Raises ResourceNotFoundException."""

        def changing(connection: apsw.Connection) -> Table:
            return _save(connection, work(connection, current(connection, table)))

        return await self._database.write(changing, then=self._keep, heavy=heavy)

    async def remove(self, table: Table) -> None:
        """With all that it has. Raises ResourceNotFoundException."""

        def work(connection: apsw.Connection) -> Table:
            found = current(connection, table)
            for each in found.indexes:
                entries.clear(connection, each)
            connection.execute("DELETE FROM items WHERE tab = ?", (found.id,))
            connection.execute("DELETE FROM expiries WHERE tab = ?", (found.id,))
            for stream in (*found.streams, *((found.stream,) if found.stream else ())):
                log.remove(connection, stream.log)
            connection.execute("DELETE FROM tables WHERE id = ?", (found.id,))
            return found

        await self._database.write(work, then=self._drop, heavy=True)

    def _keep(self, table: Table) -> None:
        self._tables[table.name] = table

    def _drop(self, table: Table) -> None:
        if self._tables.get(table.name, table).id == table.id:
            self._tables.pop(table.name, None)

    # ------------------------------------------------------------------------------------------------ items

    def read(self, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
        return self._database.read(sql, params)

    def moment(self) -> AbstractContextManager[None]:
        """All that is read within is as of one commit; nothing is awaited in it."""
        return self._database.moment()

    def check_there(self, table: Table, index: SecondaryIndex | None = None) -> None:
        """Where nothing was found: memory follows the disk, so what is known here may have been removed a moment ago,
        with all that it had. Raises ResourceNotFoundException, Invalid."""
        rows = self.read("SELECT revision, document FROM tables WHERE id = ?", (table.id,))
        if not rows:
            raise no_such_table()
        if index is not None and rows[0][0] != table.revision:
            now = Table.load(table.id, *rows[0])
            if all(each.id != index.id for each in now.indexes):
                raise not_of_the_table(index.name)

    async def write(self, work: Callable[[apsw.Connection], T], *tables: Table, heavy: bool = False) -> T:
        """Durable when it returns; who waits for the records of these tables' streams is woken."""

        def told(_: object) -> None:
            for table in tables:
                if table.stream is not None:
                    self._wake(table.stream.log)
                if table.ttl is not None:
                    self.expiring.set()

        return await self._database.write(work, then=told, heavy=heavy)

    # ------------------------------------------------------------------------------------------------ streams

    def messages(self, stream: int, after: int, limit: int) -> list[Message]:
        return list(messages_after(self._database, stream, after, limit))

    def extent(self, stream: int) -> tuple[int, int]:
        """The first sequence that is kept and the last; the first is one more where nothing is."""
        rows = self.read("SELECT last - count + 1, last FROM streams WHERE id = ?", (stream,))
        return rows[0] if rows else (1, 0)

    async def arrived(self, stream: int, after: int, wait: float) -> None:
        """Return when there is a record after ``after``, or ``wait`` seconds have passed."""
        arrival = self._arrivals.setdefault(stream, asyncio.Event())
        if self.extent(stream)[1] > after:
            return
        try:
            async with asyncio.timeout(wait):
                await arrival.wait()
        except TimeoutError:
            return

    def _wake(self, stream: int) -> None:
        arrival = self._arrivals.pop(stream, None)
        if arrival is not None:
            arrival.set()


def current(connection: apsw.Connection, table: Table) -> Table:
    """The table as it is in this transaction. Raises ResourceNotFoundException."""
    for revision, text in connection.execute("SELECT revision, document FROM tables WHERE id = ?", (table.id,)):
        return table if revision == table.revision else Table.load(table.id, revision, text)
    raise no_such_table()


def _save(connection: apsw.Connection, table: Table) -> Table:
    saved = table.changed(revision=table.revision + 1)
    connection.execute(
        "UPDATE tables SET document = ?, revision = ? WHERE id = ?", (saved.document(), saved.revision, saved.id)
    )
    return saved
