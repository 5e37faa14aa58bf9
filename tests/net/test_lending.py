"""Large bodies that a thread receives: what is sent arrives, whoever sends it and however it ends."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from littoral.net import lending
from littoral.net.incoming import IncomingBody
from littoral.net.lending import Fill
from littoral.net.listen import HttpListener, Limits
from littoral.net.message import BodyError, Handler, Headers, Request, Response
from tests.net.wire import Contexts, Wire, serving, wire

MIB = 1024 * 1024
HEAD = b"PUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
GET = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"


def content(size: int) -> bytes:
    return hashlib.shake_128(b"%d" % size).digest(size)


class Reader:
    """Hashes bodies by threads as far as may be; what it saw of each stays."""

    def __init__(self) -> None:
        self.by_thread = 0  # bytes
        self.begun = threading.Event()  # a thread has received some
        self.broken: list[BodyError] = []

    async def handle(self, request: Request) -> Response:
        body = request.body
        if not isinstance(body, IncomingBody):
            return Response(200, body=b"here")
        digest, room = hashlib.sha256(), memoryview(bytearray(MIB))

        def receive(fill: Fill) -> None:
            count = MIB
            while count == MIB:
                count = fill(room)
                digest.update(room[:count])
                self.by_thread += count
                self.begun.set()

        try:
            while True:
                await body.lend(receive)
                count = await body.into(room)
                digest.update(room[:count])
                if count < MIB:
                    break
        except BodyError as problem:
            self.broken.append(problem)
            raise
        return Response(200, body=digest.hexdigest().encode())


@asynccontextmanager
async def both(
    handler: Handler, contexts: Contexts, limits: Limits | None = None
) -> AsyncIterator[tuple[HttpListener, Wire]]:
    async with (
        serving(handler, limits, tls=contexts[0]) as listener,
        wire(listener.port, ssl=contexts[1]) as connection,
    ):
        yield listener, connection


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


def none_lent() -> bool:
    return lending.free() == lending.MOST


@pytest.mark.parametrize("size", [MIB, 3 * MIB + 17, 8 * MIB])
async def test_what_is_sent_arrives_and_what_follows_is_the_next_request(size: int, contexts: Contexts) -> None:
    reader, data = Reader(), content(size)
    async with both(reader.handle, contexts) as (_, connection):
        for _ in range(3):
            connection.send(HEAD % (1, size) + data + GET)
            assert (await connection.reply()).body == hashlib.sha256(data).hexdigest().encode()
            assert (await connection.reply()).body == b"here"
    assert reader.by_thread > 0 or size < 3 * MIB
    assert none_lent()


async def test_pipelined_bodies_do_not_run_into_one_another(contexts: Contexts) -> None:
    reader, sizes = Reader(), (3 * MIB, 2 * MIB + 1, 4 * MIB)
    async with both(reader.handle, contexts) as (_, connection):
        connection.send(b"".join(HEAD % (1, size) + content(size) for size in sizes) + GET)
        for size in sizes:
            assert (await connection.reply()).body == hashlib.sha256(content(size)).hexdigest().encode()
        assert (await connection.reply()).body == b"here"
    assert reader.by_thread > 0


async def test_a_client_that_is_silent_holds_no_thread_and_has_one_again_when_it_is_quick(contexts: Contexts) -> None:
    reader, data = Reader(), content(12 * MIB)
    async with both(reader.handle, contexts) as (_, connection):
        connection.send(HEAD % (1, len(data)) + data[: 3 * MIB + 5])
        await until(lambda: reader.begun.is_set() and none_lent())
        before = reader.by_thread
        for at in range(3 * MIB + 5, 4 * MIB, 100_000):  # a trickle
            connection.send(data[at : min(at + 100_000, 4 * MIB)])
            await asyncio.sleep(0.01)
        connection.send(data[4 * MIB :])
        assert (await connection.reply()).body == hashlib.sha256(data).hexdigest().encode()
    assert reader.by_thread > before


async def test_there_may_be_more_bodies_than_threads(contexts: Contexts) -> None:
    reader, data = Reader(), content(3 * MIB)
    most = lending.MOST + 5
    async with serving(reader.handle, tls=contexts[0]) as listener:

        async def one() -> bytes:
            async with wire(listener.port, ssl=contexts[1]) as connection:
                connection.send(HEAD % (1, len(data)) + data)
                return (await connection.reply()).body

        async with asyncio.timeout(60):
            found = await asyncio.gather(*(one() for _ in range(most)))
    assert found == [hashlib.sha256(data).hexdigest().encode()] * most
    assert none_lent()


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_client_that_breaks_off_is_told_of(how: str, contexts: Contexts) -> None:
    reader = Reader()
    async with both(reader.handle, contexts) as (listener, connection):
        connection.send(HEAD % (1, 30 * MIB) + content(2 * MIB))
        await until(reader.begun.is_set)
        if how == "reset":
            connection.writer.transport.abort()
        else:
            connection.writer.close()
        await until(lambda: bool(reader.broken) and not len(listener.service))
    assert none_lent()


async def test_a_server_that_ends_cuts_what_a_thread_receives(contexts: Contexts) -> None:
    reader, stopped = Reader(), asyncio.Event()

    async def endless(connection: Wire) -> None:
        data = content(MIB)
        try:
            while not stopped.is_set():
                connection.send(data)
                await connection.writer.drain()
                await asyncio.sleep(0)  # asyncio's TLS drops what is written after its end without a wait
        except (ConnectionError, ssl.SSLError):
            return

    async with both(reader.handle, contexts) as (listener, connection):
        connection.send(HEAD % (1, 10_000 * MIB))
        sending = asyncio.create_task(endless(connection))
        await until(reader.begun.is_set)
        async with asyncio.timeout(10):
            await listener.close(grace=0.1)
        assert none_lent()
        stopped.set()
        connection.writer.transport.abort()
        await sending


async def test_who_answers_while_a_thread_receives_is_heard(contexts: Contexts) -> None:
    reader = Reader()
    underway: list[asyncio.Task[Response]] = []

    async def handle(request: Request) -> Response:
        underway.append(asyncio.create_task(reader.handle(request)))
        await until(reader.begun.is_set)
        return Response(403, body=b"no")

    async with both(handle, contexts) as (_, connection):
        connection.send(HEAD % (1, 30 * MIB) + content(2 * MIB))
        reply = await connection.reply()
        assert (reply.status, reply.body, reply.headers["connection"]) == (403, b"no", "close")
        assert await connection.ended()
        with pytest.raises(BodyError):
            await underway[0]
    assert none_lent()


async def test_what_is_said_meanwhile_is_sent(contexts: Contexts) -> None:
    reader, data = Reader(), content(4 * MIB)

    async def handle(request: Request) -> Response:
        receiving = asyncio.create_task(reader.handle(request))
        await until(reader.begun.is_set)
        assert request.interim is not None
        request.interim(103, Headers.of([("link", "</a>")]))
        return await receiving

    async with both(handle, contexts) as (_, connection):
        connection.send(HEAD % (1, len(data)) + data[: 3 * MIB])
        status, _ = await connection.head()
        assert status == 103
        connection.send(data[3 * MIB :])
        assert (await connection.reply()).body == hashlib.sha256(data).hexdigest().encode()


async def test_what_the_thread_raises_is_raised_where_it_was_asked(contexts: Contexts) -> None:
    async def handle(request: Request) -> Response:
        assert isinstance(request.body, IncomingBody)

        def fails(fill: Fill) -> None:
            fill(memoryview(bytearray(MIB)))
            raise OSError("the disk is full")

        with pytest.raises(OSError, match="the disk is full"):
            await request.body.lend(fails)
        return Response(507, body=b"full")

    async with both(handle, contexts) as (_, connection):
        connection.send(HEAD % (1, 5 * MIB) + content(2 * MIB))
        assert (await connection.reply()).status == 507
        assert await connection.ended()
    assert none_lent()


async def test_who_is_cancelled_goes_when_the_thread_has_gone() -> None:
    within, goes, gone = threading.Event(), threading.Event(), threading.Event()

    async def handle(request: Request) -> Response:
        body = request.body
        assert isinstance(body, IncomingBody)

        def receive(fill: Fill) -> None:
            within.set()
            goes.wait(20)
            gone.set()

        lent = asyncio.create_task(body.lend(receive))
        await until(within.is_set)
        lent.cancel()
        await asyncio.sleep(0.01)
        assert not lent.done()
        goes.set()
        with pytest.raises(asyncio.CancelledError):
            await lent
        assert gone.is_set()
        return Response(200, body=hashlib.sha256(b"".join([chunk async for chunk in body])).hexdigest().encode())

    data = content(3 * MIB)
    async with both(handle, (None, None)) as (_, connection):
        connection.send(HEAD % (1, len(data)) + data)
        assert (await connection.reply()).body == hashlib.sha256(data).hexdigest().encode()
    assert none_lent()


async def test_who_sends_nothing_for_long_is_given_up(contexts: Contexts) -> None:
    reader = Reader()
    async with both(reader.handle, contexts, Limits(body_timeout=0.5, body_rate=1e6)) as (_, connection):
        connection.send(HEAD % (1, 30 * MIB) + content(3 * MIB))
        assert (await connection.reply()).status == 400
    assert len(reader.broken) == 1


async def test_a_server_that_ends_lets_a_body_come_to_its_end(contexts: Contexts) -> None:
    reader, data = Reader(), content(6 * MIB)
    async with both(reader.handle, contexts) as (listener, connection):
        connection.send(HEAD % (1, len(data)) + data[: 3 * MIB])
        await until(reader.begun.is_set)
        closing = asyncio.create_task(listener.close(grace=20))
        await asyncio.sleep(0.02)
        connection.send(data[3 * MIB :])
        reply = await connection.reply()
        assert (reply.body, reply.headers["connection"]) == (hashlib.sha256(data).hexdigest().encode(), "close")
        await closing
