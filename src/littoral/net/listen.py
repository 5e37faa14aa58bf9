"""Listeners: an address, the protocol behind it, and how it is drained.

``listen_http`` serves a Handler over HTTP/1.1, ``listen_stream`` any ``asyncio.Protocol`` (MQTT). Both on loopback
unless told otherwise, on a free port when asked for port 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from littoral.net.connection import HttpConnection
from littoral.net.message import Handler

SWEEP = 1.0  # seconds between looks for connections that are too slow


@dataclass(frozen=True, slots=True)
class Limits:
    """What one HTTP connection may cost. Sizes in bytes, times in seconds."""

    max_target_bytes: int = 8192
    max_header_bytes: int = 32 * 1024
    max_headers: int = 100
    header_timeout: float = 15.0
    keep_alive_timeout: float = 75.0
    body_timeout: float = 60.0
    max_connections: int = 50_000


class PortInUse(OSError):
    """The address is taken; the message says which."""


class Closable(Protocol):
    """An upgraded connection that lives on after HTTP."""

    def abort(self) -> None: ...


class Listener:
    """A listening socket. ``port`` is the real one."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    async def close(self, grace: float = 0.0) -> None:
        """Accept nobody any more. What is open is the business of whoever made its protocol."""
        self._server.close()


class HttpListener(Listener):
    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.handler = handler
        self.limits = limits
        self.connections: set[HttpConnection] = set()
        self.upgraded: set[Closable] = set()
        self.draining = False
        self._sweeper: asyncio.Task[None] | None = None

    def start(self, server: asyncio.Server) -> None:
        Listener.__init__(self, server)
        self._sweeper = asyncio.ensure_future(self._sweep())

    def connection(self) -> HttpConnection:
        """The protocol of one more connection, also for sockets that another listener accepted."""
        return HttpConnection(self)

    async def close(self, grace: float = 0.0) -> None:
        """Stop accepting, let what runs finish for at most ``grace`` seconds, then cut."""
        self.draining = True
        if hasattr(self, "_server"):
            self._server.close()
        for connection in list(self.connections):
            connection.finish()
        deadline = asyncio.get_running_loop().time() + grace
        while self.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        for left in [*self.connections, *self.upgraded]:
            left.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await asyncio.sleep(0)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            now = loop.time()
            for connection in list(self.connections):
                connection.expire(now)


def http_service(handler: Handler, limits: Limits | None = None) -> HttpListener:
    """HTTP without an address of its own: hand its ``connection`` to a FirstByte. Needs ``close`` like any listener."""
    listener = HttpListener(handler, limits or Limits())
    listener._sweeper = asyncio.ensure_future(listener._sweep())
    return listener


async def listen_http(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    reuse_port: bool = False,
) -> HttpListener:
    """Raises PortInUse."""
    listener = HttpListener(handler, limits or Limits())
    listener.start(await _serve(listener.connection, host, port, tls, reuse_port))
    return listener


async def listen_stream(
    factory: Callable[[], asyncio.Protocol],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    reuse_port: bool = False,
) -> Listener:
    """Raises PortInUse."""
    return Listener(await _serve(factory, host, port, tls, reuse_port))


async def _serve(
    factory: Callable[[], asyncio.Protocol], host: str, port: int, tls: ssl.SSLContext | None, reuse_port: bool
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            factory,
            host,
            port,
            ssl=tls,
            backlog=4096,
            reuse_port=reuse_port or None,
            ssl_handshake_timeout=15 if tls else None,
        )
    except OSError as problem:
        raise PortInUse(problem.errno, f"cannot listen on {host}:{port}: {problem.strerror or problem}") from problem
