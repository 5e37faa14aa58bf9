"""The tables of the cache on disk: one row an object, its small body beside it, and the invalidations.

Room is made in two queues, as in memory (``eviction``), without the ghost: an object that was read from here, or that
is in memory too, is not the first to go.

Owns: rows, their order and the count of their bytes. Knows no threads and no files: it says which files were left by
rows that are gone. Nothing is read at the start, however much there is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from littoral.edge.invalidation import Rule

log = logging.getLogger("littoral.edge")

VERSION = 1
ROW = 512  # bytes of a row beside its head and body, indexes included
ALWAYS = 1 << 62  # the generation of what no invalidation reaches
PAGE = 8192
LEAST_LOG, MOST_LOG = 1024 * 1024, 64 * 1024 * 1024  # bytes of the write-ahead log, an eighth of the cache otherwise
STEP = 256  # rows looked at at once when room is made
SCHEMA = f"""
CREATE TABLE object(
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, distribution TEXT NOT NULL, path TEXT NOT NULL,
    head BLOB NOT NULL, size INTEGER NOT NULL, file TEXT, generation INTEGER NOT NULL,
    main INTEGER NOT NULL, rank INTEGER NOT NULL, uses INTEGER NOT NULL, cost INTEGER NOT NULL);
CREATE INDEX object_path ON object(distribution, path);
CREATE INDEX object_rank ON object(main, rank);
CREATE INDEX object_file ON object(file) WHERE file IS NOT NULL;
CREATE TABLE body(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE rule(generation INTEGER NOT NULL, distribution TEXT NOT NULL, kind TEXT NOT NULL, what TEXT NOT NULL);
CREATE INDEX rule_generation ON rule(generation);
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('small', 0), ('main', 0), ('count', 0), ('rank', 0), ('generation', 0), ('floor', 0);
PRAGMA user_version = {VERSION};
"""
Digest = bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One object. ``head`` is what its owner wrote there; ``body`` is empty for one in a file."""

    key: Digest
    distribution: str
    path: str
    head: bytes
    size: int
    file: str | None
    generation: int
    body: bytes = b""

    @property
    def cost(self) -> int:
        return self.size + len(self.head) + ROW


class Rows:
    """The writing side. Calls belong into ``transaction``."""

    def __init__(self, folder: Path, limit: int, resident: Callable[[Digest], bool]) -> None:
        self.limit = limit
        self._bounded = -1  # limit that the write-ahead log's bound was made of
        self.gone: list[str] = []  # files of rows deleted in the last transaction
        self._resident = resident
        self._db = opened(folder)
        self.totals: dict[str, int] = dict(self._ask("SELECT name, value FROM meta"))

    def close(self) -> None:
        self._db.close()

    @property
    def held(self) -> int:
        """Bytes."""
        return self.totals["small"] + self.totals["main"]

    def transaction(self, operations: Iterable[Callable[[Rows], None]], *, durable: bool = False) -> None:
        """All or nothing. Every commit survives a kill, a ``durable`` one a power cut."""
        before = dict(self.totals)
        self.gone = []
        try:
            if self._bounded != self.limit:
                self._bound_log()
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with committed(self._db):
                for operation in operations:
                    operation(self)
                self._make_room()
                changed = [(value, name) for name, value in self.totals.items() if value != before[name]]
                if changed:  # a change of what is not stored, a POST say, writes nothing
                    self._db.executemany("UPDATE meta SET value = ? WHERE name = ?", changed)
        except BaseException:
            self.totals.update(before)
            raise

    def _bound_log(self) -> None:
        """The write-ahead log is cut down to this at a checkpoint, which comes four times as soon."""
        bound = max(LEAST_LOG, min(MOST_LOG, self.limit // 8))
        self._db.pragma("journal_size_limit", bound)
        self._db.pragma("wal_autocheckpoint", bound // 4 // PAGE)
        self._bounded = self.limit

    def insert(self, row: Row) -> None:
        """It replaces what lies under its key."""
        self.delete(row.key)
        if row.generation < ALWAYS:  # those of a later run go on from here
            self.totals["generation"] = max(self.totals["generation"], row.generation)
        self.totals["rank"] += 1
        values = (row.key, row.distribution, row.path, row.head, row.size, row.file, row.generation)
        self._db.execute(
            "INSERT INTO object VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0, ?)",
            (*values, self.totals["rank"], row.cost),
        )
        if row.body:
            self._db.execute("INSERT INTO body VALUES (?, ?)", (self._db.last_insert_rowid(), row.body))
        self.totals["small"] += row.cost
        self.totals["count"] += 1

    def rewrite(self, key: Digest, head: bytes) -> None:
        self._db.execute("UPDATE object SET head = ? WHERE key = ?", (head, key))

    def used(self, keys: Iterable[Digest]) -> None:
        self._db.executemany("UPDATE object SET uses = min(uses + 1, 3) WHERE key = ?", [(key,) for key in keys])

    def delete(self, key: Digest) -> None:
        self._delete("key = ?", key)

    def delete_row(self, row: Row) -> None:
        """That very row, and none that has taken its place since it was read."""
        where = "key = ? AND generation = ? AND head = ? AND file IS ?"
        self._delete(where, row.key, row.generation, row.head, row.file)

    def delete_until(self, key: Digest, generation: int) -> None:
        """What lies there, where it is of that generation or an earlier one."""
        self._delete("key = ? AND generation <= ?", key, generation)

    def delete_path(self, distribution: str, path: str) -> None:
        self._delete("distribution = ? AND path = ?", distribution, path)

    def rules(self) -> list[Rule]:
        return [
            (generation, distribution, kind, what)
            for generation, distribution, kind, what in self._ask(
                "SELECT generation, distribution, kind, what FROM rule ORDER BY generation"
            )
        ]

    def invalidate(self, rules: Iterable[Rule], generation: int, floor: int) -> None:
        self._db.executemany("INSERT INTO rule VALUES (?, ?, ?, ?)", rules)
        self._db.execute("DELETE FROM rule WHERE generation <= ?", (floor,))
        self.totals.update(generation=max(generation, self.totals["generation"]), floor=floor)

    def names(self, file: str) -> bool:
        """Whether a row has that file."""
        return bool(list(self._ask("SELECT 1 FROM object WHERE file = ?", file)))

    # ---------------------------------------------------------------------------------------------- inside

    def _ask(self, statement: str, *values: Any) -> Iterator[Any]:
        return iter(self._db.execute(statement, values).fetchall())

    def _delete(self, where: str, *values: Any) -> None:
        for row in self._ask(f"SELECT id, main, cost, file FROM object WHERE {where}", *values):
            self._drop(*row)

    def _drop(self, identifier: int, main: int, cost: int, file: str | None) -> None:
        self._db.execute("DELETE FROM object WHERE id = ?", (identifier,))
        self._db.execute("DELETE FROM body WHERE id = ?", (identifier,))
        self.totals["main" if main else "small"] -= cost
        self.totals["count"] -= 1
        if file is not None:
            self.gone.append(file)

    def _make_room(self) -> None:
        last = self.totals["rank"]  # what is moved from here on is not spared again
        while self.held > self.limit:
            main = int(self.totals["small"] * 10 <= self.limit and self.totals["main"] > 0)
            oldest = "SELECT id, cost, file, key, uses, rank FROM object WHERE main = ? ORDER BY rank LIMIT ?"
            for identifier, cost, file, key, uses, rank in self._ask(oldest, main, STEP):
                if rank <= last and (uses > 0 or self._resident(key)):
                    self._spare(identifier, main, cost, max(0, uses - 1) if main else 0)
                else:
                    self._drop(identifier, main, cost, file)
                if self.held <= self.limit:
                    break

    def _spare(self, identifier: int, main: int, cost: int, uses: int) -> None:
        """To the end of the main queue."""
        self.totals["rank"] += 1
        values = (self.totals["rank"], uses, identifier)
        self._db.execute("UPDATE object SET main = 1, rank = ?, uses = ? WHERE id = ?", values)
        if not main:
            self.totals["small"] -= cost
            self.totals["main"] += cost


class RowReader:
    """The reading side: a connection of its own, which no writer holds up."""

    def __init__(self, folder: Path) -> None:
        self._db = connected(folder)

    def close(self) -> None:
        self._db.close()

    def row(self, key: Digest) -> Row | None:
        found: Any = self._db.execute(
            "SELECT distribution, path, head, size, file, generation, coalesce(data, x'') "
            "FROM object LEFT JOIN body USING (id) WHERE key = ?",
            (key,),
        ).fetchone()
        return None if found is None else Row(key, *found)


def connected(folder: Path) -> apsw.Connection:
    made = apsw.Connection(str(folder / "index.sqlite"))
    made.set_busy_timeout(10_000)
    for name, value in (("page_size", PAGE), ("journal_mode", "WAL"), ("cache_size", -8192)):
        made.pragma(name, value)  # one at a time: ``execute`` stops at the first that says something
    return made


@contextmanager
def committed(db: apsw.Connection) -> Iterator[None]:
    """A transaction. ``with db`` is one, too, but keeps the interpreter's lock while the disk syncs what it commits: a
    checkpoint under load is a tenth of a second in which no other thread runs, the event loop's least of all."""
    db.execute("BEGIN")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def opened(folder: Path) -> apsw.Connection:
    """What is of another version or not whole is not kept: it is a cache. Raises apsw.Error where none can be made."""
    try:
        db = connected(folder)
        version = db.pragma("user_version")
        if version == VERSION:
            return db
        db.close()
        if version != 0:
            log.info("the cache on disk is of another version and begins anew")
    except apsw.Error as problem:
        log.warning("the cache on disk cannot be opened and begins anew: %s", problem)
    erase(folder)
    db = connected(folder)
    db.execute(f"BEGIN; {SCHEMA} COMMIT")
    return db


def erase(folder: Path) -> None:
    for end in ("", "-wal", "-shm"):
        (folder / f"index.sqlite{end}").unlink(missing_ok=True)
