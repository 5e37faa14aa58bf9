"""Events that wait for a component's function: a durable stream per component, and what of it is in memory.

::

    put (QoS 1) ─▶ arriving ─▶ stream (fsync) ─▶ PUBACK        put (QoS 0) ─┐
                                 │                                          ▼
                                 └──── consumer, woken by the commit ───▶ ready ─▶ take ─▶ done ─▶ acknowledged

A QoS 1 publisher waits for the commit and for nothing else: its event is then handled at least once, whatever happens
to this process. The stream is the queue: what a restart finds unacknowledged comes again in the same order. What is
done is acknowledged some at a time, so a restart repeats the last few (``LINGER``).

At most ``queue`` events wait. The next are held back: they stay in memory and their publishers get no PUBACK until
there is room. As many again may be held back; what comes then is refused. While the function cannot be started at all
(``stall``) nobody is held back, all are refused: a message from above that waited without end would keep from this
core the very deployment that heals it. QoS 0 promises nothing: its events are in
memory only and are dropped, counted, where ``queue`` of them wait.

Owns: the stream, its order, its bound. Knows no function; who takes the events is ``events``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from littoral.core.recipe import LambdaComponent
from littoral.store.contract import Consumer, NotFound, Outgoing, Retention, StoreError, StreamFull, Streams

log = logging.getLogger(__name__)

PREFIX = "core/events/"
FOREVER = 10 * 365 * 24 * 3600.0  # seconds; only a restart hands out again
AHEAD = 64  # events of the stream in memory
APPEND = 500  # events in one append at most
LINGER = 0.05  # seconds from an event that is done to its acknowledgement, where nobody waits for room
SETTLE = 256  # events done that are acknowledged at once
AGAIN = 1.0  # seconds until a disk that refused is tried again
MOST_INSTANCES = 100


class Stopped(Exception):
    """The core stops; the event was not kept and must not be acknowledged."""


@dataclass(frozen=True, slots=True)
class Event:
    topic: str
    payload: bytes
    sequence: int = 0  # in the stream; 0: in memory only
    context: str = ""  # the client context (JSON) of who invoked the function; "": a message on the topic


def capacity_of(component: LambdaComponent) -> int:
    """Events that its stream may hold: those that wait and those in the hands of its instances."""
    return component.queue + min(component.instances, MOST_INSTANCES)


def retention_of(component: LambdaComponent) -> Retention:
    return Retention(max_messages=capacity_of(component), discard="new", dedupe_window=0.0)


class Waiting:
    """Open with ``Waiting.open``. Outlives the versions of its component."""

    def __init__(self, streams: Streams, consumer: Consumer, component: LambdaComponent, held: int) -> None:
        self._streams = streams
        self._consumer = consumer
        self._stream = PREFIX + component.name
        self._queue = component.queue
        self._capacity = capacity_of(component)
        self._held = held  # in the stream, or being appended: everything that is not acknowledged
        self._arriving: deque[tuple[Outgoing, asyncio.Future[None]]] = deque()
        self._ready: deque[Event] = deque()
        self._in_memory = 0  # of those ready, the ones that are nowhere else
        self._in_hand = 0  # taken and not done, of the stream
        self._done: list[int] = []
        self._closing = False
        self._stalled = False
        self._stir = asyncio.Event()  # something to append, or room for it
        self._arrived = asyncio.Event()  # something is ready
        self._drained = asyncio.Event()  # there is room for more that is ready
        self._settle = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0  # QoS 0, since the start
        self._appender = asyncio.create_task(self._append_all())
        self._others = [asyncio.create_task(self._fetch_all()), asyncio.create_task(self._settle_all())]

    @classmethod
    async def open(cls, streams: Streams, component: LambdaComponent) -> Waiting:
        """With what waited when the last process ended. Raises StoreError."""
        stream = PREFIX + component.name
        await streams.create(stream, retention_of(component))
        consumer = await streams.consumer(stream, "function", ack_wait=FOREVER)
        return cls(streams, consumer, component, await consumer.pending())

    async def resize(self, component: LambdaComponent) -> None:
        """Another version of the component, which may wait for more or fewer. Raises StoreError."""
        await self._streams.create(self._stream, retention_of(component))
        self._queue, self._capacity = component.queue, capacity_of(component)
        self._stir.set()

    @property
    def count(self) -> int:
        """Events that no instance has been given yet."""
        return self._held - len(self._done) - self._in_hand + self._in_memory + len(self._arriving)

    def put(self, topic: str, payload: bytes, qos: int) -> asyncio.Future[None] | None:
        """What is returned is done when the event is durable. Raises StreamFull: not taken."""
        if not qos:
            self._put_in_memory(Event(topic, payload))
            return None
        if self._held >= self._capacity and (self._stalled or len(self._arriving) >= self._queue):
            raise self._full()
        return self._arrive(Outgoing(payload, headers={"topic": topic}))

    @property
    def full(self) -> bool:
        """Whether the next one would be held back."""
        return self._held + len(self._arriving) >= self._capacity

    def offer(self, topic: str, payload: bytes, context: str) -> asyncio.Future[None]:
        """As ``put`` with QoS 1, but never held back, for who offers may be one of those that make room. Raises
        StreamFull."""
        if self.full:
            raise self._full()
        return self._arrive(Outgoing(payload, headers={"topic": topic, **({"context": context} if context else {})}))

    def _arrive(self, message: Outgoing) -> asyncio.Future[None]:
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arriving.append((message, kept))
        self._stir.set()
        return kept

    def _put_in_memory(self, event: Event) -> None:
        if self._in_memory >= self._queue:
            self.dropped += 1
            return
        self._in_memory += 1
        self._ready.append(event)
        self._arrived.set()

    async def take(self) -> Event | None:
        """The next in order; None after ``wake`` where there is none."""
        if not self._ready:
            self._arrived.clear()
            await self._arrived.wait()
            if not self._ready:
                return None
        event = self._ready.popleft()
        if event.sequence:
            self._in_hand += 1
        else:
            self._in_memory -= 1
        self._drained.set()
        return event

    def stall(self, stalled: bool) -> None:
        """Whether the function cannot be started just now."""
        self._stalled = stalled
        while stalled and self._held >= self._capacity and self._arriving:
            _, kept = self._arriving.popleft()
            if not kept.done():
                kept.set_exception(self._full())

    def _full(self) -> StreamFull:
        return StreamFull(f"{self._stream} may keep {self._capacity} events and holds {self._held}")

    def wake(self) -> None:
        """Whoever is in ``take`` returns."""
        self._arrived.set()

    def done(self, event: Event) -> None:
        """It need not come again."""
        if not event.sequence:
            return
        self._in_hand -= 1
        self._done.append(event.sequence)
        if self._arriving or len(self._done) >= SETTLE:
            self._settle.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._settle.set)

    def give_back(self, event: Event) -> None:
        """It was taken and not handled: it is the next again."""
        if event.sequence:
            self._in_hand -= 1
        else:
            self._in_memory += 1
        self._ready.appendleft(event)
        self._arrived.set()

    async def close(self, *, forget: bool = False) -> None:
        """After those who take. What is held back is refused, or with ``forget`` let go: nobody wants it now."""
        self._closing = True
        self._stir.set()
        await self._appender
        for task in self._others:
            task.cancel()
        await asyncio.gather(*self._others, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        for _, kept in self._arriving:
            if not kept.done():
                kept.set_result(None) if forget else kept.set_exception(Stopped("the core stops"))
        if forget:
            await self._streams.delete(self._stream)
            return
        try:
            await self._settle_now()
        except StoreError as problem:
            log.warning("what is done of %s comes again: %s", self._stream, problem)

    # ----------------------------------------------------------------------------------------- the stream

    async def _append_all(self) -> None:
        """One after the other, so that the order of arrival is the order of the stream, held back or not."""
        while not self._closing:
            batch = self._next_batch()
            if not batch:
                self._stir.clear()
                if self._arriving and self._done:
                    self._settle.set()  # gives room
                await self._stir.wait()
                continue
            self._held += len(batch)
            try:
                await self._streams.publish(self._stream, [outgoing for outgoing, _ in batch])
            except Exception as problem:  # noqa: BLE001 - told to those who wait: not acknowledged
                self._held -= len(batch)
                for _, kept in batch:
                    if not kept.done():
                        kept.set_exception(problem)
            else:
                for _, kept in batch:
                    if not kept.done():
                        kept.set_result(None)

    def _next_batch(self) -> list[tuple[Outgoing, asyncio.Future[None]]]:
        batch: list[tuple[Outgoing, asyncio.Future[None]]] = []
        while self._arriving and len(batch) < min(APPEND, self._capacity - self._held):
            arriving = self._arriving.popleft()
            if not arriving[1].cancelled():  # else nobody waits, and nobody was told that it is kept
                batch.append(arriving)
        return batch

    async def _fetch_all(self) -> None:
        while True:
            while len(self._ready) - self._in_memory >= AHEAD:
                self._drained.clear()
                await self._drained.wait()
            try:
                found = await self._consumer.fetch(AHEAD, wait=3600.0)
            except NotFound:
                return
            except StoreError as problem:
                log.warning("%s cannot be read: %s", self._stream, problem)
                await asyncio.sleep(AGAIN)
                continue
            self._ready.extend(
                Event(each.headers["topic"], each.data, each.sequence, each.headers.get("context", ""))
                for each in found
            )
            self._arrived.set()

    async def _settle_all(self) -> None:
        while True:
            await self._settle.wait()
            self._settle.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            try:
                await self._settle_now()
            except StoreError as problem:
                log.warning("%s could not be told what is done: %s", self._stream, problem)
                await asyncio.sleep(AGAIN)
                self._settle.set()

    async def _settle_now(self) -> None:
        count = len(self._done)
        if not count:
            return
        await self._consumer.ack(self._done[:count])
        del self._done[:count]
        self._held -= count
        self._stir.set()
