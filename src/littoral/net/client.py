"""The HTTP/1.1 client of places that fetch: origins of the edge, the region above a core, code packages.

Owns: the pool, when a request may be sent twice, and the errors callers tell apart. Knows no caches, redirects or
signatures. One connection's life is in ``net.exchange``.

    client = HttpClient()
    response = await client.request("GET", "https://origin.example.test/a", tls=context)
    async with response:
        async for chunk in response.body: ...
    await client.close()

A pooled connection may have been closed by its server a moment ago. A request that met that (nothing received) is
sent again on a new connection when it may be: the method is idempotent (RFC 9110 9.2.2) and the body is at hand.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from littoral.net.bulk import Bulk
from littoral.net.connecting import connected
from littoral.net.exchange import ClientConnection, OnInterim, RequestBody
from littoral.net.failures import BadResponse, ConnectFailed, Disconnected, RequestFailed, Timeout
from littoral.net.message import Body, Headers
from littoral.net.tls import client_context
from littoral.protocols.http1 import request_head

__all__ = [
    "BadResponse",
    "ClientLimits",
    "ClientResponse",
    "ConnectFailed",
    "Disconnected",
    "HttpClient",
    "OnInterim",
    "RequestBody",
    "RequestFailed",
    "Timeout",
]

Idle = deque[ClientConnection]
UNIX = -1  # as a port: the host is the path of a Unix socket
_IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"))


@dataclass(frozen=True, slots=True)
class ClientLimits:
    max_header_bytes: int = 64 * 1024  # of one response head
    max_headers: int = 256
    body_buffer: int = 256 * 1024  # received and not yet read; beyond it reading pauses
    idle_timeout: float = 20.0  # seconds a connection is kept for the next request
    idle_per_origin: int = 64


@dataclass(slots=True)
class ClientResponse:
    """A response whose body may still be coming. Leave it by ``release`` (or ``async with``): a connection whose
    body was read to its end is kept, any other is closed."""

    status: int
    headers: Headers
    body: Body
    _connection: ClientConnection
    reused: bool = False

    def release(self) -> None:
        self._connection.release(self.body)

    def switch(self, protocol: asyncio.Protocol) -> None:
        """After a 101: the connection is ``protocol``'s, from the first byte after the head. Raises ConnectionError."""
        self._connection.switch(protocol)

    async def __aenter__(self) -> ClientResponse:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class _Origin:
    host: str
    port: int
    tls: ssl.SSLContext | None
    server_name: str | None


MOST_KNOWN = 1024


class HttpClient:
    """A pool of connections by origin and TLS context; use it within one event loop."""

    def __init__(self, limits: ClientLimits | None = None) -> None:
        self.limits = limits or ClientLimits()
        self._idle: dict[_Origin, Idle] = {}
        self._connections: set[ClientConnection] = set()
        self._known: dict[str, tuple[_Origin, str]] = {}  # of URLs up to their path, which are the same few
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers | None = None,
        body: RequestBody = None,
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] | Path | None = None,
        server_name: str | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        upgrade: str | None = None,
        on_interim: OnInterim | None = None,
    ) -> ClientResponse:
        """Send a request and return with the head of its response.

        ``body`` other than bytes is sent as it comes: by ``Content-Length`` when ``headers`` has one, else in chunks,
        which its attribute ``trailers`` follows where it has one.
        ``address`` is where to connect instead of the URL's host, a path being a Unix socket; ``server_name`` the name
        for TLS. Times are seconds:
        ``read_timeout`` is for each wait for bytes, not for the whole. ``upgrade`` asks to switch to that protocol on a
        new connection: the response is a 101, to be followed by ``switch``, or any other. ``on_interim`` is told of
        responses before it (103). Raises ConnectFailed,
        Timeout, BadResponse (all RequestFailed); reading the body raises BodyError. ``ValueError`` for a URL or header
        that is none.
        """
        if self._closed:
            raise RuntimeError("the client is closed")
        origin, target, authority = self._origin_of(url, tls, address, server_name)
        pairs = list(headers.raw) if headers is not None else []
        if not any(name == b"host" for name, _ in pairs):
            pairs.insert(0, (b"host", authority.encode("ascii")))
        length = _length_of(pairs, body)
        head = request_head(method, target, pairs, length, upgrade)
        again = method in _IDEMPOTENT and (body is None or isinstance(body, bytes))
        while True:
            connection, reused = await self._connection(origin, connect_timeout, new=upgrade is not None)
            try:
                status, fields, incoming = await connection.ask(
                    method, head, body, length, read_timeout, upgrade=upgrade is not None, on_interim=on_interim
                )
            except Disconnected:
                if reused and again:
                    continue  # each turn uses up one idle connection; a new one is not retried
                raise
            return ClientResponse(status, Headers(fields), incoming, connection, reused)

    def idle_of(self, base: str) -> Idle:
        """Where connections wait for the next request to URLs that begin so ("http://example.test:80")."""
        return self._idle_at(self._origin_of(base + "/", None, None, None)[0])

    def take(self, idle: Idle) -> ClientConnection | None:
        """The one that waits the shortest, where one is of use."""
        oldest = self._loop.time() - self.limits.idle_timeout
        while idle:
            connection = idle.pop()
            if connection.usable and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    async def close(self) -> None:
        """Close every connection; bodies still being read fail."""
        self._closed = True
        for idle in self._idle.values():
            idle.clear()
        for connection in list(self._connections):
            await connection.cut()
        if "bulk" in self.__dict__:
            self.bulk.close()

    # ------------------------------------------------------------------------------------------- the pool

    @cached_property
    def bulk(self) -> Bulk:
        """For requests with large bodies that are at hand."""
        return Bulk(lambda: self._trust)

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _origin_of(
        self, url: str, tls: ssl.SSLContext | None, address: tuple[str, int] | Path | None, server_name: str | None
    ) -> tuple[_Origin, str, str]:
        start = url.find("/", 8)  # of the path
        if start < 0 or "#" in url or tls is not None or address is not None or server_name is not None:
            return self._parsed(url, tls, address, server_name)
        begin = url[:start]
        known = self._known.get(begin)
        if known is None:
            origin, target, authority = self._parsed(begin, None, None, None)
            if target != "/":  # a query without a path
                return self._parsed(url, None, None, None)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[begin] = origin, authority
        return known[0], url[start:], known[1]

    def _parsed(
        self, url: str, tls: ssl.SSLContext | None, address: tuple[str, int] | Path | None, server_name: str | None
    ) -> tuple[_Origin, str, str]:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError(f"not a URL to request: {parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        secure = parts.scheme == "https"
        context = (tls or self._trust) if secure else None
        if isinstance(address, Path):
            host, port = str(address), UNIX
        else:
            host, port = address or (parts.hostname, parts.port or (443 if secure else 80))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        name = (server_name or parts.hostname) if secure else None
        return _Origin(host, port, context, name), target, parts.netloc

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return client_context()

    async def _connection(self, origin: _Origin, timeout: float, *, new: bool) -> tuple[ClientConnection, bool]:
        idle = self._idle_at(origin)
        connection = None if new else self.take(idle)
        return (connection, True) if connection is not None else (await self._connect(origin, idle, timeout), False)

    def _idle_at(self, origin: _Origin) -> Idle:
        idle = self._idle.get(origin)
        if idle is None:
            if len(self._idle) >= MOST_KNOWN:
                self._idle = {each: waiting for each, waiting in self._idle.items() if waiting}
            idle = self._idle[origin] = deque()
        return idle

    async def _connect(self, origin: _Origin, idle: Idle, timeout: float) -> ClientConnection:
        loop = self._loop

        def make() -> ClientConnection:
            return ClientConnection(self.limits, partial(self._keep, idle), self._connections.discard)

        try:
            async with asyncio.timeout(timeout):
                if origin.port == UNIX:
                    _, connection = await loop.create_unix_connection(
                        make, origin.host, ssl=origin.tls, server_hostname=origin.server_name
                    )
                else:
                    connection = make()
                    await connected(origin.host, origin.port, lambda: connection, origin.tls, origin.server_name)
        except TimeoutError as error:
            raise Timeout(f"no connection to {origin.host}:{origin.port} within {timeout:g} s") from error
        except (OSError, ssl.SSLError) as error:
            raise ConnectFailed(f"no connection to {origin.host}:{origin.port}: {error}") from error
        self._connections.add(connection)
        return connection

    def _keep(self, idle: Idle, connection: ClientConnection) -> None:
        if self._closed or len(idle) >= self.limits.idle_per_origin:
            connection.close()
            return
        idle.append(connection)
        oldest = connection.idle_since - self.limits.idle_timeout
        while idle[0].idle_since < oldest or not idle[0].usable:
            idle.popleft().close()


def _length_of(headers: list[tuple[bytes, bytes]], body: RequestBody) -> int | None:
    """0 for no body, None to send it in chunks."""
    if body is None:
        return 0
    if isinstance(body, bytes):
        return len(body)
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return None
