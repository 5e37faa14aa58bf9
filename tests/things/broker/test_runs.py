"""QoS 1 for durable sessions that are online: stored as runs of packets, given on one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack, Disconnect, Filter, Publish
from littoral.store.contract import Message, StorageFailed
from littoral.things.broker import BrokerLimits
from littoral.things.broker.runs import LONGEST, outgoing_run, unpacked
from tests.things.broker.conftest import Place, Wire, durable


def numbered(count: int, topic: str = "ward/7") -> list[Publish]:
    return [Publish(topic, b"%d" % number, 1, packet_id=number + 1) for number in range(count)]


async def payloads(wire: Wire, count: int) -> list[bytes]:
    return [(await wire.expect(Publish)).payload for _ in range(count)]


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "ward/7"]), st.integers(0, 300)), min_size=1), st.sampled_from([4, 5])
)
def test_packets_leave_a_run_as_they_came(packets: list[tuple[str, int]], level: int) -> None:
    came = [Publish(topic, b"x" * size, 1, packet_id=7) for topic, size in packets]
    stored = outgoing_run(level, b"".join(encode(each, level) for each in came), 12.5)
    found = unpacked(Message(3, stored.data, stored.headers, 0.0, 1))
    assert [each.head + b"\0\7" + each.tail for each in found] == [encode(each, level) for each in came]
    whole = [each.outbound() for each in found]
    assert [(each.topic, len(each.payload), each.received_at) for each in whole] == [(*one, 12.5) for one in packets]


async def test_a_burst_comes_once_and_in_order_and_is_acknowledged(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("ward/#", 1))
    transient = await place.connect("transient", level)
    await transient.subscribe(Filter("ward/#", 1))
    pub = await place.connect("pub", level)
    burst = numbered(2 * LONGEST + 30)
    between = Publish("ward/7", b"zero")
    pub.send(*burst[:20], between, *burst[20:])
    assert [(await pub.expect(Ack)).packet_id for _ in burst] == [each.packet_id for each in burst]
    for wire in (sub, transient):
        came = []
        while len(came) <= len(burst):
            packet = await wire.expect(Publish)
            came.append(packet.payload)
            if packet.qos:
                wire.send(Ack(4, packet.packet_id))
        assert came.count(b"zero") == 1
        assert [each for each in came if each != b"zero"] == [each.payload for each in burst]
        await wire.nothing_more()
    assert place.broker.stats()["received"] == len(burst) + 1
    await place.restart()
    sub = await place.connect("sub", level, **durable(level))
    await sub.nothing_more()


async def test_a_run_that_was_not_acknowledged_whole_comes_again_after_a_restart(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("ward/7", 1))
    pub = await place.connect("pub", level)
    await pub.publish("ward/7")  # from now on the way is known
    sub.send(Ack(4, (await sub.expect(Publish)).packet_id))
    pub.send(*numbered(3))
    for _ in range(3):
        await pub.expect(Ack)
    first = [await sub.expect(Publish) for _ in range(3)]
    sub.send(Ack(4, first[0].packet_id))
    await sub.nothing_more()
    await place.restart()
    sub = await place.connect("sub", level, **durable(level))
    again = [await sub.expect(Publish) for _ in range(3)]
    assert [each.payload for each in again] == [b"0", b"1", b"2"]
    sub.send(*(Ack(4, each.packet_id) for each in again))
    await sub.leave()
    await place.restart()
    sub = await place.connect("sub", level, **durable(level))
    await sub.nothing_more()


async def test_who_returns_with_another_version_gets_the_rest_in_its_words(place: Place, level: int) -> None:
    place.limits = BrokerLimits(window=5)
    await place.start()
    properties = {"session_expiry": 3600, "receive_maximum": 5}
    sub = await place.connect("sub", level, clean=False, **({"properties": properties} if level == 5 else {}))
    await sub.subscribe(Filter("ward/7", 1))
    pub = await place.connect("pub", level)
    pub.send(*numbered(12))
    for _ in range(12):
        await pub.expect(Ack)
    assert await payloads(sub, 5) == [b"%d" % number for number in range(5)]
    sub.drop()
    await place.until_gone("sub")
    other = 9 - level
    sub = await place.connect("sub", other, clean=False, **({"properties": properties} if other == 5 else {}))
    for number in range(12):
        packet = await sub.expect(Publish)
        assert (packet.payload, packet.dup) == (b"%d" % number, number < 5)
        sub.send(Ack(4, packet.packet_id))
    await sub.nothing_more()


async def test_a_run_that_is_not_stored_is_not_acknowledged(
    place: Place, level: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("ward/7", 1))
    pub = await place.connect("pub", level)
    await pub.publish("ward/7", b"before")

    async def full(*_: object) -> None:
        raise StorageFailed("disk full")

    assert place.store is not None
    monkeypatch.setattr(place.store.streams, "publish", full)
    monkeypatch.setattr("littoral.things.broker.unstored.SILENCE", 60.0)
    pub.send(*numbered(3))
    if level == 4:
        await pub.closed()
    else:
        assert [(await pub.expect(Ack)).reason for _ in range(3)] == [0x80] * 3
        pub.send(*numbered(3))
        assert [(await pub.expect(Ack)).reason for _ in range(3)] == [0x80] * 3
        pub.send(Disconnect())
    assert caplog.text.count("could not be stored") == 1  # a line for many, not one for each
