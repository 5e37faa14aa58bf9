"""What the listener promises handlers and clients: order, framing, back-pressure, orderly ends."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from littoral.net.connection import HttpConnection
from littoral.net.incoming import IncomingBody
from littoral.net.limits import Limits
from littoral.net.listen import HttpService, PortInUse, listen_http
from littoral.net.message import Answer, BodyError, FileSlice, Headers, Proof, Request, Response
from tests.net.wire import Recorder, serving, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MIB = 1024 * 1024


def get(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


async def test_pipelined_requests_are_answered_in_order_though_the_first_takes_longest() -> None:
    first = asyncio.Event()
    began: list[str] = []

    async def slow(request: Request) -> Response:
        began.append(request.target)
        await first.wait()
        return Response(200, body=b"slow")

    def handle(request: Request) -> object:
        if request.target == "/slow":
            return slow(request)
        first.set()
        return Response(200, body=request.target.encode())

    async with serving(handle) as listener, wire(listener.port) as client:  # type: ignore[arg-type]
        client.send(get("/1") + get("/slow") + get("/3"))
        assert (await client.reply()).body == b"/1"
        while not began:
            await asyncio.sleep(0)
        first.set()
        assert [(await client.reply()).body for _ in range(2)] == [b"slow", b"/3"]


async def test_keep_alive_and_its_ends() -> None:
    async with serving(lambda request: Response(200, body=b"x", close=request.target == "/last")) as listener:
        async with wire(listener.port) as client:
            client.send(get("/") + get("/last") + get("/never"))
            assert "connection" not in (await client.reply()).headers
            assert (await client.reply()).headers["connection"] == "close"
            assert await client.ended()
        async with wire(listener.port) as client:
            client.send(get("/", "Connection: close"))
            assert (await client.reply()).headers["connection"] == "close"
            assert await client.ended()
        async with wire(listener.port) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            assert (await client.reply()).headers["connection"] == "close"
            assert await client.ended()
        async with wire(listener.port) as client:
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
            assert [(await client.reply()).headers["connection"] for _ in range(2)] == ["keep-alive"] * 2


@pytest.mark.parametrize("later", [False, True], ids=["at once", "awaited"])
async def test_answers_without_a_body_have_none(later: bool) -> None:
    def answer(request: Request) -> Response:
        return Response(int(request.target[1:]), body=b"body")

    async def soon(request: Request) -> Response:
        return answer(request)

    async with serving(soon if later else answer) as listener, wire(listener.port) as client:
        client.send(b"HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await client.reply(bodiless=True)
        assert head.headers["content-length"] == "4"
        for target in ("/200", "/204", "/304"):
            client.send(get(target))
        assert (await client.reply()).body == b"body"
        for _ in range(2):
            assert "content-length" not in (await client.reply()).headers


async def test_a_handlers_content_length_is_kept_for_head_and_corrected_elsewhere() -> None:
    def answer(request: Request) -> Response:
        return Response(200, Headers([(b"content-length", b"99")]), b"" if request.method == "HEAD" else b"four")

    async with serving(answer) as listener, wire(listener.port) as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.reply(bodiless=True)).headers["content-length"] == "99"
        client.send(GET)
        assert (await client.reply()).body == b"four"


async def test_a_header_that_breaks_its_line_becomes_a_500() -> None:
    bad = [b"a\r\nx: y", b"a\ny", b"a\0"]

    def answer(request: Request) -> Response:
        return Response(200, Headers([(b"location", bad[int(request.target[1:])])]))

    async with serving(answer) as listener, wire(listener.port) as client:
        for number in range(len(bad)):
            client.send(get(f"/{number}"))
            reply = await client.reply()
            assert reply.status == 500
            assert "x" not in reply.headers


async def test_framing_headers_of_a_handler_are_dropped_and_its_date_kept() -> None:
    date = "Mon, 01 Jan 2024 00:00:00 GMT"

    def answer(request: Request) -> Response:
        pairs = [("Transfer-Encoding", "chunked"), ("Connection", "close"), ("Date", date)]
        return Response(200, Headers.of(pairs), b"x")

    async with serving(answer) as listener, wire(listener.port) as client:
        client.send(GET)
        reply = await client.reply()
        assert reply.headers == {"date": date, "content-length": "1"}


async def test_failing_handlers_get_500_and_the_connection_goes_on() -> None:
    async def later(request: Request) -> Response:
        raise ValueError("later")

    def handle(request: Request) -> object:
        if request.target == "/now":
            raise ValueError("now")
        return later(request) if request.target == "/later" else Response(200)

    async with serving(handle) as listener, wire(listener.port) as client:  # type: ignore[arg-type]
        client.send(get("/now") + get("/later") + get("/"))
        assert [(await client.reply()).status for _ in range(3)] == [500, 500, 200]


async def test_iterators_are_chunked_or_end_the_connection_for_old_clients() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for size in (1, 0, 70_000):
            yield b"p" * size

    async with serving(lambda request: Response(200, body=pieces())) as listener:
        async with wire(listener.port) as client:
            client.send(GET + GET)
            for _ in range(2):
                reply = await client.reply()
                assert (reply.headers["transfer-encoding"], len(reply.body)) == ("chunked", 70_001)
        async with wire(listener.port) as client:
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            reply = await client.reply()
            assert ("transfer-encoding" in reply.headers, len(reply.body)) == (False, 70_001)


@pytest.mark.parametrize("promised", [2, 4])
async def test_an_iterator_that_breaks_its_length_cuts_the_connection(promised: int) -> None:
    closed: list[bool] = []

    async def three() -> AsyncIterator[bytes]:
        try:
            yield b"ab"
            yield b"c"
        finally:
            closed.append(True)

    headers = [("Content-Length", str(promised))]
    async with (
        serving(lambda _: Response(200, Headers.of(headers), three())) as listener,
        wire(listener.port) as client,
    ):
        client.send(GET + GET)
        assert (await client.head())[0] == 200
        try:
            rest = await client.reader.read()
        except ConnectionResetError:
            rest = b""  # the cut may overtake what was sent; what matters is that no second answer came
        assert b"HTTP/1.1" not in rest
        assert len(rest) <= promised
    assert closed == [True]


@pytest.mark.parametrize("size", [0, 1000, 3 * MIB])
async def test_file_slices(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    content = bytes(range(256)) * (size // 256) + b"tail"
    path.write_bytes(b"skip" + content)

    def answer(request: Request) -> Response:
        return Response(200, body=FileSlice(path, 4, len(content)))

    async with serving(answer) as listener, wire(listener.port) as client:
        client.send(GET + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert (await client.reply()).body == content
        assert (await client.reply(bodiless=True)).headers["content-length"] == str(len(content))
        assert (await client.reply()).body == content


BLOCK = 100_000


def proof_of(content: bytes) -> Proof:
    """That each block is of this content."""

    def sound(number: int, block: memoryview) -> bool:
        return bytes(block) == content[number * BLOCK : (number + 1) * BLOCK]

    return Proof(BLOCK, sound)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1_234_567), (0, 1000), (99_999, 2), (100_000, 100_000), (250_001, 900_000)]
)
async def test_a_slice_with_a_proof_is_what_it_should_be(tmp_path: Path, offset: int, length: int) -> None:
    path = tmp_path / "file"
    content = os.urandom(1_234_567)
    path.write_bytes(content)
    part = FileSlice(path, offset, length, proof_of(content))
    async with serving(lambda _: Response(200, body=part)) as listener, wire(listener.port) as client:
        client.send(GET + GET)
        for _ in range(2):
            assert (await client.reply()).body == content[offset : offset + length]


async def test_a_block_that_is_not_sound_ends_the_response_before_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = bytearray(os.urandom(10 * BLOCK))
    proof = proof_of(bytes(content))
    content[5 * BLOCK + 7] ^= 1
    path.write_bytes(content)
    whole, small = FileSlice(path, 0, len(content), proof), FileSlice(path, 5 * BLOCK, 10, proof)
    slices = {"/whole": whole, "/small": small}
    async with serving(lambda r: Response(200, body=slices[r.target])) as listener:
        async with wire(listener.port) as client:
            client.send(get("/small"))
            assert (await client.reply()).status == 500
        async with wire(listener.port) as client:
            client.send(get("/whole"))
            _, _, rest = (await client.reader.read()).partition(b"\r\n\r\n")
            assert rest == content[: 5 * BLOCK]


async def test_a_file_slice_that_is_not_there_gets_500(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"abc")
    slices = {"/gone": FileSlice(tmp_path / "gone", 0, 1), "/short": FileSlice(tmp_path / "short", 0, 4)}
    async with serving(lambda r: Response(200, body=slices[r.target])) as listener, wire(listener.port) as client:
        client.send(get("/gone") + get("/short"))
        assert [(await client.reply()).status for _ in range(2)] == [500, 500]


async def test_a_client_that_does_not_read_holds_the_iterator_back() -> None:
    produced = 0
    go_on = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal produced
        while True:
            produced += 65536
            yield b"z" * 65536
            if go_on.is_set():
                return

    async with serving(lambda _: Response(200, body=endless())) as listener, wire(listener.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET)
        before = -1
        while produced != before:  # until a hundred turns of the loop bring nothing new
            before = produced
            for _ in range(100):
                await asyncio.sleep(0)
        assert 0 < produced < 64 * MIB
        go_on.set()
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len((await client.reply()).body) == produced


async def test_what_a_handler_does_not_read_is_not_received() -> None:
    limits = Limits(body_buffer=64 * 1024)
    let_read = asyncio.Event()
    bodies: list[IncomingBody] = []

    async def handle(request: Request) -> Response:
        assert isinstance(request.body, IncomingBody)
        bodies.append(request.body)
        await let_read.wait()
        digest = hashlib.sha256()
        async for chunk in request.body:
            digest.update(chunk)
            assert request.body.buffered < 1024 * 1024
        return Response(200, body=digest.hexdigest().encode())

    body = bytes(range(256)) * 4096 * 32  # 32 MiB: more than sockets buffer
    async with serving(handle, limits) as listener, wire(listener.port) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        client.send(body)
        before = -1
        while not bodies or bodies[0].buffered != before:
            before = bodies[0].buffered if bodies else -1
            for _ in range(100):
                await asyncio.sleep(0)
        assert bodies[0].buffered < 1024 * 1024
        assert client.writer.transport.get_write_buffer_size() > 0
        let_read.set()
        assert (await client.reply()).body == hashlib.sha256(body).hexdigest().encode()


async def test_continue_is_said_when_the_handler_reads_and_not_before() -> None:
    may_read = asyncio.Event()

    async def handle(request: Request) -> Response:
        if request.target == "/no":
            return Response(403)
        await may_read.wait()
        return Response(200, body=await request.body.read())

    expect = "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    async with serving(handle) as listener:
        async with wire(listener.port) as client:
            client.send(f"PUT / HTTP/1.1\r\nHost: a\r\n{expect}".encode())
            reading = asyncio.ensure_future(client.head())
            for _ in range(50):
                await asyncio.sleep(0)
            assert not reading.done()
            may_read.set()
            assert (await reading)[0] == 100
            client.send(b"abc")
            assert (await client.reply()).body == b"abc"
            client.send(f"PUT / HTTP/1.1\r\nHost: a\r\n{expect}abc".encode())  # did not wait: needs no 100
            assert (await client.reply()).body == b"abc"
        async with wire(listener.port) as client:
            client.send(f"PUT /no HTTP/1.1\r\nHost: a\r\n{expect}".encode())
            reply = await client.reply()
            assert (reply.status, reply.headers["connection"]) == (403, "close")
            assert await client.ended()
        async with wire(listener.port) as client:  # no content, so no 100: who waited for one begins anew
            client.send(f"PUT / HTTP/1.1\r\nHost: a\r\n{expect.replace('3', '0')}".encode())
            reply = await client.reply()
            assert (reply.status, reply.headers["connection"], reply.body) == (200, "close", b"")
            assert await client.ended()


async def test_trailers_are_readable_after_the_body() -> None:
    async def handle(request: Request) -> Response:
        assert isinstance(request.body, IncomingBody)
        body = await request.body.read()
        return Response(200, body=body + repr(request.body.trailers.items()).encode())

    async with serving(handle) as listener, wire(listener.port) as client:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send(head + b"3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n" + head + b"0\r\n\r\n")
        assert (await client.reply()).body == b"abc[('x-sum', '1'), ('x-other', '2')]"
        assert (await client.reply()).body == b"[]"


@pytest.mark.parametrize("asks", ["client", "server"])
@pytest.mark.parametrize("later", [False, True])
async def test_what_is_pipelined_behind_the_last_answer_does_not_destroy_it(asks: str, later: bool) -> None:
    """Closed with unread bytes, a socket resets its connection, and what of the answer is still here is lost."""
    answer = os.urandom(4 * MIB)

    async def handle_later() -> Response:
        await asyncio.sleep(0)
        return Response(200, body=answer, close=asks == "server")

    def handle(request: Request) -> object:
        return handle_later() if later else Response(200, body=answer, close=asks == "server")

    async with serving(handle) as listener, wire(listener.port) as client:  # type: ignore[arg-type]
        client.send(get("/1", *(("Connection: close",) if asks == "client" else ())) + get("/2") * 50_000)
        reply = await client.reply()
        assert (reply.headers["connection"], reply.body == answer) == ("close", True)
        assert await client.reader.read() == b""


async def test_a_small_unread_body_keeps_the_connection_and_a_large_one_ends_it() -> None:
    async with serving(lambda _: Response(404)) as listener, wire(listener.port) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        assert (await client.reply()).status == 404
        client.send(b"0123456789" + b"PUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (404, "close")
        client.send(b"x" * 70000 + GET)
        assert await client.ended()


async def test_a_body_read_after_the_answer_fails_its_reader() -> None:
    readers: list[asyncio.Task[bytes]] = []

    async def handle(request: Request) -> Response:
        readers.append(asyncio.ensure_future(request.body.read()))
        return Response(202)

    async with serving(handle) as listener, wire(listener.port) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert (await client.reply()).status == 202
        with pytest.raises(BodyError, match="answered"):
            await readers[0]
        client.send(b"defghij" + GET.replace(b"GET", b"DELETE"))
        assert (await client.reply()).status == 202


async def test_a_body_beyond_what_the_reader_takes_is_413() -> None:
    async def handle(request: Request) -> Response:
        return Response(200, body=await request.body.read(limit=5))

    async with serving(handle) as listener:
        for framing in (
            b"Content-Length: 6\r\n\r\nabcdef",
            b"Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n",
        ):
            async with wire(listener.port) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
                assert (await client.reply()).status == 413


async def test_a_client_that_goes_in_the_middle_of_its_body_fails_the_reader() -> None:
    failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def handle(request: Request) -> Response:
        try:
            await request.body.read()
        except BodyError as error:
            failure.set_result(error)
            raise
        return Response(200)

    async with serving(handle) as listener:
        async with wire(listener.port) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        assert isinstance(await failure, BodyError)


async def test_a_client_may_close_its_half_and_still_be_answered() -> None:
    async def handle(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, body=b"late")

    async with serving(handle) as listener, wire(listener.port) as client:
        client.send(GET)
        client.writer.write_eof()
        assert (await client.reply()).body == b"late"
        assert await client.ended()


@pytest.mark.parametrize("after", [b"", b"67890", b"67890GET /next HTTP/1.1\r\nHo"])
async def test_a_client_that_closes_its_half_while_it_is_answered_is_kept_no_longer(after: bytes) -> None:
    """The head, which is out, has not said that this answer is the last."""
    closed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"be"
        await closed.wait()
        yield b"gun"

    async with serving(lambda _: Response(200, body=pieces())) as listener, wire(listener.port) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345" + after)
        status, headers = await client.head()
        assert (status, headers.get("connection")) == (200, None)
        client.writer.write_eof()
        (connection,) = listener.service._connections
        while not connection._eof:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        closed.set()
        assert b"".join([piece async for piece in client.chunks()]) == b"begun"
        async with asyncio.timeout(20):
            assert await client.ended()


async def test_close_ends_idle_connections_lets_running_ones_finish_and_cuts_the_rest() -> None:
    release = asyncio.Event()
    running = asyncio.Event()
    cancelled = asyncio.Event()

    async def handle(request: Request) -> Response:
        if request.target == "/quick":
            return Response(200)
        running.set()
        try:
            await release.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(200, body=b"done")

    listener = await listen_http(handle)
    async with wire(listener.port) as idle, wire(listener.port) as busy:
        idle.send(get("/quick"))
        await idle.reply()
        busy.send(get("/slow"))
        await running.wait()
        closing = asyncio.ensure_future(listener.close(grace=30))
        assert await idle.ended()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", listener.port)
        release.set()
        reply = await busy.reply()
        assert (reply.body, reply.headers["connection"]) == (b"done", "close")
        await closing

    release.clear()
    running.clear()
    listener = await listen_http(handle)
    async with wire(listener.port) as stuck:
        stuck.send(get("/slow"))
        await running.wait()
        await listener.close(grace=0)
        assert cancelled.is_set()
        assert await stuck.ended()


async def test_who_asks_again_just_as_it_closes_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.net.crowd.MOMENT", 30.0)
    listener = await listen_http(lambda _: Response(200, body=b"done"))
    async with wire(listener.port) as old, wire(listener.port) as asking, wire(listener.port) as new:
        old.send(get("/"))
        await old.reply()
        (known,) = [each for each in listener.service._connections if each.idle_since is not None and each._served]
        known._since -= 10.0
        asking.send(get("/"))
        await asking.reply()
        closing = asyncio.ensure_future(listener.close(grace=30))
        assert await old.ended()
        for each in (asking, new):
            each.send(get("/"))
            reply = await each.reply()
            assert (reply.body, reply.headers["connection"]) == (b"done", "close")
            assert await each.ended()
        await closing


async def test_a_taken_port_is_said_plainly() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"127.0.0.1:{port}"):
            await listen_http(lambda _: Response(200), port=port)


# -------------------------------------------------------------------- any cut of the bytes, the same requests


ONE = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Long: " + b"v" * 50 + b"\r\n\r\nhello"
TWO = b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;e\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
BAD = b"GET /c HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"


@given(cuts=st.lists(st.integers(1, len(ONE + TWO + GET + BAD) - 1), max_size=12), tail=st.sampled_from([b"", BAD]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_cut_of_the_bytes_gives_the_same_requests(cuts: list[int], tail: bytes) -> None:
    seen: list[tuple[str, bytes]] = []

    async def handle(request: Request) -> Answer:
        seen.append((request.target, await request.body.read()))
        return Response(200, Headers([(b"date", b"x")]), request.target.encode())

    service = HttpService(handle)
    connection: HttpConnection = service.connection()
    transport = Recorder()
    connection.connection_made(transport)
    data = ONE + TWO + GET + tail
    points = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    for start, end in pairwise(points):
        connection.data_received(data[start:end])
        for _ in range(6):
            await asyncio.sleep(0)
    connection.connection_lost(None)
    await service.close(0)
    assert seen == [("/a", b"hello"), ("/b", b"abcde"), ("/", b"")]
    assert bytes(transport.written).count(b"HTTP/1.1 200") == 3
    assert bytes(transport.written).count(b"HTTP/1.1 400") == (1 if tail else 0)
