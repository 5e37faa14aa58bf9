"""QoS 2: each message once, over reconnects and over the end of the broker at any moment between two packets."""

from __future__ import annotations

import pytest

from littoral.protocols.mqtt.packets import Ack, Connack, Connect, Disconnect, Filter, Publish, Will
from littoral.protocols.mqtt.reasons import Reason
from littoral.store.contract import StorageFailed
from tests.things.broker.conftest import Place, Wire, durable

PUBACK, PUBREC, PUBREL, PUBCOMP = 4, 5, 6, 7


async def acked(wire: Wire, kind: int, number: int) -> Ack:
    ack = await wire.expect(Ack)
    assert (ack.kind, ack.packet_id) == (kind, number)
    return ack


async def publish(wire: Wire, topic: str, payload: bytes, number: int = 9) -> None:
    """The whole conversation."""
    wire.send(Publish(topic, payload, 2, packet_id=number))
    await acked(wire, PUBREC, number)
    wire.send(Ack(PUBREL, number))
    await acked(wire, PUBCOMP, number)


async def receive(wire: Wire, count: int = 1) -> list[bytes]:
    """The whole conversations, side by side; the payloads."""
    got: list[bytes] = []
    completed = 0
    while completed < count:
        packet = await wire.next()
        if isinstance(packet, Publish):
            assert packet.qos == 2
            got.append(packet.payload)
            wire.send(Ack(PUBREC, packet.packet_id))
        else:
            assert isinstance(packet, Ack)
            assert packet.kind == PUBREL
            wire.send(Ack(PUBCOMP, packet.packet_id))
            completed += 1
    return got


@pytest.fixture(params=[False, True], ids=["transient", "durable"])
def more(request: pytest.FixtureRequest, level: int) -> dict[str, object]:
    return durable(level) if request.param else {}


async def test_there_and_back(place: Place, level: int, more: dict[str, object]) -> None:
    await place.start()
    sub = await place.connect("sub", level, **more)
    assert await sub.subscribe(Filter("t", 2), Filter("one", 1)) == [2, 1]
    pub = await place.connect("pub", level, **more)
    for number in range(1, 4):
        await publish(pub, "t", b"%d" % number, number)
    assert await receive(sub, 3) == [b"1", b"2", b"3"]
    await publish(pub, "one", b"lower")
    assert (await sub.expect(Publish)).qos == 1
    await sub.nothing_more()


async def test_the_same_identifier_is_the_same_message_until_pubrel(
    place: Place, level: int, more: dict[str, object]
) -> None:
    await place.start()
    sub = await place.connect("sub", level)
    await sub.subscribe(Filter("t", 2))
    pub = await place.connect("pub", level, **more)
    first = Publish("t", b"first", 2, packet_id=5)
    pub.send(first, first)
    await acked(pub, PUBREC, 5)
    await acked(pub, PUBREC, 5)
    pub.send(Publish("t", b"first", 2, dup=True, packet_id=5))
    await acked(pub, PUBREC, 5)
    pub.send(Ack(PUBREL, 5), Publish("t", b"second", 2, packet_id=5))
    await acked(pub, PUBCOMP, 5)
    await acked(pub, PUBREC, 5)
    assert await receive(sub, 2) == [b"first", b"second"]
    await sub.nothing_more()


async def test_an_unknown_pubrel_is_completed(place: Place, level: int, more: dict[str, object]) -> None:
    await place.start()
    wire = await place.connect("c", level, **more)
    wire.send(Ack(PUBREL, 7))
    assert (await acked(wire, PUBCOMP, 7)).reason == (Reason.PACKET_IDENTIFIER_NOT_FOUND if level == 5 else 0)
    wire.send(Ack(PUBREC, 8))
    assert (await acked(wire, PUBREL, 8)).reason == (Reason.PACKET_IDENTIFIER_NOT_FOUND if level == 5 else 0)


@pytest.mark.parametrize("restarts", [False, True], ids=["reconnect", "restart"])
async def test_the_publisher_goes_on_where_it_was(place: Place, level: int, restarts: bool) -> None:
    """PUBREC was lost, then PUBCOMP: the durable subscriber has the message once."""
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("t", 2))
    await sub.leave()
    pub = await place.connect("pub", level, **durable(level))
    for sent, answer in (
        (Publish("t", b"once", 2, packet_id=3), PUBREC),
        (Publish("t", b"once", 2, dup=True, packet_id=3), PUBREC),
        (Ack(PUBREL, 3), PUBCOMP),
        (Ack(PUBREL, 3), PUBCOMP),
        (Publish("t", b"next", 2, packet_id=3), PUBREC),
    ):
        pub.send(sent)
        await acked(pub, answer, 3)
        pub.drop()
        await place.until_gone("pub")
        if restarts:
            await place.restart()
        pub = await place.connect("pub", level, **durable(level))
    sub = await place.connect("sub", level, **durable(level))
    assert await receive(sub, 2) == [b"once", b"next"]
    await sub.nothing_more()


@pytest.mark.parametrize("restarts", [False, True], ids=["reconnect", "restart"])
async def test_the_subscriber_goes_on_where_it_was(place: Place, level: int, restarts: bool) -> None:
    await place.start()

    async def again(old: Wire) -> Wire:
        old.drop()
        await place.until_gone("sub")
        if restarts:
            await place.restart()
        return await place.connect("sub", level, **durable(level))

    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("t", 2))
    pub = await place.connect("pub", level)
    await publish(pub, "t", b"first")
    await publish(pub, "t", b"second")
    first, second = [await sub.expect(Publish) for _ in range(2)]
    sub = await again(sub)
    for before in (first, second):
        got = await sub.expect(Publish)
        assert (got.payload, got.packet_id, got.dup) == (before.payload, before.packet_id, True)
    sub.send(Ack(PUBREC, first.packet_id))
    await acked(sub, PUBREL, first.packet_id)
    sub = await again(sub)  # without PUBCOMP
    packets = [await sub.next(), await sub.next()]
    assert [type(packet) for packet in packets] == [Ack, Publish], "PUBREL for the first, the second again"
    assert [packet.packet_id for packet in packets if isinstance(packet, Ack | Publish)] == [
        first.packet_id,
        second.packet_id,
    ]
    sub.send(Ack(PUBCOMP, first.packet_id), Ack(PUBREC, second.packet_id))
    await acked(sub, PUBREL, second.packet_id)
    sub.send(Ack(PUBCOMP, second.packet_id))
    await sub.nothing_more()
    sub = await again(sub)
    await sub.nothing_more()


async def test_the_window_holds_until_pubcomp(place: Place) -> None:
    await place.start()
    sub = await place.connect("sub", 5, properties={"receive_maximum": 1})
    await sub.subscribe(Filter("t", 2))
    pub = await place.connect("pub", 4)
    await publish(pub, "t", b"first")
    await publish(pub, "t", b"second")
    got = await sub.expect(Publish)
    await sub.nothing_more()
    sub.send(Ack(PUBREC, got.packet_id))
    await acked(sub, PUBREL, got.packet_id)
    await sub.nothing_more()
    sub.send(Ack(PUBCOMP, got.packet_id))
    assert await receive(sub) == [b"second"]


async def test_a_client_that_refuses_a_message_is_done_with_it(place: Place, more: dict[str, object]) -> None:
    await place.start()
    sub = await place.connect("sub", 5, **({"clean": False, "properties": {"session_expiry": 60}} if more else {}))
    await sub.subscribe(Filter("t", 2))
    pub = await place.connect("pub", 5)
    await publish(pub, "t", b"unwanted")
    await publish(pub, "t", b"wanted")
    got = await sub.expect(Publish)
    sub.send(Ack(PUBREC, got.packet_id, Reason.QUOTA_EXCEEDED))
    assert await receive(sub) == [b"wanted"]
    await sub.nothing_more()


async def test_what_is_not_stored_gets_no_pubrec(place: Place, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("t", 2))
    await sub.leave()
    pub = await place.connect("pub", level, **durable(level))
    assert place.store is not None

    async def refuse(*_: object, **__: object) -> None:
        raise StorageFailed("disk full")

    with monkeypatch.context() as full:
        full.setattr(place.store.streams, "publish", refuse)
        pub.send(Publish("t", b"x", 2, packet_id=3))
        if level == 5:
            assert (await pub.expect(Disconnect)).reason == Reason.UNSPECIFIED_ERROR
        await pub.closed()
    pub = await place.connect("pub", level, **durable(level))
    pub.send(Publish("t", b"x", 2, dup=True, packet_id=3))
    await acked(pub, PUBREC, 3)
    sub = await place.connect("sub", level, **durable(level))
    assert await receive(sub) == [b"x"]
    await sub.nothing_more()


async def test_will_and_retained_message(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level)
    await sub.subscribe(Filter("gone", 2))
    pub = await place.connect("pub", level, will=Will("gone", b"will", 2))
    pub.send(Publish("kept", b"retained", 2, True, packet_id=1))
    await acked(pub, PUBREC, 1)
    pub.send(Ack(PUBREL, 1))
    await acked(pub, PUBCOMP, 1)
    pub.drop()
    assert await receive(sub) == [b"will"]
    await sub.subscribe(Filter("kept", 2))
    kept = await sub.expect(Publish)
    assert (kept.payload, kept.qos, kept.retain) == (b"retained", 2, True)


async def test_a_member_of_a_group_that_subscribed_by_itself_as_well_gets_both(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("t", 2), Filter("$share/g/t", 2), Filter("$share/h/#", 2))
    await publish(await place.connect("pub", level, **durable(level)), "t", b"x")
    assert await receive(sub, 3) == [b"x"] * 3
    await sub.nothing_more()


async def test_a_retained_message_keeps_its_identifier_over_the_end_of_the_broker(place: Place, level: int) -> None:
    """A client throws away a message that bears an identifier which it still holds."""
    await place.start()
    pub = await place.connect("pub", level)
    pub.send(Publish("kept", b"retained", 2, True, packet_id=9))
    await acked(pub, PUBREC, 9)
    pub.send(Ack(PUBREL, 9))
    await acked(pub, PUBCOMP, 9)
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("#", 2))
    first = await sub.expect(Publish)
    await place.restart()
    sub = await place.connect("sub", level, **durable(level))
    again = await sub.expect(Publish)
    assert (again.payload, again.retain, again.packet_id) == (b"retained", True, first.packet_id)
    await publish(await place.connect("pub", level), "t", b"another")
    assert (await sub.expect(Publish)).packet_id != first.packet_id


async def test_aws_has_no_qos_2(place: Place, level: int) -> None:
    place.profile = "aws"
    await place.start()
    wire = await place.connect("c", level)
    assert await wire.subscribe(Filter("t", 2)) == [1]
    wire.send(Publish("t", b"", 2, packet_id=1))
    if level == 5:
        assert (await wire.expect(Disconnect)).reason == Reason.QOS_NOT_SUPPORTED
    await wire.closed()
    other = await place.raw(level)
    other.send(Connect("d", level, will=Will("t", b"", 2)))
    if level == 5:
        assert (await other.expect(Connack)).reason == Reason.QOS_NOT_SUPPORTED
    else:
        await other.closed()


async def test_more_than_the_receive_maximum(place: Place) -> None:
    await place.start()
    pub = await place.connect("pub", 5)
    pub.send(*(Publish("t", b"", 2, packet_id=number) for number in range(1, 1002)))
    while isinstance(packet := await pub.next(), Ack):
        assert packet.kind == PUBREC
    assert isinstance(packet, Disconnect)
    assert packet.reason == Reason.RECEIVE_MAXIMUM_EXCEEDED
