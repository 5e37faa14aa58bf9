"""SUBSCRIBE and UNSUBSCRIBE: who may, what is granted, and the retained messages that come with it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from littoral.protocols.mqtt.packets import Filter, Suback, Subscribe, Unsuback, Unsubscribe
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.topics import BadTopic, check_filter, has_wildcard, split_shared
from littoral.protocols.mqtt.wire import ProtocolViolation
from littoral.store.contract import StoreError
from littoral.things.broker.backlog import outgoing
from littoral.things.broker.session import Grant, Held, Session

if TYPE_CHECKING:
    from littoral.things.broker.broker import Broker
    from littoral.things.broker.connection import Connection

log = logging.getLogger(__name__)
TOGETHER = 500  # retained messages in one append: a subscription to all of them does not hold the loop


class Subscribing:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def subscribe(self, connection: Connection, packet: Subscribe) -> None:
        session = connection.session
        assert session is not None
        identifier = next(iter(packet.properties.get("subscription_identifiers", ())), 0)
        reasons: list[int] = []
        owed: list[Grant] = []  # whose retained messages are to be sent
        granted: list[str] = []
        for index, line in enumerate(packet.filters):
            reason, grant = self._judge(session, line, identifier, index)
            reasons.append(reason)
            if grant is None:
                continue
            granted.append(line.filter)
            new = self._broker.router.subscribe(session, line, grant)
            if grant.group is None and (line.retain_handling == 0 or (line.retain_handling == 1 and new)):
                owed.append(grant)
        if granted and self._broker.on_subscribed is not None:
            self._broker.on_subscribed(session.client, granted)
        suback = Suback(packet.packet_id, _for_level(reasons, connection.level))
        retained = self._retained(session, owed)  # now: what comes later comes because of the subscription
        if session.backlog is not None and any(reason < 0x80 for reason in reasons):
            self._broker.spawn(self._confirm(connection, session, suback, retained))
        else:
            connection.send(suback)
            self._send_retained(session, retained)

    def _judge(self, session: Session, line: Filter, identifier: int, index: int) -> tuple[int, Grant | None]:
        """The reason code, and what is granted."""
        profile = session.profile
        if identifier and not profile.subscription_identifiers:
            return Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, None
        if index >= profile.max_filters:
            return Reason.QUOTA_EXCEEDED, None
        if line.filter not in session.grants and len(session.grants) >= profile.max_subscriptions:
            return Reason.QUOTA_EXCEEDED, None
        try:
            group, text = split_shared(line.filter)
            check_filter(text, max_bytes=profile.max_topic_bytes, max_slashes=profile.max_slashes)
        except BadTopic:
            return Reason.TOPIC_FILTER_INVALID, None
        if group is not None and line.no_local:
            raise ProtocolViolation("no local on a shared subscription")  # 5.0 s. 3.8.3.1
        if not session.access.subscribe(session.client, text):
            return Reason.NOT_AUTHORIZED, None
        qos = min(line.qos, profile.maximum_qos)
        return qos, Grant(text, qos, group, line.no_local, line.retain_as_published, identifier)

    async def _confirm(
        self, connection: Connection, session: Session, answer: Suback | Unsuback, retained: list[Held]
    ) -> None:
        """The answer follows when the session's record is durable, and the retained messages are in its backlog."""
        try:
            await self._broker.sessions.save(session)
            soon = await self._store_retained(session, retained)
        except StoreError as problem:
            log.warning("%s: its subscriptions were not stored: %s", connection.name, problem)
            connection.fail(Reason.UNSPECIFIED_ERROR, "the subscriptions could not be stored")
            return
        if not connection.closing:
            connection.send(answer)
            self._send_retained(session, soon)
            self._broker.flush()

    def _retained(self, session: Session, owed: list[Grant]) -> list[Held]:
        """What those subscriptions bring."""
        now = self._broker.clock()
        found = []
        for grant in owed:
            if has_wildcard(grant.filter) and not session.profile.wildcard_gets_retained:
                continue
            identifiers = (grant.identifier,) if grant.identifier else ()
            for outbound, qos in self._broker.retained_messages.matching(grant.filter, now):
                if session.access.receive(session.client, outbound.topic):
                    found.append(Held(outbound, True, identifiers, qos=min(qos, grant.qos)))
        return found

    async def _store_retained(self, session: Session, found: list[Held]) -> list[Held]:
        """What is of QoS 0 remains to be sent. Raises StoreError."""
        backlog = session.backlog
        if backlog is None or session.ended:
            return found
        stored = [outgoing(held) for held in found if held.qos]
        for at in range(0, len(stored), TOGETHER):
            await backlog.append(stored[at : at + TOGETHER])
        return [held for held in found if not held.qos]

    def _send_retained(self, session: Session, found: list[Held]) -> None:
        now = self._broker.clock()
        for held in found:
            self._broker.touch(session)
            if held.qos:
                session.send_held(held, now)
            else:
                session.send_soon(held.outbound, True, held.identifiers, now)
        self._broker.dirty.append(session)

    def unsubscribe(self, connection: Connection, packet: Unsubscribe) -> None:
        session = connection.session
        assert session is not None
        gone = [self._broker.router.unsubscribe(session, text) for text in packet.filters]
        reasons = [int(Reason.SUCCESS if each else Reason.NO_SUBSCRIPTION_EXISTED) for each in gone]
        if any(gone) and self._broker.on_unsubscribed is not None:
            filters = [text for text, each in zip(packet.filters, gone, strict=True) if each]
            self._broker.on_unsubscribed(session.client, filters)
        answer = Unsuback(packet.packet_id, reasons)
        if session.backlog is not None and any(gone):
            self._broker.spawn(self._confirm(connection, session, answer, []))
        else:
            connection.send(answer)


def _for_level(reasons: list[int], level: int) -> list[int]:
    """MQTT 3.1.1 knows one refusal, 0x80."""
    return reasons if level == 5 else [min(reason, 0x80) for reason in reasons]
