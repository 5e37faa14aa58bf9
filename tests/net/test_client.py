"""The HTTP client against our listener and against servers that misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from littoral.net.client import BadResponse, ClientLimits, ConnectFailed, Disconnected, HttpClient, Timeout
from littoral.net.incoming import IncomingBody
from littoral.net.lending import Lent
from littoral.net.message import BodyError, Headers, Request, Response
from tests.net.wire import serving

MIB = 1024 * 1024
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def client(limits: ClientLimits | None = None) -> AsyncIterator[HttpClient]:
    made = HttpClient(limits)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """A server of a few lines: what it does with each connection is the test's."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def says(*parts: bytes, close: bool = False) -> Script:
    """Answer every request head with these bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            if close:
                writer.close()
                return

    return script


async def echo(request: Request) -> Response:
    body = await request.body.read()
    headers = Headers.of([("X-Seen", f"{request.method} {request.target} {request.host} {request.headers.get('x-a')}")])
    return Response(200, headers, body)


async def test_round_trip_and_reuse_of_the_connection() -> None:
    async with serving(echo) as listener, client() as http:
        url = f"http://127.0.0.1:{listener.port}"
        async with await http.request("POST", url + "/a?b=c", headers=Headers.of([("X-A", "1")]), body=b"hi") as first:
            assert (first.status, await first.body.read()) == (200, b"hi")
            assert first.headers.get("x-seen") == f"POST /a?b=c 127.0.0.1:{listener.port} 1"
        for method in ("GET", "HEAD", "DELETE", "PUT"):
            async with await http.request(method, url, headers=Headers.of([("Host", "other.test")])) as again:
                assert await again.body.read() == b""
                assert again.headers.get("x-seen") == f"{method} / other.test None"
                assert again.reused
        assert len(listener.service) == 1


async def test_a_response_not_read_to_its_end_closes_its_connection_only() -> None:
    async def answer(request: Request) -> Response:
        return Response(200, body=b"x" * MIB)

    async with serving(answer) as listener, client(ClientLimits(body_buffer=1000)) as http:
        url = f"http://127.0.0.1:{listener.port}"
        async with await http.request("GET", url) as left:
            assert left.status == 200
        with pytest.raises(BodyError):
            await left.body.read()
        async with await http.request("GET", url) as second:
            assert not second.reused
            assert len(await second.body.read()) == MIB
            second_again = await http.request("GET", url)
            second.release()  # late: the connection serves another request already
            assert len(await second_again.body.read()) == MIB


async def test_large_bodies_stream_both_ways() -> None:
    chunk = bytes(range(256)) * 1024
    count = 128  # 32 MiB
    largest = 0

    async def produce() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield chunk

    async def handle(request: Request) -> Response:
        async def through() -> AsyncIterator[bytes]:
            async for data in request.body:
                yield data

        return Response(200, body=through())

    async with serving(handle) as listener, client() as http:
        url = f"http://127.0.0.1:{listener.port}"
        for headers in (Headers(), Headers.of([("Content-Length", str(count * len(chunk)))])):
            response = await http.request("PUT", url, headers=headers, body=produce())
            digest = hashlib.sha256()
            async for data in response.body:
                digest.update(data)
                largest = max(largest, response.body.buffered)  # type: ignore[attr-defined]
            assert digest.digest() == hashlib.sha256(chunk * count).digest()
    assert largest < 2 * MIB


async def test_a_request_body_of_the_wrong_length_is_the_callers_error() -> None:
    async def three() -> AsyncIterator[bytes]:
        yield b"abc"

    async with serving(echo) as listener, client() as http:
        url = f"http://127.0.0.1:{listener.port}"
        for length in ("2", "4"):
            with pytest.raises(ValueError, match="request body"):
                await http.request("PUT", url, headers=Headers.of([("Content-Length", length)]), body=three())


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
async def test_framed_responses_keep_the_connection(response: bytes) -> None:
    async with scripted(says(response)) as url, client() as http:
        for reused in (False, True):
            async with await http.request("GET", url) as answer:
                assert (answer.status, await answer.body.read(), answer.reused) == (200, b"ok", reused)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
    ],
)
async def test_unframed_and_closing_responses_do_not(response: bytes) -> None:
    async with scripted(says(response, close=True)) as url, client() as http:
        for _ in range(2):
            async with await http.request("GET", url) as answer:
                assert (answer.status, await answer.body.read(), answer.reused) == (200, b"ok", False)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"HTTP/1.1 304 NM\r\nContent-Length: 2\r\n\r\n"]
)
async def test_bodiless_answers_end_with_their_head(head: bytes) -> None:
    async with scripted(says(head)) as url, client() as http:
        for reused in (False, True):
            async with await http.request("HEAD", url) as answer:
                assert (await answer.body.read(), answer.reused) == (b"", reused)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (b"SSH-2.0-x\r\n", BadResponse),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", BadResponse),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", BadResponse),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", BadResponse),
        (b"HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\nx", BadResponse),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", BadResponse),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, BadResponse),
        (b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 300 + b"\r\n", BadResponse),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", BadResponse),
        (b"HTTP/1.1 200", BadResponse),
        (b"", Disconnected),
    ],
)
async def test_bad_responses_are_errors(response: bytes, kind: type[Exception]) -> None:
    async with scripted(says(response, close=True)) as url, client() as http:
        with pytest.raises(kind):
            await http.request("GET", url)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n",
    ],
)
async def test_a_body_cut_short_fails_its_reader(response: bytes) -> None:
    async with scripted(says(response, close=True)) as url, client() as http:
        answer = await http.request("GET", url)
        with pytest.raises(BodyError):
            await answer.body.read()


async def test_bytes_after_a_response_spoil_the_connection() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with scripted(says(response + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")) as url, client() as http:
        for _ in range(3):
            try:
                async with await http.request("GET", url) as answer:
                    assert await answer.body.read() == b"ok"
            except BadResponse:
                continue  # the second head came in the same read


async def test_a_closed_pooled_connection_is_replaced_for_idempotent_requests_only() -> None:
    served = 0
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        served += 1
        writer.write(ok)
        await reader.readuntil(b"\r\n\r\n")  # the second request of a connection is never answered
        served += 1
        writer.close()

    async with scripted(script) as url, client() as http:
        await (await http.request("GET", url)).body.read()
        again = await http.request("PUT", url)
        assert (await again.body.read(), again.reused, served) == (b"ok", False, 3)
        with pytest.raises(Disconnected):
            await http.request("POST", url)
        assert served == 4


async def test_timeouts() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()

    async with scripted(silent) as url, client() as http:
        with pytest.raises(Timeout):
            await http.request("GET", url, read_timeout=0.05)
    async with scripted(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")) as url, client() as http:
        answer = await http.request("GET", url, read_timeout=0.05)
        with pytest.raises(BodyError):
            await answer.body.read()


async def test_connecting_fails_plainly() -> None:
    async with scripted(says(b"")) as url:
        pass
    async with client() as http:
        with pytest.raises(ConnectFailed):
            await http.request("GET", url)
        with pytest.raises(ConnectFailed):
            await http.request("GET", "http://no-such-host.invalid/")


@pytest.mark.parametrize("url", ["ftp://a/", "http:///x", "http://u:p@a/", "a", "http://a/\r\nX: y", "http://a/ b"])
async def test_what_is_no_url_is_refused_before_connecting(url: str) -> None:
    async with client() as http:
        with pytest.raises(ValueError):
            await http.request("GET", url)
        with pytest.raises(ValueError):
            await http.request("GET", "http://127.0.0.1:1/", headers=Headers([(b"x", b"a\r\nb: c")]))


async def test_an_early_answer_ends_the_upload() -> None:
    async def refuse(request: Request) -> Response:
        return Response(413, body=b"too large")

    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            stopped.set()

    async with serving(refuse) as listener, client() as http:
        async with await http.request("PUT", f"http://127.0.0.1:{listener.port}/", body=endless()) as answer:
            assert (answer.status, await answer.body.read()) == (413, b"too large")
        await stopped.wait()


async def test_an_answer_is_heard_though_its_server_has_hung_up_on_the_rest_of_the_upload() -> None:
    """The server's reset meets us as we send, before the loop has told us that there is something to read."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def too_much() -> AsyncIterator[bytes]:
            yield b"x" * 70_000  # more than waits for the end of the turn
            peer, _ = server.accept()
            peer.recv(100)
            peer.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large")
            peer.close()  # with the rest unread, which is a reset
            yield b"x" * 70_000

        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        async with client() as http, await http.request("POST", url, body=too_much()) as answer:
            assert (answer.status, await answer.body.read()) == (413, b"too large")


async def test_targets_of_one_server_are_told_apart() -> None:
    """What is known of a URL's beginning is used again for others."""
    http = HttpClient()
    async with serving(lambda request: Response(200, body=request.target.encode())) as listener:
        base = f"http://127.0.0.1:{listener.port}"
        for end, target in (("/a", "/a"), ("/b?c=/d", "/b?c=/d"), ("?x=/y", "/?x=/y"), ("", "/"), ("/e#f/g", "/e")):
            for _ in range(2):
                async with await http.request("GET", base + end) as response:
                    assert await response.body.read() == target.encode()
        for bad in ("http://user@127.0.0.1/", "ftp://127.0.0.1/", "http:///a"):
            with pytest.raises(ValueError, match="not a URL"):
                await http.request("GET", bad)
    await http.close()


def test_a_body_is_at_hand_when_it_is_whole_and_untouched() -> None:
    class Source:
        def body_opened(self, body: IncomingBody) -> None: ...
        def hold_body(self) -> None: ...
        def release_body(self) -> None: ...
        def lend_body(self) -> Lent | None:
            raise AssertionError("nobody asks for it")

        def take_back(self, lent: Lent) -> None: ...

    def made(*, ends: bool = True, trailers: bool = False) -> IncomingBody:
        body = IncomingBody(Source(), 6, 1000)
        body.feed(b"abc")
        body.feed(b"def")
        if ends:
            body.end([(b"x-sum", b"1")] if trailers else [])
        return body

    assert made().at_hand(6) == b"abcdef"
    assert made().at_hand(7) is made(ends=False).at_hand(6) is made(trailers=True).at_hand(6) is None
    broken = made(ends=False)
    broken.fail(BodyError("gone"))
    assert broken.at_hand(6) is None
