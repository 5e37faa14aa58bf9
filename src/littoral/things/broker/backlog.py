"""The QoS 1 and 2 messages of one durable session: a stream on disk and the task that sends from it.

Every such message for a durable session is in its stream before the publisher gets PUBACK, whether the client is
there or not, and leaves it after the client's PUBACK or PUBREC. After ``kill -9`` all that was not acknowledged is
fetched again, in order: at least once, and with QoS 2 under its old packet identifier, by which the client knows it.
What was acknowledged in the last moment, or of a run (``runs``) of which not all was, comes again too.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from littoral.protocols.mqtt.reasons import Reason
from littoral.store.contract import Consumer, Message, Outgoing, Retention, StoreError, Streams
from littoral.things.broker.ledger import Ledger
from littoral.things.broker.limits import BrokerLimits
from littoral.things.broker.outbound import Outbound
from littoral.things.broker.runs import Kept, is_run, unpacked
from littoral.things.broker.session import Held, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from littoral.things.broker.session import Session

log = logging.getLogger(__name__)
# MQTT 5 forbids to send again on a connection that lives (s. 4.4); a reconnect is what redelivers.
NEVER: Final = 10 * 365 * 24 * 3600.0
DEDUPE: Final = 7 * 24 * 3600.0  # what QoS 2 messages are called is unique for longer than a publisher may stay away
PAUSE: Final = 1.0  # seconds before another try where the store refused
TOGETHER: Final = 0.05  # seconds in which acknowledgements gather, for one write
AT_ONCE: Final = 200  # messages fetched
RUNS: Final = 4  # of them, where they are runs


def stream_of(client_id: str) -> str:
    """Client ids may hold what names of streams may not."""
    return "things.session." + hashlib.sha256(client_id.encode()).hexdigest()[:32]


class Backlog:
    def __init__(self, streams: Streams, client_id: str, limits: BrokerLimits, ledger: Ledger) -> None:
        self._streams = streams
        self._client_id = client_id
        self._stream = stream_of(client_id)
        self._limits = limits
        self._ledger = ledger
        self._consumer: Consumer | None = None
        self._awake = asyncio.Event()
        self._done: list[int] = []
        self._left: dict[int, int] = {}  # of runs, by sequence: packets that are not acknowledged
        self._ready: deque[Held | Kept] = deque()  # fetched, and no room yet in the window
        self._named = False  # of those some are of QoS 2
        self._at_once = AT_ONCE
        self._written_at = 0.0  # when acknowledgements were, by the loop's clock
        self._later: asyncio.TimerHandle | None = None
        self._pump: asyncio.Task[None] | None = None
        self.moved = 0  # messages appended

    async def create(self, *, fresh: bool) -> None:
        """``fresh``: what a session of that id left behind (a crash in the middle of its end) is not taken over."""
        if fresh:
            await self._streams.delete(self._stream)
        limits = self._limits
        retention = Retention(
            max_messages=limits.stored_messages, max_bytes=limits.stored_bytes, discard="old", dedupe_window=DEDUPE
        )
        await self._streams.create(self._stream, retention)
        # Made before anything is published: a stream without a consumer would keep nothing for it.
        self._consumer = await self._streams.consumer(self._stream, "client", ack_wait=NEVER)
        first = (await self._streams.extent(self._stream)).first
        for number in [number for number, sequence in self._ledger.sent.items() if sequence < first]:
            self._ledger.release(number)  # retention took the message; the client may still hold the number
        self._done = [sequence for sequence in self._ledger.released.values() if sequence >= first]

    async def append(self, messages: Sequence[Outgoing]) -> None:
        """Durable on return. Raises StoreError."""
        await self._streams.publish(self._stream, messages)
        self.moved += len(messages)
        self.wake()

    async def delete(self) -> None:
        await self.stop()
        await self._streams.delete(self._stream)

    def done(self, sequence: int) -> None:
        """One packet of that sequence."""
        left = self._left.get(sequence, 1) - 1
        if left:
            self._left[sequence] = left
            return
        self._left.pop(sequence, None)
        self._done.append(sequence)
        self._awake.set()

    def wake(self) -> None:
        self._awake.set()

    # ----------------------------------------------------------------------------- sending from the disk

    def start(self, session: Session, flush: Callable[[Session], None], now: Callable[[], float]) -> None:
        """The client is there: send, until ``stop``."""
        self._written_at = 0.0  # what was acknowledged is written before anything is fetched, and so not fetched again
        self._awake.set()
        self._pump = asyncio.create_task(self._run(session, flush, now), name=f"backlog of {self._client_id}")

    async def stop(self) -> None:
        """Acknowledgements that are not yet written are, so that fewer messages come twice."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        await self._acknowledge()

    def halt(self) -> None:
        """The client is gone; what it acknowledged is written when it returns or the broker closes."""
        if self._pump is not None:
            self._pump.cancel()

    async def _run(self, session: Session, flush: Callable[[Session], None], now: Callable[[], float]) -> None:
        while True:
            await self._awake.wait()
            self._awake.clear()
            try:
                if self._due():
                    await self._acknowledge()
                if await self._send(session, flush, now):
                    self._awake.set()
            except StoreError as problem:
                log.warning("backlog of %s: %s", self._client_id, problem)
                self._awake.set()
                await asyncio.sleep(PAUSE)

    def _due(self) -> bool:
        """Whether it is time to write what was acknowledged. A crash before that brings it again."""
        loop = asyncio.get_running_loop()
        left = self._written_at + TOGETHER - loop.time()
        if left > 0 and self._later is None:
            self._later = loop.call_later(left, self._write_now)
        return left <= 0

    def _write_now(self) -> None:
        self._later = None
        self._awake.set()

    async def _acknowledge(self) -> None:
        completed = self._ledger.take_completed()
        done, self._done = self._done, []
        if done or completed:
            self._written_at = asyncio.get_running_loop().time()
        try:
            if done and self._consumer is not None:
                await self._consumer.ack(done)
            if completed:
                self._ledger.forget(completed)
                await self._ledger.save()
        except BaseException:
            self._done = done + self._done
            self._ledger.give_back(completed)
            raise

    async def _send(self, session: Session, flush: Callable[[Session], None], now: Callable[[], float]) -> bool:
        """Whether there may be more to send at once."""
        room = session.window - len(session.inflight)
        if room <= 0 or session.paused or self._consumer is None or session.connection is None:
            return False
        if not self._ready:
            await self._fetch(self._consumer)
        due = [self._ready.popleft() for _ in range(min(room, len(self._ready)))]
        if self._named:
            await self._send_named(session, due, now)
        else:
            for each in session.send_all(due, now()):
                self.done(each.sequence)
        if due:
            flush(session)
        return bool(due)

    async def _fetch(self, consumer: Consumer) -> None:
        found = await consumer.fetch(self._at_once)
        self._at_once, self._named = AT_ONCE, False
        for message in found:
            if is_run(message):
                packets = unpacked(message)
                self._left[message.sequence] = len(packets)
                self._ready.extend(packets)
                self._at_once = RUNS
            else:
                held = _held(message)
                self._named = self._named or held.qos == 2
                self._ready.append(held)

    async def _send_named(self, session: Session, due: list[Held | Kept], now: Callable[[], float]) -> None:
        """Some are of QoS 2: which number each has is durable before it is sent, for it must have that one again."""
        named = {sequence: number for number, sequence in self._ledger.sent.items()}
        released = set(self._ledger.released.values())
        ready: list[tuple[int, Held, bool]] = []
        for held in map(whole, due):
            before = named.get(held.sequence)
            if held.sequence in released or (before is None and held.outbound.expired(now())):
                self.done(held.sequence)
                continue
            number = before or self._free(session)
            session.inflight[number] = held  # so that a reconnect finds it, should this one end meanwhile
            if held.qos == 2:
                self._ledger.sent[number] = held.sequence
            ready.append((number, held, before is not None))
        try:
            await self._ledger.save()
        except StoreError:
            if session.connection is not None:
                session.connection.fail(Reason.UNSPECIFIED_ERROR, "not stored")
            raise
        for number, held, again in ready:
            if not session.put_in_flight(held, now(), number, dup=again):
                session.acknowledged(number)

    def _free(self, session: Session) -> int:
        while self._ledger.taken(number := session.number()):
            pass
        return number


def _held(message: Message) -> Held:
    outbound, retain, identifiers = Outbound.load(message.data)
    return Held(outbound, retain, identifiers, message.sequence, int(message.headers.get("qos", 1)))


def outgoing(held: Held, message_id: str | None = None) -> Outgoing:
    """What ``append`` stores of it. What has a ``message_id`` is stored once, however often it is appended."""
    headers = {"qos": str(held.qos)} if held.qos == 2 else {}
    return Outgoing(held.outbound.stored(held.retain, held.identifiers), message_id, headers)
