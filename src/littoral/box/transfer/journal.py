"""What arrived, and which uploads are under way, on the disk of whoever transfers: one SQLite file a transfer.

It is asked before anything is sent, and told after it was acknowledged. What a power cut takes of it is sent once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import apsw

from littoral.box.transfer import sums
from littoral.box.transfer.items import Arrived, Item
from littoral.box.transfer.sums import Sum

DISK = (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError)
SCHEMA = """
CREATE TABLE IF NOT EXISTS arrived(
    key TEXT NOT NULL, size INTEGER NOT NULL, stamp TEXT NOT NULL, checksum TEXT NOT NULL, etag TEXT NOT NULL,
    run INTEGER NOT NULL, PRIMARY KEY(key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads(key TEXT PRIMARY KEY, stamp TEXT NOT NULL, upload TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Busy(Exception):
    """Another process carries this transfer out."""


class Journal:
    """Use ``open``. Not for threads."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._run = int(self.noted("run") or 0) + 1
        self.note("run", str(self._run))

    @classmethod
    def open(cls, file: Path) -> Self:
        """Made where there is none. Raises Busy, OSError."""
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            connection = apsw.Connection(str(file))
        except apsw.Error as problem:
            raise OSError(f"{file}: {problem}") from problem
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            _renew(connection)
            connection.execute(SCHEMA)
            return cls(connection)
        except apsw.BusyError as problem:
            connection.close()
            raise Busy(str(file)) from problem
        except apsw.Error as problem:
            connection.close()
            raise OSError(f"{file}: {problem}") from problem

    def close(self) -> None:
        self._connection.close()

    def missing(self, items: Iterable[Item]) -> list[Item]:
        """Those that have not arrived as they are now. What has counts for this run, too."""
        items = list(items)
        if not self._any_between([one.key for one in items]):
            return items
        sql = "UPDATE arrived SET run = ? WHERE key = ? AND stamp = ? RETURNING 1"
        ask = self._connection.execute
        with _transaction(self._connection):
            missing = [one for one in items if not list(ask(sql, (self._run, one.key, one.stamp)))]
        return missing

    def _any_between(self, keys: Sequence[str]) -> bool:
        """Whether any of a page may have arrived: of a first run nothing has, and to ask for each took a while."""
        if not keys:
            return False
        sql = "SELECT EXISTS(SELECT 1 FROM arrived WHERE key BETWEEN ? AND ?)"
        return bool(self._connection.execute(sql, (min(keys), max(keys))).get)

    def add(self, arrived: Sequence[Arrived]) -> None:
        rows = [(one.item.key, one.item.size, one.item.stamp, str(one.known), one.etag, self._run) for one in arrived]
        with _transaction(self._connection):
            self._connection.executemany("INSERT OR REPLACE INTO arrived VALUES(?, ?, ?, ?, ?, ?)", rows)
            begun = [(one.item.key, one.item.stamp) for one in arrived]
            self._connection.executemany("DELETE FROM uploads WHERE key = ? AND stamp = ?", begun)

    def forget(self, keys: Iterable[str]) -> None:
        with _transaction(self._connection):
            self._connection.executemany("DELETE FROM arrived WHERE key = ?", ((key,) for key in keys))

    def upload(self, item: Item) -> str | None:
        """The one under way for this very content."""
        sql = "SELECT upload FROM uploads WHERE key = ? AND stamp = ?"
        found = list(self._connection.execute(sql, (item.key, item.stamp)))
        return found[0][0] if found else None

    def outdated(self, item: Item) -> str | None:
        """The one under way for what its name had before."""
        sql = "SELECT upload FROM uploads WHERE key = ? AND stamp <> ?"
        found = list(self._connection.execute(sql, (item.key, item.stamp)))
        return found[0][0] if found else None

    def uploads(self) -> dict[str, str]:
        """All that are under way, by their keys."""
        return dict(self._connection.execute("SELECT key, upload FROM uploads"))

    def abandon(self, upload: str) -> None:
        with _transaction(self._connection):
            self._connection.execute("DELETE FROM uploads WHERE upload = ?", (upload,))

    def begin(self, item: Item, upload: str) -> None:
        with _transaction(self._connection):
            row = (item.key, item.stamp, upload)
            self._connection.execute("INSERT OR REPLACE INTO uploads VALUES(?, ?, ?)", row)

    def all(self) -> Iterator[tuple[str, int, Sum, str]]:
        """(key, size, checksum, etag) of what this run has found, in the order of keys."""
        sql = "SELECT key, size, checksum, etag FROM arrived WHERE run = ? ORDER BY key"
        for key, size, checksum, etag in self._connection.execute(sql, (self._run,)):
            yield key, size, sums.read(checksum), etag

    def totals(self) -> tuple[int, int]:
        """Objects and bytes of what this run has found."""
        sql = "SELECT count(*), ifnull(sum(size), 0) FROM arrived WHERE run = ?"
        found = list(self._connection.execute(sql, (self._run,)))
        return found[0]  # type: ignore[no-any-return]

    def note(self, name: str, value: str) -> None:
        with _transaction(self._connection):
            self._connection.execute("INSERT OR REPLACE INTO notes VALUES(?, ?)", (name, value))

    def noted(self, name: str) -> str | None:
        found = list(self._connection.execute("SELECT value FROM notes WHERE name = ?", (name,)))
        return found[0][0] if found else None


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """By statements: APSW's own ``with`` keeps the interpreter's lock while the disk takes what is committed, and
    threads that send wait for it. Raises OSError where the disk does not take it; nothing of it is kept then."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException as problem:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(problem, DISK):
            raise OSError(f"{connection.filename}: {problem}") from problem
        raise


def _renew(connection: apsw.Connection) -> None:
    """One that knew SHA-256 only."""
    if any(column[1] == "sha256" for column in connection.execute("PRAGMA table_info(arrived)")):
        with _transaction(connection):
            connection.execute("ALTER TABLE arrived RENAME COLUMN sha256 TO checksum")
            connection.execute("UPDATE arrived SET checksum = 'SHA256:' || checksum")
