"""The guard at the edge's doors, over sockets: which client is refused, how it is told, and what others notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from littoral.edge.guard import Guard
from littoral.net import turns
from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import Headers, Peer, Request, Response
from littoral.protocols.shield import ClientLimits, Shield
from tests.net.wire import Reply, Wire, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Doors:
    guard: Guard
    shield: Shield
    listener: HttpListener

    async def get(self, source: str) -> Reply:
        async with wire(self.listener.port, local_addr=(source, 0)) as client:
            client.send(GET)
            return await client.reply()


@asynccontextmanager
async def guarded(limits: ClientLimits, *, work: bool = False) -> AsyncIterator[Doors]:
    async def later(request: Request) -> Response:
        return Response(200)

    shield = Shield(limits)
    guard = Guard(shield, "TST1")
    listener = await listen_http(guard.before(later if work else lambda request: Response(200)), gate=guard)
    try:
        yield Doors(guard, shield, listener)
    finally:
        await listener.close(0)
        await guard.close()


async def asked(client: Wire, count: int) -> list[int]:
    """Statuses of so many requests, until one ends the connection."""
    statuses = []
    for _ in range(count):
        client.send(GET)
        reply = await client.reply()
        statuses.append(reply.status)
        if reply.headers.get("connection") == "close":
            assert reply.headers["x-cache"] == "LimitExceeded from cloudfront"
            assert reply.headers["retry-after"] == "1"
            assert await client.ended()
            break
    return statuses


async def test_a_client_beyond_its_requests_gets_429_and_then_no_connection() -> None:
    async with guarded(ClientLimits(requests=100)) as doors:
        async with wire(doors.listener.port, local_addr=("127.0.0.5", 0)) as client:
            statuses = await asked(client, 100_000)
        assert statuses[-1] == 429
        assert set(statuses[:-1]) == {200}
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await doors.get("127.0.0.5")
        assert (await doors.get("127.0.0.6")).status == 200
        assert set(doors.shield.refused) == {"client-requests"}
        async with asyncio.timeout(30):
            while doors.shield.arrives("127.0.0.5", asyncio.get_running_loop().time()):
                await asyncio.sleep(0.02)
        doors.guard.leaves("127.0.0.5")
        assert (await doors.get("127.0.0.5")).status == 200


async def test_a_client_beyond_its_connections_is_reset() -> None:
    async with guarded(ClientLimits(connections=2)) as doors:
        async with (
            wire(doors.listener.port, local_addr=("127.0.0.5", 0)) as first,
            wire(doors.listener.port, local_addr=("127.0.0.5", 0)) as second,
        ):
            assert await asked(first, 1) == await asked(second, 1) == [200]
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await doors.get("127.0.0.5")
            assert (await doors.get("127.0.0.6")).status == 200
            assert await asked(first, 3) == [200] * 3
        async with asyncio.timeout(20):
            while doors.shield.connections:
                await asyncio.sleep(0.005)
        assert (await doors.get("127.0.0.5")).status == 200
        assert doors.shield.refused == {"client-connections": 1}


async def test_work_costs_more_than_an_answer_at_once() -> None:
    """A quarter of the requests is left to who asks for what is not cached."""
    async with guarded(ClientLimits(requests=200), work=True) as doors:
        async with wire(doors.listener.port, local_addr=("127.0.0.5", 0)) as client:
            statuses = await asked(client, 100_000)
        assert statuses[-1] == 429
        assert len(statuses) < 400


async def test_answers_that_are_given_again_count_as_well() -> None:
    guard = Guard(Shield(ClientLimits(requests=40)), "TST1")
    again = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    listener = await listen_http(guard.before(lambda request: Response(200, again=lambda: again)), gate=guard)
    async with wire(listener.port, local_addr=("127.0.0.6", 0)) as client:
        statuses = await asked(client, 1000)
    assert statuses[-1] == 429
    assert len(statuses) < 400
    await listener.close(0)
    await guard.close()


async def test_behind_a_front_the_viewer_counts_and_not_the_front() -> None:
    guard = Guard(Shield(ClientLimits(requests=40)), "TST1")
    enter = guard.before(lambda request: Response(200))

    def ask(host: str) -> int:
        made = enter(Request("GET", "/", Headers([]), None, Peer(host, 1)))  # type: ignore[arg-type]
        assert isinstance(made, Response)
        return made.status

    assert 429 in [ask("2001:db8:0:1::7") for _ in range(200)]
    assert ask("2001:db8:0:1::8") == 429  # of the same /64
    assert ask("2001:db8:0:2::7") == 200
    await guard.close()


async def test_another_location_asks_for_many_viewers() -> None:
    guard = Guard(Shield(ClientLimits(requests=40, connections=5)), "TST1", {"127.0.0.9"}.__contains__)
    enter = guard.before(lambda request: Response(200))

    def ask(host: str) -> int:
        made = enter(Request("GET", "/", Headers([]), None, Peer(host, 1)))  # type: ignore[arg-type]
        assert isinstance(made, Response)
        return made.status

    assert {ask("127.0.0.9") for _ in range(20_000)} == {200}
    assert 429 in [ask("127.0.0.8") for _ in range(200)]
    assert [guard.arrives("127.0.0.9") for _ in range(50)] == [True] * 50
    assert False in [guard.arrives("127.0.0.7") for _ in range(50)]
    await guard.close()


async def test_while_the_loop_is_late_each_turn_of_it_makes_requests_dearer() -> None:
    """A timer alone is late by what is left of a turn, and ten looks a second are few when a turn is a tenth of it."""
    guard = Guard(Shield(), "TST1")
    enter = guard.before(lambda request: Response(200))
    for number in range(9):
        enter(Request("GET", "/", Headers([]), None, Peer(f"127.0.0.{number}", 1)))  # type: ignore[arg-type]
    for _ in range(14):
        time.sleep(0.03)  # other work of a turn
        await asyncio.sleep(0)
    assert guard.shield.price == 500
    await guard.close()


async def test_requests_become_dearer_while_some_wait_for_later_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though no turn of the loop is long."""
    monkeypatch.setattr(turns, "SERVING", 0.0)
    shield = Shield()
    guard = Guard(shield, "TST1")
    prices = []

    def handle(request: Request) -> Response:
        time.sleep(0.002)
        prices.append(shield.price)
        return Response(200)

    listener = await listen_http(guard.before(handle), gate=guard)
    async with AsyncExitStack() as open_ones:
        sources = [(f"127.0.2.{number % 20 + 1}", 0) for number in range(200)]
        clients = [await open_ones.enter_async_context(wire(listener.port, local_addr=each)) for each in sources]
        for client in clients:
            client.send(GET)
        for client in clients:
            assert (await client.reply()).status == 200
        assert max(prices) > 1.0
    await listener.close(0)
    await guard.close()


async def test_who_is_crowded_out_is_counted_and_has_left() -> None:
    told: list[tuple[str, str, str]] = []
    guard = Guard(Shield(), "TST1", refused=lambda *each: told.append(each))
    assert guard.arrives("2001:db8:0:1::7")
    guard.crowded_out("2001:db8:0:1::7")
    assert (guard.shield.connections, guard.shield.refused) == (0, {"client-waiting": 1})
    assert told == [("client-waiting", "2001:db8:0:1::/64", "")]
    await guard.close()
