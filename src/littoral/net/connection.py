"""One HTTP/1.1 connection of the listener: bytes in, requests to the handler in order, responses out.

Owns: the state of the connection. Knows no capability. The theory in four sentences: httptools pushes a whole read
through the callbacks below; a handler that answers at once is answered inside that callback, with one write and no
task; a handler that answers later gets one task, and requests that arrive meanwhile wait in ``_waiting`` with
reading paused, so answers keep the order of requests. A connection that must end after a response says
``Connection: close`` and, when the client may still be sending, throws that away for a moment (*lingers*), because
closing a socket with unread bytes resets it and can destroy the response on its way.

A handler is not cancelled when its client goes: half of a write is worse than one unread answer. Its body raises
BodyError, its response is dropped, and an iterator it answered with is closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from functools import partial
from time import time
from typing import TYPE_CHECKING, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from littoral.net.incoming import IncomingBody
from littoral.net.limits import Limits
from littoral.net.message import (
    Answer,
    Body,
    BodyError,
    BytesBody,
    Headers,
    RawHeaders,
    Request,
    Response,
    Switching,
    WebSocketUpgrade,
)
from littoral.net.passage import Again, Passage
from littoral.net.relay import Relay
from littoral.net.repeated import PATIENCE, LastHead
from littoral.net.responding import CLOSE, END, Responder, plain
from littoral.net.sending import Broken
from littoral.net.tls import peer_of
from littoral.net.websocket import WebSocketBridge
from littoral.protocols.http1 import (
    CHUNKED,
    HeadRefused,
    check_request_head,
    framing,
    interim_head,
    response_head,
    whole_head,
)
from littoral.protocols.websocket import HandshakeRefused, accept_handshake

if TYPE_CHECKING:
    from littoral.net.listen import HttpService

log = logging.getLogger("littoral.net")

_EMPTY: Body = BytesBody()
_NOBODY: deque[tuple[Request, bool, IncomingBody | None]] = deque()  # waits: no idle connection needs its own, 0.7 KiB

# What the sweep watches.
_SENDING, _BODY = 1, 2

# The names under which refusals are counted, by status.
REFUSALS = {
    408: "slow-head",
    414: "long-target",
    417: "expectation",
    431: "large-head",
    501: "not-implemented",
    503: "connections",
    505: "version",
}

# Why reading is paused; more than one may hold at a time.
_BY_BODY, _BY_QUEUE, _BY_STOP = 1, 2, 4


class HttpConnection(Responder):
    """Made by ``HttpService.connection`` for each accepted socket."""

    __slots__ = (
        "_again",
        "_answering",
        "_body",
        "_bridge",
        "_current",
        "_eof",
        "_fed",
        "_head_fed",
        "_headers",
        "_held",
        "_host",
        "_in_body",
        "_in_head",
        "_last_head",
        "_lingering",
        "_parser",
        "_parting",
        "_passage",
        "_passage_keeps",
        "_plain",
        "_reframed",
        "_rest",
        "_served",
        "_spans",
        "_stopped",
        "_target",
        "_task",
        "_waiting",
    )

    def __init__(self, server: HttpService) -> None:
        super().__init__(server)
        self._parser = HttpRequestParser(self)
        self._headers: RawHeaders = []
        self._target = b""
        self._host = b""  # last Host found valid
        self._last_head = LastHead(server.longest_repeat)
        self._plain: tuple[str, str, RawHeaders] | None = None  # a head of this read that LastHead may keep
        self._fed = 0  # bytes of the read being parsed
        self._head_fed = 0  # bytes of whole reads that brought nothing but head, trailers or chunk framing
        self._spans = False  # the head being received began in an earlier read
        self._in_head = False
        self._in_body = False
        self._served = False  # at least one request came
        self._again: Again | None = None  # of the newest answer
        self._answering = False  # a handler runs in ``_task``
        self._current: Request | None = None  # which one it answers
        self._passage: Passage | None = None  # what answers instead of a handler
        self._passage_keeps = False  # the connection after it
        self._eof = False  # the client has closed its half
        self._lingering = False
        self._stopped = False  # what the parser still finds in this read is no request
        self._held = 0
        self._waiting = _NOBODY
        self._body: IncomingBody | None = None  # receiving now
        self._parting = b""  # a refusal to send after what waits
        self._rest = b""  # bytes after an upgrade request
        self._reframed: tuple[bytes, IncomingBody] | None = None  # framing and body of a request with an upgrade
        self._bridge: WebSocketBridge | None = None
        self._task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = peer_of(self._transport)
        self._since = self._server.now
        self._transport.set_write_buffer_limits(high=self._server.limits.write_buffer)
        if not self._server.admit(self):
            self._refuse(503, "too many connections")

    def data_received(self, data: bytes) -> None:
        last = self._last_head
        same = data == last.head
        if (same or last.fits(data)) and not (self._in_head or self._in_body or self._finished or self._stopped):
            # The same head as before: nothing to parse or to check (2.7 of 5.3 µs less for a small request).
            last.in_vain = 0
            if not (same and last.again is not None and self._given_again(last.again)):
                headers = Headers(last.headers.copy())  # the handler may change its own
                self._again = None
                self._arrived(Request(last.method, last.target, headers, _EMPTY, self._peer, "1.1", time()), True, None)
                last.again = self._again
            return
        if self._finished:
            return
        if self._stopped:
            self._rest += data  # reading is paused; this was on its way
            return
        self._fed = len(data)
        between = not (self._in_head or self._in_body)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._reframed is None:
                self._upgrade_begins(rest)
            else:
                self._body_begins(*self._reframed, rest)
            return
        except HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except HttpParserError as error:
            self._refuse(400, str(error))
            return
        if self._in_head or self._in_body:
            self._check_unfinished()
        elif self._plain is not None:
            if between:
                last.keep(data, *self._plain)
            self._plain = None  # an idle connection need not hold a large head

    def eof_received(self) -> bool | None:
        self._eof = True
        self._newest_is_last()
        if self._body is not None:
            self._body.fail(BodyError("the client closed before the end of its body"))
        # A client may close its half after asking (RFC 9112 9.6); TLS transports cannot be kept half open.
        return not self._peer.tls and (self._answering or bool(self._waiting) or self._bridge is not None)

    def connection_lost(self, error: Exception | None) -> None:
        self._finished = True
        self._server.forget(self)
        self._waiting.clear()
        self._parser = cast(HttpRequestParser, None)  # it refers to us: do not leave that to the collector
        if self._body is not None:
            self._body.fail(BodyError("the connection broke before the end of the body"))
        if self._drain is not None and not self._drain.done():
            self._drain.set_exception(ConnectionResetError("the client has gone"))
        if self._passage is not None:
            self._passage.viewer_left()
            self._passage = None

    def pause_writing(self) -> None:
        self._blocked = True
        if self._passage is not None:
            self._passage.hold()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._passage is not None:
            self._passage.go_on()
        self._watched = 0  # most of what had waited is taken
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._next()

    # ---------------------------------------------------------------------------------- the parser's side

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_fed = -self._fed  # the read it began in does not count: it holds other things too
        self._since = self._server.now

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        headers, target, parser, server = self._headers, self._target, self._parser, self._server
        self._headers, self._target, self._in_head = [], b"", False
        if self._stopped:
            return
        if not self._head_fits(headers, len(target)):
            return
        self._spans = False
        self._head_fed = -self._fed
        keep = parser.should_keep_alive()
        found = dict(headers)
        # llhttp keeps an older version's connection for the sake of a Connection header only: no need to format it.
        version = "1.1" if keep and b"connection" not in found else parser.get_http_version()
        try:
            method, target, self._host, size, expects, upgrade = check_request_head(
                parser.get_method(), version, target, headers, self._host, found
            )
        except HeadRefused as refused:
            self._refuse(refused.status, refused.reason)
            return
        body: IncomingBody | None = None
        if size:
            self._body = body = IncomingBody(self, None if size == CHUNKED else size, server.limits.body_buffer)
            self._in_body = True
            if expects:
                self._continue_for = body
        text = target.decode("latin-1")
        request = Request(method, text, Headers(headers), _EMPTY if body is None else body, self._peer, version, time())
        if upgrade and parser.should_upgrade():
            keep = False  # what follows is not HTTP, or else the client must begin again
            if body is not None:  # the parser will say that it ends here
                self._reframed = framing(size), body
                self._body = None
        elif keep and body is None and self._last_head.in_vain < PATIENCE:
            self._plain = method, text, headers.copy()
        self._served = True
        self._arrived(request, keep, body)

    def _given_again(self, again: Again) -> bool:
        """The handler's own short cut, where nothing waits to be answered before."""
        if self._answering or self._blocked or self._waiting or self._last or self._server.closing:
            return False
        whole = again()
        if whole is None:
            return False
        if type(whole) is bytes:
            self._transport.write(whole)
            self._since = self._server.now
        else:
            passage = cast(Passage, whole)
            self._pass(passage.request, passage, True)
        return True

    def _arrived(self, request: Request, keep: bool, body: IncomingBody | None) -> None:
        if self._answering or self._blocked or self._waiting:
            if self._waiting is _NOBODY:
                self._waiting = deque()
            self._waiting.append((request, keep, body))
            self._hold(_BY_QUEUE)
        else:
            self._begin(request, keep, body)

    def on_body(self, data: bytes) -> None:
        self._head_fed = -self._fed  # this read was not all framing
        if self._body is not None:
            self._body.feed(data)

    def on_message_complete(self) -> None:
        if self._stopped:
            return
        self._in_body = False
        self._head_fed = 0
        trailers, self._headers = self._headers, []
        if self._body is None:
            return
        limits = self._server.limits
        if len(trailers) > limits.max_headers or (trailers and _size_of(trailers) > limits.max_header_bytes):
            self._in_body = True
            self._refuse(431, "trailers are too large")
            return
        self._body.end(trailers)
        self._body = None

    # --------------------------------------------------------------------------------------------- limits

    def _head_fits(self, headers: RawHeaders, target: int) -> bool:
        limits = self._server.limits
        if target > limits.max_target_bytes:
            self._refuse(414, f"more than {limits.max_target_bytes} bytes of target")
            return False
        if len(headers) > limits.max_headers:
            self._refuse(431, f"more than {limits.max_headers} headers")
            return False
        # Counting is only worth it for a head that came in several reads or in a large one.
        if (self._spans or self._fed > limits.max_header_bytes) and target + _size_of(
            headers
        ) > limits.max_header_bytes:
            self._refuse(431, f"more than {limits.max_header_bytes} bytes of headers")
            return False
        return True

    def _check_unfinished(self) -> None:
        """A head, trailers or chunk extensions that go on over many reads are bounded too."""
        limits = self._server.limits
        self._head_fed += self._fed
        self._spans = self._in_head
        if len(self._headers) > limits.max_headers or self._head_fed > limits.max_header_bytes:
            self._refuse(431, "headers, trailers or chunk extensions are too large")

    @property
    def host(self) -> str:
        return self._peer.host

    @property
    def idle_since(self) -> float | None:
        """Since when nothing is asked or answered here, a head that has not ended being nothing; else None."""
        busy = self._answering or self._waiting or self._in_body or self._finished or self._blocked
        return None if busy else self._since

    def overdue(self, now: float) -> None:
        """Called by the server's sweep about once a second."""
        limits = self._server.limits
        waited = now - self._since
        outstanding = self.outstanding()
        if outstanding or self._drain is not None:
            self._since = now
            if self._impatient(_SENDING, -outstanding, limits.send_timeout, limits.send_rate):
                self._server.refusals["slow-read"] += 1
                self._transport.abort()
        elif self._lingering:
            if waited > limits.linger:
                self._transport.close()
        elif self._in_body:
            self._body_overdue(limits)
        elif self._answering or self._waiting:
            self._watched = 0
        elif self._in_head or not self._served:
            if waited > limits.header_timeout:
                self._refuse(408, "the request did not come in time")
        elif waited > limits.keep_alive_timeout:
            self._transport.close()

    def _body_overdue(self, limits: Limits) -> None:
        body = self._body
        if body is not None and not body.awaited:
            self._watched = 0  # the handler is busy elsewhere: not the client's delay
        elif self._impatient(_BODY, body.received if body else 0, limits.body_timeout, limits.body_rate):
            self._server.refusals["slow-body"] += 1
            self._last = True
            if body is None:
                self._transport.abort()
            else:
                body.fail(BodyError("the body did not come in time"))

    def _impatient(self, what: int, done: int, patience: float, rate: float) -> bool:
        """Waiting uses patience up, bytes give it back at ``rate`` a second: a trickle is no progress."""
        if self._watched != what:
            self._watched, self._patience, self._done = what, patience, done
            return False
        gained = max(0, done - self._done)
        self._done = done
        self._patience = min(patience, self._patience - self._server.elapsed + gained / rate)
        return self._patience < 0

    # ------------------------------------------------------------------------------------------ answering

    def _begin(self, request: Request, keep: bool, body: IncomingBody | None) -> None:
        try:
            answer = self._server.handler(request)
        except Exception as error:  # noqa: BLE001 - the handler's failure is this request's 500, not the server's end
            answer = self._failure(request, error)
        if isinstance(answer, Response):
            content = answer.body
            if type(content) is bytes:
                keep = self._send_whole(request, answer, content, keep, body)
                self._again = answer.again
                if keep and body is None:
                    self._since = self._server.now
                else:
                    self._finish(keep, body)
                return
        elif isinstance(answer, Passage) and body is None:
            self._again = answer.again
            self._pass(request, answer, keep)
            return
        elif isinstance(answer, WebSocketUpgrade):
            self._finish(self._accept_websocket(request, answer, body), body)
            return
        self._answer_by_task(request, answer, keep, body)

    def _answer_by_task(
        self, request: Request, answer: Answer | Awaitable[Answer], keep: bool, body: IncomingBody | None
    ) -> None:
        self._answering = True
        self._current = request
        request.interim = partial(self._send_interim, request)
        self._task = self._server.loop.create_task(self._answer_later(request, answer, keep, body))

    async def _answer_later(
        self, request: Request, pending: Answer | Awaitable[Answer], keep: bool, body: IncomingBody | None
    ) -> None:
        try:
            answer = await pending if isinstance(pending, Awaitable) else pending
        except asyncio.CancelledError:
            self._abort()
            raise
        except Exception as error:  # noqa: BLE001
            answer = self._failure(request, error)
        if isinstance(answer, Passage):
            self._task = None
            self._pass(request, answer, keep)
            return
        try:
            if isinstance(answer, WebSocketUpgrade):
                keep = self._accept_websocket(request, answer, body)
            elif isinstance(answer, Switching):
                keep = self._switch(answer)
            else:
                keep = await self._send(request, answer, keep, body)
        except asyncio.CancelledError:
            self._abort()
            raise
        except (ConnectionError, Broken, BodyError) as error:
            log.info("response to %s %s cut: %s", request.method, request.raw_path, error)
            self._abort()
        except Exception:
            log.exception("response to %s %s failed", request.method, request.raw_path)
            self._abort()
        self._answering = self._responding = False
        self._task = self._current = None
        self._finish(keep, body)
        self._next()

    def _send_interim(self, request: Request, status: int, headers: Headers) -> None:
        """Nothing when it would come too late, or to a client that does not know of it."""
        if self._current is request and not (self._responding or self._finished) and request.http_version == "1.1":
            self._transport.write(interim_head(status, headers.raw))

    def _abort(self) -> None:
        self._finished = True
        self._transport.abort()

    def _finish(self, keep: bool, body: IncomingBody | None) -> None:
        """The response is written. A body that nobody read is received into nothing, or ends the connection."""
        if body is not None:
            if self._body is body:
                self._body = None
                body.fail(BodyError("the request has been answered"))
            if self._continue_for is body:
                self._continue_for = None
            self.release_body()
        if keep:
            self._since = self._server.now
        elif self._bridge is None and not self._finished:
            self._part()

    def _next(self) -> None:
        while self._waiting and not (self._answering or self._blocked or self._finished):
            self._begin(*self._waiting.popleft())
        if self._waiting or self._answering or self._finished:
            return
        if self._parting:
            self._transport.write(self._parting)
            self._part()
        elif self._stopped or (self._server.closing and not (self._in_head or self._in_body)):
            self._part()
        else:
            self._release(_BY_QUEUE)

    def _part(self) -> None:
        """Close once what is written has gone out; linger if the client is in the middle of sending."""
        self._finished = self._stopped = True
        self._waiting.clear()
        transport = self._transport
        if not (self._in_body or self._in_head) or self._eof:
            transport.close()
            return
        self._lingering = True
        self._since = self._server.now
        if transport.can_write_eof():
            transport.write_eof()
        self._held = 0
        transport.resume_reading()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer with an error, after the answers still owed, and end the connection."""
        log.debug("refused %s: %d %s", self._peer.host, status, reason)
        self._server.refusals[REFUSALS.get(status, "malformed")] += 1
        if self._in_body:
            # The request is with its handler already: that hears of it through the body and answers, finally.
            self._newest_is_last()
            if self._body is not None:
                self._body.fail(BodyError(reason))
        else:
            text = (reason + "\n").encode()
            fields = [(b"content-type", b"text/plain; charset=utf-8")]
            self._parting = whole_head("GET", status, fields, len(text), self._server.date_line) + CLOSE + text
            self._in_head = True  # the client may be in the middle of sending: linger
        self._stopped = True
        self._hold(_BY_STOP)
        self._next()

    def _newest_is_last(self) -> None:
        """The answer to the request that came last ends the connection; those before it are owed as they are."""
        if self._waiting:
            request, _, body = self._waiting.pop()
            self._waiting.append((request, False, body))
        else:
            self._last = True

    # ------------------------------------------------------------------------- a passage's side (its ``Viewer``)

    def _pass(self, request: Request, passage: Passage, keep: bool) -> None:
        if self._finished:
            return
        self._answering = True
        self._current = request
        self._passage, self._passage_keeps = passage, keep
        try:
            passage.begin(self)
        except Exception as error:  # noqa: BLE001 - as of a handler
            self._passage = None
            self._answer_by_task(request, self._failure(request, error), keep, None)

    @property
    def date_line(self) -> bytes:
        return self._server.date_line

    def pass_whole(self, head: bytes, body: bytes) -> None:
        keep = self._passage_keeps and not (self._last or self._server.closing)
        self._transport.write(b"%b%b%b" % (head, END if keep else CLOSE, body))
        self._passage_keeps = keep
        self.pass_end()

    def pass_head(self, head: bytes) -> None:
        self._passage_keeps = keep = self._passage_keeps and not (self._last or self._server.closing)
        self._responding = True
        self._transport.write(head + (END if keep else CLOSE))

    def pass_on(self, data: bytes) -> None:
        self._transport.write(data)

    def pass_hint(self, status: int, headers: RawHeaders) -> None:
        if self._current is not None:
            self._send_interim(self._current, status, Headers(headers))

    def pass_end(self) -> None:
        self._answering = self._responding = False
        self._passage = self._current = None
        self._finish(self._passage_keeps, None)
        self._next()

    def pass_broken(self, reason: str) -> None:
        log.info("response to %s cut: %s", self._peer.host, reason)
        self._passage_keeps = False
        self._abort()
        self.pass_end()

    def pass_instead(self, request: Request, pending: Awaitable[Answer]) -> None:
        self._passage = None
        self._answer_by_task(request, pending, self._passage_keeps, None)

    # ------------------------------------------------------------------------------------- reading, paused

    def body_opened(self, body: IncomingBody) -> None:
        if self._continue_for is body:
            self._continue_for = None
            if not (self._responding or body.buffered or body.ended or self._finished):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def hold_body(self) -> None:
        self._hold(_BY_BODY)

    def release_body(self) -> None:
        if self._held & _BY_BODY:
            self._release(_BY_BODY)

    def _hold(self, why: int) -> None:
        if not self._held and not self._transport.is_closing():
            self._transport.pause_reading()
        self._held |= why

    def _release(self, why: int) -> None:
        if self._held & why:
            self._held &= ~why
            if not self._held and not self._transport.is_closing():
                self._since = self._server.now
                self._transport.resume_reading()

    # ------------------------------------------------------------------------------------------ WebSocket

    def _upgrade_begins(self, rest: bytes) -> None:
        """The parser has stopped at an upgrade request; ``rest`` is no HTTP."""
        if self._bridge is not None:
            self._bridge.data_received(rest)
        elif not self._finished:
            self._stopped = True
            self._rest = rest
            self._hold(_BY_STOP)

    def _body_begins(self, lines: bytes, body: IncomingBody, rest: bytes) -> None:
        """A body beside an Upgrade (Java's HttpClient asks so for h2c): nobody here switches protocols before it, and
        llhttp would skip it, so another parser reads it without that line."""
        self._reframed = None
        if self._finished:
            return
        self._parser = HttpRequestParser(BodyAlone(self))
        self._parser.feed_data(b"POST / HTTP/1.1\r\nconnection: close\r\n" + lines + b"\r\n\r\n")
        self._headers = []
        self._body, self._in_body = body, True
        if rest:
            self.data_received(rest)

    def _accept_websocket(self, request: Request, upgrade: WebSocketUpgrade, body: IncomingBody | None) -> bool:
        try:
            if body is not None:
                raise HandshakeRefused(400, "a WebSocket handshake has no body")
            lines = accept_handshake(request.method, request.headers.raw, upgrade.subprotocol)
        except HandshakeRefused as refused:
            answer = plain(refused.status, refused.reason)
            answer.headers.raw.extend(refused.headers)
            return self._send_whole(request, answer, cast(bytes, answer.body), False, body)
        head, _ = response_head(101, upgrade.headers.raw, self._server.date_line)
        self._transport.write(b"\r\n".join((head, *(name + b": " + value for name, value in lines))) + END)
        self._bridge = bridge = WebSocketBridge(upgrade.protocol_factory(), self._server)
        self._server.replace(self, bridge)
        self._finished = True
        self._transport.set_protocol(bridge)
        bridge.connection_made(self._transport)
        self._held = 0
        self._transport.resume_reading()
        if self._rest:
            bridge.data_received(self._rest)
        return False

    def _switch(self, answer: Switching) -> bool:
        if self._finished or not self._stopped:
            answer.upstream.release()
            raise ConnectionResetError("the client has gone, or did not ask to switch protocols")
        head, _ = response_head(101, answer.headers.raw, self._server.date_line)
        self._transport.write(head + b"\r\nconnection: Upgrade\r\nupgrade: " + answer.protocol + END)
        relay = Relay(self._server, answer.idle_timeout)
        self._server.replace(self, relay)
        self._finished = True
        relay.start(self._transport, self._rest, answer)
        return False

    # ------------------------------------------------------------------------------------------- shutdown

    def shut_down(self) -> None:
        """End after what is being asked and answered; at once when that is nothing."""
        if not (self._answering or self._waiting or self._in_head or self._in_body or self._finished):
            self._transport.close()

    def cut(self) -> asyncio.Task[None] | None:
        """End now. Returns the handler's task, cancelled, for the server to await."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()
        return self._task


class BodyAlone:
    """The callbacks of a parser that reads a body and its trailers; the head was read by another."""

    def __init__(self, connection: HttpConnection) -> None:
        self.on_body = connection.on_body
        self.on_header = connection.on_header
        self.on_message_complete = connection.on_message_complete


def _size_of(headers: RawHeaders) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)
