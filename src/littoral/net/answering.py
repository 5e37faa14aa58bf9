"""The answers of one connection, in the order of its requests.

A handler that answers at once is answered at once, with one write and no task; one that answers later gets one task,
and requests that arrive meanwhile wait in ``_waiting`` with reading paused. A connection that must end after a response
says ``Connection: close`` and, when the client may still be sending, throws that away for a moment (*lingers*), because
closing a socket with unread bytes resets it and can destroy the response on its way. Bytes that nobody expected, behind
the last request, are looked for by the transport.

A handler is not cancelled when its client goes: half of a write is worse than one unread answer. Its body raises
BodyError, its response is dropped, and an iterator it answered with is closed.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, cast

from littoral.net.delivery import on_its_way
from littoral.net.incoming import IncomingBody
from littoral.net.message import (
    Answer,
    BodyError,
    Headers,
    Request,
    Response,
    Switching,
    WebSocketUpgrade,
)
from littoral.net.passage import Again, Passage
from littoral.net.reading import BY_QUEUE, BY_STOP, Reading
from littoral.net.responding import CLOSE
from littoral.net.sending import WHOLE, Broken
from littoral.protocols.http1 import interim_head, whole_head

if TYPE_CHECKING:
    from littoral.net.listen import HttpService

log = logging.getLogger("littoral.net")

_NOBODY: deque[tuple[Request, bool, IncomingBody | None]] = deque()  # waits: no idle connection needs its own, 0.7 KiB

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


class Answering(Reading):
    """A request comes by ``_arrived``."""

    __slots__ = (
        "_again",
        "_answering",
        "_current",
        "_lingering",
        "_parting",
        "_task",
        "_waiting",
    )

    def __init__(self, server: HttpService) -> None:
        super().__init__(server)
        self._again: Again | None = None  # of the newest answer
        self._answering = False  # a handler runs in ``_task``
        self._current: Request | None = None  # which one it answers
        self._task: asyncio.Task[None] | None = None
        self._waiting = _NOBODY
        self._parting = b""  # a refusal to send after what waits
        self._lingering = False

    @abstractmethod
    def _pass(self, request: Request, passage: Passage, keep: bool) -> None:
        """Let a passage answer."""

    @abstractmethod
    def _upgrade(self, request: Request, answer: WebSocketUpgrade | Switching, body: IncomingBody | None) -> bool:
        """Hand the connection over; whether it may be kept as it was."""

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
            self._hold(BY_QUEUE)
        else:
            self._begin(request, keep, body)

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
            self._finish(self._upgrade(request, answer, body), body)
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
            if isinstance(answer, Response):
                keep = await self._send(request, answer, keep, body)
            else:
                keep = self._upgrade(request, answer, body)
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
        elif not self._finished:
            self._part()

    def _next(self) -> None:
        while self._waiting and not (self._answering or self._blocked or self._finished):
            self._begin(*self._waiting.popleft())
        if self._waiting or self._finished:
            return
        if self._answering:
            self._release(BY_QUEUE)  # the body of what is being answered may still be on its way
            return
        if self._parting:
            self._transport.write(self._parting)
            self._part()
        elif self._stopped or self._eof or (self._server.closing and not (self._in_head or self._in_body)):
            self._part()
        else:
            self._release(BY_QUEUE)

    def _part(self) -> None:
        """Close once what is written has gone out; linger if the client is in the middle of sending."""
        sends = self._in_body or self._in_head or bool(self._waiting)
        self._finished = self._stopped = True
        self._waiting.clear()
        transport = self._transport
        if not sends or self._eof:
            transport.close()
            return
        if self._lingers_itself and transport.get_write_buffer_size() <= 2 * WHOLE:
            transport.close()  # whoever sends a body first and then reads finds room for so much
            return
        self._lingering = True
        self._since = self._server.now
        if transport.can_write_eof():
            transport.write_eof()
        self._held = 0
        transport.resume_reading()

    @property
    def _lingers_itself(self) -> bool:
        """TLS says its goodbye and throws away what comes then, but reads nothing before that is sent."""
        return not self._transport.can_write_eof()

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
        self._hold(BY_STOP)
        self._next()

    def _newest_is_last(self) -> None:
        """The answer to the request that came last ends the connection; those before it are owed as they are."""
        if self._waiting:
            request, _, body = self._waiting.pop()
            self._waiting.append((request, False, body))
        else:
            self._last = True

    # ------------------------------------------------------------------------------------------- shutdown

    def shut_down(self) -> None:
        """End after what is being asked and answered; at once when that is nothing."""
        if not (self._answering or self._waiting or self._in_head or self.receives or self._finished):
            self._part()

    @property
    def delivered(self) -> bool:
        """See ``crowd.Connection``."""
        ends = self._transport.is_closing() or (self._lingering and not self._lingers_itself)
        return ends and self._task is None and not on_its_way(self._transport)

    def cut(self) -> asyncio.Task[None] | None:
        """End now. Returns the handler's task, cancelled, for the server to await."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()
        return self._task
