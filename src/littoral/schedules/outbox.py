"""What targets are to get: kept durably, delivered at least once, in no order.

An entry is durable once ``put`` returns. A target that cannot take it for now (throttled, its disk refuses) gets it
again, with a wait that doubles, until the entry's attempts or its age are used up; one that never will (it is gone, it
does not permit it) loses it with a line in the log, as at AWS without a dead-letter queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from littoral.aws.service import ServiceError
from littoral.store.contract import Consumer, Message, Outgoing, StoreError, Streams

log = logging.getLogger(__name__)
STREAM = "schedules-deliveries"
AT_ONCE = 16
FETCH_WAIT = 1.0
ACK_WAIT = 60.0
FIRST, LONGEST = 1.0, 300.0  # seconds between attempts
MOST_ATTEMPTS, LONGEST_AGE = 185, 86_400  # EventBridge's defaults


class Targets(Protocol):
    """What can be invoked; the site hands it in."""

    def accepts(self, arn: str) -> bool:
        """Whether this place serves targets of that kind."""

    async def deliver(self, arn: str, payload: bytes, *, key: str, service: str | None, source: str) -> None:
        """Durable with the target when it returns. ``service`` must be permitted by the target's policy, for the ARN
        ``source``; None: a role is used, which needs no such policy. ``key`` is a stream's partition key.
        Raises ServiceError, StoreError."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One payload for one target."""

    target: str  # ARN
    payload: str
    source: str  # ARN of the rule or schedule
    service: str | None  # "events.amazonaws.com"
    key: str
    made: float  # Unix seconds
    identity: str  # the same for the same firing, so that a repetition after a crash is dropped
    attempts: int = MOST_ATTEMPTS  # retries after the first
    age: float = LONGEST_AGE  # seconds


class Outbox:
    def __init__(self, streams: Streams, targets: Targets, clock: Callable[[], float]) -> None:
        self._streams = streams
        self._targets = targets
        self._clock = clock
        self._consumer: Consumer | None = None
        self._loop: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(AT_ONCE)

    async def open(self) -> None:
        await self._streams.create(STREAM)
        self._consumer = await self._streams.consumer(STREAM, "workers", ack_wait=ACK_WAIT)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """What was under way comes again at the next start."""
        tasks = [*([self._loop] if self._loop else []), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def put(self, entries: Sequence[Entry]) -> None:
        """All durable, or none. Raises StoreError."""
        if entries:
            await self._streams.publish(
                STREAM, [Outgoing(json.dumps(asdict(entry)).encode(), entry.identity) for entry in entries]
            )

    async def _work(self) -> None:
        assert self._consumer is not None
        while True:
            try:
                messages = await self._consumer.fetch(AT_ONCE, wait=FETCH_WAIT)
            except StoreError as error:
                log.warning("deliveries cannot be read: %s", error)
                await asyncio.sleep(FETCH_WAIT)
                continue
            for message in messages:
                await self._free.acquire()
                task = asyncio.get_running_loop().create_task(self._deliver(message))
                self._tasks.add(task)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free.release()

    async def _deliver(self, message: Message) -> None:
        assert self._consumer is not None
        entry = Entry(**json.loads(message.data))
        try:
            delay = await self._attempt(entry, message)
            if delay is None:
                await self._consumer.ack([message.sequence])
            else:
                await self._consumer.retry(message.sequence, delay=delay)
        except StoreError as error:  # not acknowledged: it comes again
            log.warning("the delivery to %s is put off: %s", entry.target, error)
        except Exception:
            log.exception("the delivery to %s failed for a reason of ours; it will come again", entry.target)

    async def _attempt(self, entry: Entry, message: Message) -> float | None:
        """The seconds after which it is to be tried again, None when it is done with."""
        if self._clock() - entry.made > entry.age:
            log.warning("%s: its event for %s is older than %.0f s and given up", entry.source, entry.target, entry.age)
            return None
        try:
            await self._targets.deliver(
                entry.target, entry.payload.encode(), key=entry.key, service=entry.service, source=entry.source
            )
            return None
        except ServiceError as error:
            passing = (error.status or 400) >= 500 or error.code == "TooManyRequestsException"
            if not passing:
                log.warning("%s cannot invoke %s: %s", entry.source, entry.target, error)
                return None
            problem: Exception = error
        except StoreError as error:
            problem = error
        if message.deliveries > entry.attempts:
            log.warning("%s gives up on %s: %s", entry.source, entry.target, problem)
            return None
        return min(LONGEST, FIRST * 2.0 ** min(message.deliveries - 1, 30))
