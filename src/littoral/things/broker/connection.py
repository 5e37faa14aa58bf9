"""One connection: the bytes of a socket to packets, packets to the broker, the broker's bytes to the socket.

The hot path is ``_scan``. A whole read is parsed in one loop; what a monitor or a fleet sends all day, PUBLISH and
PUBACK with nothing special about them, never becomes an object:

====================  =====================================================================================
QoS 0, plain route    consecutive packets of one topic are forwarded as one slice of the read
QoS 1, plain route    the packet's bytes before and after its identifier are shared by every subscriber
everything else       ``decode`` and ``Handling``: first packets, properties, retained, durable sessions, taps
====================  =====================================================================================

A topic's bytes lead to its route through ``_routes``, which holds only topics that are well-formed and that this
client may publish to. It is emptied when ``Router.generation`` says that something changed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Disconnect, Packet
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.wire import MalformedPacket, encode_variable
from littoral.things.broker.handling import Handling
from littoral.things.broker.runs import LONGEST
from littoral.things.broker.session import Session

if TYPE_CHECKING:
    from littoral.protocols.customauth import Http
    from littoral.things.access import Access
    from littoral.things.broker.broker import Broker
    from littoral.things.broker.limits import Profile
    from littoral.things.broker.router import Route

log = logging.getLogger(__name__)
MAX_EARLY: Final = 64 * 1024  # bytes held of a client that sends on before CONNACK
MAX_TOPICS: Final = 4096  # routes remembered by one connection
QOS0, QOS1, PUBACK = 0x30, 0x32, 0x40


class Connection(asyncio.Protocol):
    def __init__(
        self, broker: Broker, listener: str, access: Access, profile: Profile, upgrade: Http | None = None
    ) -> None:
        self.broker = broker
        self.upgrade = upgrade
        self.listener = listener
        self.access = access
        self.profile = profile
        self.level = 4
        self.session: Session | None = None
        self.deadline = 0.0  # Unix seconds at which the client is given up
        self.patience = 0.0  # seconds of silence allowed; 0: any
        self.heard = False
        self.closing = False
        self.left = False  # the client said DISCONNECT
        self.graceful = False  # and no will is to be published
        self.gone = False  # the socket is
        self.max_packet = broker.max_packet(profile)
        self._handling = Handling(self)
        self._chunks: list[bytes] = []
        self._have = self._need = 0
        self._routes: dict[bytes, Route] = {}
        self._generation = -1
        self._opening: asyncio.Task[None] | None = None
        self._held_back = False

    # -------------------------------------------------------------------------------------- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(self.broker.limits.out_buffer)
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
                self._scan(data)
            else:
                self._early(data)
        except MalformedPacket as problem:
            self.fail(problem.reason, str(problem))
        self._handling.end_of_read()  # also where the read ended in DISCONNECT, or badly: what came before it counts
        if self.broker.dirty:
            self.broker.flush()

    # ------------------------------------------------------------------------------------- hot path

    def _scan(self, data: bytes) -> None:  # noqa: PLR0912, PLR0915 - one loop, unrolled on purpose
        session = cast(Session, self.session)
        broker = self.broker
        dirty = broker.dirty
        level = session.level
        at, end = 0, len(data)
        run_at, run_count = 0, 0
        run: Route | None = None
        numbers: list[bytes] = []  # of a run of QoS 1 that is to be stored
        key = b""
        route: Route | None = None
        acks: list[bytes] = []
        acked = 0
        handling = self._handling
        largest = self.profile.max_payload
        self._check_generation()
        while at < end:
            first = data[at]
            body = at + 2
            if body > end:
                break
            length = data[at + 1]
            if length >= 0x80:
                found = self._length(data, at)
                if found is None:
                    break
                body, length = found
            stop = body + length
            if stop - at > self.max_packet:
                raise MalformedPacket(f"a packet of more than {self.max_packet} bytes", Reason.PACKET_TOO_LARGE)
            if stop > end:
                break
            if first in (QOS0, QOS1) and stop - at <= largest:
                if not (key and data.startswith(key, body)):
                    key = data[body : body + 2 + int.from_bytes(data[body : body + 2], "big")]
                    route = self._routes.get(key)
                after = body + len(key)
                if route is not None and after <= stop and route.plain in (level, -1):
                    if first == QOS0:
                        if level == 4 or (after < stop and not data[after]):
                            if run is not route or numbers:
                                if run is not None:
                                    self._end_run(run, data[run_at:at], run_count, numbers)
                                run, run_at, run_count, numbers = route, at, 0, []
                            run_count += 1
                            at = stop
                            continue
                    elif after + 2 <= stop and (level == 4 or (after + 2 < stop and not data[after + 2])):
                        number = data[after : after + 2]
                        if number != b"\0\0":
                            at_once = not (route.kept or numbers or handling.unsettled)
                            if run is not None and (
                                at_once or run is not route or not numbers or len(numbers) == LONGEST
                            ):
                                self._end_run(run, data[run_at:at], run_count, numbers)
                                run, numbers = None, []
                            if route.at_qos1:
                                share(route.at_qos1, (data[at:after], data[after + 2 : stop]), dirty)
                            if route.at_qos0:
                                forward(route.at_qos0, without_number(data, body, after, stop), 1, dirty)
                            broker.sent += len(route.everyone)
                            if at_once:
                                acks += (b"@\x02", number)
                            else:
                                if run is None:
                                    run, run_at = route, at
                                numbers.append(number)
                            at = stop
                            continue
            if run is not None:
                self._end_run(run, data[run_at:at], run_count, numbers)
                run, numbers = None, []
            if first == PUBACK and length == 2:
                acked += session.acknowledged(data[body] << 8 | data[body + 1])
                at = stop
                continue
            if acks:
                self._acknowledge(session, acks)
            handling.take(first, data, body, stop)
            if self.closing:
                return
            self._check_generation()
            key = b""
            at = stop
        if run is not None:
            self._end_run(run, data[run_at:at], run_count, numbers)
        if acks:
            self._acknowledge(session, acks)
        if acked:
            session.refill(broker.clock())
            if session.out:
                dirty.append(session)
        if at < end:
            self._keep(data, at)

    def _end_run(self, run: Route, piece: bytes, count: int, numbers: list[bytes]) -> None:
        """``count`` packets of QoS 0; or those of QoS 1 that bear ``numbers`` and wait for the disk."""
        if numbers:
            self._handling.keep(run, piece, numbers)
        else:
            forward(run.everyone, piece, count, self.broker.dirty)
            self.broker.received += count
            self.broker.sent += count * len(run.everyone)

    def _acknowledge(self, session: Session, acks: list[bytes]) -> None:
        self.broker.received += len(acks) >> 1
        if not session.out:
            self.broker.dirty.append(session)
        session.out.append(b"".join(acks))
        acks.clear()

    def _check_generation(self) -> None:
        generation = self.broker.router.generation
        if generation != self._generation:
            self._routes.clear()
            self._generation = generation

    def knows(self, topic: bytes) -> bool:
        """Whether this client is known to be allowed to publish there."""
        self._check_generation()
        return topic in self._routes

    def remember(self, topic: bytes, route: Route) -> None:
        """This client may publish there. ``topic`` is as on the wire, with its length."""
        if len(self._routes) >= MAX_TOPICS:
            self._routes.clear()
        self._routes[topic] = route

    @staticmethod
    def _length(data: bytes, at: int) -> tuple[int, int] | None:
        """Where the body begins and how long it is; None where the length itself is not there yet."""
        length = shift = 0
        for body in range(at + 1, at + 5):
            if body >= len(data):
                return None
            byte = data[body]
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                return body + 1, length
            shift += 7
        raise MalformedPacket("a remaining length of more than four bytes")

    def _keep(self, data: bytes, at: int) -> None:
        """Part of a packet: look again when all of it is there, not at every byte."""
        rest = data[at:]
        self._chunks = [rest]
        self._have = len(rest)
        found = self._length(rest, 0) if len(rest) > 1 else None
        self._need = sum(found) if found is not None else self._have + 1

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


def forward(sessions: list[Session], piece: bytes, count: int, dirty: list[Session]) -> None:
    """``count`` QoS 0 packets, as they are."""
    for session in sessions:
        if session.paused:
            session.dropped += count
        else:
            out = session.out
            if not out:
                dirty.append(session)
            out.append(piece)


def share(sessions: list[Session], parts: tuple[bytes, bytes], dirty: list[Session]) -> None:
    """One QoS 1 packet, for each with an identifier of its own."""
    for session in sessions:
        if session.out:
            session.send_parts(parts)
        else:
            session.send_parts(parts)
            if session.out or session.overflowed:
                dirty.append(session)


def without_number(data: bytes, body: int, after: int, stop: int) -> bytes:
    """A QoS 1 PUBLISH as QoS 0."""
    return b"0" + encode_variable(stop - body - 2) + data[body:after] + data[after + 2 : stop]
