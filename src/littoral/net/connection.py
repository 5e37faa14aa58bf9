"""One HTTP/1.1 connection: bytes in, requests to the handler, responses out in order.

The hot path makes no task: a handler that returns a Response with bytes is answered inside ``data_received``, and
the answers to all requests of one read are written at once. Everything else (an awaitable, a file, an iterator, a
body to be read) runs in one task at a time; requests that arrive meanwhile wait their turn.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, cast

import httptools

from littoral.net import respond
from littoral.net.body import IncomingBody
from littoral.net.message import (
    Answer,
    Body,
    BodyError,
    BytesBody,
    FileSlice,
    Headers,
    Peer,
    RawHeaders,
    Request,
    Response,
    WebSocketUpgrade,
)
from littoral.net.websocket import accept
from littoral.protocols.http1 import HeadRefused, check_request_head

if TYPE_CHECKING:
    from littoral.net.listen import HttpListener

log = logging.getLogger("littoral.net")
EMPTY = BytesBody()
PIPELINE = 64  # requests waiting on one connection before it is no longer read
FILE_CHUNK = 512 * 1024
DISCARD = 256 * 1024  # bytes of an unread body that are dropped before the connection is closed instead


class HttpConnection(asyncio.Protocol):
    """Made by an ``HttpListener`` for every connection."""

    __slots__ = (
        "_body",
        "_busy",
        "_closing",
        "_discarded",
        "_drained",
        "_head_bytes",
        "_headers",
        "_in_head",
        "_listener",
        "_out",
        "_parser",
        "_peer",
        "_target",
        "_task",
        "_transport",
        "_waiting",
        "_write_paused",
        "active_since",
        "reading_head",
    )

    def __init__(self, listener: HttpListener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._parser: Any = httptools.HttpRequestParser(self)
        self._headers: RawHeaders = []
        self._target = b""
        self._in_head = False
        self._head_bytes = 0
        self._body: IncomingBody | None = None
        self._discarded = 0
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._out: list[bytes] | None = None
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._write_paused = False
        self._drained: asyncio.Future[None] | None = None
        self.active_since = time.monotonic()
        self.reading_head = False

    # ------------------------------------------------------------------------------------------ asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = peer_of(transport)
        self._listener.connections.add(self)
        if len(self._listener.connections) > self._listener.limits.max_connections:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._listener.connections.discard(self)
        if self._body is not None:
            self._body.fail("the client closed the connection")
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._task is not None:
            self._task.cancel()
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if not self.reading_head:  # a head that drips in is not activity (slowloris)
            self.active_since = time.monotonic()
        self._out = []
        try:
            self._feed(data)
        finally:
            out, self._out = self._out, None
            if out:
                self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            if self._closing and not self._busy and not self._waiting:
                self._transport.close()

    def eof_received(self) -> bool:
        if self._body is not None:
            self._body.fail("the client closed the connection")
        return self._busy  # keep the writing side open while an answer is on its way

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if not self._busy:
            self._next()

    # ---------------------------------------------------------------------------------------- the parser

    def _feed(self, data: bytes) -> None:
        if self._in_head or self._body is None:
            self._head_bytes += len(data)
            if self._in_head and self._head_bytes > self._listener.limits.max_header_bytes + 65536:
                self._refuse(431, "header section too large")
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._after_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as problem:
            refused = problem.__context__
            if not isinstance(refused, HeadRefused):
                raise
            self._refuse(refused.status, refused.reason)
        except httptools.HttpParserError as problem:
            self._refuse(400, str(problem))

    def on_message_begin(self) -> None:
        self._headers = []
        self._target = b""
        self._in_head = self.reading_head = True
        self._head_bytes = 0
        self._body = None

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self._listener.limits.max_target_bytes:
            raise HeadRefused(414, "request target too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer
            if self._body is not None and len(self._body.trailers) < 32:
                self._body.trailers.append((name.lower(), value))
            return
        headers = self._headers
        headers.append((name.lower(), value))
        limits = self._listener.limits
        self._head_bytes += len(name) + len(value) + 4
        if len(headers) > limits.max_headers:
            raise HeadRefused(431, "too many headers")
        if self._head_bytes > limits.max_header_bytes + 65536:
            raise HeadRefused(431, "header section too large")

    def on_headers_complete(self) -> None:
        parser = self._parser
        headers = self._headers
        limits = self._listener.limits
        if sum([len(name) + len(value) + 4 for name, value in headers]) > limits.max_header_bytes:
            raise HeadRefused(431, "header section too large")
        method: bytes = parser.get_method()
        version: str = parser.get_http_version()
        head = check_request_head(method, version, self._target, headers)
        self._in_head = self.reading_head = False
        body: Body = EMPTY
        if head.length:
            first_read = self._continue if head.expects_continue else None
            self._body = incoming = IncomingBody(self._pause, self._resume, first_read)
            body = incoming
        request = Request(
            head.method,
            head.target.decode("latin-1"),
            Headers(headers),
            body,
            self._peer,
            version,
            time.time(),
        )
        keep_alive = parser.should_keep_alive()
        if self._busy or self._waiting or self._write_paused or self._closing:
            self._waiting.append((request, keep_alive))
            if len(self._waiting) >= PIPELINE:
                self._pause()
        else:
            self._begin(request, keep_alive)

    def on_body(self, chunk: bytes) -> None:
        body = self._body
        if body is None:
            return
        if body.discarding:
            self._discarded += len(chunk)
            if self._discarded > DISCARD:
                self._end(close=True)
        body.feed(chunk)

    def on_message_complete(self) -> None:
        if self._body is not None:
            self._body.feed_end()

    def _after_upgrade(self, rest: bytes) -> None:
        """The parser stops after a request with Upgrade. Unless a WebSocket takes over, HTTP goes on."""
        self._parser = httptools.HttpRequestParser(self)
        if rest and not self._closing and not self._busy:
            self._feed(rest)
        elif rest:
            self._refuse(400, "data after an Upgrade request, before its answer")

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what cannot be parsed and close: where the next request begins is not known."""
        log.info("refused a request", extra={"status": status, "reason": reason, "peer": self._peer.host})
        self._closing = True
        self._waiting.clear()
        if self._body is not None:
            self._body.fail(reason)
        if not self._busy:
            text = f"{respond.REASONS.get(status, b'').decode()}: {reason}\n".encode()
            response = Response(status, Headers([(b"content-type", b"text/plain")]), text)
            self._write(respond.head(response, version="1.1", keep_alive=False, chunked=False) + text)
        if self._out is None and not self._busy:
            self._transport.close()

    # --------------------------------------------------------------------------------------- the handler

    def _begin(self, request: Request, keep_alive: bool) -> None:
        try:
            answer = self._listener.handler(request)
        except Exception:
            log.exception("the handler failed")
            answer = Response(500)
        if answer.__class__ is Response and answer.body.__class__ is bytes and request.body is EMPTY:
            self._send_bytes(request, answer, keep_alive)
            return
        self._busy = True
        self._task = asyncio.ensure_future(self._serve(request, answer, keep_alive))

    def _send_bytes(self, request: Request, response: Response, keep_alive: bool) -> None:
        keep = keep_alive and not response.close and not self._listener.draining
        data = respond.head(response, version=request.http_version, keep_alive=keep, chunked=False)
        if request.method != "HEAD" and response.status not in respond.NO_BODY:
            data += cast(bytes, response.body)
        self._write(data)
        if not keep:
            self._closing = True
            if self._out is None:
                self._transport.close()

    async def _serve(self, request: Request, answer: Answer | Awaitable[Answer], keep_alive: bool) -> None:
        keep = False
        try:
            final = await self._answer_of(answer)
            if isinstance(final, WebSocketUpgrade):
                if self._hand_over(request, final):
                    return
                final = Response(400, Headers([(b"content-type", b"text/plain")]), b"not a WebSocket request\n")
            keep = keep_alive and not final.close and not self._listener.draining
            keep = await self._send(request, final, keep)
        except asyncio.CancelledError:
            if not self._closing:
                self._transport.abort()
            raise
        except (BodyError, ConnectionError) as problem:
            log.info("a connection broke off", extra={"reason": str(problem), "peer": self._peer.host})
            self._transport.abort()
            keep = False
        except Exception:
            log.exception("the answer could not be sent whole")
            self._transport.abort()
            keep = False
        self._task = None
        self._end(close=not keep or not self._finish_body(request))

    async def _answer_of(self, answer: Answer | Awaitable[Answer]) -> Answer:
        if isinstance(answer, Response | WebSocketUpgrade):
            return answer
        try:
            return await answer
        except BodyError as problem:
            return Response(400, Headers([(b"content-type", b"text/plain")]), f"{problem}\n".encode(), close=True)
        except Exception:
            log.exception("the handler failed")
            return Response(500, close=True)

    async def _send(self, request: Request, response: Response, keep: bool) -> bool:
        """Write head and body; whether the connection may go on."""
        body = response.body
        if isinstance(body, bytes):
            self._send_bytes_now(request, response, keep)
            return keep
        no_body = request.method == "HEAD" or response.status in respond.NO_BODY
        chunked = False
        if not isinstance(body, FileSlice) and "content-length" not in response.headers and not no_body:
            chunked = request.http_version != "1.0"
            keep = keep and chunked
        self._write(respond.head(response, version=request.http_version, keep_alive=keep, chunked=chunked))
        if isinstance(body, FileSlice):
            if not no_body:
                await self._send_file(body)
        else:
            await self._send_chunks(body, chunked, skip=no_body)
        return keep

    def _send_bytes_now(self, request: Request, response: Response, keep: bool) -> None:
        data = respond.head(response, version=request.http_version, keep_alive=keep, chunked=False)
        if request.method != "HEAD" and response.status not in respond.NO_BODY:
            data += cast(bytes, response.body)
        self._write(data)

    async def _send_file(self, piece: FileSlice) -> None:
        file = os.open(piece.path, os.O_RDONLY)
        try:
            position, left = piece.offset, piece.length
            while left:
                chunk = await asyncio.to_thread(os.pread, file, min(left, FILE_CHUNK), position)
                if not chunk:
                    raise ConnectionError(f"{piece.path.name} is shorter than announced")
                position += len(chunk)
                left -= len(chunk)
                self._write(chunk)
                await self._drain()
        finally:
            os.close(file)

    async def _send_chunks(self, chunks: Any, chunked: bool, *, skip: bool) -> None:
        try:
            if skip:
                return
            async for chunk in chunks:
                if chunk:
                    self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
                    await self._drain()
            if chunked:
                self._write(b"0\r\n\r\n")
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def _drain(self) -> None:
        if self._write_paused and not self._closing:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
            self._drained = None
        if self._transport.is_closing():
            raise ConnectionError("the client closed the connection")
        self.active_since = time.monotonic()

    def _finish_body(self, request: Request) -> bool:
        """Whether what is left of the request's body can be passed over."""
        body = request.body
        if not isinstance(body, IncomingBody) or body.complete:
            return True
        if not body.started and "expect" in request.headers:
            return False
        self._discarded = 0
        body.discard()
        return True

    def _end(self, *, close: bool) -> None:
        """A response is out: the next request, or the end."""
        self._busy = False
        if close or self._closing:
            self._closing = True
            self._transport.close()
            return
        self._next()

    def _next(self) -> None:
        while self._waiting and not self._busy and not self._write_paused and not self._closing:
            request, keep_alive = self._waiting.popleft()
            self._begin(request, keep_alive)
        if len(self._waiting) < PIPELINE // 2 and not self._closing:
            self._resume()

    def _hand_over(self, request: Request, upgrade: WebSocketUpgrade) -> bool:
        accepted = accept(self._transport, request, upgrade)
        if accepted is None:
            return False
        self._listener.connections.discard(self)
        self._listener.upgraded.add(accepted)
        self._task = None
        self._transport.set_protocol(accepted)
        accepted.begin()
        return True

    # --------------------------------------------------------------------------------------- the socket

    def _write(self, data: bytes) -> None:
        if self._out is not None:
            self._out.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def _continue(self) -> None:
        self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _pause(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # -------------------------------------------------------------------------------------- the listener

    @property
    def idle(self) -> bool:
        return not self._busy and not self._waiting

    def expire(self, now: float) -> None:
        """Called about once a second: end what is too slow (RFC 9110 has no name for slowloris)."""
        limits = self._listener.limits
        still = now - self.active_since
        if self.reading_head:
            if still > limits.header_timeout:
                self._transport.abort()
        elif self.idle:
            if still > limits.keep_alive_timeout:
                self._transport.close()
        elif self._body is not None and not self._body.complete and still > limits.body_timeout:
            self._body.fail("the body did not arrive in time")

    def finish(self) -> None:
        """Drain: close as soon as the running request is answered."""
        if self.idle:
            self._closing = True
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Address, server name and client certificate of a connection."""
    address = transport.get_extra_info("peername")
    peer = Peer(address[0], address[1]) if isinstance(address, tuple) else Peer("", 0)
    ssl_object = transport.get_extra_info("ssl_object")
    if ssl_object is not None:
        peer.tls = True
        peer.certificate = ssl_object.getpeercert(binary_form=True)
        peer.server_name = getattr(ssl_object, "littoral_server_name", None)
    return peer
