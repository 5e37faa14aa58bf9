"""Messages to a component's function: in order, as many at a time as it has instances.

A *feed* is the workers of one component; what waits for them is in ``waiting``, durably. A component with one pinned
instance gets its events one at a time in the order of their arrival, so it may keep state in globals.

An event is done when the function has answered, with a result or with an error: the Lambda launcher of AWS's core
does not run an event again that the function failed at, and one bad event must not hold up those behind it. It is
done, too, when it can never be given to the function (no JSON, too large). What the function was never given for a
reason that time may heal (no free slot, no process) is tried again until it is, or comes again after a restart.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass

from littoral.aws.invoke import Invocation
from littoral.aws.service import ServiceError
from littoral.core.ports import Functions
from littoral.core.recipe import LambdaComponent
from littoral.core.waiting import MOST_INSTANCES, Event, Waiting

log = logging.getLogger(__name__)

BUSY = "TooManyRequestsException"
PAUSE = 0.05  # seconds before an invocation that found no free slot is tried again
NOT_NOW = 1.0  # seconds before one that could not be started is tried again


@dataclass(slots=True)
class FeedStats:
    handled: int = 0
    failed: int = 0  # the function raised, timed out, or could not take the payload
    waiting: int = 0
    dropped: int = 0  # QoS 0, for which there was no room


class Feed:
    def __init__(self, component: LambdaComponent, functions: Functions, waiting: Waiting) -> None:
        self.component = component
        self._functions = functions
        self._waiting = waiting
        self._workers: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()
        self._stats = FeedStats()

    @property
    def stats(self) -> FeedStats:
        self._stats.waiting = self._waiting.count
        self._stats.dropped = self._waiting.dropped
        return self._stats

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def start(self) -> None:
        for _ in range(min(self.component.instances, MOST_INSTANCES)):
            self._workers.append(asyncio.create_task(self._work()))

    async def close(self) -> None:
        """Let the invocations in progress end. What waits is for a successor."""
        self._closing.set()
        self._waiting.wake()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        while not self._closing.is_set():
            event = await self._waiting.take()
            if event is None:
                continue
            try:
                finished = await self._handle(event)
            except Exception:
                self._stats.failed += 1
                log.exception("an event of %s could not be handled", self.component.name)
                finished = True
            if finished:
                self._waiting.done(event)
            else:
                self._waiting.give_back(event)

    async def _handle(self, event: Event) -> bool:
        """Whether it is done; False where this feed closes before the function was given it. Raises nothing of the
        function's own making: its errors are in its log, and counted."""
        function = f"{self.component.function}:{self.component.function_version}"
        context = json.loads(event.context) if event.context else {"custom": {"subject": event.topic}}
        invocation = Invocation(function, event.payload, context, checked=self.component.binary)
        while True:
            try:
                result = await self._functions.invoke(invocation)
            except ServiceError as problem:
                if problem.code != BUSY and (problem.status or 400) < 500:
                    self._stats.failed += 1
                    log.warning("%s did not take a message on %s: %s", self.component.name, event.topic, problem)
                    return True
                if problem.code != BUSY:
                    log.warning("%s cannot be given a message now: %s", self.component.name, problem)
                    self._waiting.stall(True)
                if await self._closes_within(PAUSE if problem.code == BUSY else NOT_NOW):
                    return False
                continue
            self._waiting.stall(False)
            if result.function_error is None:
                self._stats.handled += 1
            else:
                self._stats.failed += 1
                log.warning("%s failed at a message on %s: %s", self.component.name, event.topic, result.payload[:500])
            return True

    async def _closes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True
