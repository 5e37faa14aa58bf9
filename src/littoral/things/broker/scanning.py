"""The hot path: a whole read is parsed in one loop (``scan``). What a monitor or a fleet sends all day, PUBLISH and
PUBACK with nothing special about them, never becomes an object:

====================  =====================================================================================
QoS 0, plain route    consecutive packets of one topic are forwarded as one slice of the read
QoS 1, plain route    the packet's bytes before and after its identifier are shared by every subscriber; for durable
                      sessions consecutive packets are stored as one slice, also those with an id (``naming``)
everything else       ``decode`` and ``Handling``: first packets, other properties, retained, taps
====================  =====================================================================================

A topic's bytes lead to its route through ``_routes``, which holds only topics that are well-formed and that this
client may publish to. It is emptied when ``Router.generation`` says that something changed.

``Connection`` is made of it. Refuses to know sockets, CONNECT and time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.wire import MalformedPacket, encode_variable
from littoral.things.access import UserProperties
from littoral.things.broker.naming import identity_in
from littoral.things.broker.router import RESERVED
from littoral.things.broker.runs import LONGEST
from littoral.things.broker.session import Session

if TYPE_CHECKING:
    from littoral.things.broker.broker import Broker
    from littoral.things.broker.handling import Handling
    from littoral.things.broker.limits import Profile
    from littoral.things.broker.router import Route

MAX_TOPICS: Final = 4096  # routes remembered by one connection
QOS0, QOS1, PUBACK = 0x30, 0x32, 0x40


class Scanning(asyncio.Protocol):
    def __init__(self, broker: Broker, profile: Profile) -> None:
        self.broker = broker
        self.profile = profile
        self.session: Session | None = None
        self.closing = False
        self.max_packet = broker.max_packet(profile)
        self._handling: Handling
        self._chunks: list[bytes] = []  # the beginning of a packet
        self._have = self._need = 0
        self._routes: dict[bytes, Route] = {}
        self._generation = -1
        self.added: UserProperties = ()  # to what this client publishes

    def scan(self, data: bytes) -> None:  # noqa: PLR0912, PLR0915 - one loop, unrolled on purpose
        session = cast(Session, self.session)
        broker = self.broker
        dirty = broker.dirty
        level = session.level
        at, end = 0, len(data)
        run_at, run_count = 0, 0
        run: Route | None = None
        numbers: list[bytes] = []  # of a run of QoS 1 that is to be stored
        named: dict[str, None] = {}  # the ids of all of it, or of none
        key = b""
        route: Route | None = None
        acks: list[bytes] = []
        acked = 0
        handling = self._handling
        recording = broker.recording
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
                                    self._end_run(run, data[run_at:at], run_count, numbers, named)
                                run, run_at, run_count, numbers, named = route, at, 0, [], {}
                            run_count += 1
                            at = stop
                            continue
                    elif after + 2 <= stop and (level == 4 or after + 2 < stop):
                        number = data[after : after + 2]
                        bare = level == 4 or not data[after + 2]
                        identity = "" if bare or recording is None else identity_in(data, after + 2, stop)
                        if number != b"\0\0" and (
                            bare or (identity and recording and identity not in named and recording.fresh(identity))
                        ):
                            at_once = not (route.kept or numbers or identity or handling.unsettled)
                            if run is not None and (
                                at_once
                                or not numbers
                                or len(numbers) == LONGEST
                                or (run is not route and run.kept != route.kept)
                                or bool(named) != bool(identity)
                            ):
                                self._end_run(run, data[run_at:at], run_count, numbers, named)
                                run, numbers, named = None, [], {}
                            if route.at_qos1:
                                share(route.at_qos1, (data[at:after], data[after + 2 : stop]), dirty)
                            if route.at_qos0:
                                forward(route.at_qos0, without_number(data, body, after, stop), 1, dirty)
                            broker.sent += route.receivers
                            if at_once:
                                acks += (b"@\x02", number)
                            else:
                                if run is None:
                                    run, run_at = route, at
                                numbers.append(number)
                                if identity:
                                    named[identity] = None
                            at = stop
                            continue
            if run is not None:
                self._end_run(run, data[run_at:at], run_count, numbers, named)
                run, numbers, named = None, [], {}
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
            self._end_run(run, data[run_at:at], run_count, numbers, named)
        if acks:
            self._acknowledge(session, acks)
        if acked:
            session.refill(broker.clock())
            if session.out:
                dirty.append(session)
        if at < end:
            self._keep(data, at)

    def _end_run(self, run: Route, piece: bytes, count: int, numbers: list[bytes], named: dict[str, None]) -> None:
        """``count`` packets of QoS 0; or those of QoS 1 that bear ``numbers`` and wait for the disk."""
        if numbers:
            self._handling.keep(run, piece, numbers, named)
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
            session = cast(Session, self.session)
            self.added = session.access.additions(session.client)

    def knows(self, topic: bytes) -> bool:
        """Whether this client is known to be allowed to publish there."""
        self._check_generation()
        return topic in self._routes

    def remember(self, topic: bytes, route: Route) -> None:
        """This client may publish there. ``topic`` is as on the wire, with its length. Where something is to be added
        to its messages none goes on as it came."""
        if len(self._routes) >= MAX_TOPICS:
            self._routes.clear()
        self._routes[topic] = RESERVED if self.added else route

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
