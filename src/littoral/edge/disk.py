"""The part of the cache that survives a restart: heads, small bodies and invalidations in SQLite, large ones in files.

It is written behind: ``store`` returns at once and one thread writes what has gathered, a batch a transaction. Order
is kept, so what was invalidated after it was stored stays invalidated. Torn bodies cannot be served: a large body is
complete and synced before its row is committed, a small one is in the row; after a kill or a power cut the last
batches are missing and nothing else. Invalidations are durable before ``invalidate`` returns.

Owns: the two threads, what waits for them, the files. Knows no freshness; keys are digests.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import apsw

from littoral.edge.entry import CacheFile, Entry, Key, read
from littoral.edge.invalidation import Rule
from littoral.edge.rows import ALWAYS, ROW, Digest, Row, RowReader, Rows, erase

log = logging.getLogger("littoral.edge")

BACKLOG = 64 * 1024 * 1024  # bytes of bodies waiting to be written; beyond it new ones are not
BATCH = 256  # operations of one transaction
REST = (
    4.0  # times the processor time of a batch, before the next of many: this thread takes turns with the event loop's
)
USED = 256  # keys that were read, until it is written that they were
VARY = b"vary:"  # begins the head of a row that is no object
Operation = Callable[[Rows], None]


def digest(key: Key) -> Digest:
    return hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Variation:
    """Under this key lies nothing but the names of the request headers that choose among variants."""

    names: tuple[str, ...]


class Disk:
    """``limit`` in bytes. ``resident`` says of a key whether it is held in memory too; ``left`` is told, in the event
    loop, the names of files that were let go."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        resident: Callable[[Digest], bool] = lambda _: False,
        left: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._left = left
        self._loop: asyncio.AbstractEventLoop | None = None
        self.folder = folder
        self.files = folder / "bodies"
        self.files.mkdir(parents=True, exist_ok=True)
        self._resident = resident
        self._run = secrets.token_hex(4)  # begins the names of this run's files
        self._live: WeakValueDictionary[str, CacheFile] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._waiting: list[tuple[Operation, int, Digest | None]] = []
        self._pending: dict[Digest, int] = {}
        self._used: list[Digest] = []  # read since
        self._backlog = 0
        self._draining: Future[None] | None = None
        self._awaited = 0  # who waits until all is written
        self._broken = False  # nothing more is read or written
        self._kept: list[CacheFile] = []
        self._writer = ThreadPoolExecutor(1, "edge-cache-write")
        self._reader = ThreadPoolExecutor(1, "edge-cache-read")
        self._rows = Rows(folder, limit, resident)
        self._rows_read = RowReader(folder)
        self._submit(self._sweep)

    @property
    def limit(self) -> int:
        return self._rows.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._rows.limit = limit

    @property
    def bytes(self) -> int:
        return self._rows.held

    def __len__(self) -> int:
        return self._rows.totals["count"]

    def rules(self) -> tuple[list[Rule], int, int]:
        """The invalidations of before, their last generation, and their floor. For the start."""
        return self._rows.rules(), self._rows.totals["generation"], self._rows.totals["floor"]

    def new_file(self) -> CacheFile:
        """For a large body; it is kept when an entry with it is stored."""
        name = f"{self._run}-{secrets.token_hex(12)}"
        made = self._live[name] = CacheFile(self.files / name)
        return made

    # ------------------------------------------------------------------------------------------------- writing

    def store(self, key: Key, entry: Entry) -> bool:
        """Replaces what lies there. What is too large, or cannot be written soon, is not stored (False), and what lay
        there goes all the same."""
        self._loop = asyncio.get_running_loop()
        held = entry.size if isinstance(entry.body, bytes) else 0
        if entry.size + ROW > self.limit // 4 or (held and self._backlog + held > BACKLOG):
            self.remove(key)
            return False
        body, file = (entry.body, None) if isinstance(entry.body, bytes) else (b"", entry.body)
        name = None if file is None else file.path.name
        self._tell_used()
        row = Row(digest(key), key[0], entry.path, entry.written(), entry.size, name, entry.since, body)
        self._submit(lambda rows: self._insert(rows, row, file), held, row.key)
        return True

    def _insert(self, rows: Rows, row: Row, file: CacheFile | None) -> None:
        if file is not None:
            _sync(file.path)  # before the row that says it is whole
            self._kept.append(file)
        rows.insert(row)

    def store_variation(self, key: Key, names: tuple[str, ...]) -> None:
        head = VARY + "\n".join(names).encode("latin-1")
        row = Row(digest(key), key[0], "", head, 0, None, ALWAYS)
        self._submit(lambda rows: rows.insert(row), of=row.key)

    def update(self, key: Key, entry: Entry) -> None:
        """The body is the same, the head is another."""
        at, head = digest(key), entry.written()
        self._submit(lambda rows: rows.rewrite(at, head), of=at)

    def remove(self, key: Key) -> None:
        at = digest(key)
        self._submit(lambda rows: rows.delete(at), of=at)

    def remove_until(self, key: Key, generation: int) -> None:
        """What was found there of that generation, and nothing that was stored since an invalidation after it."""
        at = digest(key)
        self._submit(lambda rows: rows.delete_until(at, generation), of=at)

    def remove_path(self, distribution: str, path: str) -> None:
        self._submit(lambda rows: rows.delete_path(distribution, path))

    async def invalidate(self, rules: Iterable[Rule], generation: int, floor: int) -> None:
        """Durable on return. Raises what the disk says otherwise."""
        made = list(rules)
        await self.settled()  # what was stored before stands before it
        await asyncio.get_running_loop().run_in_executor(
            self._writer, self._write, [lambda rows: rows.invalidate(made, generation, floor)], True
        )

    async def settled(self) -> None:
        """All that was asked for so far is written, or was given up."""
        self._awaited += 1
        try:
            while (draining := self._draining) is not None:
                await asyncio.wrap_future(draining)
        finally:
            self._awaited -= 1

    async def close(self) -> None:
        self._tell_used()
        await self.settled()
        self._writer.shutdown()
        self._reader.shutdown()
        if not self._broken:
            self._rows.close()
            self._rows_read.close()

    # ------------------------------------------------------------------------------------------------- reading

    async def load(self, key: Key) -> Entry | Variation | None:
        at = digest(key)
        if at in self._pending:
            await self.settled()
        self._loop = asyncio.get_running_loop()
        row = await self._loop.run_in_executor(self._reader, self._row, at)
        if row is None:
            return None
        if row.head.startswith(VARY):
            return Variation(tuple(row.head[len(VARY) :].decode("latin-1").split("\n")))
        try:
            body = self._body(row.file, row.size) if row.file else row.body
            entry = read(row.path, row.head, body, row.size, row.generation)
        except (ValueError, KeyError, TypeError, OSError) as problem:
            log.warning("an object of the cache cannot be read: %s", problem)
            self._submit(lambda rows: rows.delete_row(row), of=at)  # a newer one may lie there by now
            return None
        self._used.append(at)
        if len(self._used) >= USED:
            self._tell_used()
        return entry

    def _tell_used(self) -> None:
        """Uses are written with what is stored next, or many at once: they only decide what goes first."""
        if self._used:
            keys, self._used = self._used, []
            self._submit(lambda rows: rows.used(keys))

    def _row(self, at: Digest) -> Row | None:
        return None if self._broken else self._rows_read.row(at)

    def _body(self, name: str, size: int) -> CacheFile:
        file = self._live.get(name)
        if file is None:
            file = self._live[name] = CacheFile(self.files / name)
            file.keep()
        if file.path.stat().st_size != size:
            raise ValueError(f"{name} has not {size} bytes")
        return file

    # --------------------------------------------------------------------------------------- the writer's thread

    def _submit(self, operation: Operation, held: int = 0, of: Digest | None = None) -> None:
        with self._lock:
            self._waiting.append((operation, held, of))
            self._backlog += held
            if of is not None:
                self._pending[of] = self._pending.get(of, 0) + 1
            if self._draining is None:
                self._draining = self._writer.submit(self._drain)

    def _drain(self) -> None:
        while True:
            begun = time.thread_time()
            with self._lock:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                if not batch:
                    self._draining = None
                    return
            try:
                self._write([operation for operation, _, _ in batch])
            except Exception:
                log.exception("the cache on disk cannot be written and begins anew, empty")
                self._reset()
            with self._lock:
                for _, held, of in batch:
                    self._backlog -= held
                    if of is not None:
                        self._pending[of] -= 1
                        if not self._pending[of]:
                            del self._pending[of]
            if self._waiting and not self._awaited:
                time.sleep(REST * (time.thread_time() - begun))

    def _write(self, operations: list[Operation], durable: bool = False) -> None:
        if self._broken:
            return
        self._rows.transaction(operations, durable=durable)
        for file in self._kept:
            file.keep()
        self._kept.clear()
        for name in self._rows.gone:
            self._unlink(name)

    def _sweep(self, rows: Rows) -> None:
        """Files that a run before this left without a row."""
        for file in self.files.iterdir():
            if not file.name.startswith(self._run) and not rows.names(file.name):
                file.unlink(missing_ok=True)

    def _unlink(self, name: str) -> None:
        live = self._live.get(name)
        if live is None:
            (self.files / name).unlink(missing_ok=True)
            live = self._live.get(name)  # of somebody who had read its row, and saw the file a moment ago
        if live is not None:
            live.doom()  # somebody may be about to send it
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._left, name)

    def _reset(self) -> None:
        """After a failed write nothing out of date may come back: all that is on disk goes. Without rows there is
        nothing for invalidations to reach, so they may go too."""
        limit = self.limit
        self._kept.clear()
        self._reader.submit(self._rows_read.close).result()
        self._rows.close()
        erase(self.folder)
        for body in self.files.iterdir():
            self._unlink(body.name)
        try:
            self._rows = Rows(self.folder, limit, self._resident)
            self._rows_read = RowReader(self.folder)
        except apsw.Error:
            log.exception("the cache has no disk until the next start")
            self._broken = True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
