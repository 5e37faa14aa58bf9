"""One SQLite file with one writer: group commit behind ``synchronous=FULL``.

Owns the connections, the writer thread and the rule that nobody is answered before the fsync. Knows no table.

A *work* is a function of the writer's connection. Works that wait together are run in one transaction, each in a
savepoint of its own, so that one that raises does not spoil its neighbours; then there is one commit, one fsync,
and every caller is answered. While that fsync runs the next works gather: throughput grows with the callers.

WAL with NORMAL lost every one of 500 acknowledged commits in a power cut, FULL none (docs/decisions). apsw brings a
SQLite without the WAL-reset corruption bug that the standard library's 3.40 still has.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import apsw

from littoral.store.contract import StorageFailed, StoreError

T = TypeVar("T")
BATCH = 2000  # works in one transaction at most

DISK_ERRORS = (
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
)


class _Job(Generic[T]):
    __slots__ = ("error", "future", "loop", "result", "work")

    def __init__(self, work: Callable[[apsw.Connection], T], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[T] = loop.create_future()
        self.result: T | None = None
        self.error: BaseException | None = None


class Database:
    """Open with ``Database.open``; close with ``close``."""

    def __init__(self, path: Path, writer: apsw.Connection, reader: apsw.Connection) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"writer-{path.name}", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path, schema: str) -> Database:
        """Open or create, and apply ``schema`` (statements that may be applied again). Raises StorageFailed."""
        return await asyncio.to_thread(cls._open, path, schema)

    @classmethod
    def _open(cls, path: Path, schema: str) -> Database:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = _connect(path)
            with writer:
                for _ in writer.execute(schema):
                    pass
            return cls(path, writer, _connect(path))
        except (*DISK_ERRORS, apsw.BusyError, OSError) as problem:
            raise StorageFailed(f"{path}: {problem}") from problem

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` on the writer and return its result once it is durable.

        What ``work`` raises is raised here and only its own changes are undone. Raises StorageFailed when the disk
        refuses: then nothing of the commit was kept.
        """
        if self._closing:
            raise StoreError(f"{self.path.name} is closed")
        job = _Job(work, asyncio.get_running_loop())
        self._jobs.put(job)
        return await job.future

    def read(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Rows as of the last commit. For quick, indexed queries: it runs on the caller's thread."""
        return list(self._reader.execute(sql, params))

    async def close(self) -> None:
        """Finish what waits, then close."""
        if self._closing:
            return
        self._closing = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._writer.close()

    # ------------------------------------------------------------------------------- the writer's thread

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, last = self._gather(first)
            self._commit(batch)
            _answer(batch)
            if last:
                return

    def _gather(self, first: _Job[Any]) -> tuple[list[_Job[Any]], bool]:
        batch = [first]
        while len(batch) < BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[_Job[Any]]) -> None:
        run = self._writer.execute
        try:
            run("BEGIN IMMEDIATE")
            for job in batch:
                _perform(job, self._writer)
            run("COMMIT")
        except apsw.Error as problem:
            if self._writer.in_transaction:
                run("ROLLBACK")
            refused = StorageFailed(f"{self.path.name}: {problem}")
            refused.__cause__ = problem
            for job in batch:
                job.error = refused


def _perform(job: _Job[Any], connection: apsw.Connection) -> None:
    connection.execute("SAVEPOINT work")
    try:
        job.result = job.work(connection)
    except DISK_ERRORS:
        raise
    except BaseException as problem:  # noqa: BLE001 - it belongs to the caller who waits, not to this thread
        connection.execute("ROLLBACK TO work")
        job.error = problem
    connection.execute("RELEASE work")


def _answer(batch: list[_Job[Any]]) -> None:
    """One wake-up per event loop, however many callers it has in this commit."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, jobs)


def _resolve(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        if job.future.done():  # the caller was cancelled; what was written stays written
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), statementcachesize=200)
    connection.set_busy_timeout(5000)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=4000"):
        list(connection.execute(f"PRAGMA {pragma}"))
    return connection
