"""Real-time logs of one edge location, from what was noted to records in a data stream.

1. Once a second, and at drain, the notes of access logs come here too, in a thread: those of behaviours with a
   configuration are sampled and written as records.
2. A task of its own brings them to their streams, at most 500 a call. What a stream did not take is tried again; best
   effort, as at AWS: beyond ``MOST`` records the oldest go, and the place's metrics count them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from littoral.edge.accesslog.noted import Noted, each_of, name_of, record_of
from littoral.edge.accesslog.view import Record, Source, View
from littoral.edge.geo import Locator, Nowhere
from littoral.edge.plan import Plan
from littoral.edge.realtime.fields import Moment, text_of
from littoral.edge.viewerrules import named

log = logging.getLogger("littoral.edge")

MOST = 50_000  # records that may wait for one stream
AT_ONCE = 500  # records of one PutRecords
AT_ONCE_BYTES = 4 * 1024 * 1024
PAUSE = 2.0  # seconds until what was not taken is tried again
LAST = 5.0  # seconds that a place waits for its streams when it stops


class NotTaken(Exception):
    """``lasting``: the stream is not there, or does not take such records; trying again will not help."""

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class DataStreams(Protocol):
    async def put(self, stream: str, records: Sequence[bytes]) -> list[bytes]:
        """Returns what was not taken. Raises NotTaken."""


class RealtimeLogs:
    """A ``Reader`` of access logs' notes; takes none before ``start``."""

    def __init__(
        self,
        pop: str,
        streams: DataStreams,
        *,
        server: str = "",
        locator: Locator | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._pop = pop
        self._streams = streams
        self._server = server
        self._locator = locator or Nowhere()
        self._chance = chance
        self._plans: dict[str, Plan | None] = {}  # by name; None where no behaviour is logged
        self._active = False
        self._waiting: dict[str, deque[bytes]] = {}
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._warned = ""
        self.delivered = self.dropped = 0

    @property
    def active(self) -> bool:
        return self._active

    def use(self, plans: Mapping[str, Plan]) -> None:
        self._plans = {name: plan if _logged(plan) else None for plan in plans.values() for name in plan.names}
        self._active = any(self._plans.values())

    def take(self, notes: list[Noted]) -> None:
        """Called from a thread."""
        made: list[tuple[str, bytes]] = []
        for note in each_of(notes):
            plan = named(self._plans, name_of(note))
            if plan is None:
                continue
            behaviour = plan.behaviour(note[2].target.partition("?")[0])
            wanted = behaviour.realtime
            if wanted is None or (wanted.rate < 100 and self._chance() * 100 >= wanted.rate):
                continue
            record = Record(*record_of(note))
            view = View(record, Source(self._pop, plan.domain, True))
            viewer = self._locator.locate(record.host)
            moment = Moment(view, viewer, self._server, behaviour.pattern, plan.id, plan.domain)
            made.append((wanted.stream, text_of(wanted.fields, moment).encode()))
        if made and self._loop is not None:
            self._loop.call_soon_threadsafe(self._keep, made)

    def _keep(self, made: list[tuple[str, bytes]]) -> None:
        for stream, record in made:
            waiting = self._waiting.setdefault(stream, deque())
            if len(waiting) >= MOST:
                waiting.popleft()
                self.dropped += 1
            waiting.append(record)
        self._arrived.set()

    # ---------------------------------------------------------------------------------------------- to streams

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """What waits is sent once more; what is not taken then is lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                async with self._sending:  # what is under way ends, or it would be sent twice
                    await self._end()
                await self.send()
        await self._end()

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if not await self.send():
                await asyncio.sleep(PAUSE)
                self._arrived.set()

    async def send(self) -> bool:
        """Whether nothing waits any more."""
        async with self._sending:
            for stream in list(self._waiting):
                await self._send_to(stream)
            return not any(self._waiting.values())

    async def _send_to(self, stream: str) -> None:
        waiting = self._waiting[stream]
        while waiting:
            batch = _batch(waiting)
            try:
                left = await self._streams.put(stream, batch)
            except NotTaken as problem:
                self._say(f"real-time logs: {problem}")
                if problem.lasting:
                    self.dropped += len(batch)
                else:
                    waiting.extendleft(reversed(batch))
                return
            except BaseException:
                waiting.extendleft(reversed(batch))
                raise
            self.delivered += len(batch) - len(left)
            if left:
                waiting.extendleft(reversed(left))
                return
            self._warned = ""

    def _say(self, text: str) -> None:
        if text != self._warned:
            log.warning("%s", text)
        self._warned = text


def _logged(plan: Plan) -> bool:
    return any(each.realtime is not None for each in plan.behaviours)


def _batch(waiting: deque[bytes]) -> list[bytes]:
    batch: list[bytes] = []
    size = 0
    while waiting and len(batch) < AT_ONCE and size + len(waiting[0]) <= AT_ONCE_BYTES:
        batch.append(waiting.popleft())
        size += len(batch[-1])
    return batch
