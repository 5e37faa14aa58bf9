"""A short slice of what the fuzzers of HTTP/1.1 do (fuzz/http1.py), and each of their finds.

Synchronous, so once and not on both loops: there is no socket in it.
"""

from __future__ import annotations

import pytest
from fuzz.http1 import ANSWER, NEXT, REQUEST_WORDS, RESPONSE_WORDS, Ours, answered, request_bytes, response_bytes, run
from fuzz.oracles import requests_by_h11
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.net.smuggling import CASES

HEADS = [word for word in REQUEST_WORDS if b" HTTP/1." in word and b"\r\n" in word]
STATUS = [word for word in RESPONSE_WORDS if word.startswith(b"HTTP/1.")]


def sent(first: list[bytes], words: list[bytes]) -> st.SearchStrategy[bytes]:
    rest = st.lists(st.sampled_from(words) | st.binary(max_size=2), max_size=10).map(b"".join)
    return st.tuples(st.sampled_from(first), rest).map(b"".join)


@settings(max_examples=150, deadline=None, derandomize=True)  # `make fuzz` looks for what is new
@given(sent(HEADS, REQUEST_WORDS) | st.binary(max_size=40), st.integers(0, 40))
def test_requests_are_what_h11_and_llhttp_read(data: bytes, seed: int) -> None:
    request_bytes(data, seed)


@settings(max_examples=150, deadline=None, derandomize=True)  # `make fuzz` looks for what is new
@given(
    st.sampled_from(["GET", "HEAD", "POST"]),
    sent(STATUS, RESPONSE_WORDS) | st.binary(max_size=40),
    st.booleans(),
    st.integers(0, 40),
)
def test_responses_are_what_h11_reads(method: str, data: bytes, ended: bool, seed: int) -> None:
    response_bytes(method, data, ended, seed)


# Found by the fuzzers: the first were kept for the next request with bytes of their server's that nobody had asked for.
AFTER = [
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ("GET", ANSWER, b"HTTP/1.1 200 OK\r\nX: "),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"\n"),
]


@pytest.mark.parametrize(("method", "response", "more"), AFTER)
def test_a_connection_on_which_more_comes_than_was_asked_for_is_not_used_again(
    method: str, response: bytes, more: bytes
) -> None:
    assert asked(method, response).kept
    for reads in ([response + more], [response, more]):
        ours = run(answered(method, reads, False))
        assert [message.state for message in ours.messages] == ["whole"]
        assert not ours.kept


@pytest.mark.parametrize("status", [b"000", b"099", b"600", b"999"])
def test_a_number_that_is_no_status_is_no_response(status: bytes) -> None:
    ours = asked("GET", b"HTTP/1.1 " + status + b" OK\r\nContent-Length: 3\r\n\r\nabc")
    assert ours.refused
    assert ours.messages == []


def test_chunks_said_twice_are_no_framing() -> None:
    ours = asked("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert ours.refused
    assert ours.messages == []


def asked(method: str, response: bytes) -> Ours:
    return run(answered(method, [response], False))


def test_the_table_of_smuggling_is_read_alike() -> None:
    for case in CASES:
        request_bytes(case.data)


def test_many_requests_that_come_at_once_are_all_waited_for() -> None:
    """The fuzzer took the turn in which it stopped looking for an answer that was not given."""
    request_bytes(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" * 30)


def test_the_oracle_sees_what_ours_refuse() -> None:
    """h11 takes a fold and a bare LF: it would tell if we read on past what it reads."""
    folded = requests_by_h11(b"GET / HTTP/1.1\nHost: a\nX: y\r\n z\r\n\r\n" + NEXT)
    assert [message.start[1] for message in folded.messages] == ["/", "/next"]
    assert folded.messages[0].headers[1] == (b"x", b"y z")
