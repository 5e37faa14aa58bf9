"""Whole conversations on one connection, drawn: whatever is asked, refused, read or left unread, with whatever framing
and ``Expect``, cut anywhere and ended anywhere, each answer belongs to its request and nothing in a body is a request.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from littoral.net.incoming import IncomingBody
from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import Answer, Request, Response, WebSocketUpgrade
from littoral.protocols.websocket import BINARY, Data, Decoder, frame
from tests.net.wire import Contexts, Wire, wire

EVIL = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"  # what bodies are made of
TALK = 20.0  # seconds that a conversation may take, on a machine that is busy
DISCARD = 64 * 1024


@dataclass(frozen=True)
class Ask:
    """One request, and what becomes of it."""

    does: str  # reads its body, begins to, refuses at once or later
    framing: str
    size: int
    expects: bool
    waits: bool  # for 100 before its body
    whole: bool  # the answer's body is bytes, else an iterator
    closes: bool
    trailer: bool

    @property
    def body(self) -> bytes:
        return (EVIL * (self.size // len(EVIL) + 1))[: self.size] if self.framing != "none" else b""

    def head(self, number: int) -> bytes:
        lines = [b"PUT /%d/%s/%d/%d HTTP/1.1" % (number, self.does.encode(), self.whole, self.closes), b"Host: a"]
        if self.framing == "length":
            lines.append(b"Content-Length: %d" % self.size)
        elif self.framing == "chunked":
            lines.append(b"Transfer-Encoding: chunked")
        if self.expects:
            lines.append(b"Expect: 100-continue")
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def content(self) -> bytes:
        if self.framing != "chunked":
            return self.body
        pieces = [self.body[at : at + 5_000] for at in range(0, self.size, 5_000)]
        sent = b"".join(b"%x;evil=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return sent + b"0\r\n" + (b"X-Sum: 7\r\n" if self.trailer else b"") + b"\r\n"

    def answer(self, number: int) -> tuple[int, bytes]:
        if self.does in ("refuses", "refuses-later", "begins"):
            return 403, b"%d no" % number
        trailer = self.framing == "chunked" and self.trailer
        return 200, b"%d %b %d" % (number, hashlib.sha256(self.body).hexdigest().encode(), trailer)

    @property
    def to_come(self) -> bool:
        """A body, as its head says."""
        return self.framing == "chunked" or (self.framing == "length" and self.size > 0)

    @property
    def holds_back(self) -> bool:
        return self.expects and self.waits and self.to_come

    @property
    def keeps(self) -> bool | None:
        """Whether the connection is kept; None where that depends on what has come by then."""
        if self.closes or (self.expects and self.framing == "length" and not self.size):
            return False
        if not self.to_come or self.does == "reads":
            return True
        if self.holds_back and self.does != "begins":
            return False
        return True if self.framing == "length" and self.size <= DISCARD and not self.expects else None

    @property
    def continues(self) -> set[int]:
        """How many times 100 may be said."""
        if not (self.expects and self.to_come) or self.does.startswith("refuses"):
            return {0}
        return {1} if self.holds_back else {0, 1}


asks = st.builds(
    Ask,
    st.sampled_from(["reads", "begins", "refuses", "refuses-later"]),
    st.sampled_from(["none", "length", "chunked"]),
    st.sampled_from([0, 1, 30, 500, 20_000, DISCARD, DISCARD + 1, 200_000]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
    st.booleans(),
)


class Server:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def handle(self, request: Request) -> Answer | asyncio.Future[Answer]:
        _, number, does, whole, closes = f"{request.target}///".split("/")[:5]
        self.seen.append(number)
        if does == "refuses":
            return self.answered(403, f"{number} no", whole, closes)
        return self.later(request, number, does, whole, closes)  # type: ignore[return-value]

    async def later(self, request: Request, number: str, does: str, whole: str, closes: str) -> Answer:
        if does == "refuses-later":
            await asyncio.sleep(0.001)
        elif does == "begins":
            async for _ in request.body:
                break
        else:
            body = await request.body.read()
            trailers = request.body.trailers.raw if isinstance(request.body, IncomingBody) else []
            text = f"{number} {hashlib.sha256(body).hexdigest()} {len(trailers)}"
            return self.answered(200, text, whole, closes)
        return self.answered(403, f"{number} no", whole, closes)

    def answered(self, status: int, text: str, whole: str, closes: str) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield text[:1].encode()
            await asyncio.sleep(0)
            yield text[1:].encode()

        return Response(status, body=text.encode() if whole == "1" else pieces(), close=closes == "1")


class Conversation:
    """The client: sends all that is asked, of it at most ``most`` bytes, and reads meanwhile."""

    def __init__(self, client: Wire, talk: list[Ask], step: int, most: int) -> None:
        self.client, self.talk, self.step, self.left = client, talk, step, most
        self.told = [asyncio.Event() for _ in talk]  # 100, or an answer
        self.answered = [asyncio.Event() for _ in talk]
        self.over = False  # nothing more is answered
        self.sent = 0  # requests whole
        self.found: list[tuple[int, bytes, bool, int]] = []  # status, body, kept, how many 100 before it

    async def send(self) -> None:
        try:
            for number, ask in enumerate(self.talk):
                await self._out(ask.head(number))
                if self.left < 0:
                    return
                if ask.holds_back:
                    await self.told[number].wait()
                    if self.over:
                        return
                await self._out(ask.content())
                if self.left < 0:
                    return
                self.sent += 1
                if not ask.keeps:  # who goes on behind what may be the last answer may be reset
                    await self.answered[number].wait()
                    if self.over:
                        return
        except ConnectionError:
            return  # who is answered finally may be cut while it sends on

    async def _out(self, data: bytes) -> None:
        for at in range(0, len(data), self.step):
            piece = data[at : at + self.step][: max(0, self.left)]
            self.left -= len(data[at : at + self.step])
            if piece:
                self.client.send(piece)
                await self.client.writer.drain()
            if self.left < 0:
                return
            await asyncio.sleep(0)

    async def receive(self) -> None:
        for number in range(len(self.talk)):
            if self.over:
                break
            await self._answer(number)
        self.over = True
        for event in (*self.told, *self.answered):
            event.set()

    async def _answer(self, number: int) -> None:
        continued = 0
        try:
            while (reply := await self.client.reply()).status == 100:
                continued += 1
                self.told[number].set()
        except asyncio.IncompleteReadError as end:
            assert not end.partial
            self.over = True
            return
        keeps = reply.headers.get("connection") != "close"
        self.over = not keeps
        self.found.append((reply.status, reply.body, keeps, continued))
        self.told[number].set()
        self.answered[number].set()

    def check(self, server: Server) -> None:
        partly = 0
        for number, (status, body, keeps, continued) in enumerate(self.found):
            ask = self.talk[number]
            if number >= self.sent and status == 400:  # it ended in the middle of this
                assert not keeps
                partly = 1
                continue
            assert (status, body) == ask.answer(number)
            assert continued in ask.continues
            if number < self.sent and (self.left >= 0 or number < self.sent - 1):
                assert ask.keeps in (None, keeps)
        if not self.found or self.found[-1][2]:
            assert len(self.found) >= self.sent
        assert server.seen[: len(self.found)] == [str(number) for number in range(len(self.found))]
        assert len(server.seen) - len(self.found) in (0, 1 - partly)  # one may have begun when the client ended


async def none_left(listener: HttpListener) -> None:
    async with asyncio.timeout(20):
        while len(listener.service):
            await asyncio.sleep(0.002)


drawn = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
whole_talks = st.lists(asks, min_size=1, max_size=5)
steps = st.sampled_from([7, 100, 4_000, 16_384, 1_000_000])


def bytewise(talk: list[Ask], step: int) -> int:
    """No smaller steps than a few hundred in all."""
    return max(step, sum(len(ask.content()) for ask in talk) // 300)


@drawn
@given(whole_talks, steps)
async def test_each_answer_belongs_to_its_request(contexts: Contexts, talk: list[Ask], step: int) -> None:
    server = Server()
    listener = await listen_http(server.handle, tls=contexts[0])
    try:
        async with asyncio.timeout(TALK), wire(listener.port, ssl=contexts[1]) as client:
            talking = Conversation(client, talk, bytewise(talk, step), 1 << 30)
            await asyncio.gather(talking.send(), talking.receive())
            if talking.found[-1][2]:
                assert len(talking.found) == len(talk)
            else:
                assert await client.ended()
            talking.check(server)
        await none_left(listener)
    finally:
        await listener.close(0)


@drawn
@given(whole_talks, steps, st.integers(0, 1000), st.sampled_from(["half", "close", "reset"]))
async def test_a_client_may_end_anywhere(
    contexts: Contexts, talk: list[Ask], step: int, thousandths: int, how: str
) -> None:
    """By closing its half, which over TLS is both; or at once."""
    server = Server()
    listener = await listen_http(server.handle, tls=contexts[0])
    most = sum(len(ask.head(number) + ask.content()) for number, ask in enumerate(talk)) * thousandths // 1000
    try:
        async with asyncio.timeout(TALK), wire(listener.port, ssl=contexts[1]) as client:
            talking = Conversation(client, talk, bytewise(talk, step), most)
            receiving = asyncio.create_task(talking.receive())
            await talking.send()
            if how == "half" and contexts[0] is None:
                if not talking.over:
                    client.writer.write_eof()
                await receiving
                talking.check(server)
            else:
                if how == "reset":
                    client.writer.transport.abort()
                else:
                    client.writer.close()
                await asyncio.wait([receiving])
                assert isinstance(receiving.exception(), (type(None), ConnectionError, ssl.SSLError))
        await none_left(listener)
    finally:
        await listener.close(0)


@settings(drawn, max_examples=25)
@given(whole_talks, steps, st.integers(0, 60))
async def test_a_stop_may_come_anywhere(contexts: Contexts, talk: list[Ask], step: int, turns: int) -> None:
    """Nobody's answer is cut, and nobody is waited for in vain: the grace is longer than the test."""
    server = Server()
    listener = await listen_http(server.handle, tls=contexts[0])
    try:
        async with asyncio.timeout(TALK), wire(listener.port, ssl=contexts[1]) as client:
            talking = Conversation(client, talk, bytewise(talk, step), 1 << 30)
            sending = asyncio.create_task(talking.send())
            receiving = asyncio.create_task(talking.receive())
            for _ in range(turns):
                await asyncio.sleep(0)
            await listener.close(grace=600)
            await asyncio.wait([receiving])
            error = receiving.exception()  # who asks as the connection is closed is reset, as ever
            assert error is None or isinstance(error, ConnectionError)
            assert server.seen == [str(number) for number in range(len(server.seen))]
            if error is None:
                assert len(server.seen) == len(talking.found)
            client.writer.transport.abort()
            sending.cancel()
        for number, (status, body, _, continued) in enumerate(talking.found):
            assert (status, body) == talk[number].answer(number)
            assert continued in talk[number].continues
    finally:
        await listener.close(0)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


ACCEPTED, REFUSED, LATER, PIECES = "accepted", "refused", "refused-later", "refused-in-pieces"


def upgrade(does: str, framing: str) -> bytes:
    """A handshake, and what a client that is sure of itself sends behind it."""
    lines = [f"GET /upgrade/{does} HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw=="]
    head, body = "\r\n".join(lines).encode(), b""
    if framing == "length":
        head, body = head + b"\r\nContent-Length: %d" % len(EVIL), EVIL
    elif framing == "chunked":
        head, body = head + b"\r\nTransfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (len(EVIL), EVIL)
    return head + b"\r\n\r\n" + body


def echoed(data: bytes) -> bytes:
    return b"".join(event.payload for event in Decoder(server=False).feed(data) if isinstance(event, Data))


@drawn
@given(
    st.lists(asks.filter(lambda ask: ask.keeps and not ask.holds_back), max_size=2),
    st.sampled_from([ACCEPTED, REFUSED, LATER, PIECES]),
    st.sampled_from(["none", "length", "chunked"]),
    st.lists(st.integers(1, 300), max_size=3),
    steps,
)
async def test_what_comes_behind_an_upgrade_is_the_new_protocols_or_nobodys(
    contexts: Contexts, before: list[Ask], does: str, framing: str, sizes: list[int], step: int
) -> None:
    server = Server()

    def handle(request: Request) -> Answer | asyncio.Future[Answer]:
        if not request.target.startswith("/upgrade/"):
            return server.handle(request)
        if does == ACCEPTED:
            return WebSocketUpgrade(Echo)
        if does == LATER:
            return server.later(request, "upgrade", "refuses-later", "1", "0")  # type: ignore[return-value]
        return server.answered(403, "upgrade no", "0" if does == PIECES else "1", "0")

    payload = [(EVIL * 10)[:size] for size in sizes]
    sent = b"".join(ask.head(number) + ask.content() for number, ask in enumerate(before)) + upgrade(does, framing)
    sent += (
        b"".join(frame(BINARY, each, key=b"\1\2\3\4") for each in payload) if does == ACCEPTED else EVIL * len(sizes)
    )
    listener = await listen_http(handle, tls=contexts[0])
    try:
        async with asyncio.timeout(TALK), wire(listener.port, ssl=contexts[1]) as client:
            sending = asyncio.create_task(sent_in_steps(client, sent, bytewise(before, step)))
            for number, ask in enumerate(before):
                while (reply := await client.reply()).status == 100:
                    assert ask.expects
                assert (reply.status, reply.body) == ask.answer(number)
            if does == ACCEPTED and framing == "none":
                assert (await client.head())[0] == 101
                got = b""
                while len(echoed(got)) < sum(sizes):
                    got += await client.reader.read(1024)
                assert echoed(got) == b"".join(payload)
            else:
                reply = await client.reply()
                assert reply.status == (400 if does == ACCEPTED else 403)
                assert reply.headers["connection"] == "close"
                assert await client.ended()
            await sending
        await none_left(listener)
        assert server.seen == [str(number) for number in range(len(before))]
    finally:
        await listener.close(0)


async def sent_in_steps(client: Wire, data: bytes, step: int) -> None:
    for at in range(0, len(data), step):
        if client.writer.is_closing():
            return
        client.send(data[at : at + step])
        await asyncio.sleep(0)
