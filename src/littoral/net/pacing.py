"""Time and pressure of one exchange of the client: how long the server may be silent, and who waits for whom.

Owns: what is under way, so far as its pace depends on it. The delay of a body's producer or reader is not the server's.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from littoral.net.failures import Timeout
from littoral.net.incoming import IncomingBody
from littoral.net.lending import Lent
from littoral.net.message import RawHeaders
from littoral.net.passage import Passage

Head = tuple[int, RawHeaders, IncomingBody]


class Paced(asyncio.Protocol):
    """Implements ``incoming.BodySource``."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._gone = False
        self._head: asyncio.Future[Head] | None = None  # of the response
        self._body: IncomingBody | None = None
        self._passage: Passage | None = None  # who is told of the response instead of a future
        self._upload: asyncio.Task[None] | None = None
        self._blocked: asyncio.Future[None] | None = None
        self._held = False
        self._timeout = 0.0
        self._progress = 0.0  # when a byte came or went
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # when it calls

    @abstractmethod
    def _fail(self, error: Exception) -> None:
        """End the exchange."""

    @property
    def usable(self) -> bool:
        return not self._gone and not self._transport.is_closing()

    def pause_writing(self) -> None:
        self._blocked = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._blocked is not None:
            self._blocked.set_result(None)
            self._blocked = None

    def _wait_for(self, timeout: float) -> None:
        """No longer for bytes. The timer of a passage stays when it ends: the next has as long mostly."""
        self._timeout = timeout
        self._progress = self._loop.time()
        if self._timer is None or self._due > self._progress + timeout:
            self._stop_timer()
            self._set_timer(timeout)

    def _set_timer(self, left: float) -> None:
        self._due = self._loop.time() + left
        self._timer = self._loop.call_later(left, self._check_time)

    def _check_time(self) -> None:
        self._timer = None
        if self._head is None and self._body is None and self._passage is None:
            return
        left = self._progress + self._timeout - self._loop.time()
        uploading = self._upload is not None and self._blocked is None  # the delay is the body's producer's
        if uploading or self._held or (self._body is not None and not self._body.awaited):
            left = self._timeout  # or the reader's
        if left > 0:
            self._set_timer(left)
            return
        self._fail(Timeout(f"nothing came for {self._timeout:g} s"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def body_opened(self, body: IncomingBody) -> None:
        self._progress = self._loop.time()

    def hold_body(self) -> None:
        if not self._held and self.usable:
            self._held = True
            self._transport.pause_reading()

    def lend_body(self) -> Lent | None:
        return None

    def take_back(self, lent: Lent) -> None:
        raise AssertionError("nothing is lent")

    def release_body(self) -> None:
        if self._held:
            self._held = False
            if self.usable:
                self._transport.resume_reading()
