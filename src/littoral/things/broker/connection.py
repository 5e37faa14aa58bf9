"""One connection: a socket's bytes to the broker (``scanning``), the broker's bytes to the socket; CONNECT, time."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final, cast

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Disconnect, Packet
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.wire import MalformedPacket
from littoral.things.broker.handling import Handling
from littoral.things.broker.scanning import PUBACK, QOS0, Scanning

if TYPE_CHECKING:
    from littoral.protocols.customauth import Http
    from littoral.things.access import Access
    from littoral.things.broker.broker import Broker
    from littoral.things.broker.limits import Profile

log = logging.getLogger(__name__)
MAX_EARLY: Final = 64 * 1024  # bytes held of a client that sends on before CONNACK
SMALL: Final = 1024  # bytes of a read that need not be passed on at once, where many are to get them
UNANSWERED: Final = (bytes([QOS0]), bytes([PUBACK]))  # the first byte of packets to which nothing is said


class Connection(Scanning):
    def __init__(
        self, broker: Broker, listener: str, access: Access, profile: Profile, upgrade: Http | None = None
    ) -> None:
        super().__init__(broker, profile)
        self.upgrade = upgrade
        self.listener = listener
        self.access = access
        self.level = 4
        self.deadline = 0.0  # Unix seconds at which the client is given up
        self.patience = 0.0  # seconds of silence allowed; 0: any
        self.heard = False
        self.left = False  # the client said DISCONNECT
        self.graceful = False  # and no will is to be published
        self.gone = False  # the socket is
        self.why: Reason | None = None  # the broker ended it
        self._handling = Handling(self)
        self._opening: asyncio.Task[None] | None = None
        self._held_back = False
        self._tcp: socket.socket | None = None

    # -------------------------------------------------------------------------------------- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(self.broker.limits.out_buffer)
        self._tcp = tcp_of(self.transport)
        self.deadline = self.broker.clock() + self.broker.limits.connect_timeout
        if not self.broker.admit(self):
            self.closing = True
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = self.gone = True
        self.broker.lost(self)

    def pause_writing(self) -> None:
        if self.session is not None:
            self.session.paused = True

    def resume_writing(self) -> None:
        if self.session is not None:
            self.session.paused = False
            self.session.refill(self.broker.clock())
            self.session.flush()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.heard = True
        if self._tcp is not None and data[:1] in UNANSWERED:
            self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if self._chunks:
            self._chunks.append(data)
            self._have += len(data)
            if self._have < self._need or self._opening is not None:
                self._hold_back()
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        try:
            if self.session is not None:
                self.scan(data)
            else:
                self._early(data)
        except MalformedPacket as problem:
            self.fail(problem.reason, str(problem))
        self._handling.end_of_read()  # also where the read ended in DISCONNECT, or badly: what came before it counts
        if self.broker.dirty:
            if len(data) <= SMALL:
                if self.session is not None and self.session.out:
                    self.session.flush()
                self.broker.flush_soon()
            else:
                self.broker.flush()

    # ---------------------------------------------------------------------------------- before CONNACK

    def _early(self, data: bytes) -> None:
        if self._opening is not None:
            self._chunks, self._have, self._need = [data], len(data), 0
            self._hold_back()
            return
        if data[0] != 0x10:
            raise MalformedPacket("the first packet is no CONNECT", Reason.PROTOCOL_ERROR)
        found = self._length(data, 0) if len(data) > 1 else None
        if found is not None and sum(found) > self.max_packet:
            raise MalformedPacket("CONNECT is too large", Reason.PACKET_TOO_LARGE)
        if found is None or sum(found) > len(data):
            self._keep(data, 0)
            return
        body, length = found
        self._opening = self.broker.spawn(self._open(data, body, body + length))
        if len(data) > body + length:
            self._early(data[body + length :])

    def _hold_back(self) -> None:
        if self._opening is not None and self._have >= MAX_EARLY and not self._held_back:
            self._held_back = True
            self.transport.pause_reading()

    async def _open(self, data: bytes, body: int, stop: int) -> None:
        try:
            self.session = await self.broker.connecting.connect(self, data, body, stop)
        except MalformedPacket as problem:
            self.fail(problem.reason, str(problem))
            return
        except Exception:
            log.exception("a CONNECT could not be handled")
            self.fail(Reason.UNSPECIFIED_ERROR, "the broker failed")
            return
        if self.session is None:
            return
        self._opening = None
        early, self._chunks = b"".join(self._chunks), []
        if early:
            self.data_received(early)
        if self._held_back and not self.closing:
            self.transport.resume_reading()
        self.broker.flush()

    # --------------------------------------------------------------------------------------- sending

    def send(self, packet: Packet) -> None:
        """Behind what is already gathered for this client."""
        raw = encode(packet, self.level)
        if self.session is None:
            self.transport.write(raw)
        else:
            self.broker.touch(self.session)
            self.session.out.append(raw)

    def fail(self, reason: Reason, message: str) -> None:
        """Tell a v5 client why, and close. A will is published."""
        if self.closing:
            return
        log.info("%s: %s (%s)", self.name, message, reason.name)
        self.why = reason
        if self.session is not None:
            self.session.flush()
            if self.level == 5:
                self.transport.write(encode(Disconnect(reason, {"reason_string": message[:200]}), 5))
        else:
            self.broker.connecting.refuse_unread(self, reason)
        self.close(linger=self.session is not None and self.level == 5 and self.transport.can_write_eof())

    def close(self, *, linger: bool = False) -> None:
        """What was written is sent first, for a while: the sweep aborts a socket that does not drain.

        ``linger``: the client closes, when it has read why. What it is still sending would else be answered by a
        reset, which takes the reason from it. It is read and thrown away, as is everything after ``closing``.
        """
        self.closing = True
        self.deadline = self.broker.clock() + 5.0
        if linger and not self.broker.closing:
            self.transport.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()
        self.broker.lost(self)

    @property
    def name(self) -> str:
        return repr(self.session.client_id) if self.session is not None else self.listener

    # ------------------------------------------------------------------------------------------ time

    def sweep(self, now: float) -> None:
        """Once a second: silence beyond 1.5 keep-alives, and a CONNECT that does not come (s. 3.1.2.10)."""
        if self.session is not None and not self.closing:
            if self.heard:
                self.heard = False
                self.deadline = now + self.patience
            if now >= self.session.client.due:
                self.broker.on_due(self.session.client)
        if now < self.deadline or (self.session is not None and not self.patience and not self.closing):
            return
        if self.closing:
            self.transport.abort()
        elif self.session is None:
            self.closing = True
            self.transport.abort()
        else:
            self.fail(Reason.KEEP_ALIVE_TIMEOUT, "nothing was heard for one and a half keep-alives")


def tcp_of(transport: asyncio.BaseTransport) -> socket.socket | None:
    """Where TCP is to acknowledge at once what MQTT does not answer. Else the kernel waits 40 ms for an answer that the
    acknowledgement might ride on; a client with Nagle's algorithm (paho is one) holds back its next message so long.
    """
    sock: socket.socket | None = transport.get_extra_info("socket")
    return sock if sock is not None and sock.family != socket.AF_UNIX else None
