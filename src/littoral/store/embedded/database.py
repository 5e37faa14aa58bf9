"""One SQLite file with one writer: group commit behind ``synchronous=FULL``.

Owns the connections, the committing thread and the rule that nobody is answered before the fsync. Knows no table.

A *work* is a function of the writer's connection. Works that wait together are run in one transaction, each in a
savepoint of its own, so that one that raises does not spoil its neighbours; then there is one commit, one fsync,
and every caller is answered. While that fsync runs the next works gather: throughput grows with the callers.

::

    write() ─▶ waiting ─▶ [BEGIN, works]  on the loop, at most SLICE seconds
                  ▲            │
                  │         COMMIT        on the committing thread (fsync, checkpoint)
                  └── next ◀── answer     on the loop

The works' statements take microseconds and run on the loop; only what waits for the disk goes to the thread. A
thread that ran the statements would ask for the interpreter lock once a statement: beside a busy loop that gave
22 messages a second where this way gives tens of thousands (docs/decisions/2026-11-23-store-group-commit.md).
A work that needs long says so (``heavy``); its whole transaction runs on the thread.

WAL with NORMAL lost every one of 500 acknowledged commits in a power cut, FULL none. apsw brings a SQLite without
the WAL-reset corruption bug that the standard library's 3.40 still has.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import apsw

from littoral.store.contract import StorageFailed, StoreError

T = TypeVar("T")
BATCH = 5000  # works in one transaction at most
SLICE = 0.005  # seconds of works on the loop before a commit is due

DISK_ERRORS = (
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
)


class _Job(Generic[T]):
    __slots__ = ("error", "future", "heavy", "result", "then", "work")

    def __init__(
        self,
        work: Callable[[apsw.Connection], T],
        then: Callable[[T], None] | None,
        heavy: bool,
        future: asyncio.Future[T],
    ) -> None:
        self.work = work
        self.then = then
        self.heavy = heavy
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        if self.error is None and self.then is not None:
            try:
                self.then(self.result)
            except Exception as problem:  # noqa: BLE001 - it must not leave the neighbours without an answer
                self.error = problem
        if self.future.done():  # the caller was cancelled; what was written stays written
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Database:
    """Open with ``Database.open``, use from that event loop only, close with ``close``."""

    def __init__(self, path: Path, key: bytes | None, writer: apsw.Connection, reader: apsw.Connection) -> None:
        self.path = path
        self._key = key
        self._writer = writer
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Job[Any]] = deque()
        self._heavy = False  # one of those waiting is
        self._busy = False  # a batch is scheduled, running or being committed
        self._closing = False
        self._drained = asyncio.Event()
        self._batches: queue.SimpleQueue[tuple[list[_Job[Any]], bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._commit_all, name=f"commit-{path.name}", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path, schema: str, key: bytes | None = None) -> Database:
        """Open or create, and apply ``schema`` (statements that may be applied again). With a ``key`` (32 bytes) every
        page is encrypted and authenticated, in the file, its WAL and its journal. Raises StorageFailed, also for a
        file of another key."""
        return cls(path, key, *await asyncio.to_thread(_open, path, schema, key))

    async def write(
        self,
        work: Callable[[apsw.Connection], T],
        *,
        then: Callable[[T], None] | None = None,
        heavy: bool = False,
    ) -> T:
        """Run ``work`` on the writer and return its result once it is durable.

        What ``work`` raises is raised here and only its own changes are undone. ``then`` is called with the result
        right after the commit, in the order of the writes, even where the caller has been cancelled meanwhile.
        Raises StorageFailed when the disk refuses: then nothing of the commit was kept, and the database goes on.
        """
        if self._closing:
            raise StoreError(f"{self.path.name} is closed")
        job: _Job[T] = _Job(work, then, heavy, self._loop.create_future())
        self._waiting.append(job)
        self._heavy = self._heavy or heavy
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._begin)  # so that all that write in this turn of the loop share the commit
        return await job.future

    def read(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Rows as of the last commit. For quick, indexed queries: it runs on the loop. Raises StorageFailed.

        The thread commits at any time: two reads, though nothing is awaited between them, may be of two commits."""
        try:
            return list(self._reader.execute(sql, params))
        except DISK_ERRORS as problem:
            raise StorageFailed(f"{self.path.name}: {problem}") from problem

    @contextmanager
    def moment(self) -> Iterator[None]:
        """All that is read within is as of one commit. Not to be awaited in: what others read is then of that, too."""
        if self._reader.in_transaction:
            yield
            return
        self._reader.execute("BEGIN")
        try:
            yield
        finally:
            if self._reader.in_transaction:  # a disk error may have ended it
                self._reader.execute("COMMIT")

    async def aside(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As ``read``, for what takes long: in a thread, by a connection of its own. Raises StorageFailed."""
        return await asyncio.to_thread(self._aside, sql, params)

    def _aside(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            connection = _connect(self.path, self._key)
            try:
                return list(connection.execute(sql, params))
            finally:
                connection.close(True)
        except apsw.Error as problem:
            raise StorageFailed(f"{self.path.name}: {problem}") from problem

    async def check_pages(self) -> str:
        """What SQLite finds wrong with the file, in a thread; "" where all is well. Raises StorageFailed."""
        return await asyncio.to_thread(self._check_pages)

    def _check_pages(self) -> str:
        try:
            connection = _connect(self.path, self._key)
            try:
                found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
            finally:
                connection.close(True)
        except apsw.CorruptError as problem:
            return str(problem)
        except apsw.Error as problem:
            raise StorageFailed(f"{self.path.name}: {problem}") from problem
        return "" if found == ["ok"] else "; ".join(found)

    async def close(self) -> None:
        """Finish what waits, then close. What is written later raises StoreError."""
        if self._closing:
            return
        self._closing = True
        if self._busy:
            await self._drained.wait()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        await asyncio.to_thread(self._writer.close)

    # -------------------------------------------------------------------------------------- on the loop

    def _begin(self) -> None:
        heavy, self._heavy = self._heavy, False
        batch: list[_Job[Any]] = []
        if heavy:
            batch.extend(self._waiting)
            self._waiting.clear()
        else:
            try:
                self._run(batch, time.monotonic() + SLICE)
            except apsw.Error as problem:
                self._refuse(batch, problem)
                self._answer(batch)
                return
        self._batches.put((batch, heavy))

    def _run(self, batch: list[_Job[Any]], until: float) -> None:
        """Move works from ``waiting`` into ``batch`` as they are performed in one open transaction."""
        self._writer.execute("BEGIN IMMEDIATE")
        while self._waiting and len(batch) < BATCH:
            job = self._waiting.popleft()
            batch.append(job)
            _perform(job, self._writer)
            if time.monotonic() > until:
                return

    def _answer(self, batch: list[_Job[Any]]) -> None:
        for job in batch:
            job.answer()
        if self._waiting:
            self._loop.call_soon(self._begin)
        else:
            self._busy = False
            if self._closing:
                self._drained.set()

    # ---------------------------------------------------------------------------- on the committing thread

    def _commit_all(self) -> None:
        while (due := self._batches.get()) is not None:
            self._commit(*due)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._answer, due[0])

    def _commit(self, batch: list[_Job[Any]], heavy: bool) -> None:
        try:
            if heavy:
                self._writer.execute("BEGIN IMMEDIATE")
                for job in batch:
                    _perform(job, self._writer)
            self._writer.execute("COMMIT")
        except apsw.Error as problem:
            self._refuse(batch, problem)

    def _refuse(self, batch: list[_Job[Any]], problem: apsw.Error) -> None:
        """Undo the transaction and fail all of it. A batch that could not even begin takes in what waits."""
        if not batch:
            batch.extend(self._waiting)
            self._waiting.clear()
        refused = StorageFailed(f"{self.path.name}: {problem}")
        refused.__cause__ = problem
        for job in batch:
            job.error = refused
        if self._writer.in_transaction:
            try:
                self._writer.execute("ROLLBACK")
            except apsw.Error as again:  # SQLite has rolled back by itself or will when the next batch begins
                refused.add_note(f"rolling back: {again}")


def _perform(job: _Job[Any], connection: apsw.Connection) -> None:
    connection.execute("SAVEPOINT work")
    try:
        job.result = job.work(connection)
    except DISK_ERRORS:
        raise
    except BaseException as problem:  # noqa: BLE001 - it belongs to the caller who waits, not to the writer
        connection.execute("ROLLBACK TO work")
        job.error = problem
    connection.execute("RELEASE work")


def _open(path: Path, schema: str, key: bytes | None) -> tuple[apsw.Connection, apsw.Connection]:
    opened: list[apsw.Connection] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened.append(_connect(path, key))
        for _ in opened[0].execute(f"BEGIN IMMEDIATE; {schema}; COMMIT"):
            pass
        opened.append(_connect(path, key))
        return opened[0], opened[1]
    except (apsw.Error, OSError) as problem:
        for connection in opened:
            connection.close(True)
        if isinstance(problem, apsw.SQLError):  # the schema's fault, not the disk's
            raise
        raise StorageFailed(f"{path}: {problem}") from problem


def _connect(path: Path, key: bytes | None) -> apsw.Connection:
    connection = apsw.Connection(str(path), statementcachesize=200)
    settings: tuple[str, ...] = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=4000")
    try:
        connection.set_busy_timeout(5000)
        if key is not None:  # before anything is read; temporary files would lie in the clear
            settings = ("cipher='chacha20'", f"key='raw:{key.hex()}'", "temp_store=MEMORY", *settings)
        for pragma in (*settings, "cache_size=-16000"):
            list(connection.execute(f"PRAGMA {pragma}"))
    except apsw.Error:
        connection.close(True)
        raise
    return connection
