"""The WebSocket codec by RFC 6455's own examples and by properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.websocket import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Close,
    Data,
    Decoder,
    Event,
    Ping,
    Pong,
    ProtocolError,
    accept_key,
    close_frame,
    frame,
    mask,
)


def test_the_rfcs_examples() -> None:
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    key = bytes.fromhex("37fa213d")
    assert frame(TEXT, b"Hello", key=key) == bytes.fromhex("818537fa213d7f9f4d5158")
    assert frame(TEXT, b"Hel", final=False) + frame(CONTINUATION, b"lo") == bytes.fromhex("010348656c80026c6f")
    assert frame(BINARY, b"x" * 256)[:4] == bytes.fromhex("827e0100")
    assert frame(BINARY, b"x" * 65536)[:10] == bytes.fromhex("827f0000000000010000")
    assert Decoder(server=True).feed(bytes.fromhex("818537fa213d7f9f4d5158")) == [Data(TEXT, b"Hello", True)]


@given(data=st.binary(max_size=300), key=st.binary(min_size=4, max_size=4), offset=st.integers(0, 9))
def test_masking_is_the_rfcs_formula_and_undoes_itself(data: bytes, key: bytes, offset: int) -> None:
    expected = bytes(octet ^ key[(offset + i) % 4] for i, octet in enumerate(data))
    assert mask(data, key, offset) == expected
    assert mask(expected, key, offset) == data


Message = tuple[int, list[bytes]]
# About where a length has eight bytes; a few bytes again and again, for Hypothesis draws 65,536 of them slowly.
large = st.builds(lambda size, few: (few * size)[:size], st.integers(65530, 65540), st.binary(min_size=1, max_size=7))
payloads = st.binary(max_size=200) | large
messages = st.lists(
    st.tuples(st.sampled_from([TEXT, BINARY]), st.lists(payloads, min_size=1, max_size=4))
    | st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125).map(lambda data: [data])),
    max_size=6,
)


def encode(parts: list[Message], key: bytes | None) -> bytes:
    out = b""
    for opcode, fragments in parts:
        for number, fragment in enumerate(fragments):
            kind = opcode if number == 0 else CONTINUATION
            out += frame(kind, fragment, final=number == len(fragments) - 1, key=key)
    return out


def assembled(events: list[Event]) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    open_message: bytes | None = None
    for event in events:
        match event:
            case Data(opcode=opcode, payload=payload, final=final):
                open_message = (open_message or b"") + payload
                if final:
                    found.append((opcode, open_message))
                    open_message = None
            case Ping(payload=payload):
                found.append((PING, payload))
            case Pong(payload=payload):
                found.append((PONG, payload))
    assert open_message is None
    return found


@given(parts=messages, server=st.booleans(), key=st.binary(min_size=4, max_size=4), data=st.data())
def test_any_messages_cut_anywhere_come_back(
    parts: list[Message], server: bool, key: bytes, data: st.DataObject
) -> None:
    stream = encode(parts, key if server else None)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    decoder = Decoder(server=server)
    events: list[Event] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += decoder.feed(stream[start:end])
    assert assembled(events) == [(opcode, b"".join(fragments)) for opcode, fragments in parts]


@given(stream=st.binary(max_size=400), server=st.booleans())
def test_any_bytes_are_events_or_a_protocol_error(stream: bytes, server: bool) -> None:
    decoder = Decoder(server=server)
    try:
        events = decoder.feed(stream)
    except ProtocolError as error:
        assert error.code in (1002, 1007, 1009)
    else:
        assert sum(len(getattr(event, "payload", b"")) for event in events) <= len(stream)


def test_a_message_is_limited_over_all_its_fragments() -> None:
    decoder = Decoder(server=False, limit=10)
    decoder.feed(frame(BINARY, b"123456", final=False))
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(frame(CONTINUATION, b"78901"))
    assert caught.value.code == 1009
    again = Decoder(server=False, limit=10)
    for _ in range(3):
        again.feed(frame(BINARY, b"1234567890"))


def test_close_frames() -> None:
    decoder = Decoder(server=False)
    assert decoder.feed(close_frame(1001, "é" * 100)) == [Close(1001, "é" * 61)]
    assert Decoder(server=False).feed(b"\x88\x00") == [Close(1005)]
