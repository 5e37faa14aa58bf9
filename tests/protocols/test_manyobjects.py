"""The framing of many objects in one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.manyobjects import MOST, MOST_REQUEST, Asked, Frame, Malformed, ask, asked, frame, frames

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
NAME = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
FRAMES = st.lists(
    st.builds(
        Frame, st.integers(0, MOST), st.integers(200, 599), st.dictionaries(NAME, VALUE, max_size=6), st.binary()
    ),
    max_size=8,
)


def packed(wanted: list[Frame]) -> bytes:
    def lines(one: Frame) -> list[tuple[bytes, bytes]]:
        return [(name.encode(), value.encode("latin-1")) for name, value in one.headers.items()]

    return b"".join(frame(one.number, one.status, lines(one), one.body) for one in wanted)


@given(st.lists(st.builds(Asked, TEXT, TEXT), min_size=1, max_size=20))
def test_what_is_asked_for_is_understood(wanted: list[Asked]) -> None:
    assert asked(ask(wanted)) == wanted


@given(FRAMES)
def test_what_is_answered_is_understood(wanted: list[Frame]) -> None:
    assert list(frames(packed(wanted))) == wanted


@given(FRAMES, st.integers(0, 2000))
def test_an_answer_that_is_cut_off_is_whole_frames_or_malformed(wanted: list[Frame], at: int) -> None:
    data = packed(wanted)[:at]
    found: list[Frame] = []
    try:
        for one in frames(data):
            found.append(one)
    except Malformed:
        assert packed(found) != data
    else:
        assert packed(found) == data
    assert found == wanted[: len(found)]


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_malformed(data: bytes) -> None:
    try:
        found = list(frames(data))
    except Malformed:
        return
    assert sum(len(one.body) for one in found) <= len(data)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | TEXT, st.lists))
def test_any_request_is_a_list_or_malformed(document: Any) -> None:
    data = document if isinstance(document, bytes) else json.dumps({"Objects": document}).encode()
    with pytest.raises(Malformed):
        asked(data)


GOOD = {"Key": "a", "ETag": "e"}
BAD: list[Any] = [
    {},
    {"Objects": []},
    {"Objects": [GOOD] * (MOST + 1)},
    {"Objects": [GOOD, {"Key": "a"}]},
    {"Objects": [{**GOOD, "VersionId": "1"}]},
    {"Objects": [{"Key": "", "ETag": "e"}]},
    {"Objects": [{"Key": "a", "ETag": ""}]},
    {"Objects": [{"Key": 7, "ETag": "e"}]},
    {"Objects": [{"Key": "\ud800", "ETag": "e"}]},
    {"Objects": {"0": GOOD}},
]


@pytest.mark.parametrize("document", BAD, ids=str)
def test_a_request_that_is_not_as_described_is_malformed(document: Any) -> None:
    with pytest.raises(Malformed):
        asked(json.dumps(document).encode())


def test_a_request_is_bounded_in_length_and_depth() -> None:
    assert len(asked(json.dumps({"Objects": [GOOD] * MOST}).encode())) == MOST
    for data in (b" " * (MOST_REQUEST + 1), b"[" * 1_000_000, b'{"Objects": ' + b"[" * 100_000):
        with pytest.raises(Malformed):
            asked(data)


@pytest.mark.parametrize(
    "pair", [(b"a\r\nb", b"c"), (b"a", b"b\r\nc: d"), (b"a", b"b\nc"), (b"a", b"\0"), (b"a\r", b"b")]
)
def test_a_header_stays_in_its_line(pair: tuple[bytes, bytes]) -> None:
    for headers in ([pair], [(b"x", b"y"), pair], [pair, (b"x", b"y")]):
        with pytest.raises(ValueError, match="line break"):
            frame(0, 200, headers, b"")
