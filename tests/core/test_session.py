"""The client session upward, bytes in and bytes out, with a clock that tests move."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.core.session import Broken, Refused, Session, Timing
from littoral.core.spool import MESSAGE_ID, Spooled
from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import (
    Ack,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Suback,
    Subscribe,
)
from littoral.protocols.mqtt.reasons import Reason


class Above:
    """Reads what the session says, and answers."""

    def __init__(self, session: Session, now: float = 0.0) -> None:
        self.session = session
        self.now = now
        self._decoder = Decoder(5)
        session.begin(now)

    def heard(self) -> list[Packet]:
        return self._decoder.feed(self.session.outgoing())

    def say(self, *packets: Packet) -> Any:
        return self.session.received(b"".join(encode(packet, 5) for packet in packets), self.now)

    def welcome(self, *, present: bool = False, **properties: Any) -> Any:
        return self.say(Connack(0, present, properties))


def spool(session: Session, handle: Any, topic: str, payload: bytes, identity: str) -> None:
    block = Spooled(1, identity, payload, {"topic": topic}, 0.0).block(0.0)
    assert block is not None
    session.send(handle, topic, payload, block)


def publishes(packets: list[Packet]) -> list[tuple[bytes, bool]]:
    return [(packet.payload, packet.dup) for packet in packets if isinstance(packet, Publish)]


def test_connect_asks_for_a_session_that_outlives_the_connection() -> None:
    session = Session("core", window=7, timing=Timing(dead_after=5, session_expiry=60))
    (connect,) = Above(session).heard()
    assert isinstance(connect, Connect)
    assert (connect.client_id, connect.clean, connect.keep_alive) == ("core", False, 5)
    assert connect.properties == {"session_expiry": 60, "receive_maximum": 7}
    assert session.room == 0


def test_a_publish_carries_its_message_id_and_comes_back_when_acknowledged() -> None:
    session = Session("core", window=3)
    above = Above(session)
    above.welcome(receive_maximum=2)
    above.heard()
    assert session.room == 2
    spool(session, "first", "t/1", b"1", "core/e/1")
    (packet,) = above.heard()
    assert isinstance(packet, Publish)
    assert (packet.topic, packet.qos, packet.dup) == ("t/1", 1, False)
    assert packet.properties is not None
    assert packet.properties.user_properties == [(MESSAGE_ID, "core/e/1")]
    assert session.room == 1
    assert above.say(Ack(4, packet.packet_id)).acknowledged == [("first", 0)]
    assert above.say(Ack(4, packet.packet_id)).acknowledged == []
    assert session.room == 2


@pytest.mark.parametrize("present", [True, False])
def test_what_is_unacknowledged_goes_again_first_and_in_order(present: bool) -> None:
    session = Session("core")
    above = Above(session)
    above.welcome()
    for number in (1, 2, 3):
        spool(session, number, "t", b"%d" % number, f"id/{number}")
    first = [packet for packet in above.heard() if isinstance(packet, Publish)]
    above.say(Ack(4, first[1].packet_id))
    above = Above(session, 10.0)
    assert [type(packet) for packet in above.heard()] == [Connect]
    above.welcome(present=present)
    spool(session, 4, "t", b"4", "id/4")
    again = above.heard()
    assert publishes(again) == [(b"1", present), (b"3", present), (b"4", False)]
    assert [packet.packet_id for packet in again[:2] if isinstance(packet, Publish)] == [
        first[0].packet_id,
        first[2].packet_id,
    ]


def test_a_refusal_for_now_breaks_the_connection_and_keeps_the_message() -> None:
    session = Session("core")
    above = Above(session)
    above.welcome()
    spool(session, "a", "t", b"a", "id/a")
    spool(session, "b", "t", b"b", "id/b")
    first, second = (packet.packet_id for packet in above.heard() if isinstance(packet, Publish))
    happened = above.say(Ack(4, second), Ack(4, first, Reason.QUOTA_EXCEEDED))
    assert happened.acknowledged == [("b", 0)]
    assert isinstance(happened.broken, Broken)
    above = Above(session)
    above.welcome(present=True)
    assert publishes(above.heard()) == [(b"a", True)]


def test_a_refusal_for_good_comes_back() -> None:
    session = Session("core")
    above = Above(session)
    above.welcome()
    spool(session, "a", "t", b"a", "id/a")
    (number,) = (packet.packet_id for packet in above.heard() if isinstance(packet, Publish))
    happened = above.say(Ack(4, number, Reason.TOPIC_NAME_INVALID))
    assert (happened.acknowledged, happened.broken) == ([("a", Reason.TOPIC_NAME_INVALID)], None)


def test_acknowledgements_before_a_goodbye_in_the_same_read_count() -> None:
    session = Session("core")
    above = Above(session)
    above.welcome()
    spool(session, "a", "t", b"a", "id/a")
    (number,) = (packet.packet_id for packet in above.heard() if isinstance(packet, Publish))
    happened = above.say(Ack(4, number), Disconnect(Reason.SERVER_SHUTTING_DOWN))
    assert happened.acknowledged == [("a", 0)]
    assert "0x8b" in str(happened.broken)


def test_silence_is_answered_by_a_ping_and_then_by_giving_up() -> None:
    session = Session("core", timing=Timing(ping_every=2, dead_after=5))
    above = Above(session)
    above.welcome()
    above.heard()
    session.tick(1.9)
    assert above.heard() == []
    session.tick(2.0)
    session.tick(3.0)
    assert above.heard() == [Pingreq()]
    above.now = 3.0
    above.say(Pingresp())
    session.tick(5.0)
    assert above.heard() == [Pingreq()]
    with pytest.raises(Broken, match="nothing was heard"):
        session.tick(8.0)


def test_a_dead_path_is_noticed_before_any_welcome_too() -> None:
    session = Session("core", timing=Timing(dead_after=5))
    Above(session, 100.0)
    with pytest.raises(Broken):
        session.tick(105.0)


def test_subscriptions_and_messages_from_above() -> None:
    session = Session("core")
    above = Above(session)
    above.welcome()
    above.heard()
    number = session.subscribe(["a/#", "b"])
    (packet,) = above.heard()
    assert isinstance(packet, Subscribe)
    assert [(each.filter, each.qos, each.no_local) for each in packet.filters] == [("a/#", 1, True), ("b", 1, True)]
    happened = above.say(Suback(number, [1, 0x87]), Publish("a/x", b"m", 1, packet_id=9), Publish("b", b"n"))
    assert happened.subscribed == [(number, [1, 0x87])]
    for message in happened.messages:
        session.done(message)
    assert above.heard() == [Ack(4, 9)]


@pytest.mark.parametrize(
    "packets",
    [
        [Pingresp()],
        [Connack(), Connack()],
        [Connack(), Publish("t", b"", 2, packet_id=1)],
        [Connack(), Connect("x")],
        [Connack(Reason.NOT_AUTHORIZED)],
    ],
)
def test_what_a_server_must_not_say_breaks_the_connection(packets: list[Packet]) -> None:
    happened = Above(Session("core")).say(*packets)
    assert isinstance(happened.broken, Broken)
    assert isinstance(happened.broken, Refused) == (packets[0] == Connack(Reason.NOT_AUTHORIZED))


def test_what_is_larger_than_the_place_above_takes_does_not_fit() -> None:
    session = Session("core")
    above = Above(session)
    above.welcome(maximum_packet_size=2000)
    assert session.fits("t", b"x" * 1900, b"y" * 80)
    assert not session.fits("t", b"x" * 1900, b"y" * 90)


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_break_the_connection(data: bytes) -> None:
    session = Session("core")
    Above(session)
    happened = session.received(data, 0.0)
    assert happened.broken is None or isinstance(happened.broken, Broken)


@given(st.lists(st.sampled_from(["publish", "ack first", "ack last", "refuse", "cut"]), max_size=60), st.booleans())
def test_every_publish_is_acknowledged_once_whatever_happens(steps: list[str], present: bool) -> None:
    """A place above that loses the connection now and then: nothing is lost, nothing is told twice, order holds."""
    session = Session("core", window=5)
    above = Above(session)
    above.welcome()
    waiting: list[Publish] = []
    told: list[int] = []
    count = 0
    for step in [*steps, *["ack first"] * 70]:
        waiting += [packet for packet in above.heard() if isinstance(packet, Publish)]
        if step == "publish" and session.room:
            count += 1
            spool(session, count, "t", b"%d" % count, f"id/{count}")
        elif step == "cut" or (step == "refuse" and waiting):
            if step == "refuse":
                assert above.say(Ack(4, waiting[0].packet_id, Reason.QUOTA_EXCEEDED)).broken is not None
            above = Above(session)
            above.heard()
            above.welcome(present=present)
            waiting = []
        elif step.startswith("ack") and waiting:
            packet = waiting.pop(0 if step == "ack first" else -1)
            told += [handle for handle, _ in above.say(Ack(4, packet.packet_id)).acknowledged]
        numbers = [int(packet.payload) for packet in waiting]
        assert numbers == sorted(numbers)
    assert sorted(told) == list(range(1, count + 1))
