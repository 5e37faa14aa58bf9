"""Instances for the events that wait for one: how many are started, when, and what their init phase comes to.

An event that finds no idle instance waits in its pool's backlog for whichever comes first: an instance at work that
becomes idle, or one that is started for it. A started one that nobody waits for any more is just idle. So

* none is started for those whom the instances at work will soon have taken (``Pace.soon``);
* few boot at once: that takes a processor for milliseconds, and of a burst of short events most are through by then;
  what a function itself does in its init phase, which may take long, keeps no other from booting;
* when nobody has left the backlog between three looks, one is started for each who waits: the instances at work hang,
  or wait for those who wait. So who waits is never kept from running for longer than a start takes.

A start that fails, or an init phase, is the failure of the event that has waited longest.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from littoral.aws.service import ServiceError
from littoral.functions import platformlog
from littoral.functions.instance import Instance
from littoral.functions.keeper import KeeperGone
from littoral.functions.logs import InvocationLog, Logs
from littoral.functions.outcome import Outcome, exit_payload, platform_payload, timeout_payload
from littoral.functions.pool import Pool
from littoral.functions.runtimes import unavailable
from littoral.functions.settings import FunctionSettings
from littoral.functions.turn import InitFailed
from littoral.functions.version import FunctionVersion, iso_time

log = logging.getLogger(__name__)

LOOK = 0.003  # seconds between two looks at those who wait
AT_ONCE = max(4, 2 * (os.cpu_count() or 1))  # instances of a version that boot

Launch = Callable[[FunctionVersion], Awaitable[Instance]]


class Scheduler(Protocol):
    """What has the instances."""

    def make_room(self, version: FunctionVersion) -> int:
        """Count a further instance; its bytes. Raises TooManyRequestsException when it does not fit."""

    def leave_room(self, size: int) -> None:
        """It did not come."""

    def came(self, instance: Instance, size: int) -> None: ...

    def ready(self, pool: Pool, instance: Instance) -> None:
        """It is for the next event."""

    def went_on(self, pool: Pool) -> None:
        """A start for nobody is over: who has no slot for it had to wait."""


class Starts:
    def __init__(
        self,
        scheduler: Scheduler,
        launch: Launch,
        logs: Logs,
        settings: FunctionSettings,
        clock: Callable[[], float],
        region: str,
    ) -> None:
        self.inits: deque[float] = deque(maxlen=1000)  # seconds
        self._scheduler = scheduler
        self._launch = launch
        self._logs = logs
        self._settings = settings
        self._clock = clock
        self._region = region
        self._tasks: set[asyncio.Task[None]] = set()

    def hurry(self, pool: Pool, *, hang: int = 0) -> None:
        """Start what those who wait need; ``hang``: of the instances at work so many are not expected to become idle.
        Raises TooManyRequestsException when there is no room for it."""
        if pool.look is None:
            pool.look = asyncio.get_running_loop().call_later(LOOK, self._look, pool)
        wanted = len(pool.backlog) - pool.starting
        if wanted > 0 and len(pool.busy) > hang:
            wanted -= pool.pace.soon(len(pool.busy) - hang)
        while wanted > 0 and not pool.full and pool.booting < AT_ONCE:
            self._start(pool)
            wanted -= 1

    def _look(self, pool: Pool) -> None:
        pool.look = None
        pool.still = 0 if pool.taken else pool.still + 1
        pool.taken = 0
        if pool.backlog:
            self._go_on(pool, hang=len(pool.busy) if pool.still >= 2 else 0)
        else:
            pool.still = 0

    def _go_on(self, pool: Pool, *, hang: int = 0) -> None:
        try:
            self.hurry(pool, hang=hang)
        except ServiceError as problem:
            if not pool.busy and not pool.starting:  # else one of those will take them
                while pool.backlog:
                    pool.next_waiting().refused(problem)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------ one start

    def _start(self, pool: Pool) -> None:
        size = self._scheduler.make_room(pool.version)
        pool.starting += 1
        group = pool.backlog[0].group if pool.backlog else ""
        task = asyncio.get_running_loop().create_task(self._bring(pool, size, group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring(self, pool: Pool, size: int, group: str) -> None:
        try:
            instance = await self._launched(pool, size, self._launch)
            opening = self._opening(pool, instance, group, provisioned=False)
            failure = await self._init(pool, instance, opening)
        except (KeeperGone, ServiceError) as problem:
            self._refuse_one(pool, unavailable(problem) if isinstance(problem, KeeperGone) else problem)
        except Exception as problem:
            self._refuse_one(pool, problem)
            log.exception("an instance of %s could not be started for a reason of ours", pool.version.name)
        else:
            if failure is None:
                self._give(pool, instance, opening)
            else:
                self._fail_one(pool, instance, opening, failure)

    async def ahead(self, pool: Pool, launch: Launch) -> None:
        """A further instance for nobody yet, through its init phase. Raises TooManyRequestsException when there is no
        room for it, InitFailed, and what the launch raises."""
        try:
            await self._ahead(pool, launch)
        finally:
            self._scheduler.went_on(pool)

    async def _ahead(self, pool: Pool, launch: Launch) -> None:
        size = self._scheduler.make_room(pool.version)
        pool.starting += 1
        instance = await self._launched(pool, size, launch)
        opening = self._opening(pool, instance, "", provisioned=not pool.version.placement.pinned)
        failure = await self._init(pool, instance, opening)
        opening.finish_line()
        if failure is not None:
            instance.kill()
            raise failure
        self._scheduler.ready(pool, instance)

    async def _launched(self, pool: Pool, size: int, launch: Launch) -> Instance:
        try:
            instance = await launch(pool.version)
        except BaseException:
            pool.starting -= 1
            self._scheduler.leave_room(size)
            raise
        self._scheduler.came(instance, size)
        return instance

    def _opening(self, pool: Pool, instance: Instance, group: str, *, provisioned: bool) -> InvocationLog:
        """What is said in the init phase."""
        group = group or pool.version.log_group
        lines = platformlog.opens(pool.version, self._region, self._clock(), provisioned=provisioned)
        self._logs.append(group, instance.stream, *(line.encode() for line in lines))
        limit = self._settings.log_bytes_per_invocation
        opening = InvocationLog(self._logs, group, instance.stream, limit)
        opening.lines(*platformlog.foreign(pool.version, self._clock()))
        instance.log.hear(opening)
        return opening

    async def _init(self, pool: Pool, instance: Instance, opening: InvocationLog) -> InitFailed | None:
        pool.opening.add(instance)
        instance.on_booted = lambda: self._booted(pool, instance)
        if instance.booted:  # before the place has come to ask
            self._booted(pool, instance)
        try:
            self.inits.append(await instance.ready(self._settings.init_seconds))
        except InitFailed as failure:
            return failure
        except BaseException:
            instance.kill()
            raise
        finally:
            pool.starting -= 1
            pool.opening.discard(instance)
            pool.booted.discard(instance)
        return None

    def _booted(self, pool: Pool, instance: Instance) -> None:
        """From now on it is the function's own code that runs."""
        if instance in pool.opening:
            pool.booted.add(instance)
            if pool.backlog:
                self._go_on(pool)

    def _give(self, pool: Pool, instance: Instance, opening: InvocationLog) -> None:
        """To the event that has waited longest."""
        if not pool.backlog:
            opening.finish_line()
            self._scheduler.ready(pool, instance)
            return
        execution = pool.next_waiting()
        execution.follows(opening)
        pool.busy.add(instance)
        pool.front = instance
        execution.run_on(instance)

    def _fail_one(self, pool: Pool, instance: Instance, opening: InvocationLog, failure: InitFailed) -> None:
        if not pool.backlog:
            opening.finish_line()
            instance.kill()
            return
        execution = pool.next_waiting()
        execution.follows(opening)
        execution.instance = instance
        pool.busy.add(instance)
        execution.begins()
        execution.concluded(self._outcome(failure, execution.request_id))

    def _refuse_one(self, pool: Pool, problem: Exception) -> None:
        if pool.backlog:
            pool.next_waiting().refused(problem)

    def _outcome(self, failure: InitFailed, request_id: str) -> Outcome:
        if failure.kind is not None:
            words = failure.words or ""
            payload = platform_payload(failure.kind, request_id, words)
            return Outcome("exit", payload, 0.0, failure=words, usable=False)
        if failure.words is None:
            error = json.loads(failure.payload)
            if "requestId" in error:
                error["requestId"] = request_id
            return Outcome("error", json.dumps(error).encode(), 0.0, usable=False)
        if failure.words == "init timeout":
            limit = self._settings.init_seconds
            return Outcome("timeout", timeout_payload(iso_time(self._clock()), request_id, limit), limit, usable=False)
        return Outcome("exit", exit_payload(request_id, failure.words), 0.0, failure=failure.words, usable=False)
