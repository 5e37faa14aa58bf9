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
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Protocol

from littoral.net.connection import HttpConnection
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


class Connection(Protocol):
    """What a server asks of its connections."""

    def overdue(self, now: float) -> None: ...

    def shut_down(self) -> None: ...

    def cut(self) -> asyncio.Task[None] | None: ...


class HttpService:
    """The connections of one handler. ``connection`` is the protocol factory; ``close`` ends them."""

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self.now = self.loop.time()
        self.date_line = _date_line()
        self.longest_repeat = min(LONGEST, self.limits.max_target_bytes, self.limits.max_header_bytes)
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
        return len(self._connections) <= self.limits.max_connections

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def replace(self, connection: Connection, successor: Connection) -> None:
        self._connections.discard(connection)
        self._connections.add(successor)

    def _tick(self) -> None:
        self.now = now = self.loop.time()
        self.date_line = _date_line()
        for connection in list(self._connections):
            connection.overdue(now)
        self._timer = self.loop.call_later(self._tick_length, self._tick)


def _date_line() -> bytes:
    return b"\r\ndate: " + formatdate(time.time(), usegmt=True).encode("ascii")


def http_service(handler: Handler, limits: Limits | None = None) -> HttpService:
    """HTTP without an address of its own: hand its ``connection`` to a FirstByte, and close it like a listener."""
    return HttpService(handler, limits)


class Listener:
    """A bound address. ``port`` is the real one when 0 was asked."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        address = server.sockets[0].getsockname()
        self.port: int = address[1] if isinstance(address, tuple) else 0  # a Unix socket has none

    async def close(self, grace: float = 5.0) -> None:
        """Accept no more. The connections belong to whoever made their protocols."""
        self._server.close()
        await asyncio.sleep(0)  # uvloop gives the address free in its next turn


class HttpListener(Listener):
    def __init__(self, server: asyncio.Server, service: HttpService) -> None:
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
) -> HttpListener:
    """Serve HTTP/1.1 (and WebSocket upgrades) on an address, or on a listening socket. Raises PortInUse."""
    service = HttpService(handler, limits)
    if sock is not None:
        server = await asyncio.get_running_loop().create_server(service.connection, sock=sock, backlog=4096)
        return HttpListener(server, service)
    return HttpListener(await _bind(service.connection, host, port, tls, reuse_port), service)


async def listen_unix(handler: Handler, path: Path, limits: Limits | None = None) -> HttpListener:
    """Serve HTTP/1.1 on a Unix socket that its owner alone may connect to; what lies at the path is replaced."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        path.chmod(0o600)  # nobody can connect before it listens
        service = HttpService(handler, limits)
        server = await asyncio.get_running_loop().create_unix_server(service.connection, sock=bound, backlog=4096)
    except BaseException:
        bound.close()
        raise
    return HttpListener(server, service)


async def listen_stream(
    factory: Callable[[], asyncio.Protocol],
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    *,
    reuse_port: bool = False,
) -> Listener:
    """Serve any protocol on an address. Raises PortInUse."""
    return Listener(await _bind(factory, host, port, tls, reuse_port))


async def _bind(
    factory: Callable[[], asyncio.Protocol], host: str, port: int, tls: ssl.SSLContext | None, reuse_port: bool
) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(
            factory,
            host,
            port,
            ssl=tls,
            backlog=4096,
            reuse_port=reuse_port or None,
            ssl_handshake_timeout=15.0 if tls is not None else None,
        )
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        refused = PortInUse(problem.errno, f"cannot listen on {host}:{port}: {reason}")
        refused.port = port
        raise refused from problem
