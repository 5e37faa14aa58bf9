"""What is fed to the parsers of HTTP/1.1, and how what they make of it is held against h11 and llhttp.

Whatever ours accept, the others must read as the same messages, ending at the same byte; whatever they refuse ours must
refuse. Ours may be stricter. However the bytes are cut into reads, the same comes out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field

from tests.net.wire import Paused

from fuzz.oracles import Message, Pairs, Reading, plain, requests_by_h11, requests_by_llhttp, response_by_h11
from littoral.net.client import ClientLimits
from littoral.net.exchange import ClientConnection, RequestFailed
from littoral.net.limits import Limits
from littoral.net.listen import HttpService
from littoral.net.message import Body, BodyError, Headers, Request, Response
from littoral.net.passage import Known

NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"  # after everything: who sees it where says where messages end
ANSWER = b"HTTP/1.1 299 Next\r\nContent-Length: 4\r\n\r\nnext"

# The words of the grammar: a byte of an input below their number stands for one of them.
REQUEST_WORDS: list[bytes] = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b";", b",", b'"', b"0\r\n\r\n", b"0\r\n", b"3\r\nabc\r\n", b"abc",
    b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n", b"HEAD /x HTTP/1.1\r\n", b"POST /y HTTP/1.0\r\n", b"Host: a\r\n",
    b"GET ", b"http://a", b"/", b"*", b"OPTIONS ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" RTSP/1.0\r\n", b" ICE/1.0\r\n", b" HTTP/", b"1.1", b"CONNECT ",
    b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Content-Length:", b"Content-Length: 35\r\n", b"3", b"+3", b"00",
    b"18446744073709551619", b"9" * 30, b"0x3", b"3, 3", b"-1", b"_", b"3\r\n", b"3;a=b\r\nabc\r\n", b'3;a="b;c"\r\nabc\r\n',
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:", b"chunked", b"CHUNKED", b"gzip", b"identity", b"Trailer: X\r\n",
    b"X: y\r\n", b"X: y\r\n z\r\n", b"X : y\r\n", b" X: y\r\n", b"X:\r\n", b"X: \xe9\t \r\n", b"Connection: ", b"close", b"keep-alive",
    b"Upgrade", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"Expect: ",
    NEXT, NEXT[:-2], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\xff",
    b"ffffffffffffffff\r\n", b"00000000000000000003\r\nabc\r\n", b"\x0b", b"\x0c", b"\x7f", b"Cookie: a=b\r\n" * 30, b"y" * 300,
]  # fmt: skip
RESPONSE_WORDS: list[bytes] = [
    word for word in REQUEST_WORDS if b"HTTP/1" not in word and b"Host" not in word
] + [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 304 Not Modified\r\n", b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 101 Switching\r\n",
    b"HTTP/1.1 ", b"HTTP/", b"200", b"099", b"600", b"1000", b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \r\n", b"HTTP/2.0 200 OK\r\n", ANSWER, ANSWER[:-4],
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"Set-Cookie: a=b\r\n" * 20, b"ICY 200 OK\r\n", b"RTSP/1.0 200 OK\r\n",
]  # fmt: skip


def spelled(data: bytes, words: list[bytes]) -> bytes:
    """Bytes by the grammar: each below the number of words is one, each other itself."""
    return b"".join(words[byte] if byte < len(words) else bytes((byte,)) for byte in data)


def cuts(data: bytes, seed: int) -> list[list[bytes]]:
    """The ways in which reads may end: at once, byte by byte, and in pieces of one length."""
    step = 2 + seed % 37
    return [[data], *([data[at : at + n] for at in range(0, len(data), n)] for n in (1, step))]


_loop: list[asyncio.AbstractEventLoop] = []


def run(work: Coroutine[None, None, Ours]) -> Ours:
    """On one loop for all inputs: making one costs more than an input does."""
    if not _loop:
        _loop.append(asyncio.new_event_loop())
    return _loop[0].run_until_complete(work)


@dataclass
class Ours(Reading):
    statuses: list[int] = field(default_factory=list)  # answered to requests
    kept: bool = False  # a client's connection may be asked again


async def take(body: Body, message: Message) -> None:
    try:
        async for part in body:
            message.body += part
    except BodyError:
        message.state = "failed"
        raise
    message.whole(getattr(body, "trailers", Headers()).raw)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def quiet(pipe: Paused) -> None:
    """Until nothing more is written: pipelined requests are answered one after the other, each in turns of its own."""
    written = -1
    while written < len(pipe.written):
        written = len(pipe.written)
        await turns()


# -------------------------------------------------------------------------------------------------- requests

# What comes late on a busy machine is another matter than what is read.
PATIENT = Limits(header_timeout=1e9, keep_alive_timeout=1e9, body_timeout=1e9, send_timeout=1e9, linger=1e9)
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


async def served(reads: list[bytes]) -> Ours:
    """What the listener makes of these reads."""
    ours = Ours()

    async def handle(request: Request) -> Response:
        start = (request.method, request.target, request.http_version)
        message = Message(start, plain(request.headers.raw))
        ours.messages.append(message)
        await take(request.body, message)
        return Response(200)

    service = HttpService(handle, PATIENT)
    connection, pipe = service.connection(), Paused()
    connection.connection_made(pipe)
    for read in reads:
        if pipe.paused:
            await turns()
        if pipe.closed:
            break
        connection.data_received(read)
        await asyncio.sleep(0)
    await quiet(pipe)
    ours.statuses = [int(found) for found in _STATUS.findall(bytes(pipe.written)) if found != b"100"]
    ours.refused = any(status != 200 for status in ours.statuses)
    ours.ends = pipe.closed or b"\r\nconnection: close\r\n" in pipe.written
    begun = [message for message in ours.messages if message.state == "begun"]
    connection.connection_lost(None)
    await turns(3)
    for message in begun:
        message.state = "begun"  # it failed by our leaving
    await service.close(0)
    return ours


_ZEROS = re.compile(rb"\n0{16}")  # h11 counts the noughts before a chunk's size, up to twenty digits
_ABSOLUTE = re.compile(r"(?i)https?://[^/?#]*")


def origin_form(target: str) -> str:
    rest = _ABSOLUTE.sub("", target, count=1) if _ABSOLUTE.match(target) else target
    return rest if rest[:1] in ("/", "*") else "/" + rest


def compare(ours: Ours, theirs: Reading, who: str) -> None:
    """Ours is theirs, or stricter."""
    for place, mine in enumerate(ours.messages):
        last = theirs.switched and place == len(theirs.messages) - 1
        assert place < len(theirs.messages), f"{who} refuses or ends before {mine}"
        other = theirs.messages[place]
        assert mine.start[0] == other.start[0], (who, mine, other)
        assert mine.start[1:] == (origin_form(other.start[1]), *other.start[2:]), (who, mine, other)
        assert mine.headers == other.headers, (who, mine, other)
        if last:
            return  # llhttp reads no body of a request that asks for another protocol: ours does
        if mine.state == "whole":
            assert other.state == "whole" and (mine.body, mine.trailers) == (other.body, other.trailers), (
                who,
                mine,
                other,
            )
        elif mine.state == "begun":
            assert other.state == "begun" and mine.body == other.body, (who, mine, other)
    if not (ours.refused or ours.ends):
        assert len(ours.messages) == len(theirs.messages), (who, "we wait", ours, theirs)


def http_requests(data: bytes) -> None:
    """The listener's parser, by words of the grammar; where the first byte is odd, the bytes are what they are."""
    request_bytes(data[1:] if data[:1] > b"\x7f" else spelled(data[1:], REQUEST_WORDS), data[0] if data else 0)


def request_bytes(sent: bytes, seed: int = 0) -> None:
    sent += NEXT
    whole, *others = (run(served(reads)) for reads in cuts(sent, seed))
    for other in others:
        assert_same(whole, other)
    if not _ZEROS.search(sent):
        compare(whole, requests_by_h11(sent), "h11")
    compare(whole, requests_by_llhttp(sent), "llhttp")


def assert_same(one: Ours, other: Ours) -> None:
    """What was begun and failed may have got further in one way than in the other; all else is the same."""
    assert [m.state for m in one.messages] == [m.state for m in other.messages], (one, other)
    for mine, its in zip(one.messages, other.messages, strict=True):
        assert (mine.start, mine.headers, mine.trailers) == (its.start, its.headers, its.trailers), (mine, its)
        assert mine.body == its.body or mine.state == "failed", (mine, its)
    assert len(one.statuses) == len(other.statuses), (one, other)  # which refusal comes first may differ
    assert (one.refused, one.ends, one.kept) == (other.refused, other.ends, other.kept), (one, other)


# ------------------------------------------------------------------------------------------------- responses


async def answered(method: str, reads: list[bytes], ended: bool) -> Ours:
    """What the client makes of these reads, and of the server's end where ``ended``."""
    ours = Ours()
    freed: list[ClientConnection] = []
    connection = ClientConnection(ClientLimits(), freed.append, lambda _: None)
    pipe = Paused()
    connection.connection_made(pipe)

    def interim(status: int, headers: Headers) -> None:
        ours.messages.append(Message((str(status),), plain(headers.raw), state="whole"))

    async def ask() -> None:
        try:
            status, headers, body = await connection.ask(
                method, b"", None, 0, 60, upgrade=method == "GET", on_interim=interim
            )
        except RequestFailed:
            ours.refused = True
            return
        message = Message((str(status),), plain(headers))
        ours.messages.append(message)
        try:
            await take(body, message)
        except BodyError:
            ours.refused = True

    task = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    for read in reads:
        if pipe.paused:
            await turns()
        if pipe.closed:
            break
        connection.data_received(read)
        await asyncio.sleep(0)
    await turns(5)
    ours.kept = bool(freed) and connection.usable
    if ended and not pipe.closed:
        connection.eof_received()
        await turns(3)
    pending = not task.done()
    refused, states = ours.refused, [message.state for message in ours.messages]
    connection.connection_lost(None)
    await task
    if pending and not ended:
        ours.refused = refused
        for message, state in zip(ours.messages, states, strict=False):
            message.state = state
    return ours


Book = dict[bytes, tuple[Message, int]]  # heads that came before


class Taken:
    """What is told of a response that passes (``net.passage``)."""

    def __init__(self, ours: Ours, book: Book) -> None:
        self.ours, self.book = ours, book
        self.over = False

    def known(self, head: bytes) -> Known | None:
        found = self.book.get(head)
        return found and Known(int(found[0].start[0]), found[1], head, b"")

    def remember(self, head: bytes, length: int) -> None:
        message = self.ours.messages[-1]
        self.book[head] = Message(message.start, message.headers), length

    def whole(self, known: Known, body: bytes) -> None:
        found = self.book[known.before][0]
        self.ours.messages.append(Message(found.start, found.headers, body, state="whole"))
        self.over = True

    def hinted(self, status: int, headers: Pairs) -> None:
        self.ours.messages.append(Message((str(status),), plain(headers), state="whole"))

    def headed(self, status: int, headers: Pairs, *, bodiless: bool, chunked: bool) -> None:
        self.ours.messages.append(Message((str(status),), plain(headers)))

    def piece(self, data: bytes) -> None:
        self.ours.messages[-1].body += data

    def ended(self) -> None:
        self.ours.messages[-1].state = "whole"
        self.over = True

    def broken(self, problem: Exception) -> None:
        self.ours.refused = self.over = True
        if self.ours.messages and self.ours.messages[-1].state == "begun":
            self.ours.messages[-1].state = "failed"


async def passed(reads: list[bytes], ended: bool, book: Book) -> Ours:
    """What passes of these reads to a viewer; ``book`` holds heads that need not be parsed again."""
    ours = Ours()
    freed: list[ClientConnection] = []
    connection, pipe, taken = (
        ClientConnection(ClientLimits(), freed.append, lambda _: None),
        Paused(),
        Taken(ours, book),
    )
    connection.connection_made(pipe)
    connection.pass_on(taken, b"", 60)
    for read in reads:
        if not pipe.closed:
            connection.data_received(read)
    ours.kept = bool(freed) and connection.usable
    if ended and not pipe.closed:
        connection.eof_received()
    if not ended and not taken.over:
        connection.abandon()
    connection.connection_lost(None)
    return ours


def http_response(data: bytes) -> None:
    """The client's parser. The first byte says to which method, whether the server ends, and how the rest is read."""
    first = data[0] if data else 0
    method = ("GET", "HEAD", "POST", "GET")[first & 3]
    sent = data[1:] if first > 0x7F else spelled(data[1:], RESPONSE_WORDS)
    response_bytes(method, sent, bool(first & 4), first >> 3)


def response_bytes(method: str, sent: bytes, ended: bool = False, seed: int = 0) -> None:
    whole, *others = (run(answered(method, reads, ended)) for reads in cuts(sent, seed))
    theirs = response_by_h11(method, sent, ended)
    if not theirs.left.strip(b"\r\n"):  # line ends after a response are forgiven where they come with it
        for other in others:
            other.kept = whole.kept
    for other in others:
        assert_same(whole, other)
    judged = [whole]
    if method == "GET":
        book: Book = {}
        judged += [run(passed(reads, ended, book)) for reads in [*cuts(sent, seed), [sent]]]
        assert_same(judged[1], judged[-1])  # by the book
    for ours in judged:
        if not _ZEROS.search(sent):
            compare_response(ours, theirs)


def compare_response(ours: Ours, theirs: Reading) -> None:
    for place, mine in enumerate(ours.messages):
        assert place < len(theirs.messages), ("h11 refuses", mine, theirs)
        other = theirs.messages[place]
        assert (mine.start, mine.headers) == (other.start, other.headers), (mine, other)
        if mine.state == "whole":
            assert other.state == "whole" and (mine.body, mine.trailers) == (other.body, other.trailers), (mine, other)
        elif mine.state == "begun":
            assert other.state == "begun" and mine.body == other.body, (mine, other)
    if not ours.refused:
        assert len(ours.messages) == len(theirs.messages), ("we wait", ours, theirs)
    if ours.kept:
        assert not theirs.left.strip(b"\r\n"), ("kept with what nobody asked for", theirs)
