"""A listener that ends: who has all of its answer and only does not end the connection is not waited for."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time

import pytest

from littoral.net import secure
from littoral.net.limits import Limits
from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import Handler, Request, Response
from tests.net.wire import Contexts, Wire, wire

MIB = 1024 * 1024
LARGE = b"PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1024 * MIB)
SMALL = b"PUT /small HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"
CHUNKED = b"PUT /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
GRACE = 600.0  # seconds that a stop may take
SOON = 30.0  # and that it takes at most, on a machine that is busy


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secure, "GOODBYE", 600.0)


async def listening(handler: Handler, contexts: Contexts) -> HttpListener:
    """Nothing but the stop ends a connection here."""
    limits = Limits(linger=600.0, body_timeout=600.0, send_timeout=600.0, keep_alive_timeout=600.0)
    return await listen_http(handler, tls=contexts[0], limits=limits)


def connected(listener: HttpListener, contexts: Contexts) -> socket.socket:
    """A client that blocks, for a thread."""
    plain = socket.create_connection(("127.0.0.1", listener.port), timeout=SOON)
    return plain if contexts[1] is None else contexts[1].wrap_socket(plain, suppress_ragged_eofs=False)


async def stopped(listener: HttpListener) -> None:
    async with asyncio.timeout(SOON):
        await listener.close(GRACE)


@pytest.mark.parametrize("asked", [LARGE, LARGE + b"x" * 300_000, SMALL, SMALL + b"x" * 10_000, CHUNKED])
async def test_who_was_answered_before_its_body_is_not_waited_for(asked: bytes, contexts: Contexts) -> None:
    listener = await listening(lambda _: Response(403, body=b"no"), contexts)
    async with wire(listener.port, ssl=contexts[1]) as client:
        client.send(asked)
        reply = await client.reply()
        assert (reply.status, reply.body) == (403, b"no")
        await stopped(listener)


async def test_who_is_answered_so_while_it_ends_is_not_waited_for(contexts: Contexts) -> None:
    running, may = asyncio.Event(), asyncio.Event()

    async def handle(request: Request) -> Response:
        running.set()
        await may.wait()
        return Response(403, body=b"no")

    listener = await listening(handle, contexts)
    async with wire(listener.port, ssl=contexts[1]) as client:
        client.send(LARGE)
        await running.wait()
        closing = asyncio.create_task(stopped(listener))
        while not listener.service.closing:
            await asyncio.sleep(0)
        may.set()
        assert (await client.reply()).body == b"no"
        await closing


async def test_an_answer_on_its_way_is_taken_whole_however_slowly(contexts: Contexts) -> None:
    """By a client that blocks: uvloop's, over TLS, loses what it holds back when the end comes meanwhile."""
    size = 8 * MIB
    listener = await listening(lambda _: Response(403, body=b"x" * size), contexts)
    with await asyncio.to_thread(connected, listener, contexts) as client:

        def taken() -> int:
            got = 0
            while data := client.recv(256 * 1024):
                got += len(data)
                time.sleep(0.002 if contexts[1] else 0.05)  # in all longer than a client that is silent is waited for
            return got

        await asyncio.to_thread(client.sendall, LARGE + b"x" * 100_000)
        head = await asyncio.to_thread(client.recv, 100)
        closing = asyncio.create_task(listener.close(GRACE))
        assert len(head) + await asyncio.to_thread(taken) > size
        await closing


async def test_who_does_not_take_its_answer_is_cut_at_the_end_of_the_grace(contexts: Contexts) -> None:
    listener = await listening(lambda _: Response(200, body=b"x" * 32 * MIB), contexts)
    async with wire(listener.port, ssl=contexts[1], limit=1024) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.head()
        await listener.close(1.5)
        assert len(listener.service) == 0
        assert len(await read_all(client)) < 32 * MIB


async def read_all(client: Wire) -> bytes:
    got = bytearray()
    try:
        while data := await client.reader.read(MIB):
            got += data
    except (ConnectionError, ssl.SSLError):
        return bytes(got)
    return bytes(got)


async def test_who_has_been_told_of_the_end_and_does_not_end_is_not_waited_for(contexts: Contexts) -> None:
    """A client's pool that looks at its connections when it asks next."""
    listener = await listening(lambda _: Response(200, body=b"done"), contexts)

    def asked_once() -> socket.socket:
        client = connected(listener, contexts)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        got = b""
        while not got.endswith(b"done"):
            got += client.recv(1024)
        return client

    with await asyncio.to_thread(asked_once):
        await stopped(listener)
