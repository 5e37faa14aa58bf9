"""A connection as the viewer of a passage, which answers it without its handler."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from littoral.net.answering import Answering
from littoral.net.message import Answer, Headers, RawHeaders, Request, Response
from littoral.net.passage import Passage
from littoral.net.responding import CLOSE, END

if TYPE_CHECKING:
    from littoral.net.listen import HttpService

log = logging.getLogger("littoral.net")


class Viewing(Answering):
    """Implements ``passage.Viewer``."""

    __slots__ = ("_passage", "_passage_keeps")

    def __init__(self, server: HttpService) -> None:
        super().__init__(server)
        self._passage: Passage | None = None  # what answers now
        self._passage_keeps = False  # the connection after it

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

    def pass_response(self, request: Request, response: Response) -> None:
        content = cast(bytes, response.body)
        self._passage_keeps = self._send_whole(request, response, content, self._passage_keeps, None)
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
