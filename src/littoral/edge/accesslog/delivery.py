"""Access logs of one edge location, from what was noted to objects in a bucket.

1. Once a second what was noted is written to the spool, durably: a killed place loses that second at most.
2. A file is closed every minute (``edge_log_interval``), at 8 MiB or 100,000 lines, with its hour, and at drain.
3. A closed file is formatted and put into its bucket; only then is it gone here. What cannot be delivered waits, also
   over a restart; beyond 1 GiB the oldest goes, and the place's log says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from littoral.edge.accesslog.collecting import Notes
from littoral.edge.accesslog.formatting import gzipped
from littoral.edge.accesslog.noted import Asked, Noted, Repeated, asked_of, name_of, record_of
from littoral.edge.accesslog.spool import Destination, Spool
from littoral.edge.accesslog.spooled import place_of, read
from littoral.edge.accesslog.view import Source
from littoral.edge.plan import Plan
from littoral.edge.viewerrules import named
from littoral.net.message import Answer, Request, Response

log = logging.getLogger("littoral.edge")

SECOND = 1.0
BESIDE = 256 * 1024  # bytes from which a file is formatted by a process of its own
MOST = 1024 * 1024 * 1024  # bytes that may wait
PAUSE = 30.0  # seconds until what was not delivered is tried again


class Bucket(Protocol):
    """Where files go. Raises NotDelivered."""

    async def put(self, bucket: str, key: str, data: bytes) -> None: ...


class NotDelivered(Exception):
    """The bucket did not take it; it will be tried again."""


class Reader(Protocol):
    """Another kind of log, of the same notes."""

    @property
    def active(self) -> bool:
        """Whether it wants any."""

    def use(self, plans: Mapping[str, Plan]) -> None: ...

    def take(self, notes: list[Noted]) -> None:
        """In a thread, once a second and at drain."""


class AccessLogs:
    """``use`` says whose; ``of`` notes an answer. ``close`` when nothing is served any more."""

    def __init__(
        self, folder: Path, pop: str, bucket: Bucket, interval: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._spool = Spool(folder)
        self._pop = pop
        self._bucket = bucket
        self._interval = interval
        self._clock = clock
        self._kept: dict[str, Destination | None] = {}  # by name; None where nobody logs
        self._keeping = False
        self._soon = asyncio.Event()
        self._notes = Notes(clock, self._soon.set)
        self._writing = asyncio.Lock()
        self._delivering = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._warned = ""
        self._noting = False
        self.readers: list[Reader] = []
        self.delivered = 0

    def use(self, plans: Mapping[str, Plan]) -> None:
        self._kept = {name: self._to(plan) for plan in plans.values() for name in plan.names}
        self._keeping = any(self._kept.values())
        for reader in self.readers:
            reader.use(plans)
        self._noting = self._keeping or any(reader.active for reader in self.readers)

    def _to(self, plan: Plan) -> Destination | None:
        if plan.logging is None:
            return None
        bucket, prefix, cookies = plan.logging
        return Destination(plan.id, bucket, prefix, Source(self._pop, plan.domain, cookies))

    def of(self, request: Request, answer: Answer | Any) -> Any:
        """The same answer; noted where anybody's access is logged."""
        if not self._noting:
            return answer
        if type(answer) is Response and type(answer.body) is bytes:  # a hit: nothing but this
            now = self._clock()
            head = answer.prepared or answer.headers.raw
            self._notes.all.append((now, now, request, answer.status, head, len(answer.body), True, answer.note))
            if answer.again is not None:
                answer.again = self._notes.again(request, answer, answer.again)
            return answer
        return self._notes.of(request, answer)

    async def start(self) -> None:
        self._tasks = [asyncio.ensure_future(self._write_each_second()), asyncio.ensure_future(self._deliver_always())]

    async def flush_and_deliver(self) -> None:
        """At drain, while the place's own API still answers: as much as can be to its bucket."""
        await self.flush(everything=True)
        await self.deliver()

    async def close(self) -> None:
        """The rest to disk; it is delivered after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.flush(everything=True)

    async def flush(self, *, everything: bool = False) -> None:
        """What was noted is on disk when this returns; with ``everything`` files are closed too."""
        async with self._writing:
            notes, self._notes.all = self._notes.all, []
            older = 0.0 if everything else self._interval
            await asyncio.to_thread(self._write, notes, older)

    def _write(self, notes: list[Noted], older: float) -> None:
        by_destination, now = self._sorted(notes), self._clock()
        for reader in self.readers:
            if notes and reader.active:
                reader.take(notes)
        try:
            for destination, records in by_destination.items():
                self._spool.add(destination, records, now)
        except OSError as problem:
            log.warning("access logs could not be written: %s", problem)
        self._spool.close(now, older=older)

    def _sorted(self, notes: list[Noted]) -> dict[Destination, list[tuple[Any, ...]]]:
        found: dict[Destination, list[tuple[Any, ...]]] = {}
        seen: dict[int, tuple[list[tuple[Any, ...]] | None, Asked]] = {}  # by request: those given again share one
        kept = self._kept
        for noted in notes if self._keeping else ():
            note = noted.note if isinstance(noted, Repeated) else noted
            request = note[2]
            known = seen.get(id(request))
            if known is None:
                destination = named(kept, name_of(note))
                records = found.setdefault(destination, []) if destination is not None else None
                known = seen[id(request)] = records, asked_of(request)
            records, asked = known
            if records is not None:
                records.append(noted.stored(asked) if isinstance(noted, Repeated) else record_of(note, asked))
        return found

    async def _write_each_second(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECOND):
                    await self._soon.wait()
            self._soon.clear()
            await self.flush()

    # ------------------------------------------------------------------------------------------ delivery

    async def _deliver_always(self) -> None:
        while True:
            failed = not await self.deliver()
            await asyncio.sleep(PAUSE if failed else SECOND)

    async def deliver(self) -> bool:
        """Try every closed file once, until one fails. Whether all are gone."""
        async with self._delivering:
            files = await asyncio.to_thread(self._spool.left)
            await asyncio.to_thread(self._make_room, files)
            for path in files:
                try:
                    await self._deliver(path)
                except (NotDelivered, OSError) as problem:
                    if str(problem) != self._warned:
                        log.warning("access logs wait for their bucket: %s", problem)
                    self._warned = str(problem)
                    return False
                self._warned = ""
            return True

    async def _deliver(self, path: Path) -> None:
        if path.exists() and path.stat().st_size >= BESIDE:
            place = await asyncio.to_thread(place_of, path)
            if place is not None:
                await self._put(*place, await self._formatted(path))
        elif path.exists():
            found = await asyncio.to_thread(read, path)
            if found is not None and found.records:
                await self._put(found.bucket, found.key, await asyncio.to_thread(gzipped, found))
        path.unlink(missing_ok=True)

    async def _put(self, bucket: str, key: str, data: bytes) -> None:
        await self._bucket.put(bucket, key, data)
        self.delivered += 1

    async def _formatted(self, path: Path) -> bytes:
        out = path.with_suffix(".gz")
        program = [sys.executable, "-m", "littoral.edge.accesslog.formatting", str(path), str(out)]
        process = await asyncio.create_subprocess_exec(*program)
        if await process.wait() != 0:
            raise NotDelivered(f"{path.name} could not be formatted")
        try:
            return await asyncio.to_thread(out.read_bytes)
        finally:
            out.unlink(missing_ok=True)

    def _make_room(self, files: list[Path]) -> None:
        sizes = [path.stat().st_size for path in files]
        while files and sum(sizes) > MOST:
            log.warning("access logs: %s was not delivered in time and is lost", files[0].name)
            files.pop(0).unlink(missing_ok=True)
            sizes.pop(0)
