"""When more is asked than a turn of the loop has time for: who was there before does not wait for all who came."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from littoral.net import transport, turns
from littoral.net.listen import HttpListener
from littoral.net.message import Request, Response
from tests.net.wire import serving, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def transports(listener: HttpListener) -> list[Any]:
    return [each._transport for each in listener.service._connections]  # type: ignore[attr-defined]


async def connected(listener: HttpListener, count: int) -> None:
    async with asyncio.timeout(20):
        while len(listener.service) < count:
            await asyncio.sleep(0.005)


async def test_who_was_there_before_does_not_wait_for_all_who_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SERVING", 0.0)  # a turn has time for one stride, and then for one delivery
    seen: list[str] = []

    def handle(request: Request) -> Response:
        seen.append(request.peer.host)
        return Response(200, body=b"done")

    async with serving(handle) as listener, AsyncExitStack() as all_of_them:
        old = await all_of_them.enter_async_context(wire(listener.port, local_addr=("127.0.0.2", 0)))
        await connected(listener, 1)
        for each in transports(listener):
            each.born -= 2 * turns.KNOWN
        addresses = [(f"127.0.1.{number}", 0) for number in range(1, 21)]
        many = [await all_of_them.enter_async_context(wire(listener.port, local_addr=address)) for address in addresses]
        await connected(listener, 21)
        for each in (*many, old):  # the loop hears of all at once
            each.send(GET)
        for each in (old, *many):
            assert (await each.reply()).body == b"done"
        assert seen.index("127.0.0.2") == turns.STRIDE
        assert sorted(seen) == sorted({"127.0.0.2", *(host for host, _ in addresses)})


async def test_what_waits_keeps_its_order_and_nothing_more_is_read_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SERVING", 0.0)
    monkeypatch.setattr(turns, "STRIDE", 0)  # all of it waits
    waited: list[int] = []
    go_on = transport.SocketTransport.go_on

    def counted(self: transport.SocketTransport) -> None:
        waited.append(self.waiting)
        go_on(self)

    monkeypatch.setattr(transport.SocketTransport, "go_on", counted)

    async def handle(request: Request) -> Response:
        return Response(200, body=await request.body.read())

    bodies = [bytes([number]) * 40_000 for number in range(8)]
    async with serving(handle) as listener, AsyncExitStack() as all_of_them:
        open_one = partial(wire, listener.port)
        clients = [await all_of_them.enter_async_context(open_one()) for _ in range(5)]
        for client in clients:
            for body in bodies:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n" + body)
        for client in clients:
            assert [(await client.reply()).body for _ in bodies] == bodies
    # a read of 16 KiB, and one of what lies there beyond it
    assert waited and max(waited) <= 2
