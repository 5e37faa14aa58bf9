"""Listeners: a bound address that accepts, and the server behind it that ends its connections in order.

Owns: binding and the Date line; the connections alive are a ``crowd``. Knows no HTTP beyond that. ``listen_http`` is
the usual way in; ``HttpService`` alone is for those who choose the protocol of a connection themselves
(``firstbyte``).

    listener = await listen_http(handler, port=0)
    ...
    await listener.close(grace=5.0)
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

from littoral.net.accepting import Acceptor, Gate, bound
from littoral.net.connection import HttpConnection
from littoral.net.crowd import Crowd
from littoral.net.hello import Looks
from littoral.net.limits import Limits
from littoral.net.message import Handler
from littoral.net.repeated import LONGEST

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


class HttpService(Crowd):
    """The connections of one handler. ``connection`` is the protocol factory; ``close`` ends them."""

    def __init__(self, handler: Handler, limits: Limits | None = None, gate: Gate | None = None) -> None:
        super().__init__(limits or Limits(), gate)
        self.handler = handler
        self.date_line = _date_line()
        self.longest_repeat = min(LONGEST, self.limits.max_target_bytes, self.limits.max_header_bytes)

    def connection(self) -> HttpConnection:
        return HttpConnection(self)

    def _tick(self) -> None:
        self.date_line = _date_line()
        super()._tick()


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
    acceptor = Acceptor(sockets, service.connection, gate, tls, service.shed, looks)
    return HttpListener(acceptor, service)


async def listen_unix(handler: Handler, path: Path, limits: Limits | None = None, *, mode: int = 0o600) -> HttpListener:
    """Serve HTTP/1.1 on a Unix socket that by default its owner alone may connect to; what lies at the path is
    replaced."""
    return await listen_http(handler, limits=limits, sock=listening_unix(path, mode))


def listening_unix(path: Path, mode: int = 0o600) -> socket.socket:
    """A Unix socket that by default its owner alone may connect to."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
        path.chmod(mode)  # nobody can connect before it listens
        listening.listen(Limits().backlog)
    except BaseException:
        listening.close()
        raise
    return listening


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
    return Listener(Acceptor(sockets, factory, None, tls, _nothing_to_close))


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
