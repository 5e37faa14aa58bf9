"""Two connections joined after a 101: idle time, half-closed ends, the end of the listener."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from littoral.net.client import HttpClient
from littoral.net.listen import HttpListener, Limits
from littoral.net.message import Headers, Request, Switching
from tests.net.wire import Wire, serving, wire

ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def joined(talk: Talk, idle: float = 60.0) -> AsyncIterator[tuple[HttpListener, Wire]]:
    """A viewer whose connection is joined to a server that switched protocols and then does ``talk``."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nfirst ")
        await talk(reader, writer)
        writer.close()

    client = HttpClient()
    upstream = await asyncio.start_server(server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}/"

    async def handle(_: Request) -> Switching:
        response = await client.request("GET", url, upgrade="raw")
        assert response.status == 101
        return Switching(response, Headers(), b"raw", idle)

    limits = Limits(linger=0.05)  # the shortest time sets the clock's tick
    async with upstream, serving(handle, limits) as listener, wire(listener.port) as viewer:
        viewer.send(ASK + b"early ")
        status, headers = await viewer.head()
        assert (status, headers["upgrade"], headers["connection"]) == (101, "raw", "Upgrade")
        yield listener, viewer
    await client.close()


async def test_what_is_sent_early_on_either_side_arrives() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(10))

    async with joined(talk) as (_, viewer):
        viewer.send(b"late")
        assert await viewer.reader.read(-1) == b"first early late"


async def test_an_end_that_is_half_closed_may_still_be_answered() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(-1) + b"all of it")

    async with joined(talk) as (_, viewer):
        viewer.writer.write_eof()
        assert await viewer.reader.read(-1) == b"first early all of it"


async def test_an_idle_pair_is_cut() -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with joined(talk, idle=0.1) as (listener, viewer):
        assert await viewer.reader.readexactly(6) == b"first "
        assert await viewer.ended()
        assert len(listener.service) == 0


async def test_the_end_of_the_listener_cuts_the_pair() -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(100):
                continue
        finally:
            gone.set()

    async with joined(talk) as (listener, viewer):
        await viewer.reader.readexactly(6)
        await listener.close(grace=0.05)
        await asyncio.wait_for(gone.wait(), 5)
        assert await viewer.ended()


async def test_a_server_that_ends_ends_the_viewer() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with joined(talk) as (_, viewer):
        await asyncio.wait_for(viewer.ended(), 5)
