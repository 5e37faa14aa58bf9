"""WebSockets through an edge location: the client and the server of the ``websockets`` library at its two sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request as Handshake
from websockets.http11 import Response as Refusal

from tests.edge.place import DISABLED, HOST, Edge, answer

Serve = Callable[[ServerConnection], Awaitable[None]]


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


@asynccontextmanager
async def origin(place: Edge, handler: Serve = echo, **options: object) -> AsyncIterator[None]:
    """The edge's distribution has a WebSocket server as its origin."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:  # type: ignore[arg-type]
        place.origin_port = server.sockets[0].getsockname()[1]
        place.configure(behaviour={"CachePolicyId": DISABLED})
        yield


def dial(place: Edge, path: str = "/chat", **options: object) -> connect:
    url = f"ws://{HOST}{path}"
    return connect(url, host="127.0.0.1", port=place.port, proxy=None, **options)  # type: ignore[arg-type]


async def test_messages_go_both_ways(place: Edge) -> None:
    async with origin(place), dial(place) as socket:
        for message in ("tide", b"\x00\xff" * 5, "x" * 1_000_000):
            await socket.send(message)
            assert await socket.recv() == message


async def test_the_subprotocol_and_the_query_reach_the_origin(place: Edge) -> None:
    seen: list[ServerConnection] = []

    async def keep(socket: ServerConnection) -> None:
        seen.append(socket)
        await echo(socket)

    async with origin(place, keep, subprotocols=["v2.chat"]), dial(place, "/chat", subprotocols=["v2.chat"]) as socket:
        assert socket.subprotocol == "v2.chat"
        await socket.send("x")
        await socket.recv()
    request = seen[0].request
    assert request is not None
    assert request.headers["X-Forwarded-For"] == "127.0.0.1"
    assert "CloudFront" in request.headers["Via"]


async def test_the_close_of_either_side_reaches_the_other(place: Edge) -> None:
    codes: list[int | None] = []

    async def leave(socket: ServerConnection) -> None:
        if await socket.recv() == "go":
            await socket.close(4001, "gone")
        else:
            await socket.wait_closed()
            codes.append(socket.close_code)

    async with origin(place, leave):
        async with dial(place) as socket:
            await socket.send("go")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4001
        async with dial(place) as socket:
            await socket.send("stay")
            await socket.close(4002)
        while not codes:
            await asyncio.sleep(0.01)
        assert codes == [4002]


async def test_an_origin_that_refuses_is_heard(place: Edge) -> None:
    def refuse(socket: ServerConnection, _: Handshake) -> Refusal:
        return socket.respond(401, "who are you?\n")

    async with origin(place, process_request=refuse):
        with pytest.raises(InvalidStatus) as refused:
            await dial(place)
    assert (refused.value.response.status_code, refused.value.response.body) == (401, b"who are you?\n")


async def switching(place: Edge, head: bytes) -> int:
    """What a viewer gets when the origin answers the handshake so."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        place.origin_port = server.sockets[0].getsockname()[1]
        place.configure(behaviour={"CachePolicyId": DISABLED})
        with pytest.raises(InvalidStatus) as refused:
            await dial(place)
        return refused.value.response.status_code


@pytest.mark.parametrize(
    "lines",
    [
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm9uc2Vuc2U=\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm9uc2Vuc2U=\r\n",
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: bm9uc2Vuc2U=\r\n",
    ],
)
async def test_a_101_that_is_no_answer_to_the_handshake_joins_nothing(place: Edge, lines: bytes) -> None:
    assert await switching(place, b"HTTP/1.1 101 Switching Protocols\r\n" + lines + b"\r\n") == 502


async def test_no_origin_is_502(place: Edge) -> None:
    place.origin_port = 1
    place.configure(behaviour={"CachePolicyId": DISABLED})
    with pytest.raises(InvalidStatus) as refused:
        await dial(place)
    assert refused.value.response.status_code == 502


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", 400),
        (b"Sec-WebSocket-Version: 13\r\n", 400),
        (b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 400),
    ],
)
async def test_a_handshake_that_is_none_does_not_reach_the_origin(place: Edge, lines: bytes, status: int) -> None:
    head = b"GET /chat HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b\r\n"
    assert (await place.raw(head % (HOST.encode(), lines))).status == status
    assert not place.origin.asked


async def test_another_upgrade_is_an_ordinary_request(place: Edge) -> None:
    assert (await place.get("/", upgrade="h2c", connection="Upgrade")).body == b"hello"
    assert "upgrade" not in place.origin.asked[0].headers


async def test_a_stored_object_does_not_answer_a_handshake(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"page", cache_control="max-age=60")
    assert (await place.get("/chat")).status == (await place.get("/chat")).status == 200
    place.origin.respond = lambda _: answer(b"no socket here", 404)
    with pytest.raises(InvalidStatus) as refused:
        await dial(place)
    assert refused.value.response.status_code == 404


async def test_who_does_not_read_holds_the_sender_up(place: Edge) -> None:
    """The origin sends 64 MiB to a viewer that reads nothing: most of it waits at the origin."""
    sent = 0

    async def flood(socket: ServerConnection) -> None:
        nonlocal sent
        for _ in range(1024):
            await socket.send(b"\0" * 65536)
            sent += 65536

    async with origin(place, flood, compression=None, write_limit=65536, close_timeout=0.1):
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port, limit=1024)
        head = b"GET / HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" % HOST.encode()
        writer.write(head + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        assert b"101" in await reader.readline()
        before = -1
        while before != sent or not sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 40 * 1024 * 1024  # what the kernel's buffers take, and ours of 256 KiB
        writer.transport.abort()
