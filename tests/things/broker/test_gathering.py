"""Where one message goes to many, what comes right after it is gathered: one write for each of them."""

from __future__ import annotations

from collections import Counter

import pytest

from littoral.net.transport import SocketTransport
from littoral.protocols.mqtt.packets import Filter, Publish
from littoral.things.broker import fanout
from tests.things.broker.conftest import Place, Wire

MANY = 60


def counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> Counter[object]:
    """Writes to each subscriber from now on."""
    writes: Counter[object] = Counter()
    subscribers = {each.transport for each in place.broker.sessions if each.client_id.startswith("sub")}
    write = SocketTransport.write

    def noted(transport: SocketTransport, data: bytes) -> None:
        if transport in subscribers:
            writes[transport] += 1
        write(transport, data)

    monkeypatch.setattr(SocketTransport, "write", noted)
    return writes


async def ward(place: Place) -> tuple[list[Wire], list[Wire]]:
    await place.start()
    subscribers = [await place.connect(f"sub{n}", 4) for n in range(MANY)]
    for each in subscribers:
        await each.subscribe(Filter("beds/#", 1))
    return subscribers, [await place.connect(f"bed{n}", 4) for n in range(3)]


async def test_two_messages_to_many_are_one_write_each(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "GATHER", 3600.0)
    monkeypatch.setattr(fanout, "MOST_GATHERED", 3600.0)
    subscribers, (first, second, third) = await ward(place)
    writes = counted(place, monkeypatch)
    first.send(Publish("beds/1", b"1"))
    for each in subscribers:
        assert (await each.expect(Publish)).payload == b"1"
    second.send(Publish("beds/2", b"2"))
    await second.nothing_more()  # who asks has its answer meanwhile
    third.send(Publish("beds/3", b"3", 1, packet_id=9))
    await third.next()
    assert list(writes.values()) == [1] * MANY
    place.broker.flush()
    for each in subscribers:
        assert [(await each.expect(Publish)).payload for _ in range(2)] == [b"2", b"3"]
    assert list(writes.values()) == [2] * MANY


async def test_what_was_gathered_is_written_a_moment_later(place: Place) -> None:
    subscribers, publishers = await ward(place)
    for number in range(20):
        publishers[number % 3].send(Publish("beds/1", b"%d" % number))
        await publishers[number % 3].nothing_more()
    for each in subscribers:
        assert [(await each.expect(Publish)).payload for _ in range(20)] == [b"%d" % number for number in range(20)]


async def test_a_few_subscribers_are_never_kept_waiting(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "GATHER", 3600.0)
    monkeypatch.setattr(fanout, "MOST_GATHERED", 3600.0)
    await place.start()
    subscriber, publisher = await place.connect("sub", 4), await place.connect("bed", 4)
    await subscriber.subscribe(Filter("beds/#", 0))
    for number in range(3):
        publisher.send(Publish("beds/1", b"%d" % number))
        assert (await subscriber.expect(Publish)).payload == b"%d" % number
