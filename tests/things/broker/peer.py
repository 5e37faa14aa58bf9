"""A client that keeps to the specification, lazily: it acknowledges when it is told to, and remembers what MQTT says.

It checks on each packet what the packet alone shows: packet identifiers, receive maximum, sizes, aliases, the order of
acknowledgements; and asks the model whether a message was due.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack, Connack, Disconnect, Packet, Pingresp, Publish, Suback, Unsuback
from littoral.protocols.mqtt.properties import PublishProperties
from tests.things.broker.memory import Pipe, World
from tests.things.broker.model import Due, Life, Message, Model

PUBACK, PUBREC, PUBREL, PUBCOMP = 4, 5, 6, 7


@dataclass
class Memory:
    """What a client keeps of its session."""

    sent: dict[int, tuple[Message, int]] = field(default_factory=dict)  # number: message, what is awaited
    seen: dict[int, Due] = field(default_factory=dict)  # QoS 2, until PUBREL


class Peer:
    """One connection of a client."""

    def __init__(
        self, world: World, model: Model, life: Life, memory: Memory, pipe: Pipe, window: int, most: int, aliases: int
    ) -> None:
        self.world, self.model, self.life, self.memory, self.pipe = world, model, life, memory, pipe
        self.window = window  # 0: not said
        self.most = most  # bytes of a packet; 0: any
        self.aliases = aliases
        self.level = life.level
        self.acks: deque[tuple[Ack, Due | None]] = deque()  # owed
        self.flight: set[int] = set()
        self.answers: list[Packet] = []  # CONNACK, SUBACK, UNSUBACK, DISCONNECT
        self.awaited: dict[int, deque[int]] = {PUBACK: deque(), PUBREC: deque()}  # of this connection, in order
        self._decoder = Decoder(self.level)
        self._names: dict[int, str] = {}
        self._named: dict[str, int] = {}

    def send(self, *packets: Packet) -> None:
        self.world.feed(self.pipe, b"".join(encode(packet, self.level) for packet in packets))

    @property
    def full(self) -> bool:
        return len(self.flight) >= (self.window or self.world.limits.window)

    # -------------------------------------------------------------------------------------- publishing

    def publish(self, *messages: Message, alias: bool = False) -> None:
        """In one read."""
        packets = []
        for message in messages:
            number = 0
            if message.qos:
                number = next(each for each in range(1, 1000) if each not in self.memory.sent)
                self.memory.sent[number] = (message, PUBACK if message.qos == 1 else PUBREC)
            packets.append(self._packet(message, number, alias=alias and self.level == 5))
        for message in sorted(messages, key=lambda each: each.qos == 2):  # those are handed on after the read
            self.model.publish(message)
        self.send(*packets)

    def again(self) -> None:
        """After a reconnect: what was not acknowledged, in its order."""
        for number, (message, awaited) in list(self.memory.sent.items()):
            if awaited == PUBCOMP:
                self.send(Ack(PUBREL, number))
            else:
                packet = self._packet(message, number, dup=True)
                self.model.publish(message)
                self.send(packet)

    def _packet(self, message: Message, number: int, *, dup: bool = False, alias: bool = False) -> Publish:
        if message.qos:
            self.awaited[PUBACK if message.qos == 1 else PUBREC].append(number)
        properties = PublishProperties(message_expiry=message.expiry) if self.level == 5 and message.expiry else None
        topic = message.topic
        if alias and topic not in self._named and len(self._named) < 2:
            self._named[topic] = len(self._named) + 1
            properties = PublishProperties(message_expiry=message.expiry, topic_alias=self._named[topic])
        elif alias and topic in self._named:
            properties = PublishProperties(message_expiry=message.expiry, topic_alias=self._named[topic])
            topic = ""
        return Publish(topic, message.payload, message.qos, message.retain, dup, number, properties)

    def acknowledge(self, most: int) -> None:
        """Send the oldest of what is owed."""
        packets: list[Packet] = []
        while self.acks and len(packets) < most:
            ack, due = self.acks.popleft()
            if due is not None:
                due.acknowledged = True
            if ack.kind in (PUBACK, PUBCOMP):
                self.flight.discard(ack.packet_id)
            packets.append(ack)
        self.send(*packets)

    # --------------------------------------------------------------------------------------- receiving

    def read(self) -> None:
        for packet in self._decoder.feed(self.pipe.read()):
            if self.most:
                assert len(encode(packet, self.level)) <= self.most, f"larger than {self.most}: {packet}"
            if isinstance(packet, Publish):
                self._message(packet)
            elif isinstance(packet, Ack):
                self._ack(packet)
            elif not isinstance(packet, Pingresp):
                assert isinstance(packet, Connack | Suback | Unsuback | Disconnect), packet
                self.answers.append(packet)

    def _message(self, packet: Publish) -> None:
        assert self.life.connected or self.pipe.is_closing()
        self._resolve(packet)
        number = int(packet.payload.split()[0])
        if packet.qos:
            assert packet.packet_id not in self.flight, f"in flight already: {packet}"
            self.flight.add(packet.packet_id)
            assert not self.window or len(self.flight) <= self.window, f"more than {self.window}: {packet}"
        if packet.qos == 2 and packet.packet_id in self.memory.seen:
            due = self.memory.seen[packet.packet_id]
            assert due.message.number == number, f"{packet} has the identifier of {due.message}, which the client holds"
            assert due.connection != self.life.connection
            due.connection = self.life.connection
        else:
            due = self.life.take(packet, number, self.world.now)
        if packet.qos == 2:
            self.memory.seen[packet.packet_id] = due
        if packet.qos:
            self.acks.append((Ack(PUBACK if packet.qos == 1 else PUBREC, packet.packet_id), due))

    def _resolve(self, packet: Publish) -> None:
        alias = packet.properties.topic_alias if packet.properties is not None else None
        if alias is not None:
            assert 0 < alias <= self.aliases
            packet.topic = self._names[alias] = packet.topic or self._names[alias]

    def _ack(self, ack: Ack) -> None:
        number = ack.packet_id
        assert ack.reason < 0x80 or ack.kind in (PUBREL, PUBCOMP), ack  # those may be of an identifier already free
        if ack.kind == PUBREL:
            self.memory.seen.pop(number, None)
            self.flight.add(number)
            self.acks.append((Ack(PUBCOMP, number), None))
            return
        message, awaited = self.memory.sent[number]
        assert ack.kind == awaited, (ack, awaited)
        if ack.kind != PUBCOMP:
            assert self.awaited[ack.kind].popleft() == number, f"out of order: {ack}"
            message.acknowledged = message.attempts
        if ack.kind == PUBREC:
            self.memory.sent[number] = (message, PUBCOMP)
            self.acks.append((Ack(PUBREL, number), None))
        else:
            del self.memory.sent[number]
