"""One execution from end to end: slot, instance, event, log, outcome.

Owns: the order of these steps and what each way of ending means to the caller. The scheduler decides who runs, the
instance runs it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from littoral.aws.invoke import InvokeResult
from littoral.aws.service import ServiceError
from littoral.functions import platformlog
from littoral.functions.catalog import Target
from littoral.functions.instance import Instance
from littoral.functions.keeper import KeeperGone
from littoral.functions.logs import InvocationLog, Logs
from littoral.functions.outcome import Outcome, billed_ms, exit_payload, platform_payload, timeout_payload
from littoral.functions.runtimes import unavailable
from littoral.functions.scheduler import Lease, Scheduler
from littoral.functions.settings import FunctionSettings
from littoral.functions.streaming import ResponseStream, Taker
from littoral.functions.tally import Tallies
from littoral.functions.turn import InitFailed
from littoral.functions.version import FunctionVersion, iso_time

log = logging.getLogger(__name__)

SHORT = 4000  # bytes of an event that fits into a mailbox


@dataclass(slots=True)
class Stats:
    """What happened since the place started. Durations are the last thousand, in seconds."""

    cold: int = 0
    warm: int = 0
    errors: int = 0
    timeouts: int = 0
    throttles: int = 0
    inits: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=1000))


class Runner:
    def __init__(
        self, scheduler: Scheduler, logs: Logs, settings: FunctionSettings, clock: Callable[[], float]
    ) -> None:
        self._scheduler = scheduler
        self._logs = logs
        self._settings = settings
        self._clock = clock
        self._resting: set[asyncio.Task[None]] = set()
        self._closed = False
        self._moving: set[asyncio.Task[None]] = set()
        self._streaming: set[asyncio.Task[None]] = set()
        self.stats = Stats()
        self.tallies = Tallies()

    async def run(
        self,
        target: Target,
        request_id: str,
        payload: bytes,
        context: bytes = b"",
        *,
        tail: bool = False,
        trace: str = "",
        group: str = "",
    ) -> InvokeResult:
        """Run one event; a failure of the function is a result. Raises ServiceError when it could not run.

        ``tail``: the result has the last of the log. ``trace``: the X-Ray header that the caller sent, "" for none.
        ``group``: the log group, "" for the version's own.
        """
        size = len(payload) + len(context) + len(target.arn) + (len(trace.encode()) if trace else 0)
        lease = self._warm(target.version, short=size < SHORT) or await self._lease(target.version)
        execution = Execution(self, lease, target, request_id, payload, context, None, trace, tail=tail, group=group)
        if lease.cold:
            return await self._execute(execution)
        execution.submit()
        return await execution.done

    async def stream(
        self,
        target: Target,
        request_id: str,
        payload: bytes,
        context: bytes = b"",
        *,
        tail: bool = False,
        trace: str = "",
    ) -> ResponseStream:
        """Run one event whose response is read while it is made. Raises ServiceError when it could not run. Who reads
        may leave (``aclose``): the execution is the place's, as are its slot and its bill."""
        lease = await self._lease(target.version)
        stream = ResponseStream(target.version.version, self._settings.stream_bytes)
        execution = Execution(self, lease, target, request_id, payload, context, stream, trace, tail=tail)

        async def execute() -> None:
            try:
                stream.finish(await self._execute(execution))
            except BaseException as problem:
                stream.fail(problem)
                raise

        task = asyncio.get_running_loop().create_task(execute())
        self._streaming.add(task)
        task.add_done_callback(self._streamed)
        return stream

    def _warm(self, version: FunctionVersion, *, short: bool) -> Lease | None:
        """At once, and without a coroutine of its own, where an instance is idle or soon is."""
        try:
            return self._scheduler.acquire_warm(version, short=short)
        except ServiceError as error:
            self._count_throttle(version, error)
            raise

    async def _lease(self, version: FunctionVersion) -> Lease:
        try:
            return await self._scheduler.acquire(version)
        except KeeperGone as error:
            raise unavailable(error) from error
        except ServiceError as error:
            self._count_throttle(version, error)
            raise

    def _count_throttle(self, version: FunctionVersion, error: ServiceError) -> None:
        if error.code == "TooManyRequestsException":
            self.stats.throttles += 1
            self.tallies.of(version).throttles += 1

    async def _execute(self, execution: Execution) -> InvokeResult:
        if execution.lease.cold:
            failed = await self._initialise(execution)
            if failed is not None:
                return failed
        execution.submit()
        return await execution.done

    def returned(self, execution: Execution) -> None:
        """Its instance did not begin it: another does, if need be a new one."""
        if not self._closed and self._scheduler.move(execution.lease):
            self._resubmit(execution)
            return
        if self._closed:
            execution.fail(unavailable(KeeperGone("the place is closing")))
            self._scheduler.give_up(execution.lease)
            return
        task = asyncio.get_running_loop().create_task(self._move(execution))
        self._moving.add(task)
        task.add_done_callback(self._moving.discard)

    def _resubmit(self, execution: Execution) -> None:
        execution.record = self.record_of(execution.lease, execution.group)
        execution.submit()

    async def _move(self, execution: Execution) -> None:
        try:
            await self._scheduler.move_to_new(execution.lease)
        except (ServiceError, KeeperGone) as problem:
            if self._scheduler.join(execution.lease):  # there is no room for a further one: it waits again
                self._resubmit(execution)
                return
            execution.fail(unavailable(problem) if isinstance(problem, KeeperGone) else problem)
            self._scheduler.give_up(execution.lease)
            return
        except BaseException:
            execution.fail(unavailable(KeeperGone("the place is closing")))
            raise
        execution.record = self.record_of(execution.lease, execution.group)
        failed = await self._initialise(execution)
        if failed is None:
            execution.submit()
        elif not execution.done.done():
            execution.done.set_result(failed)

    def _streamed(self, task: asyncio.Task[None]) -> None:
        self._streaming.discard(task)
        if not task.cancelled() and task.exception() is not None:  # which the reader got as well, if there is one
            log.error("a streamed execution failed", exc_info=task.exception())

    def record_of(self, lease: Lease, group: str) -> InvocationLog:
        assert lease.instance is not None
        limit = self._settings.log_bytes_per_invocation
        return InvocationLog(self._logs, group or lease.version.log_group, lease.instance.stream, limit)

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def close(self) -> None:
        self._closed = True
        for tasks in (self._streaming, self._moving, self._resting):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _initialise(self, execution: Execution) -> InvokeResult | None:
        """Wait for the init phase; the result that says so when it fails."""
        lease, record, request_id = execution.lease, execution.record, execution.request_id
        instance = lease.instance
        assert instance is not None
        instance.log.printed = record.printed
        record.lines(*platformlog.foreign(lease.version, self._clock))
        began = time.perf_counter()
        try:
            self.stats.inits.append(await instance.ready(self._settings.init_seconds))
            return None
        except InitFailed as failure:
            if failure.words != "init timeout":  # which is in the outcome's duration; the phase is billed, too
                instance.init_seconds = time.perf_counter() - began
            outcome = self._init_outcome(failure, request_id)
            record.lines(*platformlog.started(lease.version, request_id, self._clock))
            return self.conclude(execution, outcome)
        except BaseException:
            self._scheduler.release(lease, usable=False)
            raise

    def _init_outcome(self, failure: InitFailed, request_id: str) -> Outcome:
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

    def begin(self, execution: Execution) -> None:
        execution.record.lines(*platformlog.started(execution.lease.version, execution.request_id, self._clock))

    def conclude(self, execution: Execution, outcome: Outcome) -> InvokeResult:
        lease, record, request_id = execution.lease, execution.record, execution.request_id
        version, instance = lease.version, lease.instance
        assert instance is not None
        init = instance.init_seconds if lease.cold else None
        billed = billed_ms(outcome.duration, init)
        record.lines(*platformlog.ended(version, request_id, outcome, init, billed, self._clock))
        if instance.rests and outcome.usable:
            self._rest(lease, instance, outcome)
        else:
            self._scheduler.release(lease, usable=outcome.usable, peak=outcome.memory_kib * 1024)
        self._count(lease, outcome, init, billed)
        lease.pool.pace.saw(outcome.said or outcome.duration, printed=record.spoke)
        return InvokeResult(
            outcome.payload,
            None if outcome.kind == "ok" else "Unhandled",
            version.version,
            record.tail if execution.tail else b"",
            lease.cold,
            outcome.duration,
        )

    def _rest(self, lease: Lease, instance: Instance, outcome: Outcome) -> None:
        """The caller has its answer; extensions go on, and the instance takes no event until they are done."""

        async def rest() -> None:
            usable = await instance.rested()
            self._scheduler.release(lease, usable=usable, peak=outcome.memory_kib * 1024)

        task = asyncio.get_running_loop().create_task(rest())
        self._resting.add(task)
        task.add_done_callback(self._resting.discard)

    def _count(self, lease: Lease, outcome: Outcome, init: float | None, billed: int) -> None:
        version = lease.version
        self.tallies.of(version).concluded(outcome, billed, version.memory_size, init)
        stats = self.stats
        if lease.cold:
            stats.cold += 1
        else:
            stats.warm += 1
        if outcome.kind != "ok":
            stats.errors += 1
            stats.timeouts += outcome.kind == "timeout"
        stats.durations.append(outcome.duration)


class Execution:
    """One event of one caller, from its lease to its result. Who called may leave (``done`` is then cancelled): Lambda
    lets the function finish, and so its slot stays taken until then."""

    __slots__ = (
        "_begun",
        "_early",
        "_runner",
        "arn",
        "context",
        "done",
        "group",
        "lease",
        "payload",
        "record",
        "request_id",
        "tail",
        "taker",
        "timeout",
        "trace",
    )

    def __init__(
        self,
        runner: Runner,
        lease: Lease,
        target: Target,
        request_id: str,
        payload: bytes,
        context: bytes,
        taker: Taker | None,
        trace: str,
        *,
        tail: bool,
        group: str = "",
    ) -> None:
        self._runner = runner
        self._begun = False
        self._early = b""  # printed before it was known to have begun
        self.lease = lease
        self.request_id = request_id
        self.timeout = float(target.version.timeout)
        self.arn = target.arn
        self.context = context
        self.trace = trace
        self.payload = payload
        self.taker = taker
        self.tail = tail
        self.group = group
        self.record = runner.record_of(lease, group)
        self.done: asyncio.Future[InvokeResult] = runner.loop.create_future()

    def submit(self) -> None:
        assert self.lease.instance is not None
        self.lease.instance.submit(self)

    def begins(self) -> None:
        if self._begun:
            return
        self._runner.begin(self)
        self._begun = True
        early, self._early = self._early, b""
        if early:
            self.record.printed(early)

    def printed(self, data: bytes) -> None:
        if self._begun:
            self.record.printed(data)
        else:  # it has begun before its turn was known to have come
            self._early += data

    def concluded(self, outcome: Outcome) -> None:
        result = self._runner.conclude(self, outcome)
        if not self.done.done():
            self.done.set_result(result)

    def returned(self) -> None:
        self._runner.returned(self)

    def fail(self, problem: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(problem)
