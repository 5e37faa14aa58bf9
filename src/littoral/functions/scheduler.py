"""Which instance takes which event, and what instances there are.

Owns: the pools, the memory of all instances together, and their end. How many events may run is decided in ``slots``,
how instances come in ``starts``. Refuses to know what an instance runs.

* One event per instance at a time. What is not needed grows old and is ended: scale to zero after ``idle_seconds``.
* All instances together stay within the place's memory. For a further one, those that are idle longest make room;
  when nothing is idle, the caller is refused.
* Only a pinned version has a queue of events without a slot, in order.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from littoral.aws.service import ServiceError
from littoral.functions.capacity import Capacity
from littoral.functions.execution import Execution
from littoral.functions.instance import Instance
from littoral.functions.keeper import KeeperGone
from littoral.functions.logs import Logs
from littoral.functions.pool import Pool
from littoral.functions.runtimes import unavailable
from littoral.functions.settings import FunctionSettings
from littoral.functions.slots import Slots, throttled
from littoral.functions.starts import Launch, Starts
from littoral.functions.tally import Tallies
from littoral.functions.version import FunctionVersion

MEMORY_WATCH = 0.25  # seconds between looks at the memory of busy instances
CLOSELY = 4  # every so many looks, at what their processes started as well
MIB = 1024 * 1024


class Scheduler:
    def __init__(
        self,
        launch: Launch,
        logs: Logs,
        settings: FunctionSettings,
        clock: Callable[[], float],
        region: str,
    ) -> None:
        self.slots = Slots(settings.concurrency)
        self.starts = Starts(self, launch, logs, settings, clock, region)
        self.tallies = Tallies()
        self._logs = logs
        self._idle_seconds = settings.idle_seconds
        self._capacity = Capacity(settings.memory)
        self._weights: dict[Instance, int] = {}  # bytes that each living instance counts
        self._pools: dict[str, Pool] = {}
        self._provisioned: dict[str, int] = {}  # version key → instances that stay although they are idle
        self._reaper: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closed = False

    # ------------------------------------------------------------------------------------ events

    def pool(self, version: FunctionVersion) -> Pool:
        pool = self._pools.get(version.key)
        if pool is None:
            share, tally = self.slots.of(version.name), self.tallies.of(version)
            pool = self._pools[version.key] = Pool(version, share, tally, self._logs.channel(version.log_group))
        return pool

    def admit(self, execution: Execution) -> None:
        """Run it, or have it wait for an instance. Raises TooManyRequestsException."""
        pool = execution.pool
        if pool.limit is not None and (pool.full or pool.queue):
            self._queue(pool, execution)
        else:
            self._enter(pool, execution)

    def _enter(self, pool: Pool, execution: Execution) -> None:
        execution.reserved = self.slots.take(pool.share)
        instance = None if pool.backlog else pool.choose(execution)
        if instance is not None:
            execution.instance = instance
            instance.submit(execution)
            return
        pool.backlog.append(execution)
        self._pump(pool)
        if execution.instance is None:
            try:
                self.starts.hurry(pool)
            except ServiceError:
                pool.backlog.remove(execution)
                self.slots.give_back(pool.share, execution.reserved)
                raise

    def _pump(self, pool: Pool) -> None:
        """Instances to those who wait."""
        while pool.backlog:
            instance = pool.choose(pool.backlog[0])
            if instance is None:
                return
            pool.next_waiting().run_on(instance)

    def returned(self, execution: Execution) -> None:
        """Its instance did not begin it: another does, if need be a new one."""
        execution.instance = None
        if self._closed:
            execution.refused(unavailable(KeeperGone("the place is closing")))
            return
        pool = execution.pool
        pool.backlog.append(execution)
        self._pump(pool)
        if pool.backlog:
            try:
                self.starts.hurry(pool, hang=1)
            except ServiceError:  # there is no room for a further one: it waits for one that is at work
                return

    def release(self, execution: Execution, usable: bool) -> None:
        """Give the slot back; the instance stays warm when it is usable and still of the current revision."""
        pool, instance = execution.pool, execution.instance
        assert instance is not None
        self.slots.give_back(pool.share, execution.reserved)
        usable = usable and instance.alive
        if usable and instance.line:
            return
        pool.busy.discard(instance)
        if usable:
            self.ready(pool, instance)
        else:
            instance.end("spindown")
        if pool.queue:
            self._wake(pool)

    def ready(self, pool: Pool, instance: Instance) -> None:
        """It has nothing to do."""
        if not instance.alive or self._closed or not (pool.current or pool.backlog):
            instance.end("spindown")
            return
        instance.idle_since = time.monotonic()
        pool.idle.append(instance)
        if pool.backlog:
            self._pump(pool)

    def went_on(self, pool: Pool) -> None:
        """See ``starts.Scheduler``."""
        if pool.queue:
            self._wake(pool)

    def give_up(self, execution: Execution) -> None:
        """It ran nowhere."""
        self.slots.give_back(execution.pool.share, execution.reserved)
        if execution.pool.queue:
            self._wake(execution.pool)

    def _queue(self, pool: Pool, execution: Execution) -> None:
        """A pinned version's event waits for its turn, and has no slot until then."""
        if len(pool.queue) >= pool.version.placement.queue:
            pool.queue = deque(each for each in pool.queue if not each.done.done())  # whose callers have not left
            if len(pool.queue) >= pool.version.placement.queue:
                raise throttled("ConcurrentInvocationLimitExceeded")
        pool.queue.append(execution)

    def _wake(self, pool: Pool) -> None:
        while pool.queue and not pool.full:
            execution = pool.queue.popleft()
            if execution.done.done():  # its caller has left
                continue
            try:
                self._enter(pool, execution)
            except ServiceError as problem:
                execution.fail(problem)

    # ------------------------------------------------------------------------------------ room

    def make_room(self, version: FunctionVersion) -> int:
        """Count a further instance; its bytes. Raises TooManyRequestsException when it does not fit."""
        size = self._capacity.expected(version.key, version.memory_size * MIB)
        while not self._capacity.fits(size):
            idle = [(pool.idle[0].idle_since, pool) for pool in self._pools.values() if self._spare(pool)]
            if not idle:
                raise throttled("ConcurrentInvocationLimitExceeded")
            min(idle, key=lambda each: each[0])[1].idle.pop(0).kill()  # its memory is wanted now: no long farewell
        self._capacity.used += size
        return size

    def leave_room(self, size: int) -> None:
        self._capacity.used -= size

    def came(self, instance: Instance, size: int) -> None:
        self._weights[instance] = size
        instance.on_death = self._gone
        if not instance.alive:
            self._gone(instance)

    def grew(self, pool: Pool, instance: Instance, size: int) -> None:
        """``size``: the most bytes that it had resident."""
        if instance in self._weights and size > self._weights[instance]:
            self._capacity.saw(pool.version.key, size)
            self._capacity.used += size - self._weights[instance]
            self._weights[instance] = size

    def _gone(self, instance: Instance) -> None:
        self._capacity.used -= self._weights.pop(instance, 0)

    def _spare(self, pool: Pool) -> int:
        """How many idle instances may be ended."""
        if pool.version.placement.pinned:
            return 0
        kept = self._provisioned.get(pool.version.key, 0) - len(pool.busy)
        return len(pool.idle) - max(0, kept)

    # ------------------------------------------------------------------------------------ ahead of need

    def provision(self, wanted: Mapping[str, int]) -> None:
        """How many instances of which versions (keys) are to stay although they are idle; see ``provisioning``."""
        self._provisioned = dict(wanted)

    def warm(self, key: str) -> tuple[int, int]:
        """Living instances of a version: idle, busy."""
        pool = self._pools.get(key)
        if pool is None:
            return 0, 0
        return sum(each.alive for each in pool.idle), sum(each.alive for each in pool.busy)

    # ------------------------------------------------------------------------------------ ends

    def retire(self, function: str, *, keep: set[str]) -> None:
        """End idle instances of the function's versions that are not in ``keep`` (keys); busy ones end when done."""
        for key, pool in list(self._pools.items()):
            if pool.version.name == function and key not in keep:
                del self._pools[key]
                pool.current = False
                self._capacity.forget(key)
                while pool.idle:
                    pool.idle.pop().end("spindown")

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._reaper = loop.create_task(self._reap())
        self._watch = loop.create_task(self._watch_memory())

    async def close(self) -> None:
        self._closed = True
        for task in (self._reaper, self._watch):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in (self._reaper, self._watch) if task), return_exceptions=True)
        await self.starts.close()
        for pool in self._pools.values():
            while pool.queue:
                pool.queue.popleft().fail(unavailable(KeeperGone("the place is closing")))
            while pool.backlog:
                pool.next_waiting().refused(unavailable(KeeperGone("the place is closing")))
        instances = set(self._weights)
        for instance in instances:
            instance.end("spindown")
        await asyncio.gather(*(instance.ended() for instance in instances))

    def living(self) -> Iterator[Instance]:
        return iter(self._weights)

    def instances(self) -> dict[str, int]:
        pools = self._pools.values()
        busy = sum(len(pool.busy) + len(pool.opening) for pool in pools)
        return {"idle": sum(len(pool.idle) for pool in pools), "busy": busy}

    def code_in_use(self) -> set[str]:
        return {key for pool in self._pools.values() if pool.size for key in pool.version.folders}

    def reap(self, now: float) -> None:
        """End what has been idle too long at ``now`` (monotonic seconds)."""
        for key, pool in list(self._pools.items()):
            if not pool.version.placement.pinned:
                pool.idle = [each for each in pool.idle if each.alive]
                longest = pool.version.placement.idle or self._idle_seconds
                aged = [each for each in pool.idle if now - each.idle_since >= longest][: self._spare(pool)]
                pool.idle = [each for each in pool.idle if each not in aged]
                for instance in aged:
                    instance.end("spindown")
            if not (pool.size or pool.backlog or pool.queue):
                del self._pools[key]

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(max(0.05, min(self._idle_seconds / 4, 30.0)))
            self.reap(time.monotonic())

    async def _watch_memory(self) -> None:
        """Lambda kills what grows beyond its memory. The rlimit bounds what is asked for; this, what is resident."""
        for look in itertools.count():
            await asyncio.sleep(MEMORY_WATCH)
            for pool in self._pools.values():
                for instance in (*pool.busy, *pool.opening):
                    if instance.process.over_memory(pool.version.memory_size * MIB, closely=look % CLOSELY == 0):
                        instance.outgrew(pool.version.memory_size * 1024)
