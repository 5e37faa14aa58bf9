"""Answers received by threads right where they are wanted: from our listener and from servers that misbehave."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator

import pytest

from littoral.net.bulk import Answer, Bulk
from littoral.net.failures import BadResponse, RequestFailed, Timeout
from littoral.net.message import Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.net.wide import PROTOCOLS
from tests.net.test_client import scripted
from tests.net.wire import receive_into, serving

MIB = 1024 * 1024
DATA = os.urandom(5 * MIB + 17)


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    made = Bulk(client_context)
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@pytest.fixture(params=["plain", "tls", "wide"])
def contexts(
    request: pytest.FixtureRequest, authority: Authority
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    if request.param == "plain":
        return None, None
    alpn = PROTOCOLS if request.param == "wide" else ()
    pair = authority.issue_server(["localhost"]).pair
    return server_context(pair, alpn=alpn), client_context(ca=authority.certificate_pem, alpn=alpn)


async def chunks() -> AsyncIterator[bytes]:
    for at in range(0, len(DATA), 700_001):
        yield DATA[at : at + 700_001]


async def content(request: Request) -> Response:
    """``/chunks`` without a length, ``/none`` is not there, ``/nothing`` is empty."""
    told = Headers.of([("X-Port", str(request.peer.port))])
    if request.target == "/none":
        return Response(404, told, b"there is none")
    if request.target == "/nothing":
        return Response(200, told)
    return Response(206, told, chunks() if request.target == "/chunks" else DATA)


async def test_what_is_asked_for_lies_in_the_room_and_what_is_refused_does_not(
    bulk: Bulk, contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | None]
) -> None:
    served, trusting = contexts
    async with serving(content, tls=served) as listener:
        url = f"{'https' if served else 'http'}://localhost:{listener.port}"
        room = memoryview(bytearray(len(DATA)))
        ports = set()
        for path in ("/", "/chunks", "/"):
            room[:] = bytes(len(room))
            answer, size = await receive_into(bulk, url + path, Headers(), room, tls=trusting)
            assert (answer.status, answer.body, size) == (206, b"", len(DATA))
            assert room == DATA
            ports.add(answer.headers.get("x-port"))
        assert await receive_into(bulk, f"{url}/nothing", Headers(), room, tls=trusting) != (None, 1)
        refused, size = await receive_into(bulk, f"{url}/none", Headers(), room, tls=trusting)
        assert (refused.status, refused.body, size) == (404, b"there is none", 0)
        assert room == DATA
        ports.add(refused.headers.get("x-port"))
        assert len(ports) == 1  # one connection, kept
        for path in ("/", "/chunks"):
            with pytest.raises(BadResponse, match="more comes"):
                await receive_into(bulk, url + path, Headers(), room[:-1], tls=trusting)
        some = [memoryview(bytearray(len(DATA))) for _ in range(4)]
        await asyncio.gather(*(receive_into(bulk, f"{url}/", Headers(), each, tls=trusting) for each in some))
        assert all(each == DATA for each in some)


async def test_what_is_cut_or_silent_is_told_apart(bulk: Bulk) -> None:
    silent = asyncio.Event()

    async def begins(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(300_000))
        await writer.drain()
        if b"/silent" in head:
            silent.set()
            await asyncio.Event().wait()
        writer.close()

    room = memoryview(bytearray(MIB))
    async with scripted(begins) as url:
        with pytest.raises(BadResponse, match="in the middle"):
            await receive_into(bulk, f"{url}/cut", Headers(), room)
        with pytest.raises(Timeout):
            await receive_into(bulk, f"{url}/silent", Headers(), room, read_timeout=0.3)
        silent.clear()
        asking: asyncio.Task[tuple[Answer, int]] = asyncio.create_task(
            receive_into(bulk, f"{url}/silent", Headers(), room, read_timeout=600)
        )
        await asyncio.wait_for(silent.wait(), 20)
        asking.cancel()
        await asyncio.wait([asking], timeout=20)
        assert asking.cancelled()


async def test_a_server_may_not_send_more_than_it_says(bulk: Bulk) -> None:
    async def goes_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with scripted(goes_on) as url:
        with pytest.raises(RequestFailed):
            await receive_into(bulk, url, Headers(), memoryview(bytearray(100)))
