"""Large bodies that a thread sends: what is drawn arrives, whoever reads it and however that ends."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from littoral.net import outward
from littoral.net.bulk import Bulk
from littoral.net.failures import RequestFailed
from littoral.net.listen import Limits
from littoral.net.message import Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.net.wide import PROTOCOLS, WideSocket
from tests.net.test_wide import connected
from tests.net.wire import Contexts, receive_into, serving

MIB = 1024 * 1024
SIZE = 24 * MIB + 17


def content(size: int) -> bytes:
    return hashlib.shake_128(b"out").digest(size)


DATA = content(SIZE)


class Drawing:
    """Says who has drawn how much of it, and whether it was closed."""

    def __init__(self, data: bytes, fails_at: int = 1 << 60) -> None:
        self._data, self._fails_at = data, fails_at
        self.at = self.by_thread = self.by_loop = 0
        self.closed = False
        self.drawing = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def draw(self, room: memoryview) -> int:
        assert threading.current_thread().name.startswith("sending")
        self.drawing.set()
        assert self.go_on.wait(20)
        size = self._next(room)
        self.by_thread += size
        return size

    def _next(self, room: memoryview) -> int:
        if self.at >= self._fails_at:
            raise OSError("the disk is gone")
        size = min(len(room), len(self._data) - self.at)
        room[:size] = self._data[self.at : self.at + size]
        self.at += size
        return size

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        room = bytearray(MIB)
        size = self._next(memoryview(room))
        self.by_loop += size
        if not size:
            raise StopAsyncIteration
        return bytes(room[:size])

    async def aclose(self) -> None:
        self.closed = True


class Shelf:
    """Gives out what was made for it, and ``/after`` behind it."""

    def __init__(self, *bodies: Drawing, length: int = SIZE) -> None:
        self.bodies, self._length = list(bodies), length
        self._given = iter(self.bodies)

    def __call__(self, request: Request) -> Response:
        if request.target == "/after":
            return Response(200, body=b"here")
        return Response(200, Headers.of([("Content-Length", str(self._length))]), next(self._given))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@pytest.fixture(params=["plain", "wide"])
def contexts(request: pytest.FixtureRequest, authority: Authority) -> Contexts:
    return (None, None) if request.param == "plain" else wide(authority)


def wide(authority: Authority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    served = server_context(authority.issue_server(["localhost"]).pair, alpn=PROTOCOLS)
    return served, client_context(ca=authority.certificate_pem, alpn=PROTOCOLS)


def url_of(port: int, contexts: Contexts, path: str = "/") -> str:
    return f"{'https' if contexts[0] else 'http'}://localhost:{port}{path}"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


def none_lent() -> bool:
    return not outward._lent


async def test_what_a_thread_draws_arrives_and_the_next_request_is_answered(contexts: Contexts) -> None:
    bulk, shelf, room = Bulk(client_context), Shelf(Drawing(DATA), Drawing(DATA)), memoryview(bytearray(SIZE))
    async with serving(shelf, tls=contexts[0]) as listener:
        for _ in shelf.bodies:
            room[:] = bytes(SIZE)
            _, size = await receive_into(bulk, url_of(listener.port, contexts), Headers(), room, tls=contexts[1])
            assert size == SIZE and room == DATA
            after, _ = await receive_into(
                bulk, url_of(listener.port, contexts, "/after"), Headers(), room, tls=contexts[1]
            )
            assert after.status == 200 and bytes(room[:4]) == b"here"
        await until(none_lent)
    bulk.close()
    assert all(body.closed and body.by_thread > SIZE // 2 for body in shelf.bodies)


async def test_there_may_be_more_readers_than_threads(contexts: Contexts) -> None:
    count = outward.MOST + 4
    small = DATA[: 3 * MIB]
    bulk, shelf = Bulk(client_context), Shelf(*(Drawing(small) for _ in range(count)), length=len(small))
    rooms = [memoryview(bytearray(len(small))) for _ in range(count)]
    for body in shelf.bodies:
        body.go_on.clear()
    async with serving(shelf, tls=contexts[0]) as listener:
        url = url_of(listener.port, contexts)
        asking = [asyncio.create_task(receive_into(bulk, url, Headers(), room, tls=contexts[1])) for room in rooms]
        await until(lambda: len(outward._lent) == outward.MOST)
        await until(lambda: sum(body.by_loop == len(small) for body in shelf.bodies) == 4)
        for body in shelf.bodies:
            body.go_on.set()
        await asyncio.gather(*asking)
    bulk.close()
    assert all(room == small for room in rooms)


async def test_over_tls_itself_it_is_the_loop_that_sends(authority: Authority) -> None:
    served, _ = wide(authority)
    bulk, shelf, room = Bulk(client_context), Shelf(Drawing(DATA)), memoryview(bytearray(SIZE))
    async with serving(shelf, tls=served) as listener:
        trusting = client_context(ca=authority.certificate_pem)
        await receive_into(bulk, f"https://localhost:{listener.port}/", Headers(), room, tls=trusting)
    bulk.close()
    assert room == DATA and shelf.bodies[0].by_loop == SIZE


def asked(port: int, contexts: Contexts) -> socket.socket | WideSocket:
    """A client that has asked and reads nothing yet."""
    if contexts[1] is not None:
        line: socket.socket | WideSocket = connected(port, contexts[1])
    else:
        line = socket.create_connection(("127.0.0.1", port), timeout=20)
    line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return line


def body_of(line: socket.socket | WideSocket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size or b"\r\n\r\n" not in found[:1000] or len(found) < found.index(b"\r\n\r\n") + 4 + size:
        data = line.recv(300_000)
        assert data
        found += data
    return bytes(found[found.index(b"\r\n\r\n") + 4 :])


async def test_who_does_not_read_holds_no_thread_and_has_one_again_when_he_does(contexts: Contexts) -> None:
    data = DATA * 2
    shelf = Shelf(Drawing(data), length=len(data))
    body = shelf.bodies[0]
    async with serving(shelf, tls=contexts[0]) as listener:
        line = await asyncio.to_thread(asked, listener.port, contexts)
        await until(lambda: body.by_thread > 0 and none_lent())
        before = body.by_thread
        assert body.at < len(data)
        found = await asyncio.to_thread(body_of, line, len(data))
        line.close()
    assert found == data
    assert body.by_thread > before and body.closed


async def test_who_never_reads_is_given_up(contexts: Contexts) -> None:
    shelf = Shelf(Drawing(DATA))
    async with serving(shelf, Limits(send_timeout=0.3), tls=contexts[0]) as listener:
        line = await asyncio.to_thread(asked, listener.port, contexts)
        await until(lambda: shelf.bodies[0].closed and none_lent())
        line.close()
    assert 0 < shelf.bodies[0].at < SIZE


async def test_who_leaves_is_noticed(contexts: Contexts) -> None:
    bulk, shelf = Bulk(client_context), Shelf(Drawing(DATA), Drawing(DATA))
    async with serving(shelf, tls=contexts[0]) as listener:
        for body in shelf.bodies:
            body.go_on.clear()
            room = memoryview(bytearray(SIZE))
            asking = asyncio.create_task(
                receive_into(bulk, url_of(listener.port, contexts), Headers(), room, tls=contexts[1])
            )
            await until(body.drawing.is_set)
            asking.cancel()
            await asyncio.wait([asking], timeout=20)
            body.go_on.set()
            await until(lambda body=body: body.closed and none_lent())
            assert body.at < SIZE
    bulk.close()


async def test_a_server_that_ends_cuts_what_a_thread_sends(contexts: Contexts) -> None:
    bulk, shelf, room = Bulk(client_context), Shelf(Drawing(DATA)), memoryview(bytearray(SIZE))
    body = shelf.bodies[0]
    body.go_on.clear()
    async with serving(shelf, tls=contexts[0]) as listener:
        asking = asyncio.create_task(
            receive_into(bulk, url_of(listener.port, contexts), Headers(), room, tls=contexts[1])
        )
        await until(body.drawing.is_set)
        closing = asyncio.create_task(listener.close(grace=0))
        await asyncio.sleep(0.05)
        body.go_on.set()
        await closing
    with pytest.raises(RequestFailed):
        await asking
    bulk.close()
    await until(lambda: body.closed and none_lent())


@pytest.mark.parametrize("fails", [True, False])
async def test_what_cannot_be_drawn_is_cut_and_told_of(authority: Authority, fails: bool) -> None:
    body = Drawing(DATA, fails_at=9 * MIB) if fails else Drawing(DATA[: 9 * MIB])
    bulk, shelf, room = Bulk(client_context), Shelf(body), memoryview(bytearray(SIZE))
    served, trusting = wide(authority)
    async with serving(shelf, tls=served) as listener:
        with pytest.raises(RequestFailed, match="in the middle"):
            await receive_into(bulk, f"https://localhost:{listener.port}/", Headers(), room, tls=trusting)
        await until(lambda: body.closed and none_lent())
    bulk.close()
    assert body.by_thread > 0
