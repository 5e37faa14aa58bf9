"""A queue for each function: its asynchronous events in a durable stream of their own, and its turn at the slots.

Owns: which events are under way, and in what order slots are given away. Refuses to know what running one means.

A queue waits for a slot with one event at a time, and slots go to whoever waits longest. So functions take turns,
however many events each has waiting: ten thousand slow events of one delay those of another by one turn each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from littoral.store.contract import Consumer, Message, Outgoing, StoreError, Streams

log = logging.getLogger(__name__)

PREFIX = "functions-events/"
BATCH = 16  # events read ahead of their slots
FETCH_WAIT = 600.0  # seconds; a publication ends it
PAUSE = 1.0  # seconds after a failing read
ACK_WAIT = 30.0  # seconds; a killed place's events come again after it; one that is under way here is not run twice


@dataclass(slots=True)
class EventQueue:
    function: str
    consumer: Consumer
    under_way: set[int] = field(default_factory=set)  # sequences
    work: asyncio.Task[None] | None = None


class EventQueues:
    """``run`` settles one event and does not raise."""

    def __init__(
        self, streams: Streams, slots: int, run: Callable[[EventQueue, Message], Coroutine[Any, Any, None]]
    ) -> None:
        self._streams = streams
        self._run = run
        self._slots = asyncio.Semaphore(slots)
        self._queues: dict[str, EventQueue] = {}
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False

    async def open(self, wanted: Callable[[str], bool]) -> None:
        """Take up the queues that there are; the events of functions that are gone are dropped."""
        for name in await self._streams.names(PREFIX):
            function = name.removeprefix(PREFIX)
            if wanted(function):
                await self._queue(function)
            else:
                await self._streams.delete(name)

    def start(self) -> None:
        self._started = True
        for queue in self._queues.values():
            self._begin(queue)

    async def close(self) -> None:
        """Stop. What was under way is not acknowledged and comes again at the next start."""
        self._started = False
        tasks = [*(queue.work for queue in self._queues.values() if queue.work is not None), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def publish(self, function: str, event: Outgoing) -> None:
        """Durable when this returns. Raises StoreError."""
        if function not in self._queues:
            await self._queue(function)
        await self._streams.publish(PREFIX + function, [event])

    async def _queue(self, function: str) -> None:
        async with self._opening:
            if function in self._queues:
                return
            await self._streams.create(PREFIX + function)
            consumer = await self._streams.consumer(PREFIX + function, "workers", ack_wait=ACK_WAIT)
            queue = self._queues[function] = EventQueue(function, consumer)
            if self._started:
                self._begin(queue)

    def _begin(self, queue: EventQueue) -> None:
        queue.work = asyncio.get_running_loop().create_task(self._work(queue))

    async def _work(self, queue: EventQueue) -> None:
        while True:
            try:
                messages = await queue.consumer.fetch(BATCH, wait=FETCH_WAIT)
            except StoreError as error:
                log.warning("asynchronous events of %s cannot be read: %s", queue.function, error)
                await asyncio.sleep(PAUSE)
                continue
            for message in messages:
                if message.sequence not in queue.under_way:
                    await self._slots.acquire()
                    queue.under_way.add(message.sequence)
                    task = asyncio.get_running_loop().create_task(self._run(queue, message))
                    self._tasks.add(task)
                    task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
