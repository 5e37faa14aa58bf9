"""A head that comes again is not parsed again, and nobody can tell but by the clock."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from littoral.net.alike import AlikeHead
from littoral.net.limits import Limits
from littoral.net.listen import HttpService
from littoral.net.message import Request, Response
from littoral.net.repeated import LONGEST, PATIENCE, LastHead
from tests.net.wire import Recorder, serving, wire

HEAD = b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one: 2\r\n\r\n"
PAIRS = [(b"host", b"a"), (b"x-one", b"1"), (b"x-one", b"2")]


async def test_a_handler_may_change_its_request_and_the_next_one_is_as_sent() -> None:
    seen: list[Request] = []

    def handle(request: Request) -> Response:
        seen.append(copy.deepcopy(request))
        assert all(request is not earlier for earlier in requests)
        requests.append(request)
        request.headers.raw.clear()
        request.headers.set("x-mine", "here")
        request.method, request.target = "PUT", "/elsewhere"
        return Response(200)

    requests: list[Request] = []
    async with serving(handle) as listener, wire(listener.port) as client:
        for _ in range(4):
            client.send(HEAD)
            await client.reply()
    assert [(one.method, one.target, one.headers.raw) for one in seen] == [("GET", "/a?b=c", PAIRS)] * 4
    times = [one.received_at for one in seen]
    assert times == sorted(times)
    assert times[0] > 0
    assert all(one.host == "a" and one.http_version == "1.1" for one in seen)


async def test_a_read_that_came_again_is_answered_after_those_before_it() -> None:
    gate = asyncio.Event()

    async def slow(request: Request) -> Response:
        await gate.wait()
        return Response(200, body=request.target.encode())

    held = asyncio.Event()

    def handle(request: Request) -> object:
        if request.target == "/slow":
            held.set()
            return slow(request)
        return Response(200, body=request.target.encode())

    block = b" HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(handle) as listener, wire(listener.port) as client:  # type: ignore[arg-type]
        client.send(b"GET /1" + block)
        assert (await client.reply()).body == b"/1"
        client.send(b"GET /slow" + block)
        await held.wait()
        client.send(b"GET /2" + block)
        gate.set()
        assert [(await client.reply()).body for _ in range(2)] == [b"/slow", b"/2"]


async def test_a_connection_that_served_repeats_is_closed_by_the_last_and_at_the_end() -> None:
    async with serving(lambda request: Response(200, close=request.target == "/end")) as listener:
        async with wire(listener.port) as client:
            for target in (b"/1", b"/1", b"/2"):
                client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
                assert "connection" not in (await client.reply()).headers
            client.send(b"GET /end HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.reply()).headers["connection"] == "close"
            assert await client.ended()
        async with wire(listener.port) as client:
            client.send(HEAD)
            await client.reply()
            await listener.close(grace=5)
            assert await client.ended()


Seen = list[tuple[str, str, str, list[tuple[bytes, bytes]], bytes]]


async def served(
    reads: list[bytes], *, repeats: bool, limits: Limits | None = None, hasty: bool = False, again: bool = False
) -> tuple[Seen, bytes]:
    """What the handler sees and the client gets, with or without the memory under test; ``hasty``: all reads come
    before a handler that answers later has answered any; ``again``: the handler gives its answers once more itself."""
    seen: Seen = []

    def note(request: Request, body: bytes) -> Response:
        seen.append((request.method, request.target, request.http_version, list(request.headers.raw), body))
        request.headers.raw.append((b"x-added", b"by the handler"))
        target = request.target.encode("latin-1")
        short = once_more(seen[-1], target) if again and request.method == "GET" else None
        return Response(200, body=target, again=short)

    def once_more(
        saw: tuple[str, str, str, list[tuple[bytes, bytes]], bytes], body: bytes
    ) -> Callable[[], bytes | None]:
        def give() -> bytes | None:
            if len(seen) % 3 == 2:
                return None
            seen.append(saw)
            return b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

        return give

    async def with_body(request: Request) -> Response:
        return note(request, await request.body.read())

    def handle(request: Request) -> object:
        later = request.method == "POST" or request.target.endswith("later")
        return with_body(request) if later else note(request, b"")

    service = HttpService(handle, limits)  # type: ignore[arg-type]
    if not repeats:
        service.longest_repeat = 0
    connection = service.connection()
    transport = Recorder()
    connection.connection_made(transport)
    service.date_line = b"\r\ndate: now"  # the tick of the clock has set the real one
    for read in reads:
        connection.data_received(read)
        for _ in range(0 if hasty else 6):
            await asyncio.sleep(0)
    for _ in range(60):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    await service.close(0)
    return seen, bytes(transport.written)


methods = st.sampled_from([b"GET", b"GET", b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"get"])
targets = st.sampled_from(
    [b"/", b"/", b"/a?b=%20", b"/later", b"/#x", b"/ x", b"*", b"http://a/b", b'/"', b"/\xe9", b"/\0", b"", b"/" * 90]
)
SIGNED = (
    b" HTTP/1.1\r\nHost: a\r\nX-Amz-Date: %b\r\n"
    b"Authorization:  AWS4 Credential=a/b, Signature=%b\r\nAmz-Sdk-Request: %b\r\n"
)
LENGTH = b"Content-Length: %b\r\n\r\n%b"
signed = st.builds(
    lambda date, signature, attempt, length: SIGNED % (date, signature, attempt) + length,
    st.sampled_from([b"1", b"2", b"", b" 3", b"4 4", b"5  5", b"6\t", b"\xe9", b"7\r\nX: 1", b"8\n", b"9\0"]),
    st.sampled_from([b"aa", b"bb", b"", b"c Signature=d"]),
    st.sampled_from([b"attempt=1", b"attempt=2; max=3"]),
    st.sampled_from(
        [b"\r\n", b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"]
        + [LENGTH % (size, b"abc") for size in (b"3", b"3", b"03", b"+3", b"99", b"0", b"2")]
        + [LENGTH % (b"4", body) for body in (b"abcd", b"abc", b"abcde")]
    ),
)
blocks = signed | st.sampled_from(
    [
        b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b" HTTP/1.1\r\nHost: b\r\nX: 1\r\nX: \r\nConnection: Keep-Alive\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b" HTTP/1.1\r\nX: 1\r\n\r\n",
        b" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b" HTTP/1.0\r\n\r\n",
        b" HTTP/1.1\nHost: a\n\n",
    ]
)
heads = st.builds(lambda method, target, block: method + b" " + target + block, methods, targets, blocks)
pieces = heads | heads | st.sampled_from([b"\r\n", b"abc", b"\r\n\r\n", b"GET / HTTP/1.1\r\nX: "])


@given(parts=st.lists(pieces, min_size=1, max_size=4), choice=st.data(), target_limit=st.sampled_from([20, 8192]))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_with_and_without_the_memory_all_is_the_same(
    parts: list[bytes], choice: st.DataObject, target_limit: int
) -> None:
    """Reads drawn from a few parts, so that they come again: whole, in pieces, several together."""
    reads: list[bytes] = []
    for _ in range(choice.draw(st.integers(1, 8))):
        data = b"".join(choice.draw(st.lists(st.sampled_from(parts), min_size=1, max_size=2)))
        cut = choice.draw(st.just(0) | st.just(0) | st.integers(0, len(data)))
        reads += [piece for piece in (data[:cut], data[cut:]) if piece]
    limits = Limits(max_target_bytes=target_limit)
    expected = await served(reads, repeats=False, limits=limits)
    assert await served(reads, repeats=True, limits=limits) == expected
    assert await served(reads, repeats=True, limits=limits, again=True) == expected


BLOCK = HEAD.partition(b"/a?b=c")[2]
OTHER = b"GET /b" + BLOCK
POST = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
LATER = b"GET /later" + BLOCK
CLOSING = b"GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
LINE = HEAD.partition(b"\r\n")[0]


@pytest.mark.parametrize("hasty", [False, True])
@pytest.mark.parametrize(
    ("reads", "targets"),
    [
        pytest.param([HEAD, HEAD, HEAD[:9], HEAD[9:], HEAD], "aaaa", id="split"),
        pytest.param([HEAD, HEAD + HEAD, HEAD, HEAD + HEAD[:5], HEAD[5:], HEAD], "aaaaaaa", id="pipelined"),
        pytest.param(
            [HEAD, b"GET /b" + BLOCK, HEAD, b"GET /b HTTP/1.1\r\nHost: b\r\n\r\n", HEAD], "ababa", id="others"
        ),
        pytest.param(
            [HEAD, POST % 3 + b"xyz", HEAD, POST % 3, b"GET", HEAD], "apapa", id="a body, in the read or after"
        ),
        pytest.param([HEAD, POST % len(HEAD), HEAD, HEAD], "apa", id="a body that reads like it"),
        pytest.param(
            [HEAD, HEAD, HEAD, POST % 3 + b"xyz", HEAD, HEAD], "aaapaa", id="behind one that is answered later"
        ),
        pytest.param(
            [HEAD, HEAD, HEAD, POST % len(OTHER), OTHER, OTHER, OTHER], "aaapbb", id="a body that reads like another"
        ),
        pytest.param([HEAD, LINE + b"\r\nX: ", HEAD, HEAD], "aaa", id="a header that reads like it"),
        pytest.param([LINE + b"\r\nX: ", HEAD, HEAD], "aa", id="a header that reads like the first"),
        pytest.param(
            [POST % len(LINE + b"\r\n"), LINE + b"\r\n" + HEAD, LINE + b"\r\n" + HEAD], "pa", id="a body before a head"
        ),
        pytest.param([HEAD, HEAD, HEAD.replace(b"a?b", b"a b"), HEAD], "aa", id="after a refusal"),
        pytest.param([LATER, LATER, HEAD.replace(b"a?b", b"a b"), LATER], "ll", id="after a refusal that waits"),
        pytest.param([CLOSING, CLOSING, HEAD], "l", id="after the last request"),
        pytest.param([HEAD, UPGRADE, HEAD, UPGRADE], "a/", id="after an upgrade"),
        pytest.param([b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] * 3, "///", id="HTTP/1.0"),
        pytest.param([HEAD, b"\r\n", HEAD, b"\r\n" + HEAD, HEAD + b"\r\n", HEAD], "aaaaa", id="empty lines between"),
    ],
)
async def test_what_reads_like_the_last_head_and_is_not(reads: list[bytes], targets: str, hasty: bool) -> None:
    seen, written = await served(reads, repeats=True, hasty=hasty)
    assert (seen, written) == await served(reads, repeats=False, hasty=hasty)
    assert (seen, written) == await served(reads, repeats=True, hasty=hasty, again=True)
    assert "".join(target[1:2] or target for _, target, *_ in seen) == targets


async def test_an_answer_that_can_be_given_again_needs_no_handler() -> None:
    asked: list[str] = []

    def handle(request: Request) -> Response:
        asked.append(request.target)
        again = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + request.target[-1:].encode()
        return Response(200, body=b"first", again=lambda: again)

    async with serving(handle) as listener, wire(listener.port) as client:
        bodies = []
        for target in (b"/1", b"/1", b"/1", b"/1", b"/2", b"/2", b"/2", b"/1"):
            client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
            bodies.append((await client.reply()).body)
    # the first is parsed, the second tells how it can be given again; another target comes without parsing
    assert bodies == [b"first", b"first", b"1", b"1", b"first", b"2", b"2", b"first"]
    assert asked == ["/1", "/1", "/2", "/1"]


def test_what_is_kept_and_what_fits() -> None:
    last = LastHead(200)
    assert not last.fits(b"")
    last.keep(HEAD, "GET", "/a?b=c", PAIRS)
    assert last.fits(HEAD.replace(b"/a?b=c", b"/another/%20one"))
    assert (last.method, last.target, last.headers) == ("GET", "/another/%20one", PAIRS)
    for target in (b"/a b", b"/\r\n", b"/#", b'/"', b"/\xff", b"//\0", b"*", b"http://a/", b"", b"/" + b"x" * 200):
        assert not last.fits(HEAD.replace(b"/a?b=c", target)), target
    for data in (HEAD + HEAD, HEAD[1:], b"\r\n" + HEAD, HEAD[:-1], HEAD.replace(b"GET", b"PUT"), HEAD[-12:]):
        assert not last.fits(data), data
    for data in (HEAD + HEAD, HEAD + b"\r\n", b"\r\n" + HEAD, HEAD + b"abc"):
        fresh = LastHead(LONGEST)
        fresh.keep(data, "GET", "/a?b=c", PAIRS)
        assert fresh.head == b""
    for limit, kept in ((len(HEAD) - 1, b""), (len(HEAD), HEAD)):
        fresh = LastHead(limit)
        fresh.keep(HEAD, "GET", "/a?b=c", PAIRS)
        assert fresh.head == kept


def test_a_client_that_never_repeats_itself_is_given_up() -> None:
    last = LastHead(LONGEST)
    for number in range(PATIENCE):
        head = b"GET / HTTP/1.1\r\nHost: a%d\r\n\r\n" % number
        assert not last.fits(head)
        last.keep(head, "GET", "/", PAIRS)
        assert (last.head == head) is (number < PATIENCE - 1)
    assert not last.fits(head)
    assert last.headers == []


async def test_a_client_that_repeats_itself_now_and_then_is_not_given_up() -> None:
    service = HttpService(lambda request: Response(200, body=request.host.encode()))
    connection = service.connection()
    connection.connection_made(Recorder())
    for number in range(PATIENCE * 3):
        head = b"GET / HTTP/1.1\r\nHost: a%d\r\n\r\n" % number
        for _ in range(1 + number % 2):
            connection.data_received(head)
        assert connection._last_head.head == head
    connection.connection_lost(None)
    await service.close(0)


def call(target: bytes, date: bytes, signature: bytes, body: bytes) -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nX-Amz-Date: %b\r\nAuthorization: AWS4 Credential=b, Signature=%b\r\n"
    return head % (target, date, signature) + LENGTH % (b"%d" % len(body), body)


async def test_a_signed_call_like_the_one_before_is_not_parsed() -> None:
    seen: list[tuple[str, list[tuple[bytes, bytes]], bytes]] = []

    async def handle(request: Request) -> Response:
        body = await request.body.read()
        seen.append((request.target, request.headers.raw.copy(), body))
        request.headers.raw.clear()
        return Response(200)

    service = HttpService(handle)
    connection, transport = service.connection(), Recorder()
    connection.connection_made(transport)
    calls = [(b"/a", b"1", b"aa", b"{}"), (b"/a", b"2", b"bb", b"{}"), (b"/b", b"2", b"cc", b'{"much": "more"}')]
    for number, each in enumerate([*calls, *calls]):
        connection.data_received(call(*each))
        if not number:
            connection._parser = None  # type: ignore[assignment] - nobody is to ask it again
        for _ in range(6):
            await asyncio.sleep(0)
    assert seen == [
        (
            target.decode(),
            [
                (b"host", b"a"),
                (b"x-amz-date", date),
                (b"authorization", b"AWS4 Credential=b, Signature=" + signature),
                (b"content-length", b"%d" % len(body)),
            ],
            body,
        )
        for target, date, signature, body in [*calls, *calls]
    ]
    connection.connection_lost(None)
    await service.close(0)


def test_what_is_like_a_call_and_what_is_not() -> None:
    def kept(size: int = 2) -> AlikeHead:
        alike = AlikeHead(300)
        pairs = [(b"host", b"a"), (b"x-amz-date", b"1"), (b"authorization", b"AWS4 Credential=b, Signature=aa")]
        alike.keep(one, "POST", "/a", [*pairs, (b"content-length", b"2")], size)
        return alike

    one = call(b"/a", b"1", b"aa", b"{}")
    assert kept().read(one) is not None
    for other in (
        call(b"/b?x", b"2 2", b"b-b", b"{...}"),
        call(b"/a", b"1", b"aa", b""),
        one.replace(b"X-Amz-Date: 1", b"X-Amz-Date: Z"),
    ):
        assert kept().read(other) is not None, other
    for other in (
        one + b"x",
        one[:-1],
        one.replace(b"Host: a", b"Host: b"),
        one.replace(b"Credential=b", b"Credential=c"),
        one.replace(b"X-Amz-Date:", b"X-Amz-Dates:"),
        one.replace(b"X-Amz-Date: 1", b"X-Amz-Date: "),
        one.replace(b"X-Amz-Date: 1", b"X-Amz-Date:  2"),
        one.replace(b"X-Amz-Date: 1", b"X-Amz-Date: 2\r\nX: 1"),
        one.replace(b"X-Amz-Date: 1", b"X-Amz-Date: 2\nX: 1"),
        one.replace(b"X-Amz-Date: 1", b"X-Amz-Date: 2\0"),
        one.replace(b"X-Amz-Date: 1", b"X-Amz-Date: \xe9"),
        one.replace(b"Length: 2", b"Length: 02"),
        one.replace(b"Length: 2", b"Length: 3"),
        one.replace(b"POST", b"PUT"),
        one.replace(b"/a", b"/#"),
        one.replace(b"/a", b"http://b/"),
        one.replace(b"1.1", b"1.0"),
        one.replace(b"/a", b"/" + b"a" * 300),
    ):
        assert kept().read(other) is None, other
    assert kept(3).read(one) is None  # there was more in the read than this request
