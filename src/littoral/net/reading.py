"""Whether a connection is read: what is being received on it, and why reading is paused.

Owns: the body that is coming in, and the reasons to hold the client back. More than one may hold at a time.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from littoral.net.incoming import IncomingBody
from littoral.net.lending import Lent
from littoral.net.responding import Responder
from littoral.net.transport import SocketTransport

if TYPE_CHECKING:
    from littoral.net.listen import HttpService

BY_BODY, BY_QUEUE, BY_STOP = 1, 2, 4


class Reading(Responder):
    """Implements ``incoming.BodySource``."""

    __slots__ = ("_body", "_eof", "_held", "_in_body", "_in_head", "_rest", "_stopped", "_straight")

    def __init__(self, server: HttpService) -> None:
        super().__init__(server)
        self._in_head = False
        self._in_body = False
        self._body: IncomingBody | None = None  # receiving now
        self._eof = False  # the client has closed its half
        self._stopped = False  # what the parser still finds in this read is no request
        self._rest = b""  # bytes after an upgrade request
        self._held = 0
        self._straight = 0  # bytes of the body to come, where the parser need not see them

    @abstractmethod
    def _straight_ends(self) -> None:
        """All of the body has come."""

    def _straight_on(self, data: bytes) -> bytes:
        """What is read of a body that goes straight to its reader; gives what comes behind it."""
        size = min(len(data), self._straight)
        self._straight -= size
        if self._body is not None:
            self._body.feed(data[:size])
        if not self._straight:
            self._straight_ends()
        return data[size:]

    def lend_body(self) -> Lent | None:
        transport = self._transport
        if not (self._straight and isinstance(transport, SocketTransport)):
            return None
        return transport.lend()

    def _comes_framed(self) -> bool:
        """The body that begins: what is read of it before its reader asks for it is of less use."""
        return isinstance(self._transport, SocketTransport) and self._transport.framed() is not None

    def take_back(self, lent: Lent) -> None:
        self._straight -= lent.taken
        if lent.taken and not (self._straight or self._finished):
            self._straight_ends()
        lent.give_back()

    @property
    def receives(self) -> bool:
        """A body that somebody is to have; what still comes of one after its answer is nobody's."""
        return self._in_body and self._body is not None

    def body_opened(self, body: IncomingBody) -> None:
        if self._continue_for is body:
            self._continue_for = None
            if not (self._responding or body.buffered or body.ended or self._finished):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def hold_body(self) -> None:
        self._hold(BY_BODY)

    def release_body(self) -> None:
        if self._held & BY_BODY:
            self._release(BY_BODY)

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
