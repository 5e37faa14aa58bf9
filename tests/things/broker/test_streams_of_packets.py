"""Any mix of publishes, split anywhere: every subscriber gets exactly what it is owed, in order, and so does PUBACK."""

from __future__ import annotations

import asyncio
import random

import pytest

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack, Filter, Publish
from littoral.protocols.mqtt.properties import PublishProperties
from littoral.protocols.mqtt.topics import matches
from tests.things.broker.conftest import Place, Wire, durable

SUBSCRIBERS = [("#", 0), ("a/+", 1), ("a/1", 0), ("b/#", 1)]
COUNT = 300


def publishes(chance: random.Random, level: int) -> list[Publish]:
    made = []
    topic = "a/1"
    for number in range(1, COUNT + 1):
        if chance.random() < 0.3:  # otherwise the same again, so that there are runs
            topic = chance.choice(["a/1", "a/2", "b", "b/c/d", "elsewhere"])
        payload = b"%d " % number + b"x" * chance.choice([0, 1, 50, 127, 128, 3000])
        qos = int(chance.random() < 0.4)
        properties = None
        if level == 5 and chance.random() < 0.2:
            properties = PublishProperties(content_type="text/plain")
        made.append(Publish(topic, payload, qos, properties=properties, packet_id=number if qos else 0))
    return made


async def receive(wire: Wire, count: int) -> list[Publish]:
    got: list[Publish] = []
    while len(got) < count:
        packet = await wire.expect(Publish)
        got.append(packet)
        if packet.qos:
            wire.send(Ack(4, packet.packet_id))
    return got


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
async def test_everybody_gets_what_they_are_owed(place: Place, level: int, seed: int, mixed: bool) -> None:
    """Mixed: one subscriber speaks the other version and one is durable, so that no route is plain."""
    chance = random.Random(seed)
    await place.start()
    subs = []
    for index, (text, qos) in enumerate(SUBSCRIBERS):
        spoken = 9 - level if mixed and index == 0 else level
        more = durable(spoken) if mixed and index == 1 else {}
        wire = await place.connect(f"sub{index}", spoken, **more)
        await wire.subscribe(Filter(text, qos))
        subs.append(wire)
    sent = publishes(chance, level)
    raw = b"".join(encode(each, level) for each in sent)
    pub = await place.connect("pub", level)
    owed = [[each for each in sent if matches(text, each.topic)] for text, _ in SUBSCRIBERS]
    receiving = [asyncio.create_task(receive(wire, len(due))) for wire, due in zip(subs, owed, strict=True)]
    at = 0
    while at < len(raw):
        size = chance.choice([1, 7, 100, 5000, 100_000])
        pub.writer.write(raw[at : at + size])
        await pub.writer.drain()
        at += size
    acks = [(await pub.expect(Ack)).packet_id for each in sent if each.qos]
    assert acks == [each.packet_id for each in sent if each.qos]
    for (_, granted), due, task in zip(SUBSCRIBERS, owed, receiving, strict=True):
        got = await task
        for qos in (0, 1):  # the order is promised per QoS
            expected = [(each.topic, each.payload) for each in due if min(each.qos, granted) == qos]
            assert [(each.topic, each.payload) for each in got if each.qos == qos] == expected
    await pub.nothing_more()
    for wire in subs:
        await wire.nothing_more()
