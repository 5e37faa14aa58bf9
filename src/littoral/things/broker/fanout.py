"""One publication to everybody who is to have it, and what is to be written: one write a session and read.

``Broker`` is made of it. Owns which sessions have something to write; refuses to know connections' lives and packets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from littoral.net.turns import Turns
from littoral.protocols.mqtt.reasons import Reason
from littoral.store.contract import Records, Streams
from littoral.things.broker.backlog import outgoing
from littoral.things.broker.limits import BrokerLimits
from littoral.things.broker.outbound import Outbound
from littoral.things.broker.retained import Retained
from littoral.things.broker.router import Delivery, Route, Router
from littoral.things.broker.session import Held, Session
from littoral.things.broker.sessions import Sessions

if TYPE_CHECKING:
    from littoral.things.broker.batch import Batch
    from littoral.things.message import Publication

MANY: Final = 25  # sessions written to at once, from which on the next writing waits a little
GATHER: Final = 40e-6  # seconds that it waits for each of them: three times what a write costs
MOST_GATHERED: Final = 0.01


class Fanout:
    def __init__(
        self,
        *,
        streams: Streams | None = None,
        records: Records | None = None,
        clock: Callable[[], float] = time.time,
        limits: BrokerLimits | None = None,
    ) -> None:
        self.clock = clock
        self.limits = limits or BrokerLimits()
        self.router = Router()
        self.sessions = Sessions(self.router, streams, records, self.limits, clock)
        self.retained_messages = Retained(records, self.limits)
        self.dirty: list[Session] = []  # sessions with something to write
        self._flushing = False  # at the end of the turn, or later
        self._not_before = 0.0  # of the loop's time: until then what is small is gathered
        self.sent = 0  # messages given to subscribers, also those kept for who is away

    def distribute(
        self, publication: Publication, sender: Session | None, batch: Batch, once: str | None = None
    ) -> Route:
        """To everybody who subscribed; what must be durable goes into ``batch``. Raises RetainedFull.

        Durable sessions store what is named by ``once`` once, however often it comes.
        """
        outbound = Outbound.of(publication)
        if publication.retain:
            storing = self.retained_messages.store(publication, outbound)
            if storing is not None:
                batch.wait(storing.done())
        topic = publication.topic
        route = self.router.route(topic)
        for delivery in route.deliveries:
            self._deliver(delivery, outbound, publication.qos, sender, batch, once)
        for group in route.groups:
            chosen = group.choose(topic)
            if chosen is not None:  # a member that subscribed by itself as well gets both
                own = once and f"{once} {group.name}"
                self._deliver(chosen, outbound, publication.qos, sender, batch, own)
        for local in (*route.taps, *route.locals):
            waiting = local.take(publication)
            if waiting is not None:
                batch.wait(waiting)
        return route

    def reply(self, publication: Publication, client_id: str, batch: Batch) -> None:
        """Where that client did not subscribe, at QoS 0: AWS answers it all the same."""
        outbound, session = Outbound.of(publication), self.sessions.get(client_id)
        deliveries = self.router.route(publication.topic).deliveries
        for delivery in [one for one in deliveries if one.session is session]:
            self._deliver(delivery, outbound, publication.qos, None, batch, None)
            return
        if session is not None and session.connection is not None:
            self._deliver(Delivery(session, 0, False, False, ()), outbound, 0, None, batch, None)

    def _deliver(
        self,
        delivery: Delivery,
        outbound: Outbound,
        qos: int,
        sender: Session | None,
        batch: Batch,
        once: str | None,
    ) -> None:
        session = delivery.session
        if delivery.no_local and session is sender:
            if delivery.own is None:
                return
            delivery = delivery.own
        self.sent += 1
        retain = delivery.retain_as_published and outbound.retain
        qos = min(qos, delivery.qos)
        if not qos:
            if session.connection is not None:
                self.touch(session)
                session.send_soon(outbound, retain, delivery.identifiers, self.clock())
        elif session.backlog is not None:
            batch.append(session.backlog, outgoing(Held(outbound, retain, delivery.identifiers, qos=qos), once))
        elif session.transient and outbound.properties is None and not (session.max_packet or session.most_aliases):
            self.dirty.append(session)
            session.send_parts(outbound.parts(session.level, qos, retain, delivery.identifiers))
        else:
            self.dirty.append(session)
            session.send_held(Held(outbound, retain, delivery.identifiers, qos=qos), self.clock())

    def touch(self, session: Session) -> None:
        if not session.out:
            self.dirty.append(session)

    def flush_soon(self) -> None:
        """At the end of the turn; later where so many were written to just now that it pays to gather."""
        if not self._flushing:
            self._flushing = True
            Turns.of_loop().at_end(self._flush_or_gather)

    def _flush_or_gather(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before:
            loop.call_at(self._not_before, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered: one write per session."""
        self._flushing = False
        if len(self.dirty) >= MANY:
            pause = min(len(self.dirty) * GATHER, MOST_GATHERED)
            self._not_before = asyncio.get_running_loop().time() + pause
        dirty = self.dirty.copy()
        self.dirty.clear()  # the same list: a read in progress holds it
        for session in dirty:
            session.flush()
            connection = session.connection
            if connection is not None and (session.overflowed or (session.paused and self._stuck(session))):
                connection.fail(Reason.QUOTA_EXCEEDED, "the client does not keep up")

    def _stuck(self, session: Session) -> bool:
        """Even answers to its own packets pile up: it sends and does not read."""
        transport = session.transport
        return transport is not None and transport.get_write_buffer_size() > 4 * self.limits.out_buffer
