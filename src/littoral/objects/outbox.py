"""The outbox: events that the index has noted, handed to functions' durable queues, to queues and topics, and to the
event bus, at least once.

An event leaves the outbox after its target has it. What a target cannot take (it is missing, throttled, or its queue
refuses) is tried again, with a wait that doubles from FIRST to LONGEST seconds, and given up with an error in the log
after PATIENCE seconds. Events of one target are not held up by another's failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from littoral.aws.invoke import Invocation, Invoker
from littoral.aws.service import ServiceError
from littoral.net.ongoing import Ongoing
from littoral.objects.busevents import BUS
from littoral.objects.events import DESTINATIONS, FUNCTION
from littoral.objects.index import Index
from littoral.store.contract import StoreError

log = logging.getLogger("littoral.objects")
FIRST, LONGEST = 0.25, 300.0
PATIENCE = 6 * 3600.0  # as long as Lambda's own queue keeps an event
TOGETHER = 100


class Posts(Protocol):
    """Who takes what queues and topics get."""

    def refuses(self, arn: str) -> str | None:
        """Why it takes nothing for that ARN, if it does not."""
        ...

    async def deliver(self, arn: str, event: dict[str, Any], key: str) -> None:
        """It is durable there on return. Events of one ``key`` stay together. Raises what the target raises."""
        ...


class Outbox(Ongoing):
    """``start`` and ``close`` it; ``wake`` it when there is something new or the invoker has come."""

    def __init__(self, index: Index, clock: Callable[[], float]) -> None:
        self.invoker: Invoker | None = None
        self.bus: Callable[[dict[str, Any]], Awaitable[None]] | None = None
        self.posts: Posts | None = None
        self._index = index
        self._clock = clock
        self._awake = asyncio.Event()
        index.queued = self.wake

    def wake(self) -> None:
        self._awake.set()

    async def _work(self) -> None:
        while True:
            self._awake.clear()
            try:
                busy = await self._round()
            except (ServiceError, StoreError):
                log.exception("the outbox of notifications cannot be read or written; trying again")
                busy = False
            if not busy:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._awake.wait(), self._pause())

    def _pause(self) -> float | None:
        """Seconds until something is due; None where nothing is or nobody can take it."""
        if self.invoker is None:
            return None
        try:
            due = self._index.next_due()
        except ServiceError:
            return LONGEST
        return None if due is None else min(max(due - self._clock(), FIRST), LONGEST)

    async def _round(self) -> bool:
        """Deliver what is due; False where there was nothing to deliver."""
        invoker = self.invoker
        now = self._clock()
        events = self._index.due_events(now, now + LONGEST, TOGETHER) if invoker is not None else []
        if invoker is None or not events:
            return False
        outcomes = await asyncio.gather(*(self._deliver(invoker, target, event) for _, target, event, _, _ in events))
        done: list[int] = []
        later: list[tuple[float, int]] = []
        for (number, target, _, made, attempts), problem in zip(events, outcomes, strict=True):
            if problem is None:
                done.append(number)
            elif now - made > PATIENCE:
                log.error("event %d for %s is given up after %d attempts: %s", number, target, attempts + 1, problem)
                done.append(number)
            else:
                log.warning("event %d for %s, attempt %d: %s", number, target, attempts + 1, problem)
                later.append((now + min(LONGEST, FIRST * 2 ** min(attempts, 20)), number))
        await self._index.settle_events(done, later)
        return True

    async def _deliver(self, invoker: Invoker, target: str, event: str) -> Exception | None:
        try:
            if target == BUS:
                await self._publish(json.loads(event))
            elif DESTINATIONS[FUNCTION].fullmatch(target):
                await invoker.invoke_async(Invocation(target, event.encode()))
            else:
                await self._post(target, json.loads(event))
        except Exception as problem:  # noqa: BLE001 - whatever it is, the event stays and is tried again
            return problem
        return None

    async def _publish(self, event: dict[str, Any]) -> None:
        if self.bus is None:
            raise ServiceError("ResourceNotFoundException", "there is no event bus yet")
        await self.bus(event)

    async def _post(self, arn: str, event: dict[str, Any]) -> None:
        if self.posts is None:
            raise ServiceError("ResourceNotFoundException", "there are no queues and topics yet")
        (record,) = event["Records"]
        await self.posts.deliver(arn, event, record["s3"]["object"]["key"])
