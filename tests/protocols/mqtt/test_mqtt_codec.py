"""MQTT's packets: round trips, any splitting, and bytes that are no MQTT."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.mqtt import packets as p
from littoral.protocols.mqtt.decode import Decoder
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.properties import PublishProperties
from littoral.protocols.mqtt.reasons import Reason
from littoral.protocols.mqtt.wire import MalformedPacket, Reader, encode_variable

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
binaries = st.binary(max_size=60)
qoses = st.integers(0, 2)
ids = st.integers(1, 0xFFFF)
fours = st.integers(0, 0xFFFFFFFF)
pairs = st.lists(st.tuples(texts, texts), max_size=3)

publish_properties = st.builds(
    PublishProperties,
    payload_format=st.none() | st.integers(0, 1),
    message_expiry=st.none() | fours,
    content_type=st.none() | texts,
    response_topic=st.none() | texts,
    correlation_data=st.none() | binaries,
    user_properties=pairs,
    subscription_identifiers=st.lists(st.integers(1, 268_435_455), max_size=3),
    topic_alias=st.none() | st.integers(0, 0xFFFF),
).filter(lambda made: bool(made.as_mapping()))


@st.composite
def publishes(draw: st.DrawFn, level: int) -> p.Publish:
    qos = draw(qoses)
    return p.Publish(
        draw(texts),
        draw(binaries),
        qos,
        draw(st.booleans()),
        bool(qos) and draw(st.booleans()),
        draw(ids) if qos else 0,
        draw(st.none() | publish_properties) if level == 5 else None,
    )


@st.composite
def connects(draw: st.DrawFn, level: int) -> p.Connect:
    will = None
    if draw(st.booleans()):
        will = p.Will(draw(texts), draw(binaries), draw(qoses), draw(st.booleans()))
        if level == 5:
            will.delay = draw(fours)
            will.properties = draw(st.none() | st.builds(PublishProperties, content_type=texts, user_properties=pairs))
    username = draw(st.none() | texts)
    password = draw(st.none() | binaries) if level == 5 or username is not None else None
    properties = {"session_expiry": draw(fours), "user_properties": [("a", "b")]} if level == 5 else {}
    keep_alive = draw(st.integers(0, 0xFFFF))
    return p.Connect(draw(texts), level, draw(st.booleans()), keep_alive, will, username, password, properties)


def packets(level: int) -> st.SearchStrategy[p.Packet]:
    v5 = level == 5
    why = st.fixed_dictionaries({}, optional={"reason_string": texts}) if v5 else st.just({})
    reasons = st.lists(st.sampled_from([0, 1, 2, 0x80]), min_size=1, max_size=4)
    filters = st.builds(
        p.Filter,
        texts,
        qoses,
        *((st.booleans(), st.booleans(), st.integers(0, 2)) if v5 else ()),
    )
    reason = st.sampled_from([int(each) for each in Reason]) if v5 else st.just(0)
    return st.one_of(
        publishes(level),
        connects(level),
        st.builds(p.Connack, st.integers(0, 255), st.booleans(), why),
        st.builds(p.Ack, st.sampled_from([4, 5, 6, 7]), ids, reason, why),
        st.builds(p.Subscribe, ids, st.lists(filters, min_size=1, max_size=4)),
        st.builds(p.Suback, ids, reasons, why),
        st.builds(p.Unsubscribe, ids, st.lists(texts, min_size=1, max_size=4)),
        st.builds(p.Unsuback, ids, reasons if v5 else st.just([]), why),
        st.just(p.Pingreq()),
        st.just(p.Pingresp()),
        st.builds(p.Disconnect, reason, why),
        *([st.builds(p.Auth, reason, why)] if v5 else []),
    )


streams = st.sampled_from([4, 5]).flatmap(lambda level: st.tuples(st.just(level), st.lists(packets(level), max_size=6)))


@given(streams, st.lists(st.integers(0, 400), max_size=8))
def test_what_is_encoded_is_decoded_however_it_is_split(stream: tuple[int, list[p.Packet]], cuts: list[int]) -> None:
    level, sent = stream
    data = b"".join(encode(packet, level) for packet in sent)
    decoder = Decoder(level)
    got = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(places):
        got += decoder.feed(data[start:stop])
    assert got == sent


@given(st.sampled_from([4, 5]), st.binary(max_size=200))
def test_random_bytes_are_packets_or_malformed(level: int, data: bytes) -> None:
    decoder = Decoder(level, max_packet=1000)
    try:
        for packet in decoder.feed(data):
            assert encode(packet, level)
    except MalformedPacket as problem:
        assert problem.reason >= 0x80


@given(st.sampled_from([4, 5]).flatmap(lambda level: st.tuples(st.just(level), packets(level))), st.data())
def test_one_changed_byte_is_a_packet_or_malformed(made: tuple[int, p.Packet], data: st.DataObject) -> None:
    level, packet = made
    raw = bytearray(encode(packet, level))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        Decoder(level, max_packet=1000).feed(bytes(raw))
    except MalformedPacket as problem:
        assert problem.reason >= 0x80


@given(st.integers(0, 268_435_455))
def test_variable_byte_integers(value: int) -> None:
    raw = encode_variable(value)
    assert len(raw) <= 4
    assert Reader(raw).variable() == value


@pytest.mark.parametrize(
    ("level", "raw", "reason"),
    [
        pytest.param(4, "0000", Reason.MALFORMED_PACKET, id="type 0"),
        pytest.param(4, "c100", Reason.MALFORMED_PACKET, id="flags on PINGREQ"),
        pytest.param(4, "8006000100016100", Reason.MALFORMED_PACKET, id="SUBSCRIBE without its flag"),
        pytest.param(4, "36050001610001", Reason.MALFORMED_PACKET, id="QoS 3"),
        pytest.param(4, "3803000161", Reason.MALFORMED_PACKET, id="DUP with QoS 0"),
        pytest.param(4, "320500016100 00", Reason.PROTOCOL_ERROR, id="packet identifier 0"),
        pytest.param(4, "30 03 0001 ff", Reason.MALFORMED_PACKET, id="topic not UTF-8"),
        pytest.param(4, "30 03 0001 00", Reason.MALFORMED_PACKET, id="topic with U+0000"),
        pytest.param(4, "30 03 0005 61", Reason.MALFORMED_PACKET, id="topic beyond the packet"),
        pytest.param(4, "30 ff ff ff ff 01", Reason.MALFORMED_PACKET, id="five bytes of length"),
        pytest.param(4, "30 ff ff ff 7f", Reason.PACKET_TOO_LARGE, id="too large"),
        pytest.param(4, "82 02 0001", Reason.PROTOCOL_ERROR, id="SUBSCRIBE of nothing"),
        pytest.param(4, "82 06 0001 0001 61 04", Reason.MALFORMED_PACKET, id="v5 options in 3.1.1"),
        pytest.param(5, "82 07 0001 00 0001 61 30", Reason.PROTOCOL_ERROR, id="retain handling 3"),
        pytest.param(5, "30 06 0001 61 02 01 02", Reason.PROTOCOL_ERROR, id="payload format 2"),
        pytest.param(5, "30 08 0001 61 04 01 00 01 00", Reason.PROTOCOL_ERROR, id="property twice"),
        pytest.param(5, "30 06 0001 61 02 7f 00", Reason.MALFORMED_PACKET, id="unknown property"),
        pytest.param(5, "30 09 0001 61 05 11 00000001", Reason.PROTOCOL_ERROR, id="property of another packet"),
        pytest.param(5, "30 05 0001 61 09 00", Reason.MALFORMED_PACKET, id="properties beyond the packet"),
        pytest.param(4, "10 0c 0004 4d515454 06 02 0000 0000", Reason.UNSUPPORTED_PROTOCOL_VERSION, id="level 6"),
        pytest.param(4, "10 0c 0004 4d515454 04 03 0000 0000", Reason.MALFORMED_PACKET, id="reserved CONNECT flag"),
        pytest.param(4, "10 0c 0004 4d515454 04 0a 0000 0000", Reason.MALFORMED_PACKET, id="will QoS without will"),
        pytest.param(4, "10 0d 0004 4d515454 04 02 0000 0000 00", Reason.MALFORMED_PACKET, id="bytes left over"),
        pytest.param(4, "b0 03 0001 00", Reason.MALFORMED_PACKET, id="v5 reasons of UNSUBACK in 3.1.1"),
        pytest.param(4, "f0 00", Reason.MALFORMED_PACKET, id="AUTH in 3.1.1"),
    ],
)
def test_malformed(level: int, raw: str, reason: Reason) -> None:
    with pytest.raises(MalformedPacket) as caught:
        Decoder(level, max_packet=100_000).feed(bytes.fromhex(raw))
    assert caught.value.reason == reason


@given(st.lists(st.sampled_from([1, 2, 0x4002, 65535, -1])), st.lists(st.integers(0, 60), max_size=3))
def test_plain_acknowledgements_need_not_become_packets(numbers: list[int], cuts: list[int]) -> None:
    """-1 has a reason, so it is none of these."""
    acks = [p.Ack(4, 7, 0x10) if each < 0 else p.Ack(4, each) for each in numbers]
    data = b"".join(encode(each, 5) for each in acks)
    decoder, told = Decoder(5), []
    for start, stop in itertools.pairwise(sorted([0, *cuts, len(data)])):
        found, rest = decoder.acknowledged(data[start:stop])
        told += [p.Ack(4, each) for each in found]
        told += decoder.feed(rest)
    assert told == acks


def test_an_acknowledgement_of_nothing_is_left_to_be_refused() -> None:
    decoder = Decoder(5)
    found, rest = decoder.acknowledged(b"@\x02\0\1@\x02\0\0@\x02\0\2")
    assert found == (1,)
    with pytest.raises(MalformedPacket):
        decoder.feed(rest)
