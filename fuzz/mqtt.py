"""What is fed to MQTT: packets to the codec, and whole connections to a broker.

``mqtt`` is the target. ``python -m fuzz.mqtt MILLIONS [SEED]`` sends so many million packets, right and wrong ones in
random order, over connections that come and go, and prints what the process holds after each million: a leak shows.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Final

import mqtt5
from tests.things.broker.memory import Pipe, World

from fuzz.http1 import spelled
from littoral.protocols.mqtt.decode import Decoder, frame
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import (
    Ack,
    Auth,
    Connect,
    Disconnect,
    Filter,
    Packet,
    Pingreq,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
)
from littoral.protocols.mqtt.properties import Properties, PublishProperties
from littoral.protocols.mqtt.wire import MalformedPacket
from littoral.things.broker import BrokerLimits
from littoral.things.message import Publication

FOREVER = 8 * 24 * 3600.0  # seconds after which every session is over
MILLION = 1_000_000
END = b"\xfe"  # of one connection's bytes; the next connects
NAMED = {"user_properties": [("a", "b")]}
FULL = PublishProperties(1, 9, "a/b", "r", b"c", [("k", "v"), ("k", "")])


def packets(level: int) -> list[Packet]:
    five = level == 5
    more = (
        {"session_expiry": 60, "receive_maximum": 1, "topic_alias_maximum": 1, "maximum_packet_size": 60}
        if five
        else {}
    )
    full = FULL if five else None
    made: list[Packet] = [
        Connect("a", level),
        Connect("a", level, False, 1, None, "u", b"p", more if five else {}),
        Connect("b", level, False, 0, Will("x/y", b"gone", 2, True, 5 if five else 0, full)),
        Connect("", level),
        Publish("x/y", b"0"),
        Publish("x/y", b"kept", 0, True, properties=full),
        Publish("x/y", b"", 0, True),
        Publish("x", b"y" * 70, 1, packet_id=1),
        Publish("x", b"1", 1, True, True, 2, full),
        Publish("x/y", b"2", 2, packet_id=1),
        Publish("x/y", b"2", 2, True, True, 1, full),
        Publish("$aws/x", b"", 1, packet_id=3),
        Publish("#", b"", 1, packet_id=3),
        Subscribe(1, [Filter("x/+", 2), Filter("#", 1)]),
        Subscribe(2, [Filter("$share/g/x/#", 2), Filter("$share/g", 0), Filter("x", 1)]),
        Unsubscribe(3, ["x/+", "$share/g/x/#", "nothing"]),
        *(Ack(kind, number) for kind in (4, 5, 6, 7) for number in (1, 2)),
        Pingreq(),
        Disconnect(),
        Suback(1, [0]),
        Unsuback(1, [0]),
    ]
    if five:
        made += [
            Publish("x/y", b"n", properties=PublishProperties(topic_alias=1)),
            Publish("", b"n", 1, packet_id=4, properties=PublishProperties(topic_alias=1)),
            Publish("", b"", properties=PublishProperties(topic_alias=3)),
            Publish("x", b"", properties=PublishProperties(subscription_identifiers=[1])),
            Subscribe(
                4, [Filter("x/#", 1, True, True, 1)], {"subscription_identifiers": [7], "user_properties": [("a", "b")]}
            ),
            Ack(5, 1, 0x97, {"reason_string": "no"}),
            Disconnect(4, {"session_expiry": 60}),
            Auth(0x18, {"authentication_method": "m"}),
        ]
    return made


FRAGMENTS = [
    b"\0\4MQTT\4", b"\0\4MQTT\5", b"\0\6MQIsdp\3", b"\0\0", b"\0\1", b"\0\1x", b"\0\2x\0", b"\0\1\xff", b"\x80",
    b"\xff\xff\xff\x7f", b"\xff" * 5, b"\x10", b"\x20", b"\x30", b"\x32", b"\x34", b"\x36", b"\x3d", b"\x40",
    b"\x62", b"\x82", b"\xa2", b"\xe0", b"\xf0", b"\x05\x11\0\0\0\x01", b"\x03\x21\0\0", b"\x03\x21\0\1",
    b"\x02\x01\x02", b"\x05\x02\0\0\0\0", b"\x26\0\1a\0\1b", b"\x0b\x80\x01", b"\x23\0\1", b"\x7f" * 4,
]  # fmt: skip


@cache
def words(level: int) -> list[bytes]:
    return [encode(packet, level) for packet in packets(level)] + FRAGMENTS


def mqtt(data: bytes) -> None:
    """The first byte chooses the version, the profile and how the rest is cut into reads."""
    if not data:
        return
    level, profile, size = 4 + (data[0] & 1), "aws" if data[0] & 2 else "mqtt", data[0] >> 2
    parts = [spelled(part, words(level)) for part in data[1:].split(END)]
    for part in parts:
        codec(part, level)
    broker(profile).connections([pieces(part, size) for part in parts])


def pieces(data: bytes, size: int) -> list[bytes]:
    size = size or len(data) or 1
    return [data[at : at + size] for at in range(0, len(data), size)]


# ------------------------------------------------------------------------------------------------ the codec


def codec(data: bytes, level: int) -> None:
    """However it is cut the same packets; each is again what it was written as; another library reads the same."""
    whole, fine = read(data, level, 1)
    for size in (0, 7):
        found, good = read(data, level, size)
        assert good == fine and (found == whole if fine else found == whole[: len(found)])
    for packet in whole:
        (again,) = Decoder(level).feed(encode(packet, packet.level if isinstance(packet, Connect) else level))
        assert again == packet, (packet, again)
    if level == 5 and data:
        compare(data, whole)


def read(data: bytes, level: int, size: int) -> tuple[list[Packet], bool]:
    """The packets of the reads before the one that is refused, and whether none is. All are of that version."""
    found: list[Packet] = []
    decoder = Decoder(level)
    for piece in pieces(data, size):
        try:
            found += decoder.feed(piece)
        except MalformedPacket:
            return found, False
        decoder.level = level
    return found, True


def compare(data: bytes, whole: Sequence[Packet]) -> None:
    """mqtt5 (in Rust) reads alike what it reads at all. It knows version 5 only."""
    at = 0
    for packet in whole:
        found = frame(data, at, len(data))
        assert found is not None
        try:
            theirs, length = mqtt5.read(memoryview(data)[at : found[1]])
        except (ValueError, IndexError) as problem:
            assert forgiven(str(problem)), (packet, problem)
        else:
            assert length == found[1] - at
            alike(packet, theirs)
        at = found[1]


def forgiven(problem: str) -> bool:
    """Ours takes any reason code from a client, and a reason without the length of properties behind it."""
    return "ReasonCode value" in problem or problem == "Missing property length"


def alike(packet: Packet, theirs: Any) -> None:
    name = type(packet).__name__
    if isinstance(packet, Ack):
        name = {4: "PubAck", 5: "PubRec", 6: "PubRel", 7: "PubComp"}[packet.kind]
    assert type(theirs).__name__.lower() == f"{name}packet".lower(), (packet, theirs)
    properties: Properties = {}
    for one in fields(packet):
        value = getattr(packet, one.name)
        if one.name == "properties":
            properties = value.as_mapping() if isinstance(value, PublishProperties) else value or {}
        elif one.name in SAME:
            assert getattr(theirs, SAME[one.name]) == (value or None if one.name == "packet_id" else value), (
                packet,
                theirs,
            )
    if isinstance(packet, Subscribe):
        ours = [(f.filter, f.qos, f.no_local, f.retain_as_published, f.retain_handling) for f in packet.filters]
        read = [
            (f.pattern, f.max_qos, f.no_local, f.retain_as_published, f.retain_handling) for f in theirs.topic_filters
        ]
        assert ours == read
        assert theirs.subscription_id == next(iter(properties.pop("subscription_identifiers", [])), None)
    for key, value in properties.items():
        assert getattr(theirs, RENAMED.get(key, key)) == value, (packet, key, theirs)


SAME: Final = {
    "client_id": "client_id", "clean": "clean_start", "keep_alive": "keep_alive", "username": "username",
    "password": "password", "session_present": "session_present", "topic": "topic", "payload": "payload",
    "qos": "qos", "retain": "retain", "dup": "duplicate", "packet_id": "packet_id", "reason": "reason_code",
    "reasons": "reason_codes",
}  # fmt: skip
RENAMED: Final = {
    "payload_format": "payload_format_indicator", "message_expiry": "message_expiry_interval",
    "subscription_identifiers": "subscription_ids", "session_expiry": "session_expiry_interval",
    "receive_maximum": "receive_max", "topic_alias_maximum": "topic_alias_max",
    "maximum_packet_size": "max_packet_size", "reason_string": "reason_str",
    "request_problem_information": "request_problem_info", "maximum_qos": "max_qos",
    "request_response_information": "request_response_info", "response_information": "response_info",
    "subscription_identifier_available": "subscription_id_available",
}  # fmt: skip


# --------------------------------------------------------------------------------------------- connections


class Trouble(logging.Handler):
    """What the broker logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Witnessed:
    """A broker with a client that goes on well beside whatever the others do."""

    def __init__(self, profile: str) -> None:
        self.world = World(profile, BrokerLimits(window=3, out_buffer=4096), durable=False)
        self.trouble = Trouble()
        logging.getLogger("littoral").addHandler(self.trouble)
        self.pipe = self.world.pipe()
        self.decoder = Decoder(5)
        self.got: list[Publish] = []
        self.world.feed(self.pipe, encode(Connect("witness", 5), 5))
        self.world.settle()
        self.world.feed(self.pipe, encode(Subscribe(1, [Filter("#", 1)]), 5))
        self.settle()
        self.held = self.holds()

    def holds(self) -> tuple[int, ...]:
        broker = self.world.broker
        router = broker.router
        trees = [router._sessions, router._groups]
        nodes = sum(len(tree._exact) + len(tree._root.children or ()) for tree in trees)
        return (
            len(broker.sessions),
            router.subscriptions,
            nodes,
            len(broker._tasks),
            len(broker._connections),
            len(broker.dirty),
        )

    def settle(self) -> None:
        """Until the witness has read and acknowledged all."""
        while True:
            self.world.settle()
            found = self.decoder.feed(self.pipe.read())
            if not found:
                return
            self.got += [each for each in found if isinstance(each, Publish)]
            acks = b"".join(encode(Ack(4, each.packet_id), 5) for each in self.got if each.qos)
            self.got = self.got[-1:]
            if acks:
                self.world.feed(self.pipe, acks)

    def connections(self, reads: list[list[bytes]]) -> None:
        """Each beside the ones before, until all are gone."""
        pipes = []
        for each in reads:
            pipes.append(self.world.pipe())
            for piece in each:
                self.world.feed(pipes[-1], piece)
                self.world.settle()
            self.look(pipes)
        for pipe in pipes:
            pipe.drop()
        self.world.settle()
        self.forget()
        self.look(pipes)
        assert self.holds() == self.held, (self.holds(), self.held)
        for pipe in pipes:
            self.world.pipes.remove(pipe)

    def forget(self) -> None:
        """Sessions end, retained messages go."""
        self.world.feed(self.pipe, encode(Pingreq(), 5))  # heard since the last sweep: the witness stays
        self.world.wait(FOREVER)
        for kept in self.world.broker.list_retained():
            self.world.publish(Publication(kept.topic, b"", 0, True))
        self.settle()

    def look(self, pipes: list[Pipe]) -> None:
        self.settle()
        for pipe in pipes:
            Decoder(pipe.protocol.level).feed(pipe.read())
        self.world.publish(Publication("w", b"still there", 1))
        self.settle()
        assert self.got and self.got[-1].payload == b"still there"
        assert not self.trouble.found, self.trouble.found


@cache
def broker(profile: str) -> Witnessed:
    return Witnessed(profile)


# --------------------------------------------------------------------------------------------------- a soak


def resident() -> float:
    """MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def soak(wanted: int, seed: int) -> None:
    """So many packets, and a line for each million of them and at the end."""
    chance = random.Random(seed)
    sent, due = 0, min(wanted, MILLION)
    while sent < wanted:
        level = chance.choice([4, 5])
        spoken = words(level)
        most = len(packets(level))
        reads = []
        for _ in range(chance.randint(1, 3)):
            chosen = [chance.randrange(4)]  # a CONNECT
            for _ in range(chance.randint(1, 400)):
                chosen.append(chance.randrange(most if chance.random() < 0.995 else len(spoken)))
            sent += len(chosen)
            raw = b"".join(spoken[each] for each in chosen)
            reads.append(pieces(raw, chance.choice([0, 7, 100, 1000])))
        broker(chance.choice(["aws", "mqtt"])).connections(reads)
        if sent >= due:
            print(f"{sent / MILLION:.1f} million packets, {resident():.0f} MB", flush=True)
            due += MILLION


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    soak(int(sys.argv[1]) * MILLION, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
