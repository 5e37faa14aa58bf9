"""A client is away: its session ends at once, or waits for it until its time is over; and what becomes of its will."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from littoral.store.contract import StoreError
from littoral.things.broker.batch import NotStored
from littoral.things.broker.retained import RetainedFull
from littoral.things.message import Publication

if TYPE_CHECKING:
    from littoral.things.broker.broker import Broker
    from littoral.things.broker.session import Session

log = logging.getLogger(__name__)


class Leaving:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def left(self, session: Session, *, graceful: bool) -> None:
        """Its connection is over. ``graceful``: the will is not to be published."""
        if graceful:
            session.will = None
        elif session.will is not None and min(session.will.delay, session.expiry):
            session.will_due = self._broker.clock() + min(session.will.delay, session.expiry)
        else:
            self.publish_will(session)
        self.gone(session)

    def gone(self, session: Session) -> None:
        """The client is away: the session ends, or waits for it."""
        if session.transient:
            self._broker.sessions.detach(session)
            return
        if session.backlog is not None:
            session.backlog.halt()
        session.expires_at = self._broker.clock() + session.expiry
        self._broker.router.changed()
        self._broker.spawn(self._remember(session) if session.expiry else self._end(session))

    async def _remember(self, session: Session) -> None:
        try:
            await self._broker.sessions.save(session)
        except StoreError as problem:
            # Its record still says "connected": after a restart it expires later than it should, no message is lost.
            log.warning("session of %r not stored: %s", session.client_id, problem)

    async def _end(self, session: Session) -> None:
        async with self._broker.sessions.turn(session.client_id):
            if session.connection is None and self._broker.sessions.get(session.client_id) is session:
                try:
                    await self._broker.sessions.end(session)
                except StoreError as problem:
                    log.warning("session of %r not removed: %s", session.client_id, problem)

    def publish_will(self, session: Session) -> None:
        will, session.will, session.will_due = session.will, None, None
        if will is None:
            return
        client = session.client
        publication = Publication(
            will.topic,
            will.payload,
            will.qos,
            will.retain,
            client.client_id,
            client.principal,
            self._broker.clock(),
            will.properties,
        )
        self._broker.spawn(self._publish_will(publication))

    async def _publish_will(self, publication: Publication) -> None:
        try:
            await self._broker.publish(publication)
        except (NotStored, RetainedFull) as problem:
            log.warning("will of %r: %s", publication.client_id, problem)

    def sweep(self, now: float) -> None:
        """End the sessions that are over at ``now``, publish the wills that are due."""
        for session in self._broker.sessions:
            if session.connection is not None:
                continue
            over = session.over(now)
            if session.will_due is not None and (over or now >= session.will_due):
                self.publish_will(session)
            if over and session.expires_at is not None:
                session.expires_at = None
                self._broker.spawn(self._end(session))
