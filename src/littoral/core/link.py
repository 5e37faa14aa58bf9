"""The link: one connection from a core up, over which everything goes. It connects out only; offline is normal.

Owns: the socket, reconnecting (exponential backoff with full jitter), draining the spool in order, subscriptions and
who gets their messages. What a packet means is in ``session``.

The spool is drained in windows: as much is fetched as may be unacknowledged. What the place above acknowledges is
acknowledged in the spool, several at once; a crash between the two sends it again under the same message id.

What the place above refuses for good (no valid topic, too large, no valid payload) is set aside in the spool's
``rejected`` stream, so that it holds up nothing; what it refuses for now is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from littoral.core.ports import Deliver
from littoral.core.session import Broken, Happened, Refused, Session, Timing
from littoral.core.spool import Spool, Spooled
from littoral.protocols.mqtt.packets import Publish
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.topics import matches
from littoral.store.contract import StorageFailed, StoreError

log = logging.getLogger(__name__)

INBOX = 1000  # messages of QoS 0 from above that may wait for their takers


class LinkDown(Exception):
    """There is no connection upward just now."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the place above is. ``tls`` holds the core's certificate and trusts the authority of the place above."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None

    @property
    def url(self) -> str:
        """Of the device port, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls is not None else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds. After the n-th try that failed the next waits anything from 0 to min(cap, first · 2ⁿ).

    A try that only hangs (its packets are dropped) is not waited for: the next begins beside it before ``cap`` is over.
    So a path that is back meets a fresh try within ``cap``, which with the handshakes is to stay below two seconds.
    """

    first: float = 0.1
    cap: float = 1.5
    connect_timeout: float = 4.0

    def wait(self, tries: int, chance: float) -> float:
        return float(chance * min(self.cap, self.first * 2 ** min(tries, 20)))

    def beside(self, chance: float) -> float:
        """From the begin of a try that hangs to the begin of the next."""
        return self.cap * (1 + chance) / 2


@dataclass(slots=True)
class LinkStats:
    connected: bool = False
    connects: int = 0
    sent: int = 0  # acknowledged by the place above
    received: int = 0
    lost_from_above: int = 0  # QoS 0, because the takers were slow
    last_problem: str = ""


@dataclass(slots=True, eq=False)
class _Subscription:
    """Closes like any other subscription."""

    link: Link
    filter: str
    deliver: Deliver

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
        window: int = 256,
        timing: Timing | None = None,
        backoff: Backoff | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._upstream = upstream
        self._spool = spool
        self._session = Session(client_id, window, timing)
        self._backoff = backoff or Backoff()
        self._chance = chance
        self._subscriptions: list[_Subscription] = []
        self._listeners: list[Callable[[], Awaitable[None]]] = []
        self._inbox: asyncio.Queue[tuple[Publish, _Wire | None]] = asyncio.Queue()
        self._acknowledged: list[int] = []  # by the place above, and not yet in the spool
        self._refused: list[tuple[Spooled, str]] = []  # for good, and why; not yet set aside
        self._settle = asyncio.Event()  # there is something in one of these
        self._room = asyncio.Event()  # for more publishes
        self._up = asyncio.Event()
        self._wire: _Wire | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.stats = LinkStats()

    @property
    def client_id(self) -> str:
        return self._session.client_id

    async def start(self) -> None:
        for step in (self._keep_connected, self._deliver_all, self._settle_all):
            self._tasks.append(asyncio.create_task(step()))

    async def close(self) -> None:
        if self._wire is not None:
            self._session.leave()
            self._flush()
            self._wire.writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._settle_now()

    def on_connected(self, listener: Callable[[], Awaitable[None]]) -> None:
        self._listeners.append(listener)

    async def connected(self) -> None:
        """Returns when there is a connection."""
        await self._up.wait()

    def subscribe(self, filter: str, deliver: Deliver) -> _Subscription:
        """Messages from above, at least once: each is acknowledged upward after what ``deliver`` returned is done.
        Holds over reconnects until closed."""
        made = _Subscription(self, filter, deliver)
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
        meanwhile: then it may have arrived or not."""
        if not self._session.connected:
            raise LinkDown("there is no connection to the place above")
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._session.publish(waiting, topic, payload)
        self._flush()
        try:
            reason = await waiting
        finally:
            self._session.forget(waiting)
        if reason >= Reason.UNSPECIFIED_ERROR:
            raise LinkDown(f"the place above refused a publish to {topic}: reason 0x{reason:02x}")

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
            await asyncio.sleep(self._backoff.wait(tries, self._chance()))

    def _tell(self, problem: Exception) -> None:
        while isinstance(problem, ExceptionGroup):
            problem = problem.exceptions[0]
        self.stats.last_problem = str(problem) or type(problem).__name__
        if isinstance(problem, Refused):
            log.warning("link of %s: %s", self.client_id, problem)
        elif isinstance(problem, Broken | OSError | StoreError):  # TimeoutError and SSLError are OSErrors
            log.info("link of %s: %s", self.client_id, self.stats.last_problem)
        else:
            log.error("link of %s broke by our own fault", self.client_id, exc_info=problem)

    async def _live(self) -> None:
        """One connection, to its end, which is always an exception."""
        reader, writer = await self._connect()
        self._wire = _Wire(writer)
        self._session.begin(time.monotonic())
        self._flush()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(reader, group))
                group.create_task(self._watch_time())
                group.create_task(self._drain(writer))
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The first of the tries that gets through. Raises what the last raised, once none is under way."""
        trying: set[asyncio.Task[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = set()
        due = time.monotonic()
        try:
            while True:
                if time.monotonic() >= due:
                    trying.add(asyncio.create_task(self._try()))
                    due = time.monotonic() + self._backoff.beside(self._chance())
                left = max(0.0, due - time.monotonic())
                done, _ = await asyncio.wait(trying, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    if each.exception() is None:
                        trying.discard(each)
                        return each.result()
                trying -= done
                if done and not trying:
                    return done.pop().result()  # raises
        finally:
            await _abandon(trying)

    async def _try(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        above = self._upstream
        name = above.server_name if above.tls is not None else None
        async with asyncio.timeout(self._backoff.connect_timeout):
            return await asyncio.open_connection(above.host, above.port, ssl=above.tls, server_hostname=name)

    def _down(self) -> None:
        self._wire = None
        self._session.connected = False
        self._up.clear()
        self.stats.connected = False
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
            if happened.broken is not None:
                raise happened.broken
        raise Broken("the place above closed the connection")

    def _welcome(self, group: asyncio.TaskGroup) -> None:
        self.stats.connected = True
        self.stats.connects += 1
        filters = sorted({each.filter for each in self._subscriptions})
        if filters:
            number = self._session.subscribe(filters)
            assert self._wire is not None
            self._wire.subscribed[number] = asyncio.get_running_loop().create_future()
        group.create_task(self._announce())

    async def _announce(self) -> None:
        assert self._wire is not None
        for waiting in list(self._wire.subscribed.values()):
            await waiting
        self._up.set()
        self._room.set()
        for listener in self._listeners:
            try:
                await listener()
            except LinkDown as problem:
                raise Broken(str(problem)) from problem

    def _take(self, happened: Happened) -> None:
        for number, reasons in happened.subscribed:
            self._confirm(number, [reason for reason in reasons if reason >= Reason.UNSPECIFIED_ERROR])
        for message in happened.messages:
            if message.qos == 0 and self._inbox.qsize() >= INBOX:
                self.stats.lost_from_above += 1
                continue
            self._inbox.put_nowait((message, self._wire))
        for handle, reason in happened.acknowledged:
            if isinstance(handle, Spooled):
                self._answered(handle, reason)
            elif not handle.done():
                handle.set_result(reason)
        if happened.acknowledged:
            self._room.set()

    def _confirm(self, number: int, refused: list[int]) -> None:
        if refused:
            self.stats.last_problem = f"a subscription was refused: reason 0x{refused[0]:02x}"
            log.warning("link of %s: %s", self.client_id, self.stats.last_problem)
        waiting = self._wire.subscribed.pop(number, None) if self._wire is not None else None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _answered(self, spooled: Spooled, reason: int) -> None:
        if reason < Reason.UNSPECIFIED_ERROR:
            self.stats.sent += 1
            self._acknowledged.append(spooled.sequence)
        else:
            self._refused.append((spooled, f"reason 0x{reason:02x}"))
        self._settle.set()

    async def _watch_time(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._session.timing.ping_every / 2))
            self._session.tick(time.monotonic())
            self._flush()

    def _flush(self) -> None:
        data = self._session.outgoing()
        if data and self._wire is not None:
            self._wire.writer.write(data)

    # ----------------------------------------------------------------------------------------- the spool

    async def _drain(self, writer: asyncio.StreamWriter) -> None:
        await self._up.wait()
        while True:
            while not self._session.room:
                self._room.clear()
                await self._room.wait()
            # No await between this fetch and the session's taking all of it: a cancelled link must lose none.
            for spooled in await self._spool.fetch(self._session.room, wait=3600.0):
                if self._session.fits(spooled.topic, spooled.payload):
                    self._session.publish(spooled, spooled.topic, spooled.payload, spooled.message_id)
                else:
                    self._refused.append((spooled, "larger than the place above takes"))
                    self._settle.set()
            self._flush()
            await writer.drain()

    async def _settle_all(self) -> None:
        """Tell the spool; what comes while that is written is told together. Outlives connections."""
        while True:
            await self._settle.wait()
            self._settle.clear()
            try:
                await self._settle_now()
            except StoreError as problem:
                log.warning("link of %s: the spool could not be told: %s", self.client_id, problem)
                await asyncio.sleep(self._backoff.cap)
                self._settle.set()

    async def _settle_now(self) -> None:
        while self._acknowledged:
            count = len(self._acknowledged)
            await self._spool.ack(self._acknowledged[:count])
            del self._acknowledged[:count]
        while self._refused:
            spooled, reason = self._refused[0]
            log.error("%s to %s is refused for good: %s", spooled.message_id, spooled.topic, reason)
            await self._spool.reject(spooled, reason)
            del self._refused[0]

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
                waiting = subscription.deliver(message.topic, message.payload, message.qos)
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


async def _abandon(trying: set[asyncio.Task[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]) -> None:
    """Of tries that are not needed, those that got through meanwhile too."""
    for each in trying:
        each.cancel()
    for result in await asyncio.gather(*trying, return_exceptions=True):
        if not isinstance(result, BaseException):
            result[1].transport.abort()
