"""Heads: the checks of requests and the writing of both kinds, as plain functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.http1 import (
    CHUNKED,
    HeadRefused,
    check_request_head,
    request_head,
    response_head,
    status_line,
    whole_head,
)

DATE = b"\r\ndate: now"


def test_facts_of_a_head() -> None:
    head = check_request_head(
        b"PUT", "1.1", b"/a", [(b"host", b"a:1"), (b"content-length", b"7"), (b"expect", b"100-Continue")]
    )
    assert head == ("PUT", b"/a", b"a:1", 7, True, b"")
    chunked = check_request_head(b"POST", "1.1", b"/", [(b"host", b"a"), (b"transfer-encoding", b"Chunked")])
    assert chunked[3] == CHUNKED
    bodiless = check_request_head(b"GET", "1.1", b"/", [(b"host", b"a"), (b"expect", b"100-continue")])
    assert not bodiless[4]
    empty = check_request_head(
        b"PUT", "1.1", b"/", [(b"host", b"a"), (b"content-length", b"0"), (b"expect", b"100-continue")]
    )
    assert empty[3:5] == (0, True)


def test_a_trusted_host_is_still_counted() -> None:
    with pytest.raises(HeadRefused):
        check_request_head(b"GET", "1.1", b"/", [(b"host", b"a"), (b"host", b"a")], b"a")
    assert check_request_head(b"GET", "1.1", b"/", [(b"host", b"a")], b"a")[2] == b"a"
    with pytest.raises(HeadRefused):
        check_request_head(b"GET", "1.1", b"/", [(b"host", b"")], b"")


@given(host=st.binary(max_size=30))
def test_a_host_that_passes_has_no_character_that_could_mean_more(host: bytes) -> None:
    try:
        head = check_request_head(b"GET", "1.1", b"/", [(b"host", host)])
    except HeadRefused as refused:
        assert refused.status == 400
    else:
        assert head[2] == host != b""
        assert not set(host) & set(b" /@,?#\\\t\r\n\0")


@given(target=st.binary(min_size=1, max_size=60))
def test_a_target_that_passes_is_in_origin_form(target: bytes) -> None:
    try:
        head = check_request_head(b"GET", "1.1", target, [(b"host", b"a")])
    except HeadRefused as refused:
        assert refused.status == 400
    else:
        assert head[1][:1] == b"/"
        assert b"#" not in head[1]


names = st.sampled_from([b"x-a", b"set-cookie", b"connection", b"transfer-encoding", b"content-length", b"date"])
values = st.binary(max_size=20) | st.sampled_from([b"1", b"22"])


@given(headers=st.lists(st.tuples(names, values), max_size=8), status=st.integers(200, 599), length=st.integers(0, 99))
def test_a_response_head_has_one_framing_and_no_line_but_its_own(
    headers: list[tuple[bytes, bytes]], status: int, length: int
) -> None:
    try:
        head = whole_head("GET", status, headers, length, DATE)
    except ValueError:
        wrong = any(set(value) & set(b"\r\n\0") for _, value in headers)
        lengths = {value for name, value in headers if name == b"content-length"}
        assert wrong or len(lengths) > 1 or not all(value.isdigit() for value in lengths)
        return
    lines = head.split(b"\r\n")
    assert lines[0] == status_line(status)
    found = [line.partition(b": ")[0] for line in lines[1:]]
    assert b"connection" not in found
    assert b"transfer-encoding" not in found
    assert b"date" in found
    if status not in (204, 304):
        assert [line for line in lines if line.startswith(b"content-length: ")] == [b"content-length: %d" % length]


def test_lengths_where_no_body_follows() -> None:
    own = [(b"content-length", b"99")]
    assert b"content-length: 99" in whole_head("HEAD", 200, own, 0, DATE)
    assert b"content-length: 99" in whole_head("GET", 304, own, 0, DATE)
    assert b"content-length" not in whole_head("GET", 304, [], 5, DATE)
    assert b"content-length" not in whole_head("HEAD", 204, own, 0, DATE)
    for status in (100, 199):
        with pytest.raises(ValueError, match="final"):
            whole_head("GET", status, [], 0, DATE)
    for status in (99, 600):
        with pytest.raises(ValueError, match="status"):
            response_head(status, [], DATE)


def test_request_heads() -> None:
    headers = [(b"host", b"a"), (b"connection", b"x"), (b"content-length", b"9"), (b"x", b"y")]
    assert request_head("GET", "/?a=b", headers, 0) == b"GET /?a=b HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n"
    assert request_head("POST", "/", [], 0) == b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
    assert request_head("PUT", "/", [], 3) == b"PUT / HTTP/1.1\r\ncontent-length: 3\r\n\r\n"
    assert request_head("PUT", "/", [], None) == b"PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    for method, target, value in (("G T", "/", b""), ("GET", "/ x", b""), ("GET", "/\n", b""), ("GET", "/", b"a\rb")):
        with pytest.raises(ValueError):
            request_head(method, target, [(b"x", value)], 0)
