"""The link: one connection from a core up, over which everything goes. It connects out only; offline is normal.

Owns: the life of connections, one after the other, subscriptions and who gets their messages. What a packet means is
in ``session``, how a connection comes about in ``dialing``, what becomes of the spool in ``draining``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from littoral.core.dialing import Backoff, Dialer, Upstream
from littoral.core.draining import Draining
from littoral.core.following import Followers
from littoral.core.patience import Patience
from littoral.core.ports import Deliver
from littoral.core.session import Broken, Cut, Happened, Refused, Session, Timing
from littoral.core.spool import Spool, Spooled
from littoral.protocols.mqtt.packets import Publish
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.topics import matches
from littoral.store.contract import StorageFailed, StoreError

log = logging.getLogger(__name__)

__all__ = ["Backoff", "Link", "LinkDown", "LinkStats", "TopicDenied", "Upstream"]

FILTERS = 8  # of one SUBSCRIBE; AWS takes no more
LOOK = 1.0  # seconds between looks for topics whose time has come
MOST_SAID = 20  # problems that are remembered as told
INBOX = 1000  # messages of QoS 0 from above that may wait for their takers


class LinkDown(Exception):
    """There is no connection upward just now."""


class TopicDenied(LinkDown):
    """There is one, and the place above has ended it, or another, for a message to this topic."""


@dataclass(slots=True)
class LinkStats:
    connected: bool = False
    changed: float = 0.0  # that last, on the monotonic clock: the other may be set right meanwhile
    connects: int = 0
    received: int = 0
    lost_from_above: int = 0  # QoS 0, because the takers were slow
    last_problem: str = ""

    def told(self, now: float) -> dict[str, Any]:
        """As JSON; with the ``seconds`` that it has been up or down."""
        document = asdict(self)
        document["seconds"] = round(now - document.pop("changed"))
        return document


@dataclass(slots=True, eq=False)
class _Subscription:
    """Closes like any other subscription."""

    link: Link
    filter: str
    taker: Callable[[Publish], Awaitable[None] | None]

    def close(self) -> None:
        self.link.remove(self)


@dataclass(slots=True, eq=False)
class _Wire:
    """One connection."""

    writer: asyncio.StreamWriter
    subscribed: dict[int, asyncio.Future[None]] = field(default_factory=dict)


class Link:
    """``start`` it once, ``close`` it once. ``on_connected`` is awaited at each connect, after subscriptions hold."""

    def __init__(
        self,
        upstream: Upstream,
        client_id: str,
        spool: Spool,
        *,
        window: int = 1000,
        timing: Timing | None = None,
        backoff: Backoff | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._session = Session(client_id, window, timing)
        self._backoff = backoff or Backoff()
        self._dialer = Dialer(upstream, self._backoff, chance)
        self.draining = Draining(spool, self._session)
        self._subscriptions: list[_Subscription] = []
        self._listeners: list[Callable[[], Awaitable[None]]] = []
        self.followers = Followers()
        self._inbox: asyncio.Queue[tuple[Publish, _Wire | None]] = asyncio.Queue()
        self._up = asyncio.Event()
        self._wire: _Wire | None = None
        self._own: dict[asyncio.Future[int], str] = {}  # topics of what goes straight up
        self._patience = Patience()
        self._said: set[str] = set()  # of this outage: its hours are no hours of log
        self._tasks: list[asyncio.Task[None]] = []
        self.stats = LinkStats()

    @property
    def client_id(self) -> str:
        return self._session.client_id

    @property
    def window(self) -> int:
        return self._session.window

    @property
    def timing(self) -> Timing:
        return self._session.timing

    def tune(self, window: int, timing: Timing) -> None:
        """From now on; CONNECT says it at the next connection."""
        self._session.tune(window, timing)
        self.draining.more()

    async def start(self) -> None:
        self.stats.changed = time.monotonic()
        for step in (self._keep_connected, self._deliver_all, self.draining.settle_all):
            self._tasks.append(asyncio.create_task(step()))

    async def close(self) -> None:
        if self._wire is not None:
            self._session.leave()
            self._flush()
            self._wire.writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.draining.settle()

    def on_connected(self, listener: Callable[[], Awaitable[None]]) -> None:
        self._listeners.append(listener)

    async def connected(self) -> None:
        """Returns when there is a connection."""
        await self._up.wait()

    def subscribe(self, filter: str, deliver: Deliver) -> _Subscription:
        """Messages from above, at least once: each is acknowledged upward after what ``deliver`` returned is done.
        Holds over reconnects until closed."""
        return self.hear(filter, lambda message: deliver(message.topic, message.payload, message.qos))

    def hear(self, filter: str, taker: Callable[[Publish], Awaitable[None] | None]) -> _Subscription:
        """As ``subscribe``, for whoever takes messages whole."""
        made = _Subscription(self, filter, taker)
        known = any(each.filter == filter for each in self._subscriptions)
        self._subscriptions.append(made)
        if not known and self._session.connected:
            self._session.subscribe([filter])
            self._flush()
        return made

    def remove(self, subscription: _Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            known = any(each.filter == subscription.filter for each in self._subscriptions)
            if not known and self._session.connected:
                self._session.unsubscribe([subscription.filter])
                self._flush()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Straight up, past the spool; returns when it is acknowledged. Raises LinkDown, also where the link breaks
        meanwhile: then it may have arrived or not; TopicDenied where it is not even tried, for a while."""
        if not self._session.connected:
            raise LinkDown("there is no connection to the place above")
        if not self._patience.allows(topic, time.monotonic()):
            raise TopicDenied(f"the place above denies {topic}; it is tried again later")
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._own[waiting] = topic
        self._session.publish(waiting, topic, payload)
        self._flush()
        try:
            reason = await waiting
        finally:
            self._session.forget(waiting)
            del self._own[waiting]
        if reason == Reason.NOT_AUTHORIZED:
            self._denied(topic)
            raise TopicDenied(f"the place above denies {topic}")
        if reason >= Reason.UNSPECIFIED_ERROR:
            raise LinkDown(f"the place above refused a publish to {topic}: reason 0x{reason:02x}")
        if self._patience.taken(topic):
            log.warning("the place above takes messages to %s again", topic)

    def _denied(self, topic: str) -> None:
        self._patience.denied(topic, time.monotonic())
        self._tell_denied(topic)

    def _tell_denied(self, topic: str) -> None:
        self.stats.last_problem = f"the place above denies the core's own messages to {topic}"
        log.error("link of %s: %s", self.client_id, self.stats.last_problem)

    def _cut(self) -> None:
        """The connection was ended as not authorised: by something of the spool, or of the core itself."""
        under_way = self._session.under_way()
        topics = {self._own[each] for each in under_way if isinstance(each, asyncio.Future)}
        for topic in self._patience.cut(topics, only=len(under_way) == 1, now=time.monotonic()):
            self._tell_denied(topic)
        self.draining.cut()

    # ------------------------------------------------------------------------------------- the connection

    async def _keep_connected(self) -> None:
        tries = 0
        while True:
            begun = time.monotonic()
            try:
                await self._live()
            except Exception as problem:  # noqa: BLE001 - whatever it is, a core without a link tries again
                self._tell(problem)
            lasted = time.monotonic() - begun
            tries = 0 if self.stats.connected and lasted > self._backoff.cap else tries + 1
            self._down()
            await self._dialer.pause(tries)

    def _tell(self, problem: Exception) -> None:
        while isinstance(problem, ExceptionGroup):
            problem = problem.exceptions[0]
        said = self.stats.last_problem = str(problem) or type(problem).__name__
        if isinstance(problem, Broken | OSError | StoreError):  # TimeoutError and SSLError are OSErrors
            level = logging.WARNING if isinstance(problem, Refused) else logging.INFO
            log.log(logging.DEBUG if said in self._said else level, "link of %s: %s", self.client_id, said)
            self._said = {said} if self.stats.connected or len(self._said) > MOST_SAID else {*self._said, said}
        else:
            log.error("link of %s broke by our own fault", self.client_id, exc_info=problem)

    async def _live(self) -> None:
        """One connection, to its end, which is always an exception."""
        reader, writer = await self._dialer.connect()
        self._wire = _Wire(writer)
        self._session.begin(time.monotonic())
        self._flush()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(reader, group))
                group.create_task(self._watch_time())
                group.create_task(self._try_denied())
                group.create_task(self._drain(writer))
        finally:
            writer.transport.abort()

    def _down(self) -> None:
        self._wire = None
        self._session.connected = False
        self.draining.online(False)
        self._up.clear()
        if self.stats.connected:
            self.stats.connected, self.stats.changed = False, time.monotonic()
        self.followers.say(False)
        for handle in self._session.handles():
            if isinstance(handle, asyncio.Future) and not handle.done():
                handle.set_exception(LinkDown("the link broke"))

    async def _read(self, reader: asyncio.StreamReader, group: asyncio.TaskGroup) -> None:
        while data := await reader.read(256 * 1024):
            happened = self._session.received(data, time.monotonic())
            if happened.connected:
                self._welcome(group)
            self._take(happened)
            self._flush()
            if isinstance(happened.broken, Cut):
                self._cut()
            if happened.broken is not None:
                raise happened.broken
        raise Broken("the place above closed the connection")

    def _welcome(self, group: asyncio.TaskGroup) -> None:
        self.stats.connected, self.stats.changed = True, time.monotonic()
        self._said.clear()
        self.stats.connects += 1
        filters = sorted({each.filter for each in self._subscriptions})
        assert self._wire is not None
        for start in range(0, len(filters), FILTERS):
            number = self._session.subscribe(filters[start : start + FILTERS])
            self._wire.subscribed[number] = asyncio.get_running_loop().create_future()
        group.create_task(self._announce())

    async def _announce(self) -> None:
        assert self._wire is not None
        for waiting in list(self._wire.subscribed.values()):
            await waiting
        self._up.set()
        self.followers.say(True)
        self.draining.online(True)
        await self._told()

    async def _told(self) -> None:
        """Everybody who has something to say at a connect."""
        for listener in self._listeners:
            try:
                await listener()
            except TopicDenied as problem:
                log.info("link of %s: %s", self.client_id, problem)
            except LinkDown as problem:
                raise Broken(str(problem)) from problem

    async def _try_denied(self) -> None:
        """What was denied is said again when its time has come, as at a connect."""
        await self._up.wait()
        while True:
            await asyncio.sleep(LOOK)
            if self._patience.over(time.monotonic()):
                await self._told()

    def _take(self, happened: Happened) -> None:
        for number, reasons in happened.subscribed:
            self._confirm(number, [reason for reason in reasons if reason >= Reason.UNSPECIFIED_ERROR])
        for message in happened.messages:
            if message.qos == 0 and self._inbox.qsize() >= INBOX:
                self.stats.lost_from_above += 1
                continue
            self._inbox.put_nowait((message, self._wire))
        accepted: list[Spooled] = []
        for handle, reason in happened.acknowledged:
            if not isinstance(handle, Spooled):
                if not handle.done():
                    handle.set_result(reason)
            elif reason:
                self.draining.accepted(accepted)  # in their order
                self.draining.answered(handle, reason)
                accepted = []
            else:
                accepted.append(handle)
        if happened.acknowledged:
            self.draining.accepted(accepted)
            self.draining.more()

    def _confirm(self, number: int, refused: list[int]) -> None:
        if refused:
            self.stats.last_problem = f"a subscription was refused: reason 0x{refused[0]:02x}"
            log.warning("link of %s: %s", self.client_id, self.stats.last_problem)
        waiting = self._wire.subscribed.pop(number, None) if self._wire is not None else None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def _drain(self, writer: asyncio.StreamWriter) -> None:
        await self._up.wait()
        await self.draining.send(self._flush, writer)

    async def _watch_time(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._session.timing.ping_every / 2))
            self._session.tick(time.monotonic())
            self._flush()

    def _flush(self) -> None:
        data = self._session.outgoing()
        if data and self._wire is not None:
            self._wire.writer.write(data)

    # ------------------------------------------------------------------------------------------ from above

    async def _deliver_all(self) -> None:
        while True:
            message, wire = await self._inbox.get()
            self.stats.received += 1
            for subscription in [each for each in self._subscriptions if matches(each.filter, message.topic)]:
                await self._deliver(subscription, message)
            if wire is self._wire:  # else it comes again, and this identifier means nothing now
                self._session.done(message)
                self._flush()

    async def _deliver(self, subscription: _Subscription, message: Publish) -> None:
        """Returns when the taker has it, or never will. A disk that refuses is waited for."""
        while True:
            try:
                waiting = subscription.taker(message)
                if waiting is not None:
                    await waiting
            except StorageFailed as problem:
                log.warning("a message from above on %s waits for the disk: %s", message.topic, problem)
                if message.qos:
                    await asyncio.sleep(self._backoff.cap)
                    continue
            except Exception:
                log.exception("a message from above on %s was not taken", message.topic)
            return
