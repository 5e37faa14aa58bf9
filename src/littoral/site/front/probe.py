"""How late the front is and what it has used: one small request on a Unix socket, and the clock of its process.

The request is answered by the front itself, behind everything that it has to do at that moment, so the time that it
takes is what a viewer waits besides.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path

from littoral.net.transport import SocketTransport
from littoral.net.turns import Turns

_ASK = b"GET / HTTP/1.1\r\nHost: probe\r\n\r\n"
_END = b"\r\n\r\n"  # of an answer without a body


class Probe(asyncio.Protocol):
    """One question at a time. ``answered`` hears how many seconds it took."""

    def __init__(self, path: Path, answered: Callable[[float], None]) -> None:
        self._path = str(path)
        self._answered = answered
        self._transport: SocketTransport | None = None
        self._loop = asyncio.get_running_loop()
        self._asked = 0.0
        self._waits = False  # for an answer

    def ask(self) -> bool:
        """False: the front is not there."""
        if self._transport is None:
            found = connected_unix(self._path)
            if found is None:
                return False
            self._transport = SocketTransport(Turns.of_loop(), found, self._path)
            self._transport.begin(lambda: self)
        self._asked, self._waits = self._loop.time(), True
        self._transport.write(_ASK)
        return True

    @property
    def age(self) -> float:
        """Seconds since it was asked last."""
        return self._loop.time() - self._asked

    def data_received(self, data: bytes) -> None:
        if data.endswith(_END):
            self._waits = False
            self._answered(self.age)

    def connection_lost(self, error: Exception | None) -> None:
        closed, self._transport = self._transport is None, None
        if self._waits and not closed:  # the front has ended, and is started again
            self._waits = False
            self._answered(0.0)

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


def connected_unix(path: str) -> socket.socket | None:
    """None where nobody listens, or has room for one more."""
    made = socket.socket(socket.AF_UNIX)
    made.setblocking(False)
    try:
        made.connect(path)
    except OSError:
        made.close()
        return None
    return made


def processor_time(pid: int | None) -> float | None:
    """Seconds that a process has used, to the nanosecond; None where that is not told (not on Linux)."""
    if pid is None:
        return None
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
    except OSError:
        return None
