"""Two connections joined after a 101: what one sends the other gets, byte for byte.

Owns: pacing (an end that cannot write makes the other stop reading), half-closed ends, idle time. Knows nothing of what
is said. The listener counts the pair as one of its connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from littoral.net.listen import HttpService
    from littoral.net.message import Switching


class End(asyncio.Protocol):
    """One side of a relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.other: End = self
        self.transport: asyncio.Transport | None = None
        self.ended = False  # it sends no more
        self.sent = 0  # bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._relay.moved()
        self.sent += len(data)
        if self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        transport = self.other.transport
        if transport is not None and not transport.is_closing():
            transport.pause_reading()

    def resume_writing(self) -> None:
        transport = self.other.transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    def eof_received(self) -> bool:
        """A half may close before the other; over TLS it cannot, and the end of one is the end of both."""
        self.ended = True
        transport = self.other.transport
        if transport is None or self.other.ended or not transport.can_write_eof():
            self._relay.close()
            return False
        transport.write_eof()
        return self.transport is not None and self.transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._relay.close()


class Relay:
    """A connection of the listener (``listen.Successor``). Begins with ``start``."""

    host = ""
    idle_since: float | None = None  # it has an idle time of its own
    delivered = False  # nobody here knows what is said last

    def __init__(self, server: HttpService, idle_timeout: float) -> None:
        self._server = server
        self._idle_timeout = idle_timeout
        self._since = server.now
        self._ends = self.near, self.far = End(self), End(self)
        self.near.other, self.far.other = self.far, self.near
        self._closed = False
        self._on_end: Callable[[int, int], None] | None = None

    def start(self, transport: asyncio.Transport, rest: bytes, answer: Switching) -> None:
        """Take both connections over. Raises ConnectionError when the far one has gone."""
        self._on_end = answer.on_end
        transport.set_protocol(self.near)
        self.near.connection_made(transport)
        answer.upstream.switch(self.far)
        if rest:
            self.near.data_received(rest)
        transport.resume_reading()

    def moved(self) -> None:
        self._since = self._server.now

    def close(self) -> None:
        """Both ends, after what is written to them."""
        for end in self._ends:
            if end.transport is not None and not end.transport.is_closing():
                end.transport.close()
        if not self._closed:
            self._closed = True
            self._server.forget(self)
            if self._on_end is not None:
                self._on_end(self.near.sent, self.far.sent)

    # the server's side

    def overdue(self, now: float) -> None:
        if now - self._since > self._idle_timeout:
            self.cut()

    def shut_down(self) -> None:
        """Nobody here knows how to say goodbye in that protocol: it has the grace time of the listener."""

    def cut(self) -> None:
        for end in self._ends:
            if end.transport is not None:
                end.transport.abort()
        self.close()
