"""Messages with an id, on the hot path: stored as runs for sessions that are there or away, each once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack, Filter, Publish
from littoral.protocols.mqtt.properties import PublishProperties, properties_block
from littoral.store.contract import StorageFailed
from littoral.things.broker.naming import PROPERTY, identity_in
from littoral.things.duplicates import OnceBroker
from tests.things.broker.conftest import Place, Wire, durable

TOPICS = ("bed/1", "bed/2", "bed/3")


def named(numbers: Iterable[int], topic: str = "") -> list[Publish]:
    return [
        Publish(
            topic or TOPICS[number % 3],
            b"%d" % number,
            1,
            packet_id=number + 1,
            properties=PublishProperties(user_properties=[(PROPERTY, f"core/e/{number}")]),
        )
        for number in numbers
    ]


@pytest.fixture
async def once(place: Place) -> AsyncIterator[Place]:
    place.kind = OnceBroker
    await place.start()
    yield place


async def publisher(place: Place) -> Wire:
    """Whose ways are known, so that what follows takes the hot path."""
    wire = await place.connect("core", 5)
    for topic in TOPICS:
        await wire.publish(topic, b"known")
    return wire


async def acknowledged(wire: Wire, packets: list[Publish]) -> list[int]:
    """The reasons, in the order of the packets."""
    found = [await wire.expect(Ack) for _ in packets]
    assert [each.packet_id for each in found] == [each.packet_id for each in packets]
    return [each.reason for each in found]


async def received(wire: Wire, count: int) -> list[bytes]:
    found = []
    for _ in range(count):
        packet = await wire.expect(Publish)
        found.append(packet.payload)
        wire.send(Ack(4, packet.packet_id))
    await wire.nothing_more()
    return found


@pytest.mark.parametrize("there", [True, False], ids=["there", "away"])
@pytest.mark.parametrize("back", [4, 5])
async def test_a_spool_that_drains_comes_once_and_in_order(once: Place, there: bool, back: int) -> None:
    sub = await once.connect("sub", 5, **durable(5))
    await sub.subscribe(Filter("bed/#", 1))
    zero = await once.connect("zero", 5)
    await zero.subscribe(Filter("bed/#", 0))
    core = await publisher(once)
    assert await received(sub, 3) == [b"known"] * 3
    if not there:
        await sub.leave()
    burst = named(range(250))
    core.send(*burst)
    core.send(*burst[100:])  # as after a lost connection
    assert await acknowledged(core, [*burst, *burst[100:]]) == [0] * 400
    session = once.broker.sessions.get("sub")
    assert session is not None and session.backlog is not None and session.backlog.moved < 50  # as runs
    if not there:
        sub = await once.connect("sub", back, **durable(back))
    assert await received(sub, 250) == [each.payload for each in burst]
    heard = [(await zero.expect(Publish)).payload for _ in range(253)]
    assert heard[3:] == [each.payload for each in burst]
    await once.restart()
    core = await publisher(once)
    core.send(*named(range(200, 260)))
    await acknowledged(core, named(range(200, 260)))
    sub = await once.connect("sub", back, **durable(back))
    assert await received(sub, 13) == [b"known"] * 3 + [b"%d" % number for number in range(250, 260)]


async def test_ids_are_forwarded_and_one_twice_in_a_read_is_delivered_once(once: Place) -> None:
    sub = await once.connect("sub", 5)
    await sub.subscribe(Filter("bed/#", 1))
    core = await publisher(once)
    assert await received(sub, 3) == [b"known"] * 3
    first, second = named([0, 3])
    core.send(first, first, second)
    assert await acknowledged(core, [first, first, second]) == [0] * 3
    found = [await sub.expect(Publish), await sub.expect(Publish)]
    assert [each.payload for each in found] == [b"0", b"3"]
    assert found[0].properties.user_properties == [(PROPERTY, "core/e/0")]
    await sub.nothing_more()
    assert once.broker.stats()["received"] == 6


async def test_what_is_not_stored_is_not_recorded(once: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sub = await once.connect("sub", 5, **durable(5))
    await sub.subscribe(Filter("bed/#", 1))
    core = await publisher(once)
    assert await received(sub, 3) == [b"known"] * 3
    burst = named(range(9))

    async def full(*_: object) -> None:
        raise StorageFailed("disk full")

    assert once.store is not None
    with monkeypatch.context() as broken:
        broken.setattr(once.store.streams, "publish", full)
        core.send(*burst)
        assert await acknowledged(core, burst) == [0x80] * 9
    core.send(*burst)
    assert await acknowledged(core, burst) == [0] * 9
    assert await received(sub, 9) == [each.payload for each in burst]


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)


@given(NAMES, st.sampled_from([{}, {"payload_format": 1}, {"user_properties": [("a", "b")]}]), st.binary(max_size=3))
def test_only_an_id_alone_is_read_as_one(name: str, beside: dict[str, object], payload: bytes) -> None:
    properties = PublishProperties(**beside)  # type: ignore[arg-type]
    properties.user_properties = [(PROPERTY, name), *properties.user_properties]
    packet = encode(Publish("a", payload, 1, packet_id=1, properties=properties), 5)
    at = packet.index(properties_block({"user_properties": [(PROPERTY, "")]})[:-2]) - 1
    found = identity_in(packet, at, len(packet))
    plain = not beside and name.isascii() and 0 < len(name) < 100
    assert found == (name if plain else "")
    assert identity_in(packet, at, at + 20) == ""  # cut off
