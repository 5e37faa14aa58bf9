"""Large bodies of known length are not parsed, and are received where a reader wants them."""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl

import pytest

from littoral.net.incoming import IncomingBody
from littoral.net.listen import Limits
from littoral.net.message import BodyError, Request, Response
from tests.net.wire import Wire, serving, wire

MIB = 1024 * 1024
HEAD = b"PUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
GET = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"


def content(size: int) -> bytes:
    return hashlib.shake_128(b"%d" % size).digest(size)


async def digest_by_rooms(request: Request) -> Response:
    """By rooms of odd sizes, and by the iterator between them, where the path says so."""
    body = request.body
    if not isinstance(body, IncomingBody):
        return Response(200, body=b"here")
    digest, turn = hashlib.sha256(), 0
    while True:
        turn += 1
        if request.target == "/2" and turn % 3 == 0:
            try:
                digest.update(await anext(aiter(body)))
            except StopAsyncIteration:
                break
            continue
        room = memoryview(bytearray((MIB, 1000, 300_001)[turn % 3]))
        count = await body.into(room)
        digest.update(room[:count])
        if count < len(room):
            break
    return Response(200, body=digest.hexdigest().encode())


async def sent(connection: Wire, data: bytes, seed: int) -> None:
    chance, at = random.Random(seed), 0
    while at < len(data):
        size = chance.choice((1, 700, 16 * 1024, 70_000, MIB))
        connection.send(data[at : at + size])
        at += size
        await connection.writer.drain()
        if chance.random() < 0.2:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("way", [1, 2])
@pytest.mark.parametrize("size", [300_000, MIB, 3 * MIB + 17])
async def test_what_is_sent_is_received_and_what_follows_is_the_next_request(
    way: int, size: int, secure: bool, issued: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    data = content(size)
    tls, trusting = issued if secure else (None, None)
    async with (
        serving(digest_by_rooms, tls=tls) as listener,
        wire(listener.port, ssl=trusting) as connection,
    ):
        for turn in range(3):
            sending = asyncio.create_task(sent(connection, HEAD % (way, size) + data + GET, turn))
            assert (await connection.reply()).body == hashlib.sha256(data).hexdigest().encode()
            assert (await connection.reply()).body == b"here"
            await sending


@pytest.mark.parametrize("secure", [False, True])
async def test_pipelined_bodies_do_not_run_into_one_another(
    secure: bool, issued: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    first, second = content(MIB), content(2 * MIB + 1)
    tls, trusting = issued if secure else (None, None)
    async with (
        serving(digest_by_rooms, tls=tls) as listener,
        wire(listener.port, ssl=trusting) as connection,
    ):
        connection.send(HEAD % (1, len(first)) + first + HEAD % (1, len(second)) + second + GET)
        for data in (first, second):
            assert (await connection.reply()).body == hashlib.sha256(data).hexdigest().encode()
        assert (await connection.reply()).body == b"here"


async def test_a_client_that_breaks_off_is_told_of() -> None:
    broken: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handle(request: Request) -> Response:
        assert isinstance(request.body, IncomingBody)
        room = memoryview(bytearray(MIB))
        assert await request.body.into(room) == MIB
        try:
            await request.body.into(room)
        except BodyError:
            broken.set_result(bytes(room).rstrip(b"\0").count(b"x"))
            raise
        return Response(200)

    async with serving(handle) as listener, wire(listener.port) as connection:
        connection.send(HEAD % (1, 3 * MIB) + b"x" * (MIB + 100_000))
        await connection.writer.drain()
        connection.writer.write_eof()
        assert await asyncio.wait_for(broken, 20) == MIB
        assert (await connection.reply()).status == 400


async def test_a_body_that_nobody_reads_ends_the_connection_and_one_that_is_read_in_part_too() -> None:
    async def handle(request: Request) -> Response:
        if request.target == "/2":
            assert isinstance(request.body, IncomingBody)
            assert await request.body.into(memoryview(bytearray(MIB))) == MIB
        return Response(200, body=b"enough")

    for way in (1, 2):
        async with serving(handle) as listener, wire(listener.port) as connection:
            sending = asyncio.create_task(sent(connection, HEAD % (way, 8 * MIB) + content(8 * MIB), 1))
            reply = await connection.reply()
            assert (reply.body, reply.headers["connection"]) == (b"enough", "close")
            assert await connection.ended()
            sending.cancel()
            await asyncio.wait([sending])


async def test_a_reader_that_gives_up_leaves_a_body_that_others_read() -> None:
    data = content(2 * MIB)

    async def handle(request: Request) -> Response:
        body = request.body
        assert isinstance(body, IncomingBody)
        room = memoryview(bytearray(2 * MIB))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(body.into(room), 0.2)
        gone.set()
        found = b"".join([chunk async for chunk in body])
        got = body.received - len(found)
        return Response(200, body=hashlib.sha256(bytes(room[:got]) + found).hexdigest().encode())

    gone = asyncio.Event()
    async with serving(handle) as listener, wire(listener.port) as connection:
        connection.send(HEAD % (1, len(data)) + data[:MIB])
        await asyncio.wait_for(gone.wait(), 20)
        connection.send(data[MIB:])
        assert (await connection.reply()).body == hashlib.sha256(data).hexdigest().encode()


async def test_who_sends_nothing_for_long_is_given_up() -> None:
    limits = Limits(body_timeout=0.5, body_rate=1e6)
    async with serving(digest_by_rooms, limits) as listener, wire(listener.port) as connection:
        connection.send(HEAD % (1, 3 * MIB) + content(3 * MIB)[:MIB])
        assert (await connection.reply()).status == 400
