"""Answers with a prepared head: the same bytes as with headers, framed and dated by the listener all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from littoral.net.message import FileSlice, Headers, Request, Response, ResponseBody
from littoral.protocols.http1 import prepared_head
from tests.net.wire import serving, wire

FIELDS = [(b"content-type", b"text/plain"), (b"x-cache", b"Hit"), (b"set-cookie", b"a=1"), (b"etag", b'"1"')]
DATE = (b"date", b"Mon, 01 Jan 2024 00:00:00 GMT")


async def pieces() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


@pytest.mark.parametrize("dated", [False, True], ids=["ours", "its own date"])
@pytest.mark.parametrize("form", ["bytes", "file", "large file", "iterator"])
async def test_a_prepared_head_reads_as_the_headers_it_was_made_of(tmp_path: Path, form: str, dated: bool) -> None:
    size = 100_000 if form == "large file" else 10
    (tmp_path / "file").write_bytes(b"f" * size)
    fields = [*FIELDS, DATE] if dated else FIELDS

    def handle(request: Request) -> Response:
        status = int(request.target[2:])
        body: ResponseBody = b"b" * 10
        if form != "bytes":
            body = pieces() if form == "iterator" else FileSlice(tmp_path / "file", 0, size)
        if request.target[1] == "p":
            return Response(status, body=body, prepared=prepared_head(status, fields))
        return Response(status, Headers(list(fields)), body)

    async with serving(handle) as listener, wire(listener.port) as client:
        for method in ("GET", "HEAD"):
            for status in (200, 204, 206, 304, 404):
                replies = []
                for way in "ph":
                    client.send(f"{method} /{way}{status} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    replies.append(await client.reply(bodiless=method == "HEAD"))
                    if not dated:
                        assert replies[-1].headers.pop("date").endswith("GMT")
                assert replies[0] == replies[1]
                assert (replies[0].headers.get("date") is not None) is dated


async def test_lines_may_be_appended_and_the_connection_is_still_the_listeners() -> None:
    prepared = prepared_head(200, FIELDS)

    def handle(request: Request) -> Response:
        return Response(200, body=b"x", close=True, prepared=prepared + b"age: %d\r\n" % 7)

    async with serving(handle) as listener, wire(listener.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        headers = (await client.reply()).headers
        assert (headers["age"], headers["connection"], headers["content-length"]) == ("7", "close", "1")
        assert await client.ended()


def test_what_a_prepared_head_holds() -> None:
    framing = [(b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"content-length", b"9")]
    assert prepared_head(404, [*framing, (b"a", b"b"), DATE]) == (
        b"HTTP/1.1 404 Not Found\r\na: b\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    )
    for status, value in ((200, b"a\r\nb: c"), (200, b"\n"), (200, b"\0"), (101, b"x"), (600, b"x")):
        with pytest.raises(ValueError):
            prepared_head(status, [(b"x", value)])
