"""Clients who take their time: a head, a body or an answer that trickles, connections that only wait."""

from __future__ import annotations

import asyncio
import socket

import pytest

from littoral.net.crowd import A_TURN
from littoral.net.limits import Limits
from littoral.net.listen import HttpListener, HttpService
from littoral.net.message import BodyError, Request, Response
from tests.net.wire import Wire, serving, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


async def until(listener: HttpListener, name: str, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while listener.service.refusals[name] < count:
            await asyncio.sleep(0.005)


async def trickle(client: Wire, data: bytes, ended: asyncio.Event, pause: float = 0.02) -> None:
    for place in range(len(data)):
        if ended.is_set():
            return
        client.send(data[place : place + 1])
        await asyncio.sleep(pause)


async def test_a_head_that_trickles_is_refused_in_time() -> None:
    async with (
        serving(lambda request: Response(200), Limits(header_timeout=0.1)) as listener,
        wire(listener.port) as client,
    ):
        ended = asyncio.Event()
        sending = asyncio.create_task(trickle(client, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000, ended))
        assert (await client.reply()).status == 408
        ended.set()
        await sending
        assert listener.service.refusals == {"slow-head": 1}


async def test_a_body_that_trickles_fails_its_reader_and_one_that_flows_does_not() -> None:
    failures: list[str] = []

    async def read(request: Request) -> Response:
        try:
            await request.body.read()
        except BodyError as error:
            failures.append(str(error))
            raise
        return Response(200)

    limits = Limits(body_timeout=0.2, body_rate=10_000)
    async with serving(read, limits) as listener, wire(listener.port) as slow, wire(listener.port) as quick:
        quick.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n")
        slow.send(POST)
        ended = asyncio.Event()
        sending = asyncio.create_task(trickle(slow, b"x" * 10_000, ended, 0.005))
        for _ in range(20):  # for longer than the patience lasts
            quick.send(b"x" * 1000)
            await asyncio.sleep(0.02)
        assert (await quick.reply()).status == 200
        assert (await slow.reply()).status == 400
        ended.set()
        await sending
        assert listener.service.refusals == {"slow-body": 1}
    assert failures == ["the body did not come in time"]


async def test_a_handler_that_does_not_read_is_not_its_clients_slowness() -> None:
    async def later(request: Request) -> Response:
        await asyncio.sleep(0.3)
        return Response(200, body=b"%d" % len(await request.body.read()))

    limits = Limits(body_timeout=0.05, body_rate=1_000_000)
    async with serving(later, limits) as listener, wire(listener.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert (await client.reply()).body == b"3"


def narrow(port: int) -> socket.socket:
    """A connection whose receiver takes next to nothing."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    one.connect(("127.0.0.1", port))
    return one


@pytest.mark.parametrize("size", [10_000_000, 60_000_000])
async def test_an_answer_that_nobody_takes_ends_the_connection(size: int) -> None:
    body = b"x" * size
    limits = Limits(send_timeout=0.1, keep_alive_timeout=0.05)
    async with serving(lambda request: Response(200, body=body), limits) as listener:
        with narrow(listener.port) as client:
            client.sendall(GET)
            await until(listener, "slow-read")
        await gone(listener)


async def test_an_answer_that_trickles_ends_the_connection_and_one_that_flows_does_not() -> None:
    async def pieces() -> asyncio.StreamReader:  # type: ignore[misc]
        for _ in range(200):
            yield b"x" * 65_536

    limits = Limits(send_timeout=0.3, send_rate=50_000_000)
    async with serving(lambda request: Response(200, body=pieces()), limits) as listener:  # type: ignore[arg-type]
        with narrow(listener.port) as slow:
            slow.sendall(GET)
            slow.setblocking(False)
            async with asyncio.timeout(20):
                while not listener.service.refusals["slow-read"]:
                    await asyncio.sleep(0.01)
                    try:
                        slow.recv(100)
                    except (BlockingIOError, ConnectionResetError):
                        continue
        async with wire(listener.port) as quick:
            quick.send(GET)
            assert len((await quick.reply()).body) == 200 * 65_536
        assert listener.service.refusals == {"slow-read": 1}


async def gone(listener: HttpListener) -> None:
    async with asyncio.timeout(20):
        while len(listener.service):
            await asyncio.sleep(0.005)


async def test_when_there_are_too_many_the_one_idle_longest_makes_room() -> None:
    limits = Limits(max_connections=3)
    async with serving(lambda request: Response(200), limits) as listener:
        async with wire(listener.port) as first, wire(listener.port) as second, wire(listener.port) as third:
            for one in (first, second, third):
                one.send(GET)
                assert (await one.reply()).status == 200
            listener.service.now += 1  # the clock of the sweep
            for one in (first, third):
                one.send(GET)
                assert (await one.reply()).status == 200
            async with wire(listener.port) as fourth:
                fourth.send(GET)
                assert (await fourth.reply()).status == 200
                assert await second.ended()
                for one in (first, third, fourth):
                    one.send(GET)
                    assert (await one.reply()).status == 200
        assert listener.service.refusals == {"shed-idle": 1}


async def test_when_all_are_busy_a_new_one_is_told_so() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Response:
        asked.set()
        await answer.wait()
        return Response(200)

    async with serving(wait, Limits(max_connections=1)) as listener, wire(listener.port) as first:
        first.send(GET)
        await asked.wait()
        async with wire(listener.port) as second:
            assert (await second.reply()).status == 503
            assert await second.ended()
        answer.set()
        assert (await first.reply()).status == 200
        assert listener.service.refusals["connections"] == 1


class Slow:
    """A connection that takes a third of a turn to look at, on the clock of the test."""

    host, idle_since = "127.0.0.1", None

    def __init__(self, clock: Clock) -> None:
        self.clock, self.seen = clock, 0

    def overdue(self, now: float) -> None:
        self.seen += 1
        self.clock.now += A_TURN / 3

    def shut_down(self) -> None: ...

    def cut(self) -> None: ...


class Clock:
    """The loop as a sweep sees it."""

    def __init__(self) -> None:
        self.now, self.soon = 0.0, []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: object) -> None:
        self.soon.append(callback)

    def call_later(self, delay: float, callback: object) -> None: ...


async def test_a_sweep_lets_others_have_their_turn_and_looks_at_each_once() -> None:
    service, clock = HttpService(lambda request: Response(200)), Clock()
    service.loop = clock  # type: ignore[assignment]
    many = [Slow(clock) for _ in range(10)]
    service._connections.update(dict.fromkeys(many))  # type: ignore[arg-type]
    service._tick()
    assert sum(one.seen for one in many) in (3, 4)
    service._tick()  # the last sweep goes on
    while clock.soon:
        before = sum(one.seen for one in many)
        clock.soon.pop()()
        assert sum(one.seen for one in many) - before <= 4
    assert [one.seen for one in many] == [1] * 10
    service._tick()
    assert sum(one.seen for one in many) > 10


class Gone(Slow):
    """It takes no time to end it, but what it is told has to be sent."""

    def __init__(self, clock: Clock, service: HttpService) -> None:
        super().__init__(clock)
        self.service = service

    def overdue(self, now: float) -> None:
        self.seen += 1
        self.service.refusals["slow-head"] += 1


async def test_a_sweep_that_ends_many_lets_what_they_are_told_be_sent() -> None:
    service, clock = HttpService(lambda request: Response(200)), Clock()
    service.loop = clock  # type: ignore[assignment]
    many = [Gone(clock, service) for _ in range(1_000)]
    service._connections.update(dict.fromkeys(many))  # type: ignore[arg-type]
    service._tick()
    while clock.soon:
        before = sum(one.seen for one in many)
        clock.soon.pop()()
        assert sum(one.seen for one in many) - before <= 80
    assert [one.seen for one in many] == [1] * 1_000
