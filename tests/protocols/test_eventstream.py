"""Event stream frames: round trips, botocore as the other end, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.eventstream import BadMessage, Decoder, Kind, Message, Value, encode, text

MOMENTS = st.integers(-(2**40), 2**44).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))


def of(kind: Kind, values: st.SearchStrategy[object]) -> st.SearchStrategy[Value]:
    return values.map(lambda value: Value(kind, value))  # type: ignore[arg-type]


VALUES = st.one_of(
    st.just(Value(Kind.TRUE, True)),
    st.just(Value(Kind.FALSE, False)),
    *(
        of(kind, st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for kind, bits in ((Kind.BYTE, 8), (Kind.SHORT, 16), (Kind.INT, 32), (Kind.LONG, 64))
    ),
    of(Kind.BYTES, st.binary(max_size=300)),
    of(Kind.STRING, st.text(max_size=100)),
    of(Kind.TIMESTAMP, MOMENTS),
    of(Kind.UUID, st.uuids()),
)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
MESSAGES = st.builds(Message, st.dictionaries(NAMES, VALUES, max_size=8), st.binary(max_size=2000))


@given(st.lists(MESSAGES, max_size=4), st.integers(1, 64))
def test_what_is_encoded_comes_out_in_whatever_pieces_it_travels(messages: list[Message], step: int) -> None:
    wire = b"".join(map(encode, messages))
    decoder = Decoder()
    found = [each for at in range(0, len(wire), step) for each in decoder.feed(wire[at : at + step])]
    assert found == messages
    assert not decoder.waits


@given(MESSAGES)
def test_botocore_reads_the_same(message: Message) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode(message))
    (read,) = list(buffer)
    assert read.payload == message.payload
    assert read.headers == {name: as_botocore(value) for name, value in message.headers.items()}


def as_botocore(value: Value) -> object:
    if isinstance(value.value, UUID):
        return value.value.bytes
    if isinstance(value.value, datetime):
        return (value.value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return value.value


@given(MESSAGES, st.data())
def test_one_wrong_bit_is_noticed(message: Message, data: st.DataObject) -> None:
    wire = bytearray(encode(message))
    bit = data.draw(st.integers(0, len(wire) * 8 - 1))
    wire[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadMessage):
        Decoder().feed(bytes(wire))


@given(st.binary(max_size=200))
def test_noise_is_refused_or_waited_for(noise: bytes) -> None:
    decoder = Decoder()
    try:
        assert decoder.feed(noise) == []
    except BadMessage:
        return


@pytest.mark.parametrize(
    "message",
    [
        Message({"": text("a")}),
        Message({"n" * 256: text("a")}),
        Message({"a": text("x" * 65536)}),
        Message({"a": Value(Kind.BYTE, 128)}),
        Message({"a": Value(Kind.INT, "1")}),
        Message({"a": Value(Kind.UUID, 7)}),
        Message({f"a{number}": text("x" * 65000) for number in range(3)}),
        Message(payload=bytes(24 * 1024 * 1024)),
    ],
)
def test_what_the_framing_cannot_hold(message: Message) -> None:
    with pytest.raises(BadMessage):
        encode(message)


def test_headers_that_lie() -> None:
    once = encode(Message({"a": text("x")}))
    header = once[12:-4]
    for wrong in (header + header, header[:-1], b"\x00\x07\x00\x00", b"\x01a\x0a", b"\x01\xff\x00", b"\x05ab"):
        with pytest.raises(BadMessage):
            Decoder().feed(framed(wrong))


def framed(headers: bytes) -> bytes:
    """A message with these bytes as its headers and right checksums: the payload of one with none, moved."""
    lengths = (16 + len(headers)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    body = lengths + crc32(lengths).to_bytes(4, "big") + headers
    return body + crc32(body).to_bytes(4, "big")


def test_a_string_header_by_name() -> None:
    message = Message({":event-type": text("Chunk"), "n": Value(Kind.INT, 1)})
    assert (message.text(":event-type"), message.text("n"), message.text("none")) == ("Chunk", None, None)
