"""Responses of one connection on their way out: heads, bodies of each kind, the wait for a slow client.

Owns: the writing half of ``HttpConnection``. Knows nothing of parsing or of the order of requests: it is told which
answer goes with which request, and says whether the connection may be kept.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeGuard, cast

from littoral.net import readonce
from littoral.net.delivery import held_by_kernel
from littoral.net.incoming import IncomingBody
from littoral.net.message import (
    BodyError,
    BodyTooLarge,
    FileSlice,
    Headers,
    Peer,
    RawHeaders,
    Request,
    Response,
    ResponseBody,
)
from littoral.net.outward import WORTH, Drawn, Outward, send_drawn
from littoral.net.secure import TlsTransport
from littoral.net.sending import WHOLE, Broken, open_slice, read_slice, send_file, send_iterator
from littoral.net.transport import SocketTransport
from littoral.net.unopened import ASKED, HEADER, Lying, Unopened, opening, send_unopened
from littoral.protocols.http1 import framed_head, has_no_body, response_head, whole_head

if TYPE_CHECKING:
    from littoral.net.listen import HttpService

log = logging.getLogger("littoral.net")

CLOSE = b"\r\nconnection: close\r\n\r\n"
END = b"\r\n\r\n"
_KEEP_OLD = b"\r\nconnection: keep-alive\r\n\r\n"  # HTTP/1.0 must be told


class Responder(asyncio.Protocol):
    """The writing half; ``HttpConnection`` is the whole. Implements ``sending.Outlet``."""

    __slots__ = (
        "_blocked",
        "_continue_for",
        "_done",
        "_drain",
        "_finished",
        "_last",
        "_patience",
        "_peer",
        "_responding",
        "_server",
        "_since",
        "_transport",
        "_watched",
    )

    _transport: asyncio.Transport
    _peer: Peer

    def __init__(self, server: HttpService) -> None:
        self._blocked = False  # the transport's write buffer is full
        self._continue_for: IncomingBody | None = None
        self._drain: asyncio.Future[None] | None = None
        self._finished = False  # nothing more is parsed or answered
        self._last = False  # the next response is the last
        self._watched = 0  # what the sweep is waiting for, its patience left and how far that had come
        self._patience = 0.0
        self._done = 0
        self._responding = False  # the head of the current response is written
        self._server = server
        self._since = server.now

    def _failure(self, request: Request, error: Exception) -> Response:
        if isinstance(error, BodyTooLarge):
            return plain(413, str(error))
        if isinstance(error, BodyError):
            return plain(400, str(error))
        log.error("handler failed on %s %s", request.method, request.raw_path, exc_info=error)
        return plain(500, "the server failed on this request")

    def _may_keep(self, keep: bool, answer: Response, body: IncomingBody | None) -> bool:
        if not keep or answer.close or self._last or self._server.closing:
            return False
        if body is None or body.ended:
            return True
        # Nobody was told to send it, or it is too long to receive for nothing.
        return self._continue_for is not body and body.length is not None and body.length <= self._server.limits.discard

    def _send_whole(
        self, request: Request, answer: Response, content: bytes, keep: bool, body: IncomingBody | None
    ) -> bool:
        server = self._server
        if body is None:
            keep = keep and not (answer.close or self._last or server.closing)
        else:
            keep = self._may_keep(keep, answer, body)
        method, status, prepared = request.method, answer.status, answer.prepared
        end = END if keep and request.http_version == "1.1" else self._head_end(request, keep)
        if prepared is not None:
            head = framed_head(prepared, status, len(content), server.date_line, end)
        else:
            try:
                head = whole_head(method, status, answer.headers.raw, len(content), server.date_line, end)
            except ValueError as error:
                answer = self._failure(request, error)
                status, content = answer.status, cast(bytes, answer.body)
                head = whole_head(method, status, answer.headers.raw, len(content), server.date_line, end)
        if not content or (status != 200 and has_no_body(status, method)) or method == "HEAD":
            self._transport.write(head)
        elif len(content) < WHOLE:
            self._transport.write(head + content)
        else:
            self._transport.writelines((head, content))
        return keep

    def _head_end(self, request: Request, keep: bool) -> bytes:
        if not keep:
            return CLOSE
        return END if request.http_version == "1.1" else _KEEP_OLD

    async def _send(self, request: Request, answer: Response, keep: bool, body: IncomingBody | None) -> bool:
        content = answer.body
        if self._finished:
            await _dispose(content)
            return False
        if isinstance(content, bytes):
            return self._send_whole(request, answer, content, keep, body)
        if isinstance(content, FileSlice):
            return await self._send_file(request, answer, content, keep, body)
        try:
            whole = _at_hand(request, answer)
            if whole is not None:
                return self._send_whole(request, answer, whole, keep, body)
            return await self._send_iterator(request, answer, keep, body)
        finally:
            await _dispose(content)

    async def _send_file(
        self, request: Request, answer: Response, part: FileSlice, keep: bool, body: IncomingBody | None
    ) -> bool:
        try:
            if part.length <= WHOLE and not has_no_body(answer.status, request.method):
                return self._send_whole(request, answer, read_slice(part), keep, body)
            descriptor = open_slice(part)
        except (OSError, Broken) as error:
            failed = self._failure(request, error)
            return self._send_whole(request, failed, cast(bytes, failed.body), keep, body)
        try:
            date = self._server.date_line
            if answer.prepared is not None:
                head = framed_head(answer.prepared, answer.status, part.length, date)
            else:
                head = whole_head(request.method, answer.status, answer.headers.raw, part.length, date)
            keep = self._may_keep(keep, answer, body)
            self._responding = True
            self._transport.write(head + self._head_end(request, keep))
            if not has_no_body(answer.status, request.method):
                await self._send_opened(request, descriptor, part)
        finally:
            os.close(descriptor)
        return keep

    async def _send_opened(self, request: Request, descriptor: int, part: FileSlice) -> None:
        transport = self._transport
        once = readonce.HEADER in request.headers and isinstance(transport, SocketTransport) and transport.lends_out
        if once and part.length >= WORTH:
            stretch = readonce.Stretch(descriptor, part.offset, part.length, part.proof)
            await readonce.send_once(self, stretch, cast(SocketTransport, transport).send_now)
        else:
            await send_file(self, descriptor, part)

    async def _send_iterator(self, request: Request, answer: Response, keep: bool, body: IncomingBody | None) -> bool:
        content = answer.body
        assert not isinstance(content, (bytes, FileSlice))
        if unopened := await self._unopened(request, answer):
            length_of_all, opens = opening(unopened)
            answer.headers.set("content-length", length_of_all)
            answer.headers.set(HEADER, opens)
        length: int | None = None
        if answer.prepared is not None:
            head = framed_head(answer.prepared, answer.status, None, self._server.date_line)
        else:
            head, length = response_head(answer.status, answer.headers.raw, self._server.date_line)
        bodiless = has_no_body(answer.status, request.method)
        chunked = length is None and not bodiless and request.http_version == "1.1"
        if length is None and not bodiless and not chunked:
            keep = False  # HTTP/1.0: the end of the connection is the end of the body
        keep = self._may_keep(keep, answer, body)
        if chunked:
            head += b"\r\ntransfer-encoding: chunked"
        self._responding = True
        self._transport.write(head + self._head_end(request, keep))
        if unopened:
            await send_unopened(self, unopened)
        elif length is not None and length >= WORTH and not bodiless and self._draws(content):
            await send_drawn(self, content, length)
        elif not bodiless:
            takes = chunked and "trailers" in (request.headers.get("te") or "").lower()
            await send_iterator(self, content, length, chunked=chunked, trailers=takes)
        return keep

    async def _unopened(self, request: Request, answer: Response) -> Sequence[Unopened]:
        """What the kernel may send as it lies on the disk, to whoever has asked for that and opens it."""
        if request.headers.get(HEADER) != ASKED or not isinstance(answer.body, Lying):
            return ()
        wide = isinstance(self._transport, TlsTransport) and self._transport.lends_out
        bodiless = answer.prepared is not None or has_no_body(answer.status, request.method)
        return await answer.body.unopened() if wide and not bodiless else ()

    def _draws(self, content: ResponseBody) -> TypeGuard[Drawn]:
        """Whether a thread may send it."""
        transport = self._transport
        return isinstance(transport, SocketTransport) and transport.lends_out and isinstance(content, Drawn)

    # the Outlet of sending.py

    def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)

    async def drained(self, *, empty: bool = False) -> None:
        transport = self._transport
        if empty and transport.get_write_buffer_size():
            transport.set_write_buffer_limits(high=0)
            try:
                while transport.get_write_buffer_size():
                    await self.watch(self._server.loop.create_future())
            finally:
                transport.set_write_buffer_limits(high=self._server.limits.write_buffer)
        elif self._blocked:
            await self.watch(self._server.loop.create_future())
        if transport.is_closing():
            raise ConnectionResetError("the client has gone")

    async def watch(self, waiter: asyncio.Future[None]) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._drain = waiter
        try:
            await waiter
        finally:
            self._drain = None

    def lend_out(self) -> Outward | None:
        return self._transport.lend_out() if isinstance(self._transport, SocketTransport) else None

    def kernel_socket(self) -> int | None:
        return None if self._peer.tls else self.socket().fileno()

    def socket(self) -> socket.socket:
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    def outstanding(self) -> int:
        """Bytes that the client has still to take, as far as they are here: what the kernel holds counts while it is
        given a file, for then the transport holds none."""
        size = self._transport.get_write_buffer_size()
        if self._drain is None or self._blocked:
            return size
        descriptor = self.socket().fileno()
        if descriptor < 0:
            return size
        return size + held_by_kernel(descriptor)

    # the transport's side

    def pause_writing(self) -> None:
        self._blocked = True


def plain(status: int, text: str) -> Response:
    headers: RawHeaders = [(b"content-type", b"text/plain; charset=utf-8")]
    return Response(status, Headers(headers), (text + "\n").encode())


def _at_hand(request: Request, answer: Response) -> bytes | None:
    """The body of an iterator that has all of it already and has said how much that is; None for all others."""
    at_hand: Callable[[int], bytes | None] | None = getattr(answer.body, "at_hand", None)
    if at_hand is None or answer.prepared is not None or has_no_body(answer.status, request.method):
        return None
    declared = answer.headers.get("content-length") or ""
    return at_hand(int(declared)) if declared.isdecimal() and len(declared) < 10 else None


async def _dispose(content: ResponseBody) -> None:
    """Let an iterator's ``finally`` run now and not at some garbage collection."""
    aclose = getattr(content, "aclose", None)
    if aclose is not None:
        await aclose()
