"""CONNECT: who it is, whether it may, and which session it gets."""

from __future__ import annotations

import hashlib
import logging
import secrets
import uuid
from typing import TYPE_CHECKING, Any

from littoral.protocols.customauth import Mqtt, Presented
from littoral.protocols.mqtt.decode import decode
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Connack, Connect, Will
from littoral.protocols.mqtt.reasons import Reason, v3_connack
from littoral.protocols.mqtt.topics import BadTopic, check_name
from littoral.things.access import Client, Refusal
from littoral.things.broker.limits import Profile
from littoral.things.broker.session import Session

if TYPE_CHECKING:
    from littoral.things.broker.broker import Broker
    from littoral.things.broker.connection import Connection

log = logging.getLogger(__name__)
FOREVER = 0xFFFFFFFF  # a session expiry that means never (5.0 s. 3.1.2.11.2)


class Connecting:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def connect(self, connection: Connection, data: bytes, body: int, stop: int) -> Session | None:
        """The session, attached and with CONNACK sent; None where the client was refused or went away.

        Raises MalformedPacket.
        """
        if stop - body > 6 and data[body + 6] == 5:
            connection.level = 5  # so that even a malformed CONNECT is refused in its own words
        packet = decode(0x10, data, body, stop, connection.level)
        assert isinstance(packet, Connect)
        connection.level = packet.level
        assigned = None
        if not packet.client_id and (packet.clean or packet.level == 5):
            packet.client_id = assigned = "littoral-" + secrets.token_hex(12)
        client = self._client(connection, packet, assigned is not None)
        refusal = self._check(connection, packet, client) or await connection.access.identify(client)
        if connection.closing:  # it took a while
            return None
        refusal = refusal or self._authorize(connection, packet, client)
        client.password = None
        if client.admission is None:
            client.presented = None  # nobody will be asked about it again
        if refusal is not None:
            self._refuse(connection, refusal, client)
            return None
        async with self._broker.sessions.turn(client.client_id):
            return await self._session(connection, packet, client, assigned)

    # --------------------------------------------------------------------------------------- refusals

    def _client(self, connection: Connection, packet: Connect, nameless: bool) -> Client:
        transport = connection.transport
        tls = transport.get_extra_info("ssl_object")
        certificate: bytes | None = tls.getpeercert(True) if tls is not None else None
        peer = transport.get_extra_info("peername") or ("", 0)
        return Client(
            client_id=packet.client_id,
            principal=hashlib.sha256(certificate).hexdigest() if certificate else "",
            certificate=certificate,
            username=packet.username,
            password=packet.password,
            host=str(peer[0]),
            port=int(peer[1]) if len(peer) > 1 else 0,
            level=packet.level,
            will_topic=packet.will.topic if packet.will is not None else None,
            clean=packet.clean,
            keep_alive=packet.keep_alive,
            listener=connection.listener,
            presented=None if certificate else _presented(connection, packet, tls, nameless),
        )

    def _check(self, connection: Connection, packet: Connect, client: Client) -> Refusal | None:
        profile = connection.profile
        if self._broker.closing:
            return Refusal(Reason.SERVER_SHUTTING_DOWN)
        if not client.client_id or len(client.client_id.encode()) > profile.max_client_id_bytes:
            return Refusal(Reason.CLIENT_IDENTIFIER_NOT_VALID, "the client identifier is empty or too long")
        if "authentication_method" in packet.properties:
            return Refusal(Reason.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not supported")
        if len(self._broker.sessions) >= self._broker.limits.max_sessions:
            return Refusal(Reason.QUOTA_EXCEEDED, "too many sessions")
        if packet.will is not None:
            return _check_will(packet.will, profile)
        return None

    def _authorize(self, connection: Connection, packet: Connect, client: Client) -> Refusal | None:
        refusal = connection.access.connect(client)
        if refusal is not None or packet.will is None:
            return refusal
        will = packet.will
        if will.topic.startswith("$") or not connection.access.publish(client, will.topic, will.retain):
            return Refusal(Reason.NOT_AUTHORIZED, f"not allowed to publish a will to {will.topic}")
        return None

    def _refuse(self, connection: Connection, refusal: Refusal, client: Client) -> None:
        log.info("%r of %s: refused, %s %s", client.client_id, client.host, refusal.reason.name, refusal.message)
        self._send_refusal(connection, refusal)
        connection.close()

    def _send_refusal(self, connection: Connection, refusal: Refusal) -> None:
        if connection.level == 5:
            properties = {"reason_string": refusal.message} if refusal.message else {}
            connection.transport.write(encode(Connack(refusal.reason, False, properties), 5))
        elif (code := v3_connack(refusal.reason)) is not None:
            connection.transport.write(encode(Connack(code), 4))

    def refuse_unread(self, connection: Connection, reason: Reason) -> None:
        """A CONNECT that cannot be read; what is no CONNECT at all gets no answer (s. 3.1)."""
        if reason == Reason.UNSUPPORTED_PROTOCOL_VERSION:
            connection.transport.write(encode(Connack(1), 4))  # the form that every version understands
        elif connection.level == 5:
            self._send_refusal(connection, Refusal(reason))

    # ---------------------------------------------------------------------------------------- session

    async def _session(
        self, connection: Connection, packet: Connect, client: Client, assigned: str | None
    ) -> Session | None:
        broker = self._broker
        old = broker.sessions.get(client.client_id)
        if old is not None and old.connection is not None:
            old.connection.fail(Reason.SESSION_TAKEN_OVER, "the same client identifier connected again")
            old = broker.sessions.get(client.client_id)
        # A session belongs to whose certificate or authorizer made it: another one's messages are nobody's business.
        mine = old is not None and old.client.owner == client.owner
        resumes = old is not None and mine and not packet.clean and not old.over(broker.clock())
        if old is not None and not resumes:
            broker.leaving.publish_will(old)
            await broker.sessions.end(old)
        session = (
            old
            if old is not None and resumes
            else Session(client, connection.access, connection.profile, broker.limits)
        )
        self._configure(session, connection, packet, client)
        if resumes:
            await broker.sessions.save(session)
            if session.ledger:
                await session.ledger.save()  # a save may have failed when its connection did
        else:
            await broker.sessions.open(session)
        if connection.closing:
            broker.leaving.gone(session)
            return None
        self._attach(session, connection, packet, assigned, resumes)
        return session

    def _configure(self, session: Session, connection: Connection, packet: Connect, client: Client) -> None:
        profile, properties = connection.profile, packet.properties
        session.client = client
        session.access, session.profile, session.level = connection.access, profile, packet.level
        wanted = properties.get("session_expiry", 0) if packet.level == 5 else (0 if packet.clean else FOREVER)
        session.expiry = min(wanted, profile.session_expiry)
        session.expires_at = None
        session.will, session.will_due = packet.will, None
        window = properties.get("receive_maximum", 65535) if packet.level == 5 else self._broker.limits.window
        session.window = min(window, profile.receive_maximum)
        session.max_packet = properties.get("maximum_packet_size", 0)
        session.most_aliases = min(properties.get("topic_alias_maximum", 0), profile.topic_aliases)
        session.aliases = {}
        session.paused = session.overflowed = False
        session.out = []

    def _attach(
        self, session: Session, connection: Connection, packet: Connect, assigned: str | None, resumes: bool
    ) -> None:
        broker = self._broker
        keep_alive = _keep_alive(packet.keep_alive, connection.profile)
        connection.patience = keep_alive * 1.5
        connection.deadline = broker.clock() + connection.patience
        properties = self._properties(session, packet, assigned, keep_alive) if packet.level == 5 else {}
        connection.transport.write(encode(Connack(0, resumes, properties), packet.level))
        session.connection, session.transport = connection, connection.transport
        broker.router.changed()
        now = broker.clock()
        session.redeliver(now)
        session.refill(now)
        session.flush()
        if session.backlog is not None:
            session.backlog.start(session, Session.flush, broker.clock)
        broker.connected(session)

    def _properties(self, session: Session, packet: Connect, assigned: str | None, keep_alive: int) -> dict[str, Any]:
        profile, asked = session.profile, packet.properties.get("session_expiry", 0)
        return {
            "session_expiry": session.expiry if session.expiry != asked else None,
            "receive_maximum": profile.receive_maximum,
            "maximum_qos": 1 if profile.maximum_qos == 1 else None,
            "maximum_packet_size": self._broker.max_packet(profile),
            "assigned_client_id": assigned,
            "topic_alias_maximum": profile.topic_aliases,
            "subscription_identifier_available": None if profile.subscription_identifiers else 0,
            "server_keep_alive": keep_alive if keep_alive != packet.keep_alive else None,
        }


def _presented(connection: Connection, packet: Connect, tls: Any, nameless: bool) -> Presented:
    shown = Mqtt(packet.username, packet.password, None if nameless else packet.client_id)
    name = getattr(tls, "littoral_server_name", None)
    return Presented(str(uuid.uuid4()), tls is not None, name, connection.upgrade, shown)


def _check_will(will: Will, profile: Profile) -> Refusal | None:
    try:
        check_name(will.topic, max_bytes=profile.max_topic_bytes, max_slashes=profile.max_slashes)
    except BadTopic as problem:
        return Refusal(Reason.TOPIC_NAME_INVALID, f"the will's topic: {problem}")
    if will.qos > profile.maximum_qos:
        return Refusal(Reason.QOS_NOT_SUPPORTED, f"a will of QoS {will.qos}")
    if len(will.payload) > profile.max_payload:
        return Refusal(Reason.PACKET_TOO_LARGE, "the will's payload is too large")
    return None


def _keep_alive(asked: int, profile: Profile) -> int:
    shortest, longest = profile.keep_alive
    if not longest:
        return asked
    return min(max(asked, shortest), longest) if asked else longest
