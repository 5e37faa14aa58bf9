"""What passes through an edge location as it comes: uploads, Expect, trailers, early hints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from littoral.net.message import Headers, Request, Response
from tests.edge.place import DISABLED, HOST, Edge, answer
from tests.net.wire import Wire, wire

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "DELETE"]
PUT = f"PUT /up HTTP/1.1\r\nHost: {HOST}\r\n".encode()
MIB = 1024 * 1024
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def pass_on(place: Edge) -> None:
    place.configure(behaviour={"CachePolicyId": DISABLED, "methods": METHODS})


@asynccontextmanager
async def origin(place: Edge, talk: Talk) -> AsyncIterator[None]:
    """An origin by hand, small in what it takes before it reads."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(once, "127.0.0.1", 0, limit=65536) as server:
        place.origin_port = server.sockets[0].getsockname()[1]
        pass_on(place)
        yield


async def pour(viewer: Wire, size: int) -> int:
    """Send chunks until nobody takes them for a while; how many bytes were taken."""
    chunk = b"10000\r\n" + b"\0" * 65536 + b"\r\n"
    sent = 0
    try:
        while sent < size:
            viewer.send(chunk)
            await asyncio.wait_for(viewer.writer.drain(), 0.5)
            sent += 65536
    except TimeoutError:
        return sent
    return sent


async def test_an_upload_waits_for_a_slow_origin_and_then_arrives_whole(place: Edge) -> None:
    go = asyncio.Event()
    received = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        await go.wait()
        while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            received += len(await reader.readexactly(size + 2)) - 2
        await reader.readexactly(2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with origin(place, slow), wire(place.port) as viewer:
        viewer.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n")
        held = await pour(viewer, 200 * MIB)
        assert held < 64 * MIB  # the kernel's buffers on both sides, and 256 KiB of ours
        go.set()
        await viewer.writer.drain()
        rest = 200 * MIB - held - 65536
        assert await pour(viewer, rest) == rest
        viewer.send(b"0\r\n\r\n")
        assert (await viewer.reply()).body == b"ok"
        assert received == 200 * MIB


async def test_100_is_said_when_the_origin_is_ready_for_the_body(place: Edge) -> None:
    pass_on(place)
    async with wire(place.port) as viewer:
        viewer.send(PUT + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert (await viewer.head())[0] == 100
        viewer.send(b"tide")
        assert (await viewer.reply()).status == 200
    asked = place.origin.asked[0]
    assert (asked.body, asked.headers.get("expect")) == (b"tide", None)


async def test_a_body_that_nobody_will_read_is_not_asked_for(place: Edge) -> None:
    place.configure()  # GET and HEAD only
    async with wire(place.port) as viewer:
        viewer.send(PUT + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert (await viewer.reply()).status == 403
        assert await viewer.ended()
    place.origin_port = 1  # nobody there
    pass_on(place)
    async with wire(place.port) as viewer:
        viewer.send(PUT + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert (await viewer.reply()).status == 502


async def test_an_origin_may_answer_before_the_upload_ends(place: Edge) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch")
        await writer.drain()
        await reader.read()

    async with origin(place, refuse), wire(place.port) as viewer:
        viewer.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntide\r\n")
        reply = await viewer.reply()
        assert (reply.status, reply.body) == (413, b"much")


async def test_trailers_of_an_upload_go_to_the_origin_but_for_what_the_edge_says_itself(place: Edge) -> None:
    seen: list[Headers] = []

    async def note(request: Request) -> Response:
        await request.body.read()
        seen.append(request.body.trailers)  # type: ignore[attr-defined]
        return answer(b"ok")

    assert place.origin.listener is not None
    place.origin.listener.service.handler = note
    pass_on(place)
    trailers = b"X-Checksum: abc\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: x\r\n"
    async with wire(place.port) as viewer:
        viewer.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntide\r\n0\r\n" + trailers + b"\r\n")
        assert (await viewer.reply()).body == b"ok"
    assert [each.items() for each in seen] == [[("x-checksum", "abc")]]


async def trailing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    writer.write(head + b"4\r\ntide\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\n\r\n")
    await writer.drain()


async def test_trailers_of_a_response_go_to_a_viewer_that_takes_them(place: Edge) -> None:
    async with origin(place, trailing):
        for line, end in ((b"TE: trailers\r\n", b"0\r\nx-sum: 7\r\n\r\n"), (b"", b"0\r\n\r\n")):
            async with wire(place.port) as viewer:
                viewer.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode() + line + b"\r\n")
                await viewer.head()
                assert await viewer.reader.readexactly(9 + len(end)) == b"4\r\ntide\r\n" + end


async def test_early_hints_come_before_the_response(place: Edge) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-y\r\nX-Y: z\r\n\r\n"

    async def hinting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" + hint + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with origin(place, hinting):
        async with wire(place.port) as viewer:
            viewer.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert await viewer.head() == (103, {"link": "</a.css>; rel=preload"})
            assert (await viewer.reply()).body == b"ok"
        async with wire(place.port) as old:
            old.send(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
            assert (await old.reply()).status == 200
