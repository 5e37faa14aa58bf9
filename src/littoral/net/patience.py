"""How long a client may take, as the server's sweep sees it about once a second.

Waiting uses patience up, bytes give it back at a rate: a trickle is no progress.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from littoral.net.limits import Limits
from littoral.net.message import BodyError
from littoral.net.viewing import Viewing

if TYPE_CHECKING:
    from littoral.net.listen import HttpService

_SENDING, _BODY = 1, 2  # what is watched


class Patient(Viewing):
    __slots__ = ("_served",)

    def __init__(self, server: HttpService) -> None:
        super().__init__(server)
        self._served = False  # at least one request came

    @property
    def host(self) -> str:
        return self._peer.host

    @property
    def idle_since(self) -> float | None:
        """Since when nothing is asked or answered here, else None. A head that has not ended is nothing, and so is what
        comes of a body after its answer."""
        busy = self._answering or self._waiting or self.receives or self._finished or self._blocked
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
            if waited > limits.linger or self._lingers_itself:
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
