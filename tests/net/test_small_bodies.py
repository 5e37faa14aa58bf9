"""A body that ends in the read of its head is handed over whole; one that does not is like any other."""

from __future__ import annotations

import asyncio

import pytest

from littoral.net.listen import HttpService
from littoral.net.message import BodyError, BytesBody, Request, Response
from tests.net.wire import Recorder

POST = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhow it runs"
GET = b"GET /get HTTP/1.1\r\nHost: a\r\n\r\n"
SENT = POST % 1 + GET + POST % 2
SEEN = [("/1", b"how it runs"), ("/get", b""), ("/2", b"how it runs")]


async def handed(reads: list[bytes]) -> tuple[list[tuple[str, bytes]], list[bool], int]:
    """What the handler read, whether it had it at once, and how many answers there were."""
    seen: list[tuple[str, bytes]] = []
    whole: list[bool] = []

    async def handle(request: Request) -> Response:
        whole.append(isinstance(request.body, BytesBody))
        try:
            seen.append((request.target, await request.body.read()))
        except BodyError:
            seen.append((request.target, b"broken"))
        return Response(200, body=request.target.encode())

    service = HttpService(handle)
    connection, transport = service.connection(), Recorder()
    connection.connection_made(transport)
    for read in reads:
        connection.data_received(read)
        for _ in range(4):
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(4):
        await asyncio.sleep(0)
    await service.close(0)
    return seen, whole, bytes(transport.written).count(b"HTTP/1.1 200")


async def test_all_in_one_read() -> None:
    assert await handed([SENT]) == (SEEN, [True, True, True], 3)


@pytest.mark.parametrize("cut", range(1, len(SENT)))
async def test_cut_anywhere(cut: int) -> None:
    seen, whole, answers = await handed([SENT[:cut], SENT[cut:]])
    assert (seen, answers) == (SEEN, 3)
    split_at_body = len(POST % 1) - 11 <= cut < len(POST % 1)
    assert whole[0] is not split_at_body


async def test_byte_by_byte() -> None:
    seen, _, answers = await handed([SENT[at : at + 1] for at in range(len(SENT))])
    assert (seen, answers) == (SEEN, 3)


async def test_one_that_never_ends_is_told_as_before() -> None:
    assert await handed([(POST % 1)[:-1]]) == ([("/1", b"broken")], [False], 0)


async def test_more_than_the_length_is_the_next_request() -> None:
    seen, _, answers = await handed([POST % 1 + b"more"])
    assert (seen, answers) == (SEEN[:1], 1)
