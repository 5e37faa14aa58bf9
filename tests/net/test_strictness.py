"""What the listener refuses: request heads and framings on which two servers in a row could disagree.

Each case is sent raw over a socket, followed by a second request. What must hold: the refusal has the status said,
the connection ends, and the second request never reaches the handler.
"""

from __future__ import annotations

import pytest

from littoral.net.listen import Limits
from littoral.net.message import Request, Response
from tests.net.wire import serving, wire

SECOND = b"GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n"
HOST = b"Host: a\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: list[tuple[str, int, bytes]] = [
    ("no host", 400, b"GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", 400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("the same host twice", 400, b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    ("empty host", 400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("host with user", 400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("host with path", 400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("host list", 400, b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    ("host with space", 400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("host port of letters", 400, b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    ("second host bad after a good one", 400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: \r\n\r\n"),
    ("TE on 1.0", 400, b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("TE and CL", 400, POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("CL and TE", 400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("two equal lengths", 400, POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    ("two lengths", 400, POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy"),
    ("length list", 400, POST + b"Content-Length: 1, 1\r\n\r\nx"),
    ("signed length", 400, POST + b"Content-Length: +1\r\n\r\nx"),
    ("negative length", 400, POST + b"Content-Length: -1\r\n\r\n"),
    ("hex length", 400, POST + b"Content-Length: 0x1\r\n\r\nx"),
    ("empty length", 400, POST + b"Content-Length:\r\n\r\n"),
    ("spaced length", 400, POST + b"Content-Length: 1 1\r\n\r\nx"),
    ("huge length", 400, POST + b"Content-Length: 99999999999999999999\r\n\r\n"),
    ("TE gzip, chunked", 501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("TE identity", 501, POST + b"Transfer-Encoding: identity\r\n\r\n"),
    ("TE xchunked", 501, POST + b"Transfer-Encoding: xchunked\r\n\r\n"),
    ("TE chunked, gzip", 400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n"),
    ("TE twice", 400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("TE with parameter", 501, POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    ("TE with vertical tab", 400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n"),
    ("empty TE", 400, POST + b"Transfer-Encoding:\r\n\r\n"),
    ("space before colon", 400, POST + b"X : 1\r\n\r\n"),
    ("space before colon of TE", 400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("no colon", 400, POST + b"X\r\n\r\n"),
    ("empty name", 400, POST + b": 1\r\n\r\n"),
    ("space in front of a name", 400, b"POST / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("obs-fold", 400, POST + b"X: a\r\n b\r\n\r\n"),
    ("NUL in a value", 400, POST + b"X: a\x00b\r\n\r\n"),
    ("control in a value", 400, POST + b"X: a\x01b\r\n\r\n"),
    ("bare CR in a value", 400, POST + b"X: a\rb\r\n\r\n"),
    ("bare LF after a value", 400, POST + b"X: a\nY: b\r\n\r\n"),
    ("bare LF after the request line", 400, b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("bare LF at the end", 400, b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("letter beyond ASCII in a name", 400, POST + b"X\xe9: 1\r\n\r\n"),
    ("CONNECT", 501, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    ("unknown method", 400, b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("lower-case method", 400, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("Icecast's method", 501, b"SOURCE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute form of another host", 400, b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute form with a user", 400, b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute form of another scheme", 400, b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("authority form", 400, b"GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    ("asterisk for GET", 400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("fragment", 400, b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("space in target", 400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("control in target", 400, b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("raw UTF-8 in target", 400, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HTTP/0.9", 505, b"GET /\r\nHost: a\r\n\r\n"),
    ("HTTP/2.0", 505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    ("HTTP/1.2", 400, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("HTTP/2 preface", 400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("space after the version", 400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    ("unknown expectation", 417, POST + b"Expect: gold\r\nContent-Length: 1\r\n\r\nx"),
    ("TLS hello", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("many headers", 431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: 1\r\n" % n for n in range(100)) + b"\r\n"),
    ("large header", 431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 33_000 + b"\r\n\r\n"),
    ("many large headers", 431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: %b\r\n" % (b"x" * 999) * 40 + b"\r\n"),
    ("endless header", 431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 400_000),
    ("long target", 414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
]

BROKEN_BODIES: list[tuple[str, bytes]] = [
    ("bare LF after size", b"1\na\r\n0\r\n\r\n"),
    ("bare LF after data", b"1\r\na\n0\r\n\r\n"),
    ("size of letters", b"g\r\n"),
    ("negative size", b"-1\r\n"),
    ("0x size", b"0x1\r\na\r\n0\r\n\r\n"),
    ("space before size", b" 1\r\na\r\n0\r\n\r\n"),
    ("space after size", b"1 \r\na\r\n0\r\n\r\n"),
    ("no size", b"\r\na\r\n0\r\n\r\n"),
    ("data longer than its size", b"1\r\nabc\r\n0\r\n\r\n"),
    ("no CRLF after data", b"1\r\na0\r\n\r\n"),
    ("size overflow", b"fffffffffffffffff\r\n"),
    ("bare LF in an extension", b"1;\na\r\n0\r\n\r\n"),
    ("bare CR in an extension", b"1;a\rb\r\na\r\n0\r\n\r\n"),
    ("NUL in an extension", b"1;\x00\r\na\r\n0\r\n\r\n"),
    ("CRLF in a quoted extension", b'1;a="\r\n"\r\na\r\n0\r\n\r\n'),
    ("bare LF at the end", b"0\r\n\n"),
    ("bare LF in trailers", b"0\r\nX: 1\nY: 2\r\n\r\n"),
    ("length in trailers", b"0\r\nContent-Length: 5\r\n\r\n"),
    ("TE in trailers", b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("many trailers", b"0\r\n" + b"".join(b"X%d: 1\r\n" % n for n in range(101)) + b"\r\n"),
    ("large trailers", b"0\r\nX: " + b"x" * 40_000 + b"\r\n\r\n"),
    ("endless extension", b"1;" + b"x" * 400_000),
]

ACCEPTED: list[tuple[str, bytes, str]] = [
    ("origin form", b"GET /a?b=c%20d HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a?b=c%20d 1.1 a"),
    ("absolute form", b"GET http://A:80/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n", "GET /x?y 1.1 a:80"),
    ("absolute form without a path", b"GET http://a?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?y 1.1 a"),
    ("asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * 1.1 a"),
    ("no host in 1.0", b"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 "),
    ("IPv6 host", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / 1.1 [::1]:80"),
    ("empty lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 a"),
    ("spaces around a value", b"GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n", "GET / 1.1 a"),
    ("WebDAV", b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "PROPFIND / 1.1 a"),
]


class Seen:
    def __init__(self) -> None:
        self.requests: list[str] = []

    async def handle(self, request: Request) -> Response:
        self.requests.append(f"{request.method} {request.target} {request.http_version} {request.host}")
        await request.body.read(limit=1_000_000)
        return Response(200, body=b"ok")


@pytest.mark.parametrize(("status", "data"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_refused_heads_end_the_connection(status: int, data: bytes) -> None:
    seen = Seen()
    async with serving(seen.handle) as listener, wire(listener.port) as client:
        client.send(data + SECOND)
        reply = await client.reply()
        assert reply.status == status, reply
        assert reply.headers["connection"] == "close"
        assert await client.ended()
    assert seen.requests == []


@pytest.mark.parametrize("data", [case[1] for case in BROKEN_BODIES], ids=[case[0] for case in BROKEN_BODIES])
async def test_broken_framing_reaches_the_reader_and_ends_the_connection(data: bytes) -> None:
    seen = Seen()
    async with serving(seen.handle) as listener, wire(listener.port) as client:
        client.send(CHUNKED + data + SECOND)
        reply = await client.reply()
        assert reply.status == 400, reply
        assert reply.headers["connection"] == "close"
        assert await client.ended()
    assert seen.requests == ["POST / 1.1 a"]


@pytest.mark.parametrize(("data", "expected"), [c[1:] for c in ACCEPTED], ids=[c[0] for c in ACCEPTED])
async def test_good_heads_are_served(data: bytes, expected: str) -> None:
    seen = Seen()
    async with serving(seen.handle) as listener, wire(listener.port) as client:
        client.send(data)
        assert (await client.reply()).status == 200
    assert seen.requests == [expected]


async def test_a_refusal_waits_for_the_answers_owed() -> None:
    seen = Seen()
    async with serving(seen.handle) as listener, wire(listener.port) as client:
        client.send(
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\n\r\n" + SECOND
        )
        assert [(await client.reply()).status for _ in range(3)] == [200, 200, 400]
        assert await client.ended()
    assert seen.requests == ["GET /1 1.1 a", "GET /2 1.1 a"]


async def test_heads_in_one_large_read_are_counted_each_for_itself() -> None:
    """Pipelined heads together may be larger than one may be."""
    seen = Seen()
    one = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"
    async with serving(seen.handle) as listener, wire(listener.port) as client:
        client.send(one * 12)
        assert [(await client.reply()).status for _ in range(12)] == [200] * 12


async def test_a_head_that_never_ends_is_answered_408() -> None:
    seen = Seen()
    limits = Limits(header_timeout=0.05)
    async with serving(seen.handle, limits) as listener, wire(listener.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHos")
        assert (await client.reply()).status == 408
        assert await client.ended()


async def test_an_idle_connection_is_closed() -> None:
    seen = Seen()
    limits = Limits(keep_alive_timeout=0.05)
    async with serving(seen.handle, limits) as listener, wire(listener.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.reply()).status == 200
        assert await client.ended()


async def test_a_body_that_stops_coming_fails_its_reader() -> None:
    seen = Seen()
    limits = Limits(body_timeout=0.05)
    async with serving(seen.handle, limits) as listener, wire(listener.port) as client:
        client.send(POST + b"Content-Length: 10\r\n\r\nabc")
        assert (await client.reply()).status == 400
        assert await client.ended()
