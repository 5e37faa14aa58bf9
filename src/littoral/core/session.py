"""One MQTT 5 client session upward, without sockets: bytes in and out, what is unacknowledged, when to give up.

Owns: packet identifiers, the window of QoS 1 publishes, the keep-alive. Time is an argument.

A publish keeps its identifier until it is acknowledged, over connections too: after a reconnect with the session
present it goes again with DUP and the same identifier (5.0 s. 4.4), before anything new, in its first order.

A spooled publish that is refused for a reason that time may heal (quota, busy) breaks the connection and goes again
with the next, so that order holds; one that is refused for good, or as not authorised, comes back with that reason.

``alone``: no publish is written while another is under way, so that one that ends the connection is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import again, encode, publish_with
from littoral.protocols.mqtt.packets import (
    Ack,
    Connack,
    Connect,
    Disconnect,
    Filter,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.wire import MalformedPacket

PUBACK = 4
LEVEL = 5
TOLD = (  # to whoever sent it; the others break the connection, and the publish goes again
    Reason.TOPIC_NAME_INVALID,
    Reason.PACKET_TOO_LARGE,
    Reason.PAYLOAD_FORMAT_INVALID,
    Reason.NOT_AUTHORIZED,
)


class Broken(Exception):
    """The connection is of no more use; the session goes on with the next."""


class Refused(Broken):
    """The place above answered, and did not let us in."""


class Cut(Broken):
    """The place above ended the connection: something that we sent is not authorised. It does not say what."""


@dataclass(slots=True)
class Timing:
    """Seconds."""

    ping_every: float = 2.0  # of silence
    dead_after: float = 5.0  # without a byte from above
    session_expiry: int = 7 * 24 * 3600


@dataclass(slots=True)
class _Sent:
    """A publish without its acknowledgement."""

    handle: Any
    packet: bytes
    topic: str
    lasting: bool  # it goes again, for as long as what refuses it may be healed
    written: bool = False  # in this session of the place above


@dataclass(slots=True)
class Happened:
    """What one read brought."""

    connected: bool = False
    acknowledged: list[tuple[Any, int]] = field(default_factory=list)  # (what was given with it, reason)
    messages: list[Publish] = field(default_factory=list)
    subscribed: list[tuple[int, Sequence[int]]] = field(default_factory=list)  # (packet identifier, reasons)
    broken: Broken | None = None  # what came before it in the same read counts


class Session:
    def __init__(self, client_id: str, window: int = 1000, timing: Timing | None = None) -> None:
        self.client_id = client_id
        self.timing = timing or Timing()
        self.connected = False
        self.window = window
        self.alone = False
        self._receive_maximum = 65535  # of the place above
        self._max_packet = 0
        self._unacknowledged: dict[int, _Sent] = {}
        self._due: dict[int, None] = {}  # of those, in order, what is not yet written on this connection
        self._next_id = 0
        self._asked: set[int] = set()  # identifiers of SUBSCRIBE and UNSUBSCRIBE
        self._decoder = Decoder(LEVEL)
        self._out: list[bytes] = []
        self._heard = 0.0
        self._pinged = False

    # ------------------------------------------------------------------------------------- connection

    def begin(self, now: float) -> None:
        """A new connection: forget the bytes of the last, say CONNECT."""
        self.connected = False
        self._decoder = Decoder(LEVEL)
        self._out.clear()
        self._asked.clear()
        self._due = dict.fromkeys(self._unacknowledged)
        self._heard = now
        self._pinged = False
        keep_alive = max(1, round(self.timing.dead_after))
        properties = {"session_expiry": self.timing.session_expiry, "receive_maximum": self.window}
        self._send(Connect(self.client_id, LEVEL, clean=False, keep_alive=keep_alive, properties=properties))

    def received(self, data: bytes, now: float) -> Happened:
        self._heard = now
        self._pinged = False
        happened = Happened()
        try:
            if self.connected:
                numbers, data = self._decoder.acknowledged(data)
                self._accepted(numbers, happened)
            for packet in self._decoder.feed(data) if data else ():
                self._take(packet, happened)
        except MalformedPacket as problem:
            happened.broken = Broken(f"the place above sent what is no MQTT: {problem}")
        except Broken as problem:
            happened.broken = problem
        return happened

    def tick(self, now: float) -> None:
        """Every second or oftener. Raises Broken where the path is dead."""
        if now - self._heard >= self.timing.dead_after:
            raise Broken(f"nothing was heard for {self.timing.dead_after:g} s")
        if self.connected and not self._pinged and now - self._heard >= self.timing.ping_every:
            self._pinged = True
            self._send(Pingreq())

    def tune(self, window: int, timing: Timing) -> None:
        self.window, self.timing = window, timing

    def leave(self) -> None:
        if self.connected:
            self._send(Disconnect())

    def outgoing(self) -> bytes:
        """Bytes to write now."""
        if self._due and self.connected:
            self._write_due()
        data = b"".join(self._out)
        self._out.clear()
        return data

    # --------------------------------------------------------------------------------------- messages

    @property
    def room(self) -> int:
        """How many more may be published now."""
        if not self.connected:
            return 0
        window = 1 if self.alone else min(self.window, self._receive_maximum)
        return max(0, window - len(self._unacknowledged))

    def fits(self, topic: str, payload: bytes, block: bytes) -> bool:
        """Whether the place above takes packets of this size. 16 bytes are for lengths and the identifier."""
        left = self._max_packet - 16 - len(payload) - len(block)
        return not self._max_packet or 4 * len(topic) <= left or len(topic.encode()) <= left

    def handles(self) -> list[Any]:
        """Of what is not acknowledged yet, in order."""
        return [sent.handle for sent in self._unacknowledged.values()]

    def publish(self, handle: Any, topic: str, payload: bytes) -> None:
        """QoS 1, once. ``handle`` comes back with the reason code of its acknowledgement."""
        self._publish(_Sent(handle, b"", topic, lasting=False), payload, b"", retain=False)

    def send(self, handle: Any, topic: str, payload: bytes, block: bytes, *, retain: bool = False) -> None:
        """QoS 1, until it is taken, or refused for good. ``block``: its properties, as on the wire."""
        self._publish(_Sent(handle, b"", topic, lasting=True), payload, block, retain)

    def _publish(self, sent: _Sent, payload: bytes, block: bytes, retain: bool) -> None:
        number = self._identifier()
        sent.packet = publish_with(block, sent.topic, payload, number, retain=retain)
        self._unacknowledged[number] = sent
        if self.connected and not self.alone and not self._due:
            sent.written = True
            self._out.append(sent.packet)
        else:
            self._due[number] = None

    def forget(self, handle: Any) -> None:
        """Not to be sent again, should it be unacknowledged."""
        self.withdraw(lambda each: each is handle)

    def withdraw(self, which: Callable[[Any], bool]) -> list[Any]:
        """The handles, in order, of those unacknowledged that are not to be sent again."""
        found = [number for number, sent in self._unacknowledged.items() if which(sent.handle)]
        for number in found:
            self._due.pop(number, None)
        return [self._unacknowledged.pop(number).handle for number in found]

    def only(self) -> Any:
        """The handle of the one lasting publish that alone is under way, with no subscription beside it; else None."""
        written = self._written()
        return written[0].handle if len(written) == 1 and written[0].lasting and not self._asked else None

    def under_way(self) -> list[Any]:
        """The handles of all that was written on this connection and is not acknowledged; None for a subscription."""
        return [*(sent.handle for sent in self._written()), *(None for _ in self._asked)]

    def _written(self) -> list[_Sent]:
        return [sent for number, sent in self._unacknowledged.items() if number not in self._due]

    def subscribe(self, filters: Iterable[str]) -> int:
        """The packet identifier that SUBACK will have. What we publish ourselves does not come back (no local)."""
        packet = Subscribe(self._identifier(), [Filter(each, qos=1, no_local=True) for each in filters])
        return self._ask(packet)

    def unsubscribe(self, filters: Iterable[str]) -> int:
        return self._ask(Unsubscribe(self._identifier(), list(filters)))

    def done(self, message: Publish) -> None:
        """A message of this connection is dealt with."""
        if message.qos and self.connected:
            self._send(Ack(PUBACK, message.packet_id))

    # ----------------------------------------------------------------------------------------- inside

    def _ask(self, packet: Subscribe | Unsubscribe) -> int:
        self._asked.add(packet.packet_id)
        self._send(packet)
        return packet.packet_id

    def _take(self, packet: Packet, happened: Happened) -> None:
        if not self.connected and not isinstance(packet, Connack):
            raise Broken(f"{type(packet).__name__} came before CONNACK")
        match packet:
            case Ack(kind=4):
                self._acknowledged(packet, happened)
            case Publish(qos=0 | 1):
                happened.messages.append(packet)
            case Connack():
                self._welcome(packet)
                happened.connected = True
            case Suback() | Unsuback():
                self._asked.discard(packet.packet_id)
                happened.subscribed.append((packet.packet_id, packet.reasons))
            case Pingresp():
                pass
            case Disconnect(reason=Reason.NOT_AUTHORIZED):
                raise Cut("the place above closed: something that was sent is not authorised (reason 0x87)")
            case Disconnect():
                raise Broken(f"the place above closed: reason 0x{packet.reason:02x}")
            case _:
                raise Broken(f"{type(packet).__name__} from the place above")

    def _accepted(self, numbers: Iterable[int], happened: Happened) -> None:
        for number in numbers:
            sent = self._unacknowledged.pop(number, None)
            if sent is not None:
                if self._due:
                    self._due.pop(number, None)
                happened.acknowledged.append((sent.handle, 0))

    def _acknowledged(self, packet: Ack, happened: Happened) -> None:
        sent = self._unacknowledged.get(packet.packet_id)
        if sent is None:
            return
        if packet.reason >= Reason.UNSPECIFIED_ERROR and sent.lasting and packet.reason not in TOLD:
            raise Broken(f"a publish to {sent.topic} was refused for now: reason 0x{packet.reason:02x}")
        del self._unacknowledged[packet.packet_id]
        if self._due:
            self._due.pop(packet.packet_id, None)
        happened.acknowledged.append((sent.handle, packet.reason))

    def _welcome(self, packet: Connack) -> None:
        if packet.reason:
            text = packet.properties.get("reason_string", "")
            raise Refused(f"the place above refused: reason 0x{packet.reason:02x} {text}".rstrip())
        if self.connected:
            raise Broken("a second CONNACK")
        self.connected = True
        self._receive_maximum = packet.properties.get("receive_maximum", 65535)
        self._max_packet = packet.properties.get("maximum_packet_size", 0)
        if not packet.session_present:
            for sent in self._unacknowledged.values():
                sent.written = False

    def _write_due(self) -> None:
        """In order. Alone: one, when nothing else is under way that may be refused."""
        while self._due and not (self.alone and (self._asked or len(self._unacknowledged) > len(self._due))):
            number = next(iter(self._due))
            del self._due[number]
            sent = self._unacknowledged[number]
            self._out.append(again(sent.packet) if sent.written else sent.packet)
            sent.written = True

    def _identifier(self) -> int:
        while True:
            self._next_id = self._next_id % 65535 + 1
            if self._next_id not in self._unacknowledged and self._next_id not in self._asked:
                return self._next_id

    def _send(self, packet: Packet) -> None:
        self._out.append(encode(packet, LEVEL))
