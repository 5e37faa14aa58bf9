"""Exports of all streams, a few batches at a time: by priority, none starving, each in its own order.

The way of one batch:

1. An export is ready when it has messages that are full batches or have waited long enough, and no batch under way.
2. Of those that are ready ``Turns`` says whose turn it is; there are as many lanes as the deployment says.
3. The batch is read from the log, and sent. What the destination has taken is behind the export when that is durable.
4. What fails is tried again, later each time, and at once when the link is back. A batch that was taken and not yet
   noted when the power went is sent again: at least once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from littoral.core.link import Backoff
from littoral.core.streammanager.log import Kept
from littoral.core.streammanager.streams import MessageStream, MessageStreams
from littoral.core.upward import Declined, Unreachable
from littoral.protocols.streammanager.definition import Export
from littoral.protocols.streammanager.turns import Pace, Turns
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)

BATCH = 4 * 1024 * 1024  # bytes at most at once, but one message if there is one


@dataclass(frozen=True, slots=True)
class Done:
    """How many messages of a batch, from its first on, are behind the export: taken, or passed over for a reason."""

    count: int
    passed_over: str = ""


class Destination(Protocol):
    async def send(self, stream: MessageStream, export: Export, batch: Sequence[Kept]) -> Done:
        """Returns when they are durable there. Raises Unreachable, Declined: nothing of it counts."""


@dataclass(slots=True)
class _Lane:
    """What is known of one export between its batches. Times are the loop's."""

    due: float = 0.0
    gathers: bool = False  # it is due before that when its batch is full
    tries: int = 0
    task: asyncio.Task[None] | None = None


class Exports:
    def __init__(
        self,
        streams: MessageStreams,
        destinations: Mapping[str, Destination],
        backoff: Backoff,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._streams = streams
        self._destinations = destinations
        self._backoff = backoff
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._turns = Turns()
        self._pace = Pace(None)
        self._most = 5
        self._look = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    def start(self, most: int, rate: float | None) -> None:
        """``most`` batches at a time, ``rate`` bytes a second of all together. Started again it goes by these."""
        self._most, self._pace = most, Pace(rate)
        self._streams.told = self._look.set
        if self._follower is None:
            self._follower = asyncio.ensure_future(self._follow())
        self._look.set()

    async def close(self) -> None:
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        tasks += [self._follower] if self._follower is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._follower = None

    async def retry(self) -> None:
        """The link is back: whoever waits because of a failure tries now."""
        for lane in self._lanes.values():
            if lane.tries:
                lane.due = 0.0
        self._look.set()

    # ------------------------------------------------------------------------------------------------ whose turn

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._look.clear()
            due = self._begin(loop.time())
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - loop.time())):
                    await self._look.wait()
            except TimeoutError:
                continue

    def _begin(self, now: float) -> float | None:
        """Begin what can be; when to look again."""
        soonest: float | None = None
        wanted = {stream.key_of(export): (stream, export) for stream, export in self._waiting()}
        for gone in [key for key, lane in self._lanes.items() if key not in wanted and lane.task is None]:
            del self._lanes[gone]
            self._turns.forget(gone)
        ready: dict[str, int] = {}
        for key, (stream, export) in wanted.items():
            lane = self._lanes.setdefault(key, _Lane())
            if lane.task is not None:
                continue
            full = stream.newest - stream.progress[export.identifier].next + 1 >= export.batch
            if lane.due <= now or (lane.gathers and full):
                ready[key] = export.priority
            elif soonest is None or lane.due < soonest:
                soonest = lane.due
        while ready and sum(lane.task is not None for lane in self._lanes.values()) < self._most:
            if wait := self._pace.wait(now):
                return now + wait if soonest is None else min(soonest, now + wait)
            mine = self._turns.next(ready.items())
            del ready[mine]
            lane = self._lanes[mine]
            lane.task = asyncio.ensure_future(self._export(mine, lane, *wanted[mine]))
            lane.task.add_done_callback(partial(self._ended, lane))
        return soonest

    def _waiting(self) -> Iterator[tuple[MessageStream, Export]]:
        for stream in self._streams.all.values():
            for export in stream.definition.exports:
                if not export.disabled and stream.progress[export.identifier].next <= stream.newest:
                    yield stream, export

    def _ended(self, lane: _Lane, _task: asyncio.Task[None]) -> None:
        lane.task = None
        self._look.set()

    # ------------------------------------------------------------------------------------------------ one batch

    async def _export(self, key: str, lane: _Lane, stream: MessageStream, export: Export) -> None:
        now = asyncio.get_running_loop().time()
        progress = stream.progress[export.identifier]
        try:
            batch = (await stream.log.read(progress.next, export.batch, BATCH)).messages
            if not batch:  # deleted, or too old: nothing is left to be sent
                progress.next = stream.newest + 1
                return
            left = self._left(export, batch)
            lane.gathers = left > 0
            if lane.gathers:
                lane.due = now + left
                return
            size = sum(len(each.payload) for each in batch)
            self._turns.served(key, export.priority, size)
            self._pace.sent(size, now)
            progress.tried = int(self._clock() * 1000)
            done = await self._destinations[export.kind].send(stream, export, batch)
            taken = batch[: done.count]
            progress.next = taken[-1].sequence + 1
            progress.messages += len(taken)
            progress.size += sum(len(each.payload) for each in taken) if not done.passed_over else 0
            progress.problem = done.passed_over
            await self._streams.reached(stream, export)
            lane.tries = 0
        except (Unreachable, Declined, StoreError) as problem:
            if progress.problem != str(problem):
                log.warning("export %s of stream %s: %s", export.identifier, stream.definition.name, problem)
            progress.problem = str(problem)
            lane.due = now + self._backoff.wait(lane.tries, random.uniform(0.5, 1.0))
            lane.tries += 1
        except Exception as problem:
            log.exception("export %s of stream %s failed by our own fault", export.identifier, stream.definition.name)
            progress.problem = f"internal error: {problem!r}"
            lane.due = now + self._backoff.cap

    def _left(self, export: Export, batch: Sequence[Kept]) -> float:
        """Seconds that an incomplete batch waits for more."""
        if export.interval is None or len(batch) >= export.batch:
            return 0.0
        return max(0.0, batch[0].at + export.interval - self._clock())
