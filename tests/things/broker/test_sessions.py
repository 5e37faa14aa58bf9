"""Sessions that outlive connections, take-over, time, and what a broker does with bytes that are no MQTT."""

from __future__ import annotations

import asyncio
import random

import pytest

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import (
    Ack,
    Connack,
    Connect,
    Disconnect,
    Filter,
    Pingreq,
    Pingresp,
    Publish,
    Subscribe,
    Will,
)
from littoral.protocols.mqtt.reasons import Reason
from littoral.things.access import Admission, Client, OpenAccess, Refusal
from littoral.things.broker import BrokerLimits
from tests.things.broker.conftest import PATIENCE, Place, Wire, durable


@pytest.mark.parametrize(
    ("stored", "restarted"), [(True, False), (True, True), (False, False)], ids=["disk", "restarted", "memory"]
)
async def test_messages_wait_for_a_durable_session(place: Place, level: int, stored: bool, restarted: bool) -> None:
    await place.start(durable=stored)
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("t/#", 1))
    await sub.leave()
    pub = await place.connect("pub", level)
    for number in range(5):
        await pub.publish(f"t/{number}", b"%d" % number)
    pub.send(Publish("t/lost", b"QoS 0 does not wait"))
    await pub.nothing_more()
    if restarted:
        await place.restart()
    sub, connack = await place.try_connect("sub", level, **durable(level))
    assert connack.session_present
    got = [await sub.expect(Publish) for _ in range(5)]
    assert [each.payload for each in got] == [b"0", b"1", b"2", b"3", b"4"]
    await sub.nothing_more()


class Admitting(OpenAccess):
    """Its client may receive what its admission says, and nothing without one."""

    async def identify(self, who: Client) -> Refusal | None:
        who.principal, who.admission = "Bed", Admission("gate", "Bed", ("may receive",))
        return None

    def receive(self, who: Client, topic: str) -> bool:
        return who.admission is not None and who.admission.policies == ("may receive",)


async def test_what_an_authorizer_said_outlives_a_restart_and_no_secret_does(place: Place, level: int) -> None:
    place.access = Admitting()
    await place.start()
    sub = await place.connect("sub", level, username="u?token=ticket", password=b"sesame", **durable(level))
    await sub.subscribe(Filter("t", 1))
    await sub.leave()
    assert place.store is not None
    for record in await place.store.records("broker").scan(""):
        assert b"ticket" not in record.value and b"sesame" not in record.value
    await place.restart()
    await (await place.connect("pub", level)).publish("t", b"while it was away")
    sub, connack = await place.try_connect("sub", level, **durable(level))
    assert connack.session_present and (await sub.expect(Publish)).payload == b"while it was away"


async def test_what_was_not_acknowledged_comes_again_with_dup(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("t", 1))
    pub = await place.connect("pub", level)
    for payload in (b"a", b"b", b"c"):
        await pub.publish("t", payload)
    first = [await sub.expect(Publish) for _ in range(3)]
    assert not any(each.dup for each in first)
    sub.send(Ack(4, first[0].packet_id))
    await sub.nothing_more()
    sub.drop()
    sub = await place.connect("sub", level, **durable(level))
    again = [await sub.expect(Publish) for _ in range(2)]
    assert [(each.payload, each.dup, each.packet_id) for each in again] == [
        (b"b", True, first[1].packet_id),
        (b"c", True, first[2].packet_id),
    ]
    sub.send(*(Ack(4, each.packet_id) for each in again))
    await sub.leave()
    await place.restart()
    sub = await place.connect("sub", level, **durable(level))
    await sub.nothing_more()


async def test_clean_start_forgets(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("t", 1))
    await sub.leave()
    pub = await place.connect("pub", level)
    await pub.publish("t", b"old")
    sub, connack = await place.try_connect("sub", level, clean=True)
    assert not connack.session_present
    await sub.leave()
    await place.restart()
    sub, connack = await place.try_connect("sub", level, **durable(level))
    assert not connack.session_present
    await sub.nothing_more()


async def test_sessions_expire(place: Place, level: int) -> None:
    await place.start()
    sub = await place.connect("sub", level, **durable(level))
    await sub.subscribe(Filter("t", 1))
    await sub.leave()
    await place.until_gone("sub")
    place.now += 8 * 24 * 3600
    place.broker.sweep(place.now)
    await place.restart()
    _, connack = await place.try_connect("sub", level, **durable(level))
    assert not connack.session_present


async def test_a_session_may_end_with_a_disconnect_that_says_so(place: Place) -> None:
    await place.start()
    sub = await place.connect("sub", 5, **durable(5))
    await sub.subscribe(Filter("t", 1))
    sub.send(Disconnect(0, {"session_expiry": 0}))
    await sub.closed()
    _, connack = await place.try_connect("sub", 5, **durable(5))
    assert not connack.session_present


async def test_the_same_client_id_takes_over(place: Place, level: int) -> None:
    await place.start()
    watcher = await place.connect("watcher", level)
    await watcher.subscribe(Filter("will", 0))
    old = await place.connect("c", level, will=Will("will", b"taken"))
    new = await place.connect("c", level)
    if level == 5:
        assert (await old.expect(Disconnect)).reason == Reason.SESSION_TAKEN_OVER
    await old.closed()
    assert (await watcher.expect(Publish)).payload == b"taken"
    await new.nothing_more()


async def test_a_take_over_does_not_resume_what_ends_with_its_connection(place: Place) -> None:
    """A session that was durable and is not any more: CONNECT came again with a session expiry of 0."""
    await place.start()
    await (await place.connect("c", 4, clean=False)).subscribe(Filter("t", 1))
    await place.connect("c", 5, clean=False)
    _, connack = await place.try_connect("c", 5, clean=False)
    assert not connack.session_present


async def test_a_session_whose_time_is_over_is_not_resumed_before_the_sweep(place: Place, level: int) -> None:
    await place.start()
    await (await place.connect("c", level, **durable(level))).leave()
    await place.until_gone("c")
    place.now += 8 * 24 * 3600
    _, connack = await place.try_connect("c", level, **durable(level))
    assert not connack.session_present


async def test_what_a_take_over_ended_is_not_back_after_a_restart(place: Place, level: int) -> None:
    """The record of the old session was written once more, by the end of its connection, after its removal."""
    await place.start()
    await (await place.connect("c", level, **durable(level))).subscribe(Filter("t", 1))
    await (await place.connect("c", level)).leave()
    await place.restart()
    _, connack = await place.try_connect("c", level, **durable(level))
    assert not connack.session_present


async def test_keep_alive(place: Place, level: int) -> None:
    await place.start()
    quiet = await place.connect("quiet", level, keep_alive=10)
    busy = await place.connect("busy", level, keep_alive=10)
    patient = await place.connect("patient", level)
    place.broker.sweep(place.now)
    for _ in range(2):
        place.now += 10
        await busy.nothing_more()
        place.broker.sweep(place.now)
    if level == 5:
        assert (await quiet.expect(Disconnect)).reason == Reason.KEEP_ALIVE_TIMEOUT
    await quiet.closed()
    await busy.nothing_more()
    await patient.nothing_more()


async def test_a_connection_without_connect_is_given_up(place: Place) -> None:
    await place.start()
    wire = await place.raw(4)
    wire.writer.write(b"\x10")
    other = await place.connect("other", 4)
    await other.nothing_more()
    place.now += 11
    place.broker.sweep(place.now)
    await wire.closed()
    await other.nothing_more()


async def test_packets_right_behind_connect(place: Place, level: int) -> None:
    await place.start()
    wire = await place.raw(level)
    wire.send(Connect("c", level, **durable(level)), Publish("t", b"x", 1, packet_id=1), Pingreq())
    await wire.expect(Connack)
    await wire.expect(Ack)
    await wire.expect(Pingresp)


# ------------------------------------------------------------------------------------------- bad input


async def refused(wire: Wire, level: int, reason: int) -> None:
    if level == 5:
        assert (await wire.expect(Disconnect)).reason == reason
    await wire.closed()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(bytes.fromhex("c100"), Reason.MALFORMED_PACKET, id="flags"),
        pytest.param(bytes.fromhex("0000"), Reason.MALFORMED_PACKET, id="type 0"),
        pytest.param(bytes.fromhex("30ffffffff01"), Reason.MALFORMED_PACKET, id="length"),
        pytest.param(bytes.fromhex("30ffffff7f"), Reason.PACKET_TOO_LARGE, id="size"),
        pytest.param(bytes.fromhex("30030005 61"), Reason.MALFORMED_PACKET, id="topic beyond the packet"),
        pytest.param(bytes.fromhex("3000"), Reason.MALFORMED_PACKET, id="empty PUBLISH"),
        pytest.param(bytes.fromhex("2003000000"), Reason.PROTOCOL_ERROR, id="CONNACK from a client"),
        pytest.param(bytes.fromhex("60020001"), Reason.MALFORMED_PACKET, id="PUBREL without its flags"),
    ],
)
async def test_malformed(place: Place, level: int, raw: bytes, reason: int) -> None:
    await place.start()
    wire = await place.connect("c", level)
    wire.writer.write(raw)
    await refused(wire, level, reason)
    await (await place.connect("still", level)).nothing_more()


async def test_damaged_packets_harm_nobody_else(place: Place, level: int) -> None:
    await place.start()
    chance = random.Random(level)
    sound = [
        Publish("t/x", b"payload", 1, packet_id=3),
        Publish("t/x", b"payload"),
        Publish("t/x", b"payload", retain=True),
        Subscribe(1, [Filter("t/+", 1), Filter("$share/g/t/#")]),
        Ack(4, 3),
        Pingreq(),
    ]
    for turn in range(100):
        wire = await place.connect(f"c{turn % 3}", level)
        raw = bytearray(b"".join(encode(each, level) for each in chance.choices(sound, k=4)))
        for _ in range(chance.randrange(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        wire.writer.write(raw)
        wire.writer.write_eof()
        while await wire.next() is not None:
            pass
        wire.writer.close()
    sub = await place.connect("sub", level)
    await sub.subscribe(Filter("intact", 1))
    await sub.publish("other")
    sub.send(Publish("intact", b"yes", 1, packet_id=2))
    assert {type(await sub.next()), type(await sub.next())} == {Publish, Ack}
    assert len(place.broker.clients()) == 1


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (Publish("a/+", b""), Reason.TOPIC_NAME_INVALID),
        (Publish("a/" * 70, b""), Reason.TOPIC_NAME_INVALID),
        (Publish("", b""), Reason.TOPIC_NAME_INVALID),
        (Connect("c"), Reason.PROTOCOL_ERROR),
    ],
    ids=["wildcard", "slashes", "empty topic", "second CONNECT"],
)
async def test_what_may_not_be_sent(place: Place, level: int, packet: Publish | Connect, reason: int) -> None:
    await place.start()
    wire = await place.connect("c", level)
    if isinstance(packet, Connect):
        packet = Connect("c", level)
    wire.send(packet)
    await refused(wire, level, reason)


async def test_connect_that_is_refused(place: Place) -> None:
    await place.start()
    _, connack = await place.try_connect("", 4, clean=False)
    assert connack.reason == 2
    _, connack = await place.try_connect("x" * 300, 5)
    assert connack.reason == Reason.CLIENT_IDENTIFIER_NOT_VALID
    _, connack = await place.try_connect("c", 5, properties={"authentication_method": "x"})
    assert connack.reason == Reason.BAD_AUTHENTICATION_METHOD
    old = await place.raw(4)
    old.writer.write(bytes.fromhex("100e 0006 4d5149736470 03 02 0000 0000"))  # MQTT 3.1
    assert (await old.expect(Connack)).reason == 1
    for raw in (b"GET / HTTP/1.1\r\n\r\n", encode(Publish("t", b""), 4)):
        wire = await place.raw(4)
        wire.writer.write(raw)
        await wire.closed()


async def test_aws_limits(place: Place, level: int) -> None:
    place.profile = "aws"
    await place.start()
    wire = await place.connect("c", level)
    refusal = 0x80 if level == 4 else Reason.QUOTA_EXCEEDED
    assert await wire.subscribe(*(Filter(f"t/{number}") for number in range(9))) == [*([0] * 8), refusal]
    assert await wire.subscribe(Filter("a/b/c/d/e/f/g/h/i")) == [0x80 if level == 4 else Reason.TOPIC_FILTER_INVALID]
    await wire.publish("kept/x", b"x", retain=True)
    await wire.subscribe(Filter("kept/#"))
    await wire.nothing_more()
    await wire.subscribe(Filter("kept/x"))
    assert (await wire.expect(Publish)).retain
    await wire.publish("kept")  # "kept/#" does not match its parent there
    await wire.nothing_more()
    wire.send(Publish("t/0", b"x" * (128 * 1024 + 1)))
    await refused(wire, level, Reason.PACKET_TOO_LARGE)


# --------------------------------------------------------------------------------------- slow clients


async def test_a_slow_consumer_loses_qos0_and_nothing_else_grows(place: Place, level: int) -> None:
    place.limits = BrokerLimits(out_buffer=64 * 1024)
    await place.start()
    slow = await place.connect("slow", level)
    await slow.subscribe(Filter("t", 0))
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    quick = await place.connect("quick", level)
    await quick.subscribe(Filter("done", 0))
    pub = await place.connect("pub", level)
    session = place.broker.sessions.get("slow")
    assert session is not None
    sent = 0
    while not session.dropped:
        pub.send(*(Publish("t", b"x" * 10_000) for _ in range(20)))
        sent += 20
        await pub.nothing_more()
        assert sent < 20_000
    pub.send(Publish("done", b""))
    assert (await quick.expect(Publish)).topic == "done"
    assert session.transport is not None
    assert session.transport.get_write_buffer_size() < 1024 * 1024
    assert not session.queue


async def test_a_transient_session_that_overflows_is_told(place: Place, level: int) -> None:
    place.limits = BrokerLimits(queue_messages=50, window=10)
    await place.start()
    slow = await place.connect("slow", level)
    await slow.subscribe(Filter("t", 1))
    pub = await place.connect("pub", level)
    for _ in range(62 if level == 4 else 1052):
        await pub.publish("t")
    async with asyncio.timeout(PATIENCE):
        while isinstance(packet := await slow.next(), Publish):
            pass
    if level == 5:
        assert isinstance(packet, Disconnect)
        assert packet.reason == Reason.QUOTA_EXCEEDED
        packet = await slow.next()
    assert packet is None
    await pub.nothing_more()


async def test_a_durable_session_keeps_what_its_bound_allows(place: Place) -> None:
    place.limits = BrokerLimits(stored_messages=3)
    await place.start()
    sub = await place.connect("sub", 4, **durable(4))
    await sub.subscribe(Filter("t", 1))
    await sub.leave()
    pub = await place.connect("pub", 4)
    for number in range(5):
        await pub.publish("t", b"%d" % number)
    sub = await place.connect("sub", 4, **durable(4))
    assert [(await sub.expect(Publish)).payload for _ in range(3)] == [b"2", b"3", b"4"]
