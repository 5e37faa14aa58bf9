"""Which instance takes which event, and how many may run at once.

Owns: concurrency (total, reserved), the warm instances, and their end. Refuses to know what an instance runs.

* One event per instance at a time. The instance used last is used next, so that what is not needed grows old and is
  ended: scale to zero after ``idle_seconds``.
* A synchronous caller never waits for a slot: TooManyRequestsException. Only a pinned function has a queue, in order.
* The account's concurrency less all reservations is shared by functions without one. A function that was refused while
  it had less than an equal share goes first: those that have their share are refused until it got a slot.
* All instances together stay within the place's memory. For a further one, those that are idle longest make room;
  when nothing is idle, the caller is refused.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from littoral.aws.service import ServiceError
from littoral.functions.capacity import Capacity
from littoral.functions.instance import Instance
from littoral.functions.line import DEPTH, Pace
from littoral.functions.version import FunctionVersion

STARVING = 5.0  # seconds that a refused function is waited for
MEMORY_WATCH = 0.25  # seconds between looks at the memory of busy instances
CLOSELY = 4  # every so many looks, at what their processes started as well
MIB = 1024 * 1024


@dataclass(slots=True)
class Pool:
    """The instances of one version at one revision."""

    version: FunctionVersion
    idle: list[Instance] = field(default_factory=list)
    busy: set[Instance] = field(default_factory=set)
    starting: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    pace: Pace = field(default_factory=Pace)
    front: Instance | None = None  # the one that got the latest event

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.busy) + self.starting


@dataclass(slots=True)
class Lease:
    """The right to run one event. ``instance`` is None until the caller has launched one."""

    version: FunctionVersion
    pool: Pool
    instance: Instance | None
    cold: bool
    reserved: bool
    size: int = 0  # bytes that a launch was promised


def throttled(reason: str) -> ServiceError:
    return ServiceError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        status=429,
        fields={"Type": "User", "Reason": reason, "retryAfterSeconds": "1"},
    )


class Scheduler:
    def __init__(
        self,
        launch: Callable[[FunctionVersion], Awaitable[Instance]],
        *,
        total: int,
        idle_seconds: float,
        capacity: Capacity,
    ) -> None:
        self._launch = launch
        self._idle_seconds = idle_seconds
        self.total = total
        self._reservations: dict[str, int] = {}
        self._reserved = 0  # their sum
        self._running: dict[str, int] = {}  # function → events under way
        self._unreserved = 0
        self._starving: dict[str, float] = {}  # function → when it was refused with less than its share
        self._capacity = capacity
        self._weights: dict[Instance, int] = {}  # bytes that each living instance counts
        self._pools: dict[str, Pool] = {}
        self._provisioned: dict[str, int] = {}  # version key → instances that stay although they are idle
        self._reaper: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closed = False

    # ------------------------------------------------------------------------------------ concurrency

    @property
    def unreserved_limit(self) -> int:
        return self.total - self._reserved

    def reserve(self, function: str, count: int | None) -> None:
        """What is under way is not touched; it counts where it was counted when it began."""
        if count is None:
            self._reservations.pop(function, None)
        else:
            self._reservations[function] = count
        self._reserved = sum(self._reservations.values())

    def acquire_warm(self, version: FunctionVersion, *, short: bool) -> Lease | None:
        """``acquire`` where nothing is to be waited for, the way of most events; None where something is. A ``short``
        event of a quick function may be given to a busy instance. Raises TooManyRequestsException."""
        pool = self._pools.get(version.key)
        if pool is None:
            return None
        short = short and version.placement.max_instances is None  # else it has a queue of its own
        front = pool.front
        if short and front is not None and front in pool.busy and self._may_join(pool, front):
            return self._take(version, behind=front)
        if pool.idle and pool.idle[-1].alive:
            return self._take(version)
        if short and pool.busy:
            for each in pool.busy:
                if self._may_join(pool, each):
                    return self._take(version, behind=each)
        return None

    def _may_join(self, pool: Pool, instance: Instance) -> bool:
        return instance.takes_mail and pool.pace.may_wait(instance.load)

    async def acquire(self, version: FunctionVersion) -> Lease:
        """A slot and an instance. Raises TooManyRequestsException, and what the launch raises."""
        lease = self._take(version)
        if lease is None:
            pool = self._pools[version.key]
            ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            pool.waiting.append(ticket)
            try:
                await ticket
            except asyncio.CancelledError:
                if ticket.done() and not ticket.cancelled():
                    self._wake(pool)  # the turn was ours; pass it on
                else:
                    pool.waiting.remove(ticket)
                raise
            lease = self._take(version, queued=True)
            assert lease is not None
        if lease.instance is None:
            try:
                await self._start(lease)
            except BaseException:
                self._return_slot(lease)
                raise
        return lease

    def _take(self, version: FunctionVersion, *, queued: bool = False, behind: Instance | None = None) -> Lease | None:
        """A lease at once, or None when the version's queue must be joined."""
        name = version.name
        pool = self._pools.get(version.key)
        if pool is None:
            pool = self._pools[version.key] = Pool(version)
        placement = version.placement
        if placement.max_instances is not None and len(pool.busy) + pool.starting >= placement.max_instances:
            if len(pool.waiting) >= placement.queue:
                raise throttled("ConcurrentInvocationLimitExceeded")
            return None
        if pool.waiting and not queued and placement.queue:
            if len(pool.waiting) >= placement.queue:
                raise throttled("ConcurrentInvocationLimitExceeded")
            return None
        reservation = self._reservations.get(name)
        running = self._running.get(name, 0)
        if reservation is not None:
            if running >= reservation:
                raise throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        elif self._unreserved >= self.total - self._reserved or (self._starving and self._must_yield(name, running)):
            self._refused(name, running)
            raise throttled("ConcurrentInvocationLimitExceeded")
        instance, size = behind, 0
        while pool.idle and instance is None:
            instance = pool.idle.pop()
            if not instance.alive:
                instance = None
        if instance is None:
            size = self._make_room(version)
            pool.starting += 1
        else:
            pool.busy.add(instance)
            pool.front = instance
        if reservation is None:
            self._unreserved += 1
        self._running[name] = running + 1
        return Lease(version, pool, instance, instance is None, reservation is not None, size)

    def _share(self, name: str) -> int:
        """Slots for each when they are dealt out evenly among those who want some."""
        return self.unreserved_limit // len({*self._running, *self._starving, name})

    def _refused(self, name: str, running: int) -> None:
        if running < self._share(name):
            self._starving[name] = time.monotonic()

    def _must_yield(self, name: str, running: int) -> bool:
        """Whether another function has been refused and this one has its share already."""
        since = time.monotonic() - STARVING
        self._starving = {each: when for each, when in self._starving.items() if when > since}
        if name in self._starving:
            del self._starving[name]
            return False
        return bool(self._starving) and running >= self._share(name)

    def _make_room(self, version: FunctionVersion) -> int:
        """Count a further instance; its bytes. Raises TooManyRequestsException when it does not fit."""
        size = self._capacity.expected(version.key, version.memory_size * 1024 * 1024)
        while not self._capacity.fits(size):
            idle = [(pool.idle[0].idle_since, pool) for pool in self._pools.values() if self._spare(pool)]
            if not idle:
                raise throttled("ConcurrentInvocationLimitExceeded")
            min(idle, key=lambda each: each[0])[1].idle.pop(0).kill()  # its memory is wanted now: no long farewell
        self._capacity.used += size
        return size

    def _spare(self, pool: Pool) -> int:
        """How many idle instances may be ended."""
        if pool.version.placement.pinned:
            return 0
        kept = self._provisioned.get(pool.version.key, 0) - len(pool.busy)
        return len(pool.idle) - max(0, kept)

    def _gone(self, instance: Instance) -> None:
        self._capacity.used -= self._weights.pop(instance, 0)

    async def _start(self, lease: Lease) -> None:
        try:
            instance = await self._launch(lease.version)
        except BaseException:
            lease.pool.starting -= 1
            self._capacity.used -= lease.size
            raise
        lease.pool.starting -= 1
        self._weights[instance] = lease.size
        instance.on_death = self._gone
        if not instance.alive:
            self._gone(instance)
        lease.pool.busy.add(instance)
        lease.instance = instance

    def release(self, lease: Lease, *, usable: bool, peak: int = 0) -> None:
        """Give the slot back; the instance stays warm when it is usable and still of the current revision. ``peak``:
        the most bytes that it had resident."""
        instance = lease.instance
        assert instance is not None
        pool = lease.pool
        key = lease.version.key
        if peak > self._weights.get(instance, peak):
            self._weigh(key, instance, peak)
        if usable and instance.alive and instance.load:
            self._return_slot(lease)
            return
        pool.busy.discard(instance)
        if usable and instance.alive and not self._closed and self._pools.get(key) is pool:
            instance.idle_since = time.monotonic()
            pool.idle.append(instance)
        else:
            instance.end("spindown")
        self._return_slot(lease)

    def move(self, lease: Lease) -> bool:
        """An idle instance for an event that its own did not begin; False where there is none."""
        pool = lease.pool
        while pool.idle:
            instance = pool.idle.pop()
            if instance.alive:
                pool.busy.add(instance)
                lease.instance = instance
                return True
        return False

    async def move_to_new(self, lease: Lease) -> None:
        """A new one. Raises as ``acquire`` does; the lease is as it was, then."""
        before = lease.instance
        lease.size = self._make_room(lease.version)
        lease.pool.starting += 1
        lease.instance = None
        try:
            await self._start(lease)
        except BaseException:
            lease.instance = before
            raise
        lease.cold = True

    def join(self, lease: Lease) -> bool:
        """Any instance that has room in its mailbox; False where there is none."""
        for instance in lease.pool.busy:
            if instance.takes_mail and instance.load < DEPTH:
                lease.instance = instance
                return True
        return False

    def give_up(self, lease: Lease) -> None:
        """It ran nowhere."""
        self._return_slot(lease)

    def _weigh(self, key: str, instance: Instance, peak: int) -> None:
        self._capacity.saw(key, peak)
        self._capacity.used += peak - self._weights[instance]
        self._weights[instance] = peak

    def _return_slot(self, lease: Lease) -> None:
        name = lease.version.name
        left = self._running[name] - 1
        if left:
            self._running[name] = left
        else:
            del self._running[name]
        if not lease.reserved:
            self._unreserved -= 1
        if lease.pool.waiting:
            self._wake(lease.pool)

    def _wake(self, pool: Pool) -> None:
        while pool.waiting:
            ticket = pool.waiting.popleft()
            if not ticket.done():
                ticket.set_result(None)
                return

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

    async def add_warm(
        self, version: FunctionVersion, launch: Callable[[FunctionVersion], Awaitable[Instance]], init_seconds: float
    ) -> None:
        """A further instance, through its init phase. Raises TooManyRequestsException when there is no memory for it,
        InitFailed, and what the launch raises."""
        pool = self._pools.setdefault(version.key, Pool(version))
        size = self._make_room(version)
        pool.starting += 1
        try:
            instance = await launch(version)
            self._weights[instance] = size
            instance.on_death = self._gone
            size = 0
            try:
                await instance.ready(init_seconds)
            except BaseException:
                instance.kill()
                raise
        finally:
            pool.starting -= 1
            self._capacity.used -= size
        instance.idle_since = time.monotonic()
        if self._closed or self._pools.get(version.key) is not pool:
            instance.kill()
        else:
            pool.idle.insert(0, instance)

    # ------------------------------------------------------------------------------------ ends

    def retire(self, function: str, *, keep: set[str]) -> None:
        """End idle instances of the function's versions that are not in ``keep`` (keys); busy ones end when done."""
        for key, pool in list(self._pools.items()):
            if pool.version.name == function and key not in keep:
                del self._pools[key]
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
        for pool in self._pools.values():
            for ticket in pool.waiting:
                ticket.cancel()
        instances = set(self._weights)
        for instance in instances:
            instance.end("spindown")
        await asyncio.gather(*(instance.ended() for instance in instances))

    def running(self) -> dict[str, int]:
        """Executions under way, by function."""
        return dict(self._running)

    def instances(self) -> dict[str, int]:
        pools = self._pools.values()
        return {"idle": sum(len(pool.idle) for pool in pools), "busy": sum(len(pool.busy) for pool in pools)}

    def code_in_use(self) -> set[str]:
        return {key for pool in self._pools.values() if pool.size for key in pool.version.folders}

    def reap(self, now: float) -> None:
        """End what has been idle too long at ``now`` (monotonic seconds)."""
        for key, pool in list(self._pools.items()):
            if not pool.version.placement.pinned:
                pool.idle = [each for each in pool.idle if each.alive]
                aged = [each for each in pool.idle if now - each.idle_since >= self._idle_seconds][: self._spare(pool)]
                pool.idle = [each for each in pool.idle if each not in aged]
                for instance in aged:
                    instance.end("spindown")
            if not pool.size and not pool.waiting:
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
                for instance in pool.busy:
                    if instance.process.over_memory(pool.version.memory_size * MIB, closely=look % CLOSELY == 0):
                        instance.process.kill()
