"""One execution from end to end: slot, instance, event, log, outcome.

Owns: the order of these steps, and what all executions have in common. The scheduler decides who runs, the instance
runs it, the execution knows what came of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cached_property

from littoral.aws.invoke import InvokeResult
from littoral.aws.service import ServiceError
from littoral.functions.catalog import Target
from littoral.functions.execution import Execution
from littoral.functions.instance import Instance
from littoral.functions.keeper import KeeperGone
from littoral.functions.logs import Logs
from littoral.functions.pool import Pool
from littoral.functions.runtimes import unavailable
from littoral.functions.scheduler import Scheduler
from littoral.functions.settings import FunctionSettings
from littoral.functions.streaming import ResponseStream

log = logging.getLogger(__name__)


class Runner:
    def __init__(
        self, scheduler: Scheduler, logs: Logs, settings: FunctionSettings, clock: Callable[[], float]
    ) -> None:
        self.logs = logs
        self.clock = clock
        self.log_bytes = settings.log_bytes_per_invocation
        self.release: Callable[[Execution, bool], None] = scheduler.release
        self._scheduler = scheduler
        self._stream_bytes = settings.stream_bytes
        self._resting: set[asyncio.Task[None]] = set()
        self._streams: set[ResponseStream] = set()
        logs.before_flush = self._tell

    def run(
        self,
        target: Target,
        request_id: str,
        payload: bytes,
        context: bytes = b"",
        *,
        tail: bool = False,
        trace: str = "",
        group: str = "",
    ) -> asyncio.Future[InvokeResult]:
        """Run one event, at once; a failure of the function is a result. Raises ServiceError when it cannot run, and so
        does what is awaited.

        ``tail``: the result has the last of the log. ``trace``: the X-Ray header that the caller sent, "" for none.
        ``group``: the log group, "" for the version's own. Who does not await it leaves: the event runs all the same.
        """
        execution = Execution(self, self._scheduler.pool(target.version), target, request_id, payload, self._future())
        if context or trace or group:
            execution.brings(context, trace, group)
        execution.tail = tail
        try:
            self._scheduler.admit(execution)
        except ServiceError as problem:
            self._count(execution.pool, problem)
            raise
        return execution.done

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
        stream = ResponseStream(target.version.version, self._stream_bytes)
        execution = Execution(self, self._scheduler.pool(target.version), target, request_id, payload, self._future())
        execution.brings(context, trace)
        execution.streams(stream)
        execution.tail = tail
        execution.placed = asyncio.get_running_loop().create_future()
        try:
            self._scheduler.admit(execution)
        except ServiceError as problem:
            self._count(execution.pool, problem)
            raise
        await execution.placed
        failure = execution.done.exception() if execution.done.done() else None
        if failure is not None:
            raise failure
        self._streams.add(stream)
        execution.done.add_done_callback(lambda done: self._streamed(stream, done))
        return stream

    def _count(self, pool: Pool, problem: Exception) -> None:
        if isinstance(problem, ServiceError) and problem.code == "TooManyRequestsException":
            pool.tally.throttles += 1

    def _streamed(self, stream: ResponseStream, done: asyncio.Future[InvokeResult]) -> None:
        self._streams.discard(stream)
        problem = done.exception()
        if problem is None:
            stream.finish(done.result())
        else:
            stream.fail(problem)

    def _tell(self) -> None:
        """Events that are under way while logs are written have their START in them."""
        for instance in self._scheduler.living():
            if instance.line:
                instance.line[0].tell()

    @cached_property
    def _future(self) -> Callable[[], asyncio.Future[InvokeResult]]:
        return asyncio.get_running_loop().create_future

    async def close(self) -> None:
        for task in self._resting:
            task.cancel()
        await asyncio.gather(*self._resting, return_exceptions=True)
        for stream in self._streams:
            stream.fail(unavailable(KeeperGone("the place is closing")))

    # ------------------------------------------------------------------------------------ what executions say

    def rest(self, execution: Execution, instance: Instance) -> None:
        """The caller has its answer; extensions go on, and the instance takes no event until they are done."""

        async def rested() -> None:
            usable = await instance.rested()
            self.release(execution, usable)

        task = asyncio.get_running_loop().create_task(rested())
        self._resting.add(task)
        task.add_done_callback(self._resting.discard)

    def grew(self, pool: Pool, instance: Instance, kib: int) -> None:
        pool.tally.memory_kib = max(pool.tally.memory_kib, kib)
        self._scheduler.grew(pool, instance, kib * 1024)

    def returned(self, execution: Execution) -> None:
        self._scheduler.returned(execution)

    def gave_up(self, execution: Execution, problem: Exception) -> None:
        self._count(execution.pool, problem)
        self._scheduler.give_up(execution)
