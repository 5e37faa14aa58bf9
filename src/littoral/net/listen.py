"""Listeners: a bound address that accepts, and the server behind it that ends its connections in order.

Owns: binding, the connections alive, one coarse clock for all their deadlines and the Date line. Knows no HTTP
beyond that. ``listen_http`` is the usual way in; ``HttpService`` alone is for those who choose the protocol of a
connection themselves (``firstbyte``).

    listener = await listen_http(handler, port=0)
    ...
    await listener.close(grace=5.0)

A clock tick serves every connection: a timer for each would cost more than answering a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Protocol

from littoral.net.accepting import Acceptor, Everybody, Gate, bound
from littoral.net.connection import HttpConnection
from littoral.net.hello import Looks
from littoral.net.limits import Limits
from littoral.net.message import Handler
from littoral.net.repeated import LONGEST

log = logging.getLogger("littoral.net")

__all__ = [
    "HttpListener",
    "HttpService",
    "Limits",
    "Listener",
    "PortInUse",
    "http_service",
    "listen_http",
    "listen_stream",
    "listen_unix",
]


class PortInUse(OSError):
    """The address cannot be bound; the message says which and why. ``port`` is the one that was asked for."""

    port = 0


A_TURN = 0.003  # seconds that the sweep takes before others of the loop have their turn
SHED = 100  # a hundredth of the connections is closed at once when there are too many


class Connection(Protocol):
    """What a server asks of its connections."""

    @property
    def host(self) -> str:
        """The address of the other side."""

    @property
    def idle_since(self) -> float | None:
        """None while something is asked or answered."""

    def overdue(self, now: float) -> None: ...

    def shut_down(self) -> None: ...

    def cut(self) -> asyncio.Task[None] | None: ...


class Successor(Connection, Protocol):
    """What takes a connection over after a 101."""

    host: str


class HttpService:
    """The connections of one handler. ``connection`` is the protocol factory; ``close`` ends them. ``refusals`` counts
    by name what ended a connection before its time."""

    def __init__(self, handler: Handler, limits: Limits | None = None, gate: Gate | None = None) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.refusals: Counter[str] = Counter()
        self.elapsed = 0.0  # seconds between the last two sweeps
        self._gate = gate
        self._leaving: set[Connection] = set()  # closed by ``shed`` and not yet gone
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self.now = self.loop.time()
        self.date_line = _date_line()
        self.longest_repeat = min(LONGEST, self.limits.max_target_bytes, self.limits.max_header_bytes)
        self._begun = self.now  # when the last sweep was
        self._left: list[Connection] = []  # what it has not yet looked at
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer: asyncio.TimerHandle | None = None
        shortest = min(
            self.limits.header_timeout,
            self.limits.keep_alive_timeout,
            self.limits.body_timeout,
            self.limits.send_timeout,
            self.limits.linger,
        )
        self._tick_length = min(1.0, max(0.01, shortest / 2))

    def __len__(self) -> int:
        return len(self._connections)

    def connection(self) -> HttpConnection:
        return HttpConnection(self)

    async def close(self, grace: float = 5.0) -> None:
        """Let what is being answered end for up to ``grace`` seconds, then cut."""
        self.closing = True
        for connection in list(self._connections):
            connection.shut_down()
        await asyncio.sleep(0)  # idle connections go in this turn
        if self._connections and grace > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._empty.wait()
        if self._connections:
            log.info("%d connections are cut after %.1f s", len(self._connections), grace)
        tasks = [task for connection in list(self._connections) if (task := connection.cut()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._empty.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # the connections' side

    def admit(self, connection: Connection) -> bool:
        """Count a connection in; False when there are too many (it must end itself)."""
        if self._timer is None and not self.closing:
            self._tick()
        self._connections.add(connection)
        self._empty.clear()
        if len(self._connections) - len(self._leaving) > self.limits.max_connections:
            return self.shed(connection)
        return True

    def shed(self, newest: Connection | None = None) -> bool:
        """Close a hundredth of all connections, those that are idle the longest; False when none is idle."""
        idle = [
            (since, number, connection)
            for number, connection in enumerate(self._connections - self._leaving)
            if connection is not newest and (since := connection.idle_since) is not None
        ]
        chosen = heapq.nsmallest(max(1, len(self._connections) // SHED), idle)
        for _, _, connection in chosen:
            self._leaving.add(connection)
            connection.cut()
        self.refusals["shed-idle"] += len(chosen)
        return bool(chosen)

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._leaving.discard(connection)
        if self._gate is not None:
            self._gate.leaves(connection.host)
        if not self._connections:
            self._empty.set()

    def replace(self, connection: Connection, successor: Successor) -> None:
        successor.host = connection.host
        self._connections.discard(connection)
        self._connections.add(successor)

    def _tick(self) -> None:
        now = self.loop.time()
        self.now = now
        self.date_line = _date_line()
        if not self._left:  # else the last sweep goes on
            self.elapsed, self._begun = now - self._begun, now
            self._left = list(self._connections)
            self._sweep()
        self._timer = self.loop.call_later(self._tick_length, self._tick)

    def _sweep(self) -> None:
        """Look at every connection, in turns: to refuse one whose head is late takes a hundred times as long as to see
        that another is in time, and thousands may be late at once."""
        end = self.loop.time() + A_TURN
        while self._left:
            connection = self._left.pop()
            if connection in self._connections:
                connection.overdue(self.now)
            if self.loop.time() >= end:
                break
        if self._left:
            self.loop.call_soon(self._sweep)


def _date_line() -> bytes:
    return b"\r\ndate: " + formatdate(time.time(), usegmt=True).encode("ascii")


def http_service(handler: Handler, limits: Limits | None = None) -> HttpService:
    """HTTP without an address of its own: hand its ``connection`` to a FirstByte, and close it like a listener."""
    return HttpService(handler, limits)


class Listener:
    """A bound address. ``port`` is the real one when 0 was asked."""

    def __init__(self, server: Acceptor) -> None:
        self._server = server
        address = server.sockets[0].getsockname()
        self.port: int = address[1] if isinstance(address, tuple) else 0  # a Unix socket has none

    async def close(self, grace: float = 5.0) -> None:
        """Accept no more. The connections belong to whoever made their protocols."""
        self._server.close()
        await asyncio.sleep(0)  # uvloop gives the address free in its next turn


class HttpListener(Listener):
    def __init__(self, server: Acceptor, service: HttpService) -> None:
        super().__init__(server)
        self.service = service

    async def close(self, grace: float = 5.0) -> None:
        """Accept no more, let what is being answered end for up to ``grace`` seconds, then cut."""
        await super().close(grace)
        await self.service.close(grace)


async def listen_http(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    reuse_port: bool = False,
    sock: socket.socket | None = None,
    gate: Gate | None = None,
    looks: Looks | None = None,
) -> HttpListener:
    """Serve HTTP/1.1 (and WebSocket upgrades) on an address, or on a listening socket. ``gate`` may refuse connections
    to the address; ``looks`` says whether peers' fingerprints are wanted. Raises PortInUse."""
    service = HttpService(handler, limits, gate)
    backlog = service.limits.backlog
    if sock is None:
        sockets = _bound(host, port, backlog, reuse_port)
    else:
        sock.setblocking(False)
        sock.listen(backlog)
        sockets = [sock]
    acceptor = Acceptor(sockets, service.connection, gate or Everybody(), tls, service.shed, looks)
    return HttpListener(acceptor, service)


async def listen_unix(handler: Handler, path: Path, limits: Limits | None = None, *, mode: int = 0o600) -> HttpListener:
    """Serve HTTP/1.1 on a Unix socket that by default its owner alone may connect to; what lies at the path is
    replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
        path.chmod(mode)  # nobody can connect before it listens
        return await listen_http(handler, limits=limits, sock=listening)
    except BaseException:
        listening.close()
        raise


async def listen_stream(
    factory: Callable[[], asyncio.Protocol],
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    *,
    reuse_port: bool = False,
) -> Listener:
    """Serve any protocol on an address. Raises PortInUse."""
    sockets = _bound(host, port, Limits().backlog, reuse_port)
    return Listener(Acceptor(sockets, factory, Everybody(), tls, _nothing_to_close))


def _nothing_to_close() -> None:
    """The connections belong to whoever made their protocols."""


def _bound(host: str, port: int, backlog: int, reuse_port: bool) -> list[socket.socket]:
    try:
        return bound(host, port, backlog, reuse_port)
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        refused = PortInUse(problem.errno, f"cannot listen on {host}:{port}: {reason}")
        refused.port = port
        raise refused from problem
