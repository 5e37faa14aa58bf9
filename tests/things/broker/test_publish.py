"""Who gets what: QoS, retained, wills, shared subscriptions, properties, for both versions of the protocol."""

from __future__ import annotations

import asyncio

import pytest

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Ack, Connack, Disconnect, Filter, Publish, Unsuback, Unsubscribe, Will
from littoral.protocols.mqtt.properties import PublishProperties
from littoral.protocols.mqtt.reasons import Reason
from littoral.things.access import Client, OpenAccess, Refusal
from littoral.things.broker import BrokerLimits, NotStored
from littoral.things.message import Publication
from tests.things.broker.conftest import Place, durable


async def test_messages_reach_subscribers_at_the_lower_qos(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level)
    assert await sub.subscribe(Filter("a/+", 1), Filter("b", 0), Filter("c", 2)) == [1, 0, 2]
    pub = await place.connect("pub", level)
    pub.send(Publish("a/x", b"0"), Publish("a/x", b"1", 1, packet_id=1), Publish("b", b"2", 1, packet_id=2))
    assert [(await pub.expect(Ack)).packet_id for _ in range(2)] == [1, 2]
    got = [await sub.expect(Publish) for _ in range(3)]
    assert [(each.topic, each.payload, each.qos) for each in got] == [
        ("a/x", b"0", 0),
        ("a/x", b"1", 1),
        ("b", b"2", 0),
    ]


async def test_versions_talk_to_each_other(place: Place) -> None:
    await place.start()
    subs = [await place.connect(f"s{level}", level) for level in (4, 5)]
    for sub in subs:
        await sub.subscribe(Filter("#", 1))
    for level in (4, 5):
        pub = await place.connect(f"p{level}", level)
        await pub.publish("t", b"one")
        pub.send(Publish("t", b"two"), Publish("t", b"three"), Publish("u", b"four"))
        for sub in subs:
            got = [await sub.expect(Publish) for _ in range(4)]
            assert [each.payload for each in got] == [b"one", b"two", b"three", b"four"]
            sub.send(Ack(4, got[0].packet_id))


async def test_split_reads_and_large_packets(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level)
    await sub.subscribe(Filter("#", 0))
    pub = await place.connect("pub", level)
    big = bytes(range(256)) * 2000
    raw = encode(Publish("big", big), level) + encode(Publish("small", b"s"), level)
    for start in (0, 1, 2, 3, 5, 8, 1000, 500_000):
        stop = next((each for each in (1, 2, 3, 5, 8, 1000, 500_000) if each > start), len(raw))
        pub.writer.write(raw[start:stop])
        await pub.writer.drain()
        await asyncio.sleep(0)
    assert (await sub.expect(Publish)).payload == big
    assert (await sub.expect(Publish)).payload == b"s"


async def test_retained(place: Place, level: int) -> None:
    await place.start()
    pub = await place.connect("pub", level)
    await pub.publish("r/1", b"old", retain=True)
    await pub.publish("r/1", b"new", retain=True)
    await pub.publish("r/2", b"gone", retain=True)
    await pub.publish("r/2", b"", retain=True)
    await place.restart()
    sub = await place.connect("sub", level)
    await sub.subscribe(Filter("r/#", 1))
    got = await sub.expect(Publish)
    assert (got.topic, got.payload, got.qos, got.retain) == ("r/1", b"new", 1, True)
    await sub.nothing_more()
    assert place.broker.retained("r/2") is None
    held = place.broker.retained("r/1")
    assert held is not None and held.payload == b"new"


async def test_retained_is_bounded(place: Place) -> None:
    place.limits = BrokerLimits(retained_messages=1)
    await place.start()
    pub = await place.connect("pub", 5)
    await pub.publish("r/1", b"1", retain=True)
    assert (await pub.publish("r/2", b"2", retain=True)).reason == Reason.QUOTA_EXCEEDED
    assert place.broker.retained("r/2") is None
    old = await place.connect("old", 4)
    old.send(Publish("r/3", b"3", 1, True, packet_id=1))
    await old.closed()


async def test_retain_options_of_v5(place: Place) -> None:
    await place.start()
    pub = await place.connect("pub", 5)
    await pub.publish("r", b"held", retain=True)
    sub = await place.connect("sub", 5)
    await sub.subscribe(Filter("r", retain_handling=2))
    await sub.subscribe(Filter("r", retain_handling=1))  # not new
    await sub.nothing_more()
    await sub.subscribe(Filter("r", retain_as_published=True))
    assert (await sub.expect(Publish)).retain
    await pub.publish("r", b"live", retain=True)
    assert (await sub.expect(Publish)).retain


async def test_will_is_published_when_the_connection_breaks_only(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level)
    await sub.subscribe(Filter("will/#", 1))
    polite = await place.connect("polite", level, will=Will("will/polite", b"w"))
    await polite.leave()
    rude = await place.connect("rude", level, will=Will("will/rude", b"w", 1, True))
    rude.drop()
    assert (await sub.expect(Publish)).topic == "will/rude"
    assert place.broker.retained("will/rude") is not None


async def test_delayed_will_and_reconnect(place: Place) -> None:
    await place.start()
    sub = await place.connect("sub", 5)
    await sub.subscribe(Filter("will", 0))
    for payload in (b"cancelled", b"sent"):
        rude = await place.connect("rude", 5, will=Will("will", payload, delay=60), **durable(5))
        rude.drop()
        await place.until_gone("rude")
        place.broker.sweep(place.now + 59)
    place.broker.sweep(place.now + 61)
    assert (await sub.expect(Publish)).payload == b"sent"


async def test_shared_subscription_takes_turns(place: Place) -> None:
    await place.start()
    workers = [await place.connect(f"w{number}", 5) for number in range(2)]
    for worker in workers:
        assert await worker.subscribe(Filter("$share/g/job/+", 1)) == [1]
    pub = await place.connect("pub", 5)
    for number in range(4):
        await pub.publish(f"job/{number}", b"j")
    for worker in workers:
        for _ in range(2):
            await worker.expect(Publish)
        await worker.nothing_more()


async def test_properties_travel_and_aliases_do_not(place: Place) -> None:
    await place.start()
    sub = await place.connect("sub", 5)
    await sub.subscribe(Filter("p", 1), subscription_identifiers=[5])
    await sub.subscribe(Filter("+", 0), subscription_identifiers=[6])
    pub = await place.connect("pub", 5)
    told = PublishProperties(1, 60, "text/plain", "answer", b"\1", [("a", "1"), ("a", "2")], [], 3)
    pub.send(Publish("p", b"x", 1, packet_id=1, properties=told))
    pub.send(Publish("", b"y", 0, properties=PublishProperties(topic_alias=3)))
    first, second = await sub.expect(Publish), await sub.expect(Publish)
    assert sorted(first.properties.subscription_identifiers) == [5, 6]
    first.properties.subscription_identifiers = []
    told.topic_alias = None
    assert first.properties == told
    assert (second.topic, second.payload, second.properties.topic_alias) == ("p", b"y", None)


async def test_no_local_and_unsubscribe(place: Place) -> None:
    await place.start()
    client = await place.connect("c", 5)
    await client.subscribe(Filter("t", 1, no_local=True))
    await client.publish("t")
    await client.nothing_more()
    client.send(Unsubscribe(3, ["t", "never"]))
    assert (await client.expect(Unsuback)).reasons == [0, Reason.NO_SUBSCRIPTION_EXISTED]


async def test_beside_no_local_another_subscription_counts_alone(place: Place) -> None:
    """For what the client itself published: one copy, but of that subscription's QoS and identifier."""
    await place.start()
    wire = await place.connect("c", 5)
    await wire.subscribe(Filter("t", 1, no_local=True), subscription_identifiers=[1])
    await wire.subscribe(Filter("#", 0), subscription_identifiers=[2])
    wire.send(Publish("t", b"mine"))
    own = await wire.expect(Publish)
    await (await place.connect("pub", 5)).publish("t", b"theirs")
    other = await wire.expect(Publish)
    assert own.properties is not None and other.properties is not None
    assert (own.payload, own.qos, own.properties.subscription_identifiers) == (b"mine", 0, [2])
    assert (other.payload, other.qos, sorted(other.properties.subscription_identifiers)) == (b"theirs", 1, [1, 2])


async def test_message_expires_in_the_queue(place: Place) -> None:
    await place.start()
    sub = await place.connect("sub", 5, **durable(5))
    await sub.subscribe(Filter("t", 1))
    await sub.leave()
    pub = await place.connect("pub", 5)
    await pub.publish("t", b"short", properties=PublishProperties(message_expiry=10))
    await pub.publish("t", b"long", properties=PublishProperties(message_expiry=100))
    place.now += 40
    sub = await place.connect("sub", 5, **durable(5))
    got = await sub.expect(Publish)
    assert (got.payload, got.properties.message_expiry) == (b"long", 60)


async def test_window_holds_back_and_goes_on(place: Place) -> None:
    await place.start()
    sub = await place.connect("sub", 5, properties={"receive_maximum": 2})
    await sub.subscribe(Filter("t", 1))
    pub = await place.connect("pub", 5)
    for number in range(5):
        await pub.publish("t", b"%d" % number)
    first = [await sub.expect(Publish) for _ in range(2)]
    await sub.nothing_more()
    sub.send(Ack(4, first[1].packet_id), Ack(4, first[0].packet_id))
    assert [(await sub.expect(Publish)).payload for _ in range(2)] == [b"2", b"3"]


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_client_that_comes_back_with_a_smaller_window(place: Place, qos: int) -> None:
    await place.start()
    properties = {"session_expiry": 60}
    sub = await place.connect("sub", 5, clean=False, properties=properties)
    await sub.subscribe(Filter("t", qos))
    pub = await place.connect("pub", 5)
    for number in range(1, 6):
        pub.send(Publish("t", b"%d" % number, qos, packet_id=number))
        await pub.expect(Ack)
    assert [(await sub.expect(Publish)).payload for _ in range(5)] == [b"1", b"2", b"3", b"4", b"5"]
    sub.drop()
    await place.until_gone("sub")
    sub = await place.connect("sub", 5, clean=False, properties=properties | {"receive_maximum": 2})
    got = [await sub.expect(Publish) for _ in range(2)]
    for _ in range(3):
        await sub.nothing_more()
        for kind in (4,) if qos == 1 else (5, 7):
            sub.send(Ack(kind, got[-2].packet_id))
            if kind == 5:
                assert (await sub.expect(Ack)).kind == 6
        got.append(await sub.expect(Publish))
    assert [each.payload for each in got] == [b"1", b"2", b"3", b"4", b"5"]
    assert all(each.dup for each in got)


async def test_maximum_packet_size_of_a_client(place: Place) -> None:
    await place.start()
    sub = await place.connect("sub", 5, properties={"maximum_packet_size": 50})
    await sub.subscribe(Filter("t", 1))
    pub = await place.connect("pub", 5)
    await pub.publish("t", b"x" * 100)
    await pub.publish("t", b"fits")
    assert (await sub.expect(Publish)).payload == b"fits"


# ------------------------------------------------------------------------------------- in this process


async def test_in_process_publish_subscribe_and_tap(place: Place, level: int) -> None:
    await place.start()
    told: list[Publication] = []
    release, asked = asyncio.Event(), asyncio.Event()

    async def tap(publication: Publication) -> None:
        asked.set()
        await release.wait()

    place.broker.tap("spool/#", tap)
    handle = place.broker.subscribe("#", told.append)
    client = await place.connect("c", level)
    client.send(Publish("spool/1", b"x", 1, packet_id=1), Publish("other", b"y", 1, packet_id=2))
    await asked.wait()
    await client.nothing_more()  # neither is acknowledged: the second must not overtake the first
    release.set()
    assert [(await client.expect(Ack)).packet_id for _ in range(2)] == [1, 2]
    assert [(each.topic, each.client_id, each.received_at) for each in told] == [
        ("spool/1", "c", place.now),
        ("other", "c", place.now),
    ]
    handle.close()
    await client.subscribe(Filter("from/inside", 1))
    await place.broker.publish(Publication("from/inside", b"z", 1))
    assert (await client.expect(Publish)).payload == b"z"
    assert len(told) == 2


async def test_a_failing_tap_keeps_the_acknowledgement_back(place: Place) -> None:
    await place.start()

    async def broken(publication: Publication) -> None:
        raise OSError("no space left on device")

    place.broker.tap("t", broken)
    new = await place.connect("new", 5)
    assert (await new.publish("t")).reason == Reason.UNSPECIFIED_ERROR
    old = await place.connect("old", 4)
    old.send(Publish("t", b"x", 1, packet_id=1))
    await old.closed()
    with pytest.raises(NotStored):
        await place.broker.publish(Publication("t", b"x", 1))


async def test_reserved_topics(place: Place, level: int) -> None:
    await place.start()
    seen: list[tuple[str, str]] = []

    async def reserved(client: Client, publication: Publication) -> None:
        seen.append((client.client_id, publication.topic))
        await place.broker.publish(Publication(publication.topic + "/accepted", b"{}", 0))

    place.broker.reserved = reserved
    client = await place.connect("c", level)
    await client.subscribe(Filter("$aws/things/c/shadow/get/+", 0))
    client.send(Publish("$aws/things/c/shadow/get", b"", 1, packet_id=4))
    answers = {type(await client.next()), type(await client.next())}
    assert answers == {Publish, Ack}
    assert seen == [("c", "$aws/things/c/shadow/get")]
    client.send(Publish("$SYS/x", b"", 0))
    if level == 5:
        assert (await client.expect(Disconnect)).reason == Reason.NOT_AUTHORIZED
    await client.closed()


@pytest.mark.parametrize("ending", [encode(Disconnect(), 4), b"\x00\x00"], ids=["DISCONNECT", "malformed"])
async def test_what_came_right_before_the_end_counts(place: Place, level: int, ending: bytes) -> None:
    await place.start()
    done: asyncio.Queue[str] = asyncio.Queue()

    async def note(publication: Publication) -> None:
        done.put_nowait(publication.topic)

    async def reserved(client: Client, publication: Publication) -> None:
        await note(publication)

    place.broker.reserved = reserved
    place.broker.tap("tapped", note)
    wire = await place.connect("c", level)
    wire.send(Publish("$aws/x", b""), Publish("tapped", b""), Publish("kept", b"k", retain=True))
    wire.writer.write(ending)
    assert {await done.get(), await done.get()} == {"$aws/x", "tapped"}
    while await wire.next() is not None:
        pass
    await place.restart()
    assert place.broker.retained("kept") is not None


# --------------------------------------------------------------------------------------------- access


class Wards(OpenAccess):
    """Clients may use topics under their own name, and listen to all but secrets."""

    def connect(self, who: Client) -> Refusal | None:
        return Refusal(message="unknown") if who.client_id == "stranger" else None

    def publish(self, who: Client, topic: str, retain: bool) -> bool:
        return topic.startswith(who.client_id + "/")

    def subscribe(self, who: Client, filter: str) -> bool:
        return filter != "forbidden"

    def receive(self, who: Client, topic: str) -> bool:
        return not topic.endswith("/secret")


async def test_access_is_asked(place: Place, level: int) -> None:
    place.access = Wards()
    await place.start()
    _, refused = await place.try_connect("stranger", level)
    assert refused.reason == (Reason.NOT_AUTHORIZED if level == 5 else 5)
    _, refused = await place.try_connect("a", level, will=Will("b/x", b""))
    assert refused.reason == (Reason.NOT_AUTHORIZED if level == 5 else 5)
    client = await place.connect("a", level)
    assert await client.subscribe(Filter("forbidden", 0), Filter("#", 0)) == [0x87 if level == 5 else 0x80, 0]
    await client.publish("a/secret")
    client.send(Publish("a/open", b"", 1, packet_id=9))
    answers = [await client.next(), await client.next()]
    assert [each.topic for each in answers if isinstance(each, Publish)] == ["a/open"]
    assert [each.packet_id for each in answers if isinstance(each, Ack)] == [9]
    client.send(Publish("b/x", b"", 1, packet_id=3))
    if level == 5:
        assert (await client.expect(Ack)).reason == Reason.NOT_AUTHORIZED
        await client.leave()
    else:
        await client.closed()


async def test_policies_that_change_take_effect(place: Place, level: int) -> None:
    class Switch(OpenAccess):
        on = True

        def publish(self, who: Client, topic: str, retain: bool) -> bool:
            return self.on

    switch = place.access = Switch()
    await place.start()
    client = await place.connect("c", level)
    await client.publish("t")
    switch.on = False
    place.broker.refresh()
    client.send(Publish("t", b"", 0))
    if level == 5:
        assert (await client.expect(Disconnect)).reason == Reason.NOT_AUTHORIZED
    await client.closed()


async def test_disconnect_by_the_operator(place: Place, level: int) -> None:
    await place.start()
    client = await place.connect("c", level)
    assert place.broker.disconnect("c") == 1
    if level == 5:
        assert (await client.expect(Disconnect)).reason == Reason.ADMINISTRATIVE_ACTION
    await client.closed()


async def test_connack_says_what_v5_may_use(place: Place) -> None:
    place.profile = "aws"
    await place.start()
    wire, connack = await place.try_connect("", 5, properties={"session_expiry": 9999})
    assert isinstance(connack, Connack)
    told = connack.properties
    assert told["assigned_client_id"].startswith("littoral-")
    assert (told["maximum_qos"], told["receive_maximum"], told["session_expiry"]) == (1, 100, 3600)
    assert (told["server_keep_alive"], told["subscription_identifier_available"]) == (1200, 0)
    await wire.leave()
