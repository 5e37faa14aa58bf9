"""Messages to a component's function: in order, as many at a time as it has instances, and not without end.

A *feed* is a queue before the workers of one component. A component with one pinned instance gets its events one at
a time in the order of their arrival, so it may keep state in globals. When ``queue`` events wait, ``put`` returns
what the sender is to wait for: a QoS 1 publisher gets its PUBACK later, nothing is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass

from littoral.aws.invoke import Invocation
from littoral.aws.service import ServiceError
from littoral.core.ports import Functions
from littoral.core.recipe import LambdaComponent

log = logging.getLogger(__name__)

BUSY = "TooManyRequestsException"
PAUSE = 0.05  # seconds before an invocation that found no free slot is tried again
MOST_WORKERS = 100

Event = tuple[str, bytes]


@dataclass(slots=True)
class FeedStats:
    handled: int = 0
    failed: int = 0  # the function raised, timed out, or could not take the payload
    waiting: int = 0


class Feed:
    def __init__(self, component: LambdaComponent, functions: Functions) -> None:
        self.component = component
        self._functions = functions
        self._events: deque[Event] = deque()
        self._senders: deque[asyncio.Future[None]] = deque()
        self._arrived = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._closing = False
        self._stats = FeedStats()

    @property
    def stats(self) -> FeedStats:
        self._stats.waiting = len(self._events)
        return self._stats

    def start(self) -> None:
        for _ in range(min(self.component.instances, MOST_WORKERS)):
            self._workers.append(asyncio.create_task(self._work()))

    def put(self, topic: str, payload: bytes) -> Awaitable[None] | None:
        self._events.append((topic, payload))
        self._arrived.set()
        if len(self._events) <= self.component.queue:
            return None
        sender = asyncio.get_running_loop().create_future()
        self._senders.append(sender)
        return sender

    async def close(self) -> list[Event]:
        """Let the invocations in progress end; what still waited is given back, for a successor."""
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for sender in self._senders:
            if not sender.done():
                sender.set_result(None)
        left, self._events = list(self._events), deque()
        return left

    async def _work(self) -> None:
        while not self._closing:
            if not self._events:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            topic, payload = self._events.popleft()
            self._let_senders_go()
            try:
                await self._handle(topic, payload)
            except Exception:
                self._stats.failed += 1
                log.exception("an event of %s could not be handled", self.component.name)

    def _let_senders_go(self) -> None:
        while len(self._senders) > max(0, len(self._events) - self.component.queue):
            sender = self._senders.popleft()
            if not sender.done():
                sender.set_result(None)

    async def _handle(self, topic: str, payload: bytes) -> None:
        """Raises nothing of the function's own making: its errors are in its log, and counted."""
        function = f"{self.component.function}:{self.component.function_version}"
        invocation = Invocation(function, payload, {"custom": {"subject": topic}})
        while True:
            try:
                result = await self._functions.invoke(invocation)
            except ServiceError as problem:
                if problem.code == BUSY and not self._closing:
                    await asyncio.sleep(PAUSE)
                    continue
                self._stats.failed += 1
                log.warning("%s did not take a message on %s: %s", self.component.name, topic, problem)
                return
            if result.function_error is None:
                self._stats.handled += 1
            else:
                self._stats.failed += 1
                log.warning("%s failed at a message on %s: %s", self.component.name, topic, result.payload[:500])
            return
