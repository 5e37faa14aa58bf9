"""Large bodies sent by threads: against our listener and against servers that misbehave."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import ssl
from collections.abc import Iterator

import pytest

from littoral.net import wide
from littoral.net.bulk import STRETCH, Bulk
from littoral.net.failures import BadResponse, ConnectFailed, Disconnected, RequestFailed, Timeout
from littoral.net.message import Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.net.wide import PROTOCOLS
from tests.net.test_client import Script, scripted
from tests.net.wire import Contexts, serving

MIB = 1024 * 1024
DATA = memoryview(os.urandom(5 * MIB + 17))
DIGEST = hashlib.sha256(DATA).hexdigest().encode()


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    made = Bulk(client_context)
    yield made
    made.close()


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = Authority.create("Test")
    issued = authority.issue_server(["localhost"])
    return server_context(issued.pair), client_context(ca=authority.certificate_pem)


async def digest(request: Request) -> Response:
    found = hashlib.sha256(await request.body.read()).hexdigest().encode()
    seen = f"{request.method} {request.target} {request.host} {request.headers.get('x-a')}"
    return Response(200, Headers.of([("X-Seen", seen), ("X-Port", str(request.peer.port))]), found)


def ends_with(said: bytes) -> Script:
    """Reads one request, says that, and closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(DATA))
        writer.write(said)
        await writer.drain()
        writer.close()

    return script


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads a head and is silent then."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()


@pytest.mark.parametrize("secure", [False, True])
async def test_what_is_sent_arrives_on_one_connection_after_the_other(
    bulk: Bulk, secure: bool, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    served, trusting = contexts if secure else (None, None)
    async with serving(digest, tls=served) as listener:
        url = f"{'https' if secure else 'http'}://localhost:{listener.port}/a?b=c"
        answers = [await bulk.request("PUT", url, Headers.of([("X-A", "1")]), DATA, tls=trusting) for _ in range(3)]
        together = await asyncio.gather(*(bulk.request("PUT", url, Headers(), DATA, tls=trusting) for _ in range(4)))
    assert {(one.status, one.body) for one in (*answers, *together)} == {(200, DIGEST)}
    assert answers[0].headers.get("x-seen") == f"PUT /a?b=c localhost:{listener.port} 1"
    assert len({one.headers.get("x-port") for one in answers}) == 1


async def test_a_connection_that_was_closed_meanwhile_is_replaced(bulk: Bulk) -> None:
    asked = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        said = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        await ends_with(said)(reader, writer)

    async with scripted(once) as url:
        for turn in (1, 2, 3):
            answer = await bulk.request("PUT", url, Headers(), DATA)
            assert (answer.status, answer.body, asked) == (200, b"ok", turn)


async def test_who_refuses_before_the_end_is_heard(bulk: Bulk) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        while await reader.read(65536):
            pass
        writer.close()

    async with scripted(refuse) as url:
        assert (await bulk.request("PUT", url, Headers(), DATA)).status == 403


async def test_what_goes_wrong_is_told_apart(bulk: Bulk, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with scripted(ends_with(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")) as url:
        with pytest.raises(BadResponse):
            await bulk.request("PUT", url, Headers(), DATA)
    async with scripted(ends_with(b"what?\r\n\r\n")) as url:
        with pytest.raises(BadResponse):
            await bulk.request("PUT", url, Headers(), DATA)
    async with scripted(ends_with(b"")) as url:
        with pytest.raises(Disconnected):
            await bulk.request("PUT", url, Headers(), DATA)
    with pytest.raises(ConnectFailed):
        await bulk.request("PUT", url, Headers(), DATA)
    async with scripted(never) as url:
        with pytest.raises(Timeout):
            await bulk.request("PUT", url, Headers(), DATA, read_timeout=0.3)
    async with serving(digest, tls=contexts[0]) as listener:
        with pytest.raises(ConnectFailed) as untrusted:
            await bulk.request("PUT", f"https://localhost:{listener.port}/", Headers(), DATA, tls=client_context())
        assert isinstance(untrusted.value.__cause__, ssl.SSLCertVerificationError)
        with pytest.raises(ConnectFailed) as unnamed:  # nothing goes out in the clear where nobody is named
            await bulk.request("PUT", f"https://localhost:{listener.port}/", Headers(), DATA)
        assert isinstance(unnamed.value.__cause__, ssl.SSLCertVerificationError)


async def test_who_is_cancelled_waits_for_no_answer(bulk: Bulk) -> None:
    begun = asyncio.Event()

    async def begins(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await never(reader, writer)

    async with scripted(begins) as url:
        asking = asyncio.create_task(bulk.request("PUT", url, Headers(), DATA, read_timeout=600))
        await asyncio.wait_for(begun.wait(), 20)
        asking.cancel()
        await asyncio.wait([asking], timeout=20)
        assert asking.cancelled()


async def test_nobody_is_asked_once_it_is_closed(bulk: Bulk) -> None:
    bulk.close()
    with pytest.raises((RuntimeError, RequestFailed)):
        await bulk.request("PUT", "http://127.0.0.1:9/", Headers(), DATA)


class Told:
    """A content that keeps what was read of it, and fails where it is to."""

    def __init__(self, data: memoryview, problem: Exception | None = None, fails: int = -1) -> None:
        self._data, self._problem, self._fails = data, problem, fails
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self._data)

    def read_into(self, at: int, room: memoryview) -> None:
        self.read.append(at)
        if at == self._fails and self._problem is not None:
            raise self._problem
        room[:] = self._data[at : at + len(room)]


ALL = list(range(0, len(DATA), STRETCH))


@pytest.fixture(params=["clear", "tls", "wide"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Contexts:
    """A server's and a client's."""
    if request.param == "clear":
        return None, None
    monkeypatch.setattr(wide, "QUICK", 1000)  # so that bodies after the first go in frames
    authority = Authority.create("Test")
    alpn = PROTOCOLS if request.param == "wide" else ()
    served = server_context(authority.issue_server(["localhost"]).pair, alpn=alpn)
    return served, client_context(ca=authority.certificate_pem, alpn=alpn)


async def test_what_is_read_as_it_is_sent_arrives(bulk: Bulk, ends: Contexts) -> None:
    served, trusting = ends
    made = [Told(DATA) for _ in range(7)]
    small = [memoryview(DATA[:size]) for size in (0, 1, STRETCH, STRETCH + 1)]
    async with serving(digest, tls=served) as listener:
        url = f"{'https' if served else 'http'}://localhost:{listener.port}/a"
        answers = [await bulk.request("PUT", url, Headers(), one, tls=trusting) for one in made[:3]]
        together = await asyncio.gather(*(bulk.request("PUT", url, Headers(), one, tls=trusting) for one in made[3:]))
        short = [await bulk.request("PUT", url, Headers(), Told(one), tls=trusting) for one in small]
    assert {(one.status, one.body) for one in (*answers, *together)} == {(200, DIGEST)}
    assert [one.body for one in short] == [hashlib.sha256(one).hexdigest().encode() for one in small]
    assert len({one.headers.get("x-port") for one in answers}) == 1
    assert [one.read for one in made] == [ALL] * len(made)  # in order, and once


@pytest.mark.parametrize(
    "problem", [ValueError("another"), OSError(errno.EIO, "the disk"), TimeoutError("it"), Disconnected("its own")]
)
@pytest.mark.parametrize("fails", [0, 2 * STRETCH])
async def test_what_reading_raises_is_raised_and_that_connection_is_not_used_again(
    bulk: Bulk, ends: Contexts, problem: Exception, fails: int
) -> None:
    served, trusting = ends
    whole: list[bytes] = []

    async def keeps(request: Request) -> Response:
        answer = await digest(request)
        assert isinstance(answer.body, bytes)
        whole.append(answer.body)
        return answer

    async with serving(keeps, tls=served) as listener:
        url = f"{'https' if served else 'http'}://localhost:{listener.port}/a"
        before = await bulk.request("PUT", url, Headers(), Told(DATA), tls=trusting)
        failing = Told(DATA, problem, fails)
        with pytest.raises(type(problem)) as raised:
            await bulk.request("PUT", url, Headers(), failing, tls=trusting)
        after = await bulk.request("PUT", url, Headers(), Told(DATA), tls=trusting)
    assert raised.type is type(problem)  # of a TimeoutError asyncio makes another
    assert raised.value.args == problem.args
    assert failing.read == [at for at in ALL if at <= fails]  # and on no other connection
    assert before.headers.get("x-port") != after.headers.get("x-port")
    assert whole == [DIGEST, DIGEST]


async def test_on_another_connection_it_is_read_again_from_its_begin(bulk: Bulk) -> None:
    came: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.append(hashlib.sha256(await reader.readexactly(len(DATA))).hexdigest().encode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with scripted(once) as url:
        made = [Told(DATA), Told(DATA)]
        for one in made:
            assert (await bulk.request("PUT", url, Headers(), one)).status == 200
    assert came == [DIGEST, DIGEST]
    assert made[0].read == ALL
    assert made[1].read[-len(ALL) :] == ALL
    assert made[1].read.count(0) == 2
