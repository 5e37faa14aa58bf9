"""The broker as its place sees it: connections come in by ``protocol_factory``, the process itself by ``publish``,
``subscribe`` and ``tap``.

Promises. QoS 0: at most once; lost where a client's socket is full. QoS 1: at least once; PUBACK comes after

* every tap whose filter matches is done,
* every durable session that subscribed has the message on disk, connected or not,
* a retained message is on disk.

QoS 2: exactly once, from a durable session to a durable session over any restart; PUBREC comes after the same
(``exactly``). Where a listener imitates AWS there is none.

Transient subscribers need no disk: with nobody else to wait for, PUBACK is immediate. A transient subscriber that
cannot keep up is disconnected (QUOTA_EXCEEDED) rather than given a stream with a hole in it. Messages from one
publisher on one topic reach a subscriber in their order, per QoS.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, Protocol

from littoral.protocols.customauth import Http
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.topics import check_filter, check_name
from littoral.store.contract import Records, Streams
from littoral.things.access import Access, Client
from littoral.things.broker.batch import Batch
from littoral.things.broker.connecting import Connecting
from littoral.things.broker.connection import Connection
from littoral.things.broker.fanout import Fanout
from littoral.things.broker.leaving import Leaving
from littoral.things.broker.limits import PROFILES, BrokerLimits, Profile, ProfileName
from littoral.things.broker.local import Callback, LocalSubscriber
from littoral.things.broker.naming import Recording
from littoral.things.broker.outbound import Outbound
from littoral.things.broker.session import Session
from littoral.things.broker.subscribing import Subscribing
from littoral.things.broker.unstored import Unstored
from littoral.things.message import Publication

log = logging.getLogger(__name__)
SWEEP: Final = 1.0  # seconds between looks at silent connections and expired sessions
HEADROOM: Final = 16 * 1024  # bytes of a packet beside its payload: topic and properties
Reserved = Callable[[Client, Publication], Awaitable[None] | None]


class Factory(Protocol):
    def __call__(self, upgrade: Http | None = None) -> asyncio.Protocol: ...


class Broker(Fanout):
    """``start`` before the first connection, ``close`` at the end; without records and streams nothing is durable.

    ``reserved`` takes what clients publish to ``$aws/…``; without it that is refused. ``on_connected`` and
    ``on_disconnected`` (with SUCCESS where the client said so, the broker's reason, None where it was the network),
    ``on_subscribed`` and ``on_unsubscribed`` (with the filters that are now there, or were) are told at once and must
    be quick. ``on_due`` is told once a second of a client whose ``due`` is past.
    """

    def __init__(
        self,
        *,
        access: Access,
        streams: Streams | None = None,
        records: Records | None = None,
        clock: Callable[[], float] = time.time,
        limits: BrokerLimits | None = None,
        profile: ProfileName = "mqtt",
    ) -> None:
        super().__init__(streams=streams, records=records, clock=clock, limits=limits)
        self.access = access
        self.profile = PROFILES[profile]
        self.connecting = Connecting(self)
        self.subscribing = Subscribing(self)
        self.leaving = Leaving(self)
        self.reserved: Reserved | None = None
        self.on_connected: Callable[[Client], None] | None = None
        self.on_disconnected: Callable[[Client, Reason | None], None] | None = None
        self.on_subscribed: Callable[[Client, list[str]], None] | None = None
        self.on_unsubscribed: Callable[[Client, list[str]], None] | None = None
        self.on_due: Callable[[Client], None] = lambda client: None
        self.received = 0
        self.unstored = Unstored(log)
        self._dropped = 0  # by sessions that are over
        self.closing = False
        self._connections: set[Connection] = set()
        self._listeners: dict[str, Access] = {}
        self._locals: list[LocalSubscriber] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._empty = asyncio.Event()  # closing, and the last connection is gone
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def recording(self) -> Recording | None:
        """Who knows which messages with an id came before."""
        return None

    # -------------------------------------------------------------------------------------- lifecycle

    async def start(self) -> None:
        """Bring back retained messages and durable sessions. Raises StoreError."""
        await self.retained_messages.load()
        await self.sessions.load(lambda listener: self._listeners.get(listener, self.access))
        self._sweeper = asyncio.create_task(self._sweep_on(), name="broker sweep")

    async def close(self, grace: float = 0.0) -> None:
        """Say good-bye to everybody, without wills; wait up to ``grace`` seconds for what is being stored and sent."""
        self.closing = True
        if not self._connections:
            self._empty.set()
        for connection in list(self._connections):
            connection.fail(Reason.SERVER_SHUTTING_DOWN, "the broker stops")
            connection.transport.close()  # also where one lingers
        deadline = asyncio.get_running_loop().time() + grace
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._empty.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        for connection in list(self._connections):
            connection.transport.abort()
        tasks = [*self._tasks, *([self._sweeper] if self._sweeper is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for local in self._locals:
            await local.stop()
        await self.sessions.close()

    def protocol_factory(
        self, listener: str, access: Access | None = None, profile: ProfileName | Profile | None = None
    ) -> Factory:
        """Makes the protocol of each connection that ``listener`` accepts, under that access and profile; of the HTTP
        request by which it came, where it did."""
        allowed = access if access is not None else self.access
        rules = PROFILES[profile] if isinstance(profile, str) else profile or self.profile
        self._listeners[listener] = allowed
        for session in self.sessions:
            if session.client.listener == listener and session.connection is None:
                session.access = allowed
        self.refresh()
        return lambda upgrade=None: Connection(self, listener, allowed, rules, upgrade)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -------------------------------------------------------------------------------- in this process

    async def publish(self, publication: Publication, *, only: str = "") -> None:
        """Returns when it is as durable as a QoS 1 publisher's PUBACK says. Asks no access. ``only``: of all who
        subscribed, to that client alone, since it is the answer to what that one asked.

        Raises BadTopic, RetainedFull, NotStored.
        """
        check_name(publication.topic)
        if not publication.received_at:
            publication.received_at = self.clock()
        batch = Batch()
        if only:
            self.reply(publication, only, batch)
        else:
            self.distribute(publication, None, batch)
        self.flush()
        if publication.qos or publication.retain:
            await batch.settle()
        elif not batch.empty:
            batch.start()

    def tell(self, publications: Iterable[Publication]) -> Batch:
        """As ``publish``, several and at once, on topics that are in order; what is still to be done is in the batch.

        Raises RetainedFull."""
        batch, now = Batch(), self.clock()
        for publication in publications:
            publication.received_at = publication.received_at or now
            self.distribute(publication, None, batch)
        self.flush()
        return batch

    def subscribe(self, filter: str, callback: Callback) -> LocalSubscriber:
        """``callback`` gets every matching publication until the subscriber is closed. Raises BadTopic."""
        return self._add_local(filter, callback, tap=False)

    def tap(self, filter: str, callback: Callback) -> LocalSubscriber:
        """As ``subscribe``, and a QoS 1 publisher is acknowledged after what ``callback`` returned is done.

        What it raises keeps the acknowledgement back. Raises BadTopic.
        """
        return self._add_local(filter, callback, tap=True)

    def _add_local(self, filter: str, callback: Callback, *, tap: bool) -> LocalSubscriber:
        check_filter(filter)
        self._locals = [each for each in self._locals if not each.over]
        local = LocalSubscriber(self.router, filter, callback, tap=tap, limit=self.limits.local_pending)
        self._locals.append(local)
        self.router.add_local(filter, local, tap=tap)
        return local

    def retained(self, topic: str) -> Publication | None:
        held = self.retained_messages.get(topic, self.clock())
        return _publication(*held) if held is not None else None

    def list_retained(self, filter: str = "#") -> list[Publication]:
        return [_publication(*held) for held in self.retained_messages.matching(filter, self.clock())]

    def refresh(self) -> None:
        """Policies changed: forget every decision. Those that no longer may connect need ``disconnect``."""
        self.router.changed()

    def disconnect(
        self,
        client_id: str | None = None,
        *,
        principal: str | None = None,
        reason: Reason = Reason.ADMINISTRATIVE_ACTION,
    ) -> int:
        """Cut off a client, or every client of a certificate; how many there were."""
        found = [
            connection
            for connection in list(self._connections)
            if (session := connection.session) is not None
            and (session.client_id == client_id or (principal and session.client.principal == principal))
        ]
        for connection in found:
            connection.fail(reason, "disconnected by the operator")
        return len(found)

    async def dismiss(self, client_id: str, *, forget: bool, will: bool) -> bool:
        """Cut off a client; ``forget`` its session, too; publish its ``will``, where it has one. False where neither a
        connection nor a session to forget is there. Raises StoreError."""
        session = self.sessions.get(client_id)
        if session is None or (session.connection is None and not forget):
            return False
        if not will:
            session.will = session.will_due = None
        if forget:
            session.expiry = 0
        if session.connection is not None:
            session.connection.fail(Reason.ADMINISTRATIVE_ACTION, "disconnected by the operator")
        elif session.will is not None:
            self.leaving.publish_will(session)
        if forget:
            async with self.sessions.turn(client_id):
                if self.sessions.get(client_id) is session:
                    await self.sessions.end(session)
        return True

    def clients(self) -> list[Client]:
        """Those connected now."""
        return [connection.session.client for connection in self._connections if connection.session is not None]

    def stats(self) -> dict[str, int]:
        return {
            "connections": len(self._connections),
            "sessions": len(self.sessions),
            "subscriptions": self.router.subscriptions,
            "retained": len(self.retained_messages),
            "retained_bytes": self.retained_messages.bytes,
            "received": self.received,
            "sent": self.sent,
            "dropped": self._dropped + sum(session.dropped for session in self.sessions),
            "queued": sum(len(session.queue) for session in self.sessions),
        }

    def reserve(self, client: Client, publication: Publication, batch: Batch) -> None:
        """A publish to ``$aws/…``."""
        assert self.reserved is not None
        waiting = self.reserved(client, publication)
        if waiting is not None:
            batch.wait(waiting if inspect.iscoroutine(waiting) else asyncio.ensure_future(waiting))

    # ------------------------------------------------------------------------------------ connections

    def max_packet(self, profile: Profile) -> int:
        return profile.max_payload + HEADROOM

    def admit(self, connection: Connection) -> bool:
        if self.closing or len(self._connections) >= self.limits.max_connections:
            return False
        self._connections.add(connection)
        return True

    def connected(self, session: Session) -> None:
        if self.on_connected is not None:
            self.on_connected(session.client)

    def lost(self, connection: Connection) -> None:
        """Called twice where the broker closes: when it decides so and when the socket is gone."""
        if connection.gone:
            self._connections.discard(connection)
            if self.closing and not self._connections:
                self._empty.set()
        session = connection.session
        if session is None or session.connection is not connection:
            return
        session.connection = session.transport = None
        session.out = []
        self._dropped += session.dropped
        session.dropped = 0
        self.leaving.left(session, graceful=connection.graceful or self.closing)
        if self.on_disconnected is not None:
            self.on_disconnected(session.client, Reason.SUCCESS if connection.left else connection.why)

    # ------------------------------------------------------------------------------------------- time

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self.sweep(self.clock())

    def sweep(self, now: float) -> None:
        """End what is over at ``now``: silent connections, sessions, the delays of wills."""
        for connection in list(self._connections):
            connection.sweep(now)
        self.leaving.sweep(now)


def _publication(outbound: Outbound, qos: int) -> Publication:
    return Publication(
        outbound.topic, outbound.payload, qos, True, received_at=outbound.received_at, properties=outbound.properties
    )
