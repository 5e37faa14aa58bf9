"""A request that is passed on to another server, and the response that is passed back, without a task between them.

Owns: what is told to whom while one response goes through: the client's connection (``exchange``) tells of its parts
as they are parsed, the listener's (``connection``) writes them, and pressure goes the other way. Knows no rules of what
goes along: a subclass makes the request's head and the response's.

A handler answers with a Passage. It holds nothing until it is begun, so one that is dropped costs nothing. Until the
response's head is written it may still become an ordinary answer (``instead``), as it does where no connection is at
hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from littoral.protocols.http1 import last_chunk

if TYPE_CHECKING:
    from littoral.net.exchange import ClientConnection
    from littoral.net.failures import RequestFailed
    from littoral.net.message import Answer, RawHeaders, Request, Response


class Known(NamedTuple):
    """What one head of a response came to: ``before`` and ``after`` the request's identifier, all but the last line."""

    status: int
    length: int  # bytes of body that follow it
    before: bytes
    after: bytes


Again = Callable[[], "bytes | Passage | None"]


class Viewer(Protocol):
    """The listener's connection."""

    @property
    def date_line(self) -> bytes: ...

    def pass_whole(self, head: bytes, body: bytes) -> None:
        """All of the response; ``head`` lacks its end, which says whether the connection is kept."""

    def pass_response(self, request: Request, response: Response) -> None:
        """A response whose body is bytes."""

    def pass_head(self, head: bytes) -> None: ...

    def pass_on(self, data: bytes) -> None: ...

    def pass_end(self) -> None: ...

    def pass_hint(self, status: int, headers: RawHeaders) -> None:
        """An interim response."""

    def pass_broken(self, reason: str) -> None:
        """The body does not go on: the connection ends."""

    def pass_instead(self, request: Request, pending: Awaitable[Answer]) -> None:
        """Nothing was written: that is the answer."""


class Passage:
    """One of them."""

    __slots__ = ("_chunked", "_upstream", "_viewer", "again", "request", "sent", "status")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.again: Again | None = None  # as ``Response.again``: for the very same request the next passage
        self.status = 0
        self.sent = 0  # bytes of body
        self._chunked = False
        self._viewer: Viewer | None = None
        self._upstream: ClientConnection | None = None

    # what a subclass decides

    def begin(self, viewer: Viewer) -> None:
        raise NotImplementedError

    def known(self, head: bytes) -> Known | None:
        """What that head, byte for byte, came to before."""
        raise NotImplementedError

    def remember(self, head: bytes, length: int) -> None:
        """``head`` came to what ``made`` has just made of it."""
        raise NotImplementedError

    def made(self, status: int, headers: RawHeaders, date_line: bytes) -> bytes | None:
        """The viewer's head without its end, or None where another answer was given (``instead``)."""
        raise NotImplementedError

    def head_of(self, known: Known) -> bytes:
        raise NotImplementedError

    def hinted(self, status: int, headers: RawHeaders) -> None:
        """An interim response came."""
        raise NotImplementedError

    def failed(self, problem: RequestFailed) -> None:
        """No head came: ``instead``."""
        raise NotImplementedError

    def over(self, whole: bool) -> None:
        """The response has gone, or was broken off."""
        raise NotImplementedError

    # the listener's side

    def viewer_left(self) -> None:
        if self._viewer is not None:
            self._viewer = None
            self._let_go()
            self.over(False)

    def hold(self) -> None:
        if self._upstream is not None:
            self._upstream.hold_body()

    def go_on(self) -> None:
        if self._upstream is not None:
            self._upstream.release_body()

    # the client's side

    def whole(self, known: Known, body: bytes) -> None:
        """All of a response whose head is known."""
        viewer, self._viewer, self._upstream = self._viewer, None, None
        self.status, self.sent = known.status, known.length
        head = self.head_of(known)
        assert viewer is not None
        viewer.pass_whole(head, body)
        self.over(True)

    def headed(self, status: int, headers: RawHeaders, *, bodiless: bool, chunked: bool) -> None:
        """``chunked``: nobody has said how long the body is."""
        viewer = self._viewer
        assert viewer is not None
        head = self.made(status, headers, viewer.date_line)
        if head is not None:
            self.status, self._chunked = status, chunked and not bodiless
            viewer.pass_head(head + b"\r\ntransfer-encoding: chunked" if self._chunked else head)

    def piece(self, data: bytes) -> None:
        if self._viewer is not None:
            self.sent += len(data)
            self._viewer.pass_on(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def ended(self) -> None:
        viewer, self._viewer, self._upstream = self._viewer, None, None
        if viewer is not None:
            if self._chunked:
                viewer.pass_on(last_chunk())
            viewer.pass_end()
            self.over(True)

    def broken(self, problem: RequestFailed) -> None:
        """The connection is of no use any more, whatever of the response has come."""
        self._upstream = None
        if self._viewer is None:
            return
        if not self.status:
            self.failed(problem)
        else:
            viewer, self._viewer = self._viewer, None
            viewer.pass_broken(str(problem))
            self.over(False)

    # a subclass's means

    def send(self, viewer: Viewer, upstream: ClientConnection, head: bytes, timeout: float) -> None:
        self._viewer, self._upstream = viewer, upstream
        upstream.pass_on(self, head, timeout)

    def instead(self, pending: Awaitable[Answer]) -> None:
        """The ordinary answer. A response that has begun to come is not received."""
        viewer, self._viewer = self._viewer, None
        self._let_go()
        assert viewer is not None
        viewer.pass_instead(self.request, pending)

    def _let_go(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()
