"""What a connected client sends, packet by packet, where it is not the ordinary PUBLISH or PUBACK of the hot path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, cast

from littoral.protocols.mqtt.decode import decode, decode_publish
from littoral.protocols.mqtt.encode import PINGRESP
from littoral.protocols.mqtt.packets import Ack, Auth, Disconnect, Pingreq, Publish, Subscribe, Unsubscribe
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.topics import BadTopic, check_name
from littoral.protocols.mqtt.wire import MalformedPacket, ProtocolViolation, Reader, encode_text
from littoral.things.broker.batch import Batch, NotStored, Owed, OwedRun, check
from littoral.things.broker.exactly import ExactlyOnce
from littoral.things.broker.retained import RetainedFull
from littoral.things.broker.router import RESERVED
from littoral.things.broker.runs import outgoing_run
from littoral.things.message import Publication, enriched

if TYPE_CHECKING:
    from littoral.things.broker.connection import Connection
    from littoral.things.broker.router import Route
    from littoral.things.broker.session import Session

log = logging.getLogger(__name__)
PUBACK = b"@\x02"  # what stands before the identifier, of success


class Handling:
    """Belongs to one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._broker = connection.broker
        self._batch = Batch()
        self._exactly = ExactlyOnce(connection)
        self._tail: asyncio.Task[None] | None = None  # the last batch that is not settled
        self._waiting = 0  # publishes not yet acknowledged
        self._stopped = False  # the socket is not read until the disk has caught up
        self._aliases: dict[int, str] = {}
        self.unsettled = False  # an acknowledgement sent now would overtake one that waits

    @property
    def _session(self) -> Session:
        return cast("Session", self._connection.session)

    def take(self, first: int, data: bytes, body: int, stop: int) -> None:
        """Raises MalformedPacket."""
        if first >> 4 == 3:
            self._publish(first, data, body, stop)
            return
        packet = decode(first, data, body, stop, self._connection.level)
        match packet:
            case Ack(kind=4):
                self._session.acknowledged(packet.packet_id)
                self._session.refill(self._broker.clock())
                self._broker.dirty.append(self._session)
            case Subscribe():
                self._broker.subscribing.subscribe(self._connection, packet)
            case Unsubscribe():
                self._broker.subscribing.unsubscribe(self._connection, packet)
            case Pingreq():
                self._broker.touch(self._session)
                self._session.out.append(PINGRESP)
            case Disconnect():
                self._disconnect(packet)
            case Auth():
                raise ProtocolViolation("AUTH without an authentication method")
            case Ack():
                self._exactly.take(packet)
            case _:
                raise ProtocolViolation(f"a client may not send {type(packet).__name__.upper()}")

    def _disconnect(self, packet: Disconnect) -> None:
        connection, session = self._connection, self._session
        expiry = packet.properties.get("session_expiry")
        if expiry is not None:
            if expiry and not session.expiry:
                raise ProtocolViolation("a session expiry where CONNECT had none")  # 5.0 s. 3.14.2.2.2
            session.expiry = min(expiry, self._connection.profile.session_expiry)
        connection.graceful = packet.reason != Reason.DISCONNECT_WITH_WILL
        connection.left = True
        session.flush()
        connection.close()

    # --------------------------------------------------------------------------------------- PUBLISH

    def _publish(self, first: int, data: bytes, body: int, stop: int) -> None:
        connection, session = self._connection, self._session
        packet = decode_publish(first, Reader(data, body, stop), connection.level)
        if packet.qos > connection.profile.maximum_qos:
            raise ProtocolViolation("QoS 2", Reason.QOS_NOT_SUPPORTED)
        self._resolve_alias(packet)
        if len(packet.payload) > connection.profile.max_payload:
            raise MalformedPacket(f"a payload of {len(packet.payload)} bytes", Reason.PACKET_TOO_LARGE)
        publication = Publication(
            packet.topic,
            packet.payload,
            packet.qos,
            packet.retain,
            session.client_id,
            session.client.principal,
            self._broker.clock(),
            enriched(packet.properties, connection.added) if connection.added else packet.properties,
        )
        self._broker.received += 1
        if packet.qos == 2:
            self._publish_once(packet.packet_id, publication)
            return
        reason = self._refusal(publication) or self._distribute(publication)
        if packet.qos and not connection.closing:
            self._answer(Owed(4, packet.packet_id, reason))

    def keep(self, route: Route, piece: bytes, numbers: list[bytes], named: Collection[str]) -> None:
        """A run of QoS 1 packets of a plain route, for its durable sessions; PUBACKs follow when it is on disk, and the
        ids recorded."""
        broker, batch = self._broker, self._batch
        broker.received += len(numbers)
        if named and broker.recording is not None:
            batch = broker.recording.record(batch, named)
        if route.kept:
            message = outgoing_run(self._connection.level, piece, broker.clock())
            for session in route.kept:
                if session.backlog is not None:
                    batch.append(session.backlog, message)
        self._owe(OwedRun(numbers))

    def _publish_once(self, number: int, publication: Publication) -> None:
        owed = Owed(5, number, Reason.SUCCESS)
        if not self._exactly.again(number, self._batch):
            owed.reason = self._refusal(publication)
            if not owed.reason:
                self._exactly.publish(number, publication, owed)
        if not self._connection.closing:
            self._answer(owed, at_once=bool(owed.reason))

    def _resolve_alias(self, packet: Publish) -> None:
        """5.0 s. 3.3.2.3.4."""
        alias = packet.properties.topic_alias if packet.properties is not None else None
        if alias is None:
            return
        if not 0 < alias <= self._connection.profile.topic_aliases:
            raise ProtocolViolation(f"topic alias {alias}", Reason.TOPIC_ALIAS_INVALID)
        if packet.topic:
            self._aliases[alias] = packet.topic
        elif alias in self._aliases:
            packet.topic = self._aliases[alias]
        else:
            raise ProtocolViolation(f"topic alias {alias} names no topic yet")

    def _refusal(self, publication: Publication) -> int:
        """The reason code where the client may not publish this; 0 where it may."""
        if publication.properties is not None and publication.properties.subscription_identifiers:
            raise ProtocolViolation("a client's PUBLISH with a subscription identifier")
        topic = publication.topic
        if not publication.retain and self._connection.knows(encode_text(topic)):
            return Reason.SUCCESS
        self._check_name(topic)
        return Reason.SUCCESS if self._may_publish(publication) else self._denied(publication)

    def _distribute(self, publication: Publication) -> int:
        """The reason code for PUBACK; what must be waited for is in the batch."""
        connection, session = self._connection, self._session
        topic = publication.topic
        if topic.startswith("$"):
            self._broker.reserve(session.client, publication, self._batch)
            if not publication.retain:
                connection.remember(encode_text(topic), RESERVED)
            return Reason.SUCCESS
        try:
            route = self._broker.distribute(publication, session, self._batch)
        except RetainedFull as problem:
            log.warning("%s: %s", topic, problem)
            return self._refuse(Reason.QUOTA_EXCEEDED, str(problem), publication.qos)
        if not publication.retain:
            connection.remember(encode_text(topic), route)
        return Reason.SUCCESS

    def _check_name(self, topic: str) -> None:
        profile = self._connection.profile
        extra = 2 if topic.startswith("$aws/rules/") else 0  # AWS does not count the prefix of Basic Ingest
        try:
            check_name(topic, max_bytes=profile.max_topic_bytes, max_slashes=profile.max_slashes + extra)
        except BadTopic as problem:
            raise ProtocolViolation(str(problem), Reason.TOPIC_NAME_INVALID) from problem

    def _may_publish(self, publication: Publication) -> bool:
        """Topics that begin with $ are the server's (5.0 s. 4.7.2), but for those that it has a use for."""
        topic = publication.topic
        if topic.startswith("$") and not (topic.startswith("$aws/") and self._broker.reserved is not None):
            return False
        session = self._session
        return session.access.publish(session.client, topic, publication.retain)

    def _denied(self, publication: Publication) -> int:
        message = f"not allowed to publish to {publication.topic}"
        if self._connection.profile.denied_publish_disconnects:
            self._connection.fail(Reason.NOT_AUTHORIZED, message)
            return Reason.NOT_AUTHORIZED
        return self._refuse(Reason.NOT_AUTHORIZED, message, publication.qos)

    def _refuse(self, reason: Reason, message: str, qos: int) -> int:
        """MQTT 5 has a reason code in PUBACK; elsewhere the end of the connection is the only way to say no."""
        if self._connection.level == 4 or not qos:
            self._connection.fail(reason, message)
        return reason

    # --------------------------------------------------------------------------------------- answers

    def _answer(self, owed: Owed, *, at_once: bool = True) -> None:
        if at_once and self._tail is None and self._batch.empty and not self._batch.owed:
            self._say(owed)
        else:
            self._owe(owed)

    def _owe(self, owed: Owed | OwedRun) -> None:
        before = self._batch.count
        self._batch.owe(owed)
        self._waiting += self._batch.count - before
        self.unsettled = True
        if self._connection.level == 5 and self._waiting > self._connection.profile.receive_maximum:
            raise ProtocolViolation("more than the receive maximum", Reason.RECEIVE_MAXIMUM_EXCEEDED)

    def end_of_read(self) -> None:
        """Start what the publishes of this read wait for."""
        batch = self._batch
        self._exactly.end_of_read(batch)
        if batch.empty and not batch.owed:
            return
        self._batch = Batch()
        self.unsettled = True
        started = None if batch.empty else batch.start()
        self._tail = self._broker.spawn(self._settle(batch, started, self._tail))
        if self._waiting > self._broker.limits.unsettled and not self._stopped:
            self._stopped = True
            self._connection.transport.pause_reading()

    async def _settle(
        self, batch: Batch, started: asyncio.Future[list[Any]] | None, before: asyncio.Task[None] | None
    ) -> None:
        failure = None
        if started is not None:
            try:
                check(await started)
            except NotStored as problem:
                failure = problem
        if before is not None:
            await asyncio.wait([before])
        if self._tail is asyncio.current_task():
            self._tail = None
            self.unsettled = not self._batch.empty or bool(self._batch.owed)
        self._waiting -= batch.count
        if not self._connection.closing:
            self._acknowledge(batch, failure)
            self._read_on()

    def _acknowledge(self, batch: Batch, failure: NotStored | None) -> None:
        if failure is not None:
            self._broker.unstored.tell(batch.count, f"(of {self._connection.name})", failure)
            if any(owed.kind == 5 or self._connection.level == 4 for owed in batch.owed):
                # 3.1.1 has no other way to say no; of QoS 2 some may be stored, and is to come by the same number.
                self._connection.fail(Reason.UNSPECIFIED_ERROR, "not stored")
                return
        for owed in batch.owed:
            if isinstance(owed, OwedRun):
                self._say_run(owed, failure)
            else:
                self._say(owed if failure is None else Owed(owed.kind, owed.number, Reason.UNSPECIFIED_ERROR))
        self._broker.flush()

    def _say_run(self, owed: OwedRun, failure: NotStored | None) -> None:
        if failure is not None:
            for number in owed.numbers:
                self._say(Owed(owed.kind, int.from_bytes(number, "big"), Reason.UNSPECIFIED_ERROR))
            return
        self._broker.touch(self._session)
        self._session.out.append(PUBACK + PUBACK.join(owed.numbers))

    def _say(self, owed: Owed) -> None:
        if owed.kind == 5:
            self._exactly.recorded(owed)
        if owed.reason >= 0x80 and self._connection.level == 4:
            self._connection.fail(Reason(owed.reason), "refused")
        else:
            self._connection.send(Ack(owed.kind, owed.number, owed.reason))

    def _read_on(self) -> None:
        if self._stopped and self._waiting <= self._broker.limits.unsettled // 2:
            self._stopped = False
            self._connection.transport.resume_reading()
