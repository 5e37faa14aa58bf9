"""One connection of the HTTP client: a request out, its response in, then the next.

Owns: the parser's state and whether the connection may be used again (``pacing`` has time and pressure). Knows no
pool: it calls back when it is free and when it is gone. A connection is reused only when the response was read to its
framed end, the request was sent to its end and nothing came after; everything else closes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from littoral.net.failures import BadResponse, Disconnected, RequestFailed
from littoral.net.incoming import IncomingBody
from littoral.net.message import Body, BodyError, Headers, RawHeaders
from littoral.net.pacing import Head, Paced
from littoral.net.passage import Passage
from littoral.protocols.http1 import has_no_body, last_chunk

if TYPE_CHECKING:
    from littoral.net.client import ClientLimits


OnInterim = Callable[[int, Headers], None]
Flow = AsyncIterator[bytes] | AsyncIterator[memoryview] | Body
RequestBody = bytes | Flow | None
COPIED = 64 * 1024  # bytes of a body that go with their head


class ClientConnection(Paced):
    def __init__(
        self,
        limits: ClientLimits,
        on_free: Callable[[ClientConnection], None],
        on_gone: Callable[[ClientConnection], None],
    ) -> None:
        super().__init__()
        self._limits = limits
        self._on_free = on_free
        self._on_gone = on_gone
        self.idle_since = 0.0
        self._reset("GET")

    def _reset(self, method: str) -> None:
        self._parser = HttpResponseParser(self)
        self._method = method
        self._status = 0
        self._headers: RawHeaders = []
        self._head = None
        self._body = None
        self._head_bytes = 0
        self._keep = False
        self._until_close = False
        self._held = False
        self._touched = False  # a byte of the response came
        self._length: int | None = 0  # of the body that passes
        self._passed = False  # all of it has
        self._may_switch = False
        self._on_interim: OnInterim | None = None
        self._switched = False  # a 101 came
        self._rest = b""  # what came after it

    # ------------------------------------------------------------------------------------- the pool's side

    async def ask(
        self,
        method: str,
        head: bytes,
        body: RequestBody,
        length: int | None,
        timeout: float,
        *,
        upgrade: bool = False,
        on_interim: OnInterim | None = None,
    ) -> Head:
        """Send one request; the head of its response and the body to come. Raises RequestFailed."""
        self._reset(method)
        self._may_switch = upgrade
        self._on_interim = on_interim
        if not self.usable:
            raise Disconnected("the connection had ended")
        waiting: asyncio.Future[Head] = self._loop.create_future()
        self._head = waiting
        self._wait_for(timeout)
        try:
            if body is None or isinstance(body, bytes):
                if body and len(body) > COPIED:
                    self._transport.write(head)
                    self._transport.write(body)
                else:
                    self._transport.write(head + body if body else head)
            else:
                self._transport.write(head)
                self._upload = self._loop.create_task(self._send(body, length))
            return await waiting
        except BaseException:
            await self.cut()
            raise

    def pass_on(self, passage: Passage, head: bytes, timeout: float) -> None:
        """Send a GET without a body; ``passage`` is told of its response as it comes."""
        if not self.usable:
            passage.broken(Disconnected("the connection had ended"))
            return
        self._passage = passage
        self._touched = False
        self._wait_for(timeout)
        self._transport.write(head)

    def abandon(self) -> None:
        """Nobody wants that response any more."""
        self._passage = None
        self._stop_timer()
        self._transport.abort()

    def switch(self, protocol: asyncio.Protocol) -> None:
        """The transport to another protocol, with what came after the 101. Raises ConnectionError when it has gone."""
        if not self._switched or not self.usable:
            raise ConnectionResetError("the connection has ended")
        transport, rest = self._transport, self._rest
        transport.set_protocol(protocol)
        self._gone = True
        self._on_gone(self)
        protocol.connection_made(transport)
        if rest:
            protocol.data_received(rest)
        transport.resume_reading()

    def release(self, body: Body) -> None:
        """The caller is done with that response: close, unless its end has already set the connection free."""
        if self._body is body:
            self.close()

    def close(self) -> None:
        """At once where something is still to be sent: the other side does not want it any more."""
        self._stop_timer()
        if self._upload is not None:
            self._transport.abort()
        else:
            self._transport.close()

    async def cut(self) -> None:
        self._stop_timer()
        self._transport.abort()
        if self._upload is not None:
            upload, self._upload = self._upload, None
            upload.cancel()
            await asyncio.gather(upload, return_exceptions=True)

    async def _send(self, body: Flow, length: int | None) -> None:
        """The request body, paced by the server. An iterator's own failure becomes the request's."""
        sent = 0
        try:
            async for data in body:
                sent += len(data)
                if length is not None and sent > length:
                    raise ValueError(f"the request body goes on after its {length} bytes")
                if data:
                    self._transport.write(
                        data if length is not None else b"".join((b"%x\r\n" % len(data), data, b"\r\n"))
                    )
                self._progress = self._loop.time()
                if self._blocked is not None:
                    await self._blocked
                if self._gone or self._transport.is_closing():  # a body that never waits lets nobody else tell
                    return
            if length is not None and sent < length:
                raise ValueError(f"the request body ended after {sent} of {length} bytes")
            if length is None:
                trailers: Headers | None = getattr(body, "trailers", None)
                self._transport.write(last_chunk(trailers.raw if trailers is not None else ()))
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the response
            self._fail(error)
            return
        finally:
            aclose = getattr(body, "aclose", None)
            if aclose is not None:
                await aclose()
        self._progress = self._loop.time()
        self._upload = None

    # -------------------------------------------------------------------------------- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._progress = self._loop.time()
        if self._passage is not None:
            self._passing(self._passage, data)
            return
        if self._switched:
            self._rest += data  # reading is paused; this was on its way
            return
        if self._head is None and self._body is None:
            self._transport.abort()  # bytes nobody asked for (RFC 9112 9.2)
            return
        self._touched = True
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        in_head = self._status == 0
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            self._fail(BadResponse(str(error.__context__ or error)))
        except HttpParserUpgrade as upgrade:
            if self._switched:
                self._rest = data[upgrade.args[0] :]
                self._transport.pause_reading()
                return
            self._fail(BadResponse("the server switches protocols"))
        except HttpParserError as error:
            self._fail(BadResponse(str(error)))
        if self._over and data[-1:] != b"\n" and has_no_body(self._status, self._method):
            self._transport.abort()  # it does not end with its head: part of what nobody asked for
        if in_head and self._status == 0:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.max_header_bytes or len(self._headers) > self._limits.max_headers:
                self._fail(BadResponse("the head of the response is too large"))

    def _passing(self, passage: Passage, data: bytes) -> None:
        """A head that came before, byte for byte, with all of its body, is not parsed again.

        The end is told when all of the read has been looked at: a passage that ends may begin the next one here, and
        what an origin sends beyond its response must not be taken for the answer to that."""
        first, self._touched = not self._touched, True
        end = data.find(b"\r\n\r\n") + 4 if first else 0
        if first:
            known = passage.known(data[:end])
            if known is not None and len(data) - end == known.length:
                self._passage = None
                self._free()
                passage.whole(known, data[end:])
                return
            self._reset("GET")
            self._touched = True
        self._parse(data)
        if self._passed and self._passage is passage:
            if end > 3 and self._keep and self._length is not None and len(data) - end == self._length:
                passage.remember(data[:end], self._length)
            self._passage_ends()

    def _passage_ends(self) -> None:
        passage, self._passage = self._passage, None
        if passage is not None:
            self.release_body()
            if self._keep and self.usable:
                self._free()
            else:
                self.close()
            passage.ended()

    def _free(self) -> None:
        self.idle_since = self._loop.time()
        self._on_free(self)

    def eof_received(self) -> None:
        if self._until_close and self._body is not None:
            self._keep = False
            self._complete([])
        elif self._until_close and self._passage is not None and self._status:
            self._keep = False
            self._passage_ends()

    def connection_lost(self, error: Exception | None) -> None:
        self._gone = True
        if self._touched:
            self._fail(BadResponse("the connection ended in the middle of a response"))
        else:
            self._fail(Disconnected(f"the connection ended before a response: {error or 'closed by the server'}"))
        self._stop_timer()
        self.resume_writing()
        if self._upload is not None:
            self._upload.cancel()
        self._on_gone(self)

    # ----------------------------------------------------------------------------------- the parser's side

    @property
    def _over(self) -> bool:
        """All of the response has come."""
        return self._passed if self._passage is not None else self._head is None

    def on_message_begin(self) -> None:
        if self._over:
            raise BadResponse("a response that nobody asked for")  # and what more of it comes is not the next one's

    def on_chunk_header(self) -> None:
        if self._over:
            raise BadResponse("chunks after a response that has no body")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if not 100 <= status <= 599:
            raise BadResponse(f"{status} is no HTTP status")
        if status < 200 and status != 101:
            if self._passage is not None:
                self._passage.hinted(status, headers)
            if self._on_interim is not None:
                self._on_interim(status, Headers(headers))
            return  # an interim response (RFC 9110 15.2); the final one follows
        if status == 101:
            self._switch_begins(headers)
            return
        if self._passed or (self._passage is None and (self._head is None or self._head.done())):
            raise BadResponse("a response that nobody asked for")
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if size > self._limits.max_header_bytes or len(headers) > self._limits.max_headers:
            raise BadResponse("the head of the response is too large")
        self._status = status
        length, chunked, close = _framing(headers)
        bodiless = has_no_body(status, self._method)
        self._until_close = not (bodiless or chunked or length is not None)
        self._keep = not (close or self._until_close) and self._parser.get_http_version() == "1.1"
        if self._passage is not None:
            self._length = 0 if bodiless else length
            self._passed = bodiless
            self._passage.headed(status, headers, bodiless=bodiless, chunked=length is None)
            return
        assert self._head is not None
        self._body = IncomingBody(self, 0 if bodiless else length, self._limits.body_buffer)
        self._head.set_result((status, headers, self._body))
        if bodiless:
            self._complete([])

    def _switch_begins(self, headers: RawHeaders) -> None:
        if not self._may_switch or self._head is None or self._head.done():
            raise BadResponse("the server switches protocols")
        self._stop_timer()
        self._switched, self._status = True, 101
        body = IncomingBody(self, 0, self._limits.body_buffer)
        body.end([])
        self._body = body
        self._head.set_result((101, headers, body))

    def on_body(self, data: bytes) -> None:
        if self._passage is not None and not self._passed:
            self._passage.piece(data)
        elif self._body is not None:
            self._body.feed(data)
        else:
            self._keep = False
            self._transport.abort()  # bytes after a response that has no body

    def on_message_complete(self) -> None:
        if self._passage is not None:
            self._passed = self._passed or self._status >= 200
        elif self._status and self._body is not None and not self._switched:
            trailers, self._headers = self._headers, []
            self._complete(trailers)

    def _complete(self, trailers: RawHeaders) -> None:
        body, self._body = self._body, None
        self._head = None
        self._stop_timer()
        if body is not None:
            body.end(trailers)
        self.release_body()
        if self._keep and self._upload is None and self.usable:
            self._free()
        else:
            self.close()

    def _fail(self, error: Exception) -> None:
        self._stop_timer()
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        passage, self._passage = self._passage, None
        if passage is not None and self._passed:
            passage.ended()  # what is wrong came after it
        elif passage is not None and isinstance(error, RequestFailed):
            passage.broken(error)
        if self._body is not None:
            self._body.fail(BodyError(str(error)))
        if not self._gone:
            self._transport.abort()


def _framing(headers: RawHeaders) -> tuple[int | None, bool, bool]:
    """Content-Length, whether chunked, whether the connection closes. The parser has refused contradictions."""
    length: int | None = None
    chunked = close = False
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise BadResponse("only the chunked transfer coding is understood")
            chunked = True
        elif name == b"connection":
            close = close or b"close" in [token.strip() for token in value.lower().split(b",")]
    return length, chunked, close
