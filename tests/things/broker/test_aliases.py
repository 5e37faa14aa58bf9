"""Topic aliases from the broker to a client that takes some (5.0 s. 3.3.2.3.4); a client reads why it is cut off."""

from __future__ import annotations

from littoral.protocols.mqtt.packets import Ack, Disconnect, Filter, Publish
from littoral.protocols.mqtt.reasons import Reason
from tests.things.broker.conftest import Place, Wire


def named(packet: Publish) -> tuple[str, int | None]:
    return packet.topic, packet.properties.topic_alias if packet.properties is not None else None


async def subscriber(place: Place, most: int, **more: int) -> Wire:
    sub = await place.connect("sub", 5, properties={"topic_alias_maximum": most, **more})
    await sub.subscribe(Filter("#", 1))
    return sub


async def test_a_topic_is_named_once(place: Place) -> None:
    await place.start()
    sub = await subscriber(place, 2)
    pub = await place.connect("pub", 4)
    for topic, qos in (("a", 0), ("a", 1), ("b", 0), ("c", 1), ("b", 1), ("a", 0)):
        pub.send(Publish(topic, b"", qos, packet_id=1 if qos else 0))
        if qos:
            await pub.expect(Ack)
    got = [named(await sub.expect(Publish)) for _ in range(6)]
    assert got == [("a", 1), ("", 1), ("b", 2), ("c", None), ("", 2), ("", 1)]


async def test_a_message_that_is_too_large_names_nothing(place: Place) -> None:
    await place.start()
    sub = await subscriber(place, 2, maximum_packet_size=30)
    pub = await place.connect("pub", 4)
    pub.send(Publish("a", b"x" * 40), Publish("a", b"x"), Publish("a", b"y"))
    assert [named(await sub.expect(Publish)) for _ in range(2)] == [("a", 1), ("", 1)]


async def test_a_new_connection_has_no_names(place: Place) -> None:
    await place.start()
    for _ in range(2):
        sub = await subscriber(place, 1)
        await (await place.connect("pub", 4)).publish("a")
        assert named(await sub.expect(Publish)) == ("a", 1)
        await sub.leave()


async def test_a_client_that_goes_on_sending_reads_why_it_was_cut_off(place: Place) -> None:
    await place.start()
    wire = await place.connect("c", 5)
    wire.send(Publish("a/+", b""))
    for _ in range(200):
        wire.send(Publish("t", b"x" * 1000))
    assert (await wire.expect(Disconnect)).reason == Reason.TOPIC_NAME_INVALID
    await wire.closed()
    wire.writer.close()
    await place.until_gone("c")
