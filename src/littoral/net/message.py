"""HTTP requests and responses as the listener, the gateway and the edge hand them to each other.

Owns: the shapes. Knows no socket. Header names are lower-case bytes in ``raw``; values are bytes as received.
A handler returns a ``Response`` at once (the hot path: no task is made) or an awaitable of one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from littoral.net.passage import Again, Passage

RawHeaders = list[tuple[bytes, bytes]]


@lru_cache(maxsize=1024)
def _on_wire(name: str) -> bytes:
    """The same few names are asked for with every request."""
    return name.lower().encode("latin-1")


class Headers:
    """An ordered multi-map over raw header pairs; looks up by text, case-insensitively."""

    __slots__ = ("raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.raw: RawHeaders = raw if isinstance(raw, list) else list(raw)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Headers:
        return cls([(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs])

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value, or ``default``."""
        wanted = _on_wire(name)
        for key, value in self.raw:
            if key == wanted:
                return value.decode("latin-1")
        return default

    def get_all(self, name: str) -> list[str]:
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for key, value in self.raw if key == wanted]

    def set(self, name: str, value: str) -> None:
        """Replace every value of that name by one."""
        wanted = _on_wire(name)
        for key, _ in self.raw:
            if key == wanted:
                self.remove(name)
                break
        self.raw.append((wanted, value.encode("latin-1")))

    def add(self, name: str, value: str) -> None:
        self.raw.append((name.lower().encode("latin-1"), value.encode("latin-1")))

    def remove(self, name: str) -> None:
        wanted = name.lower().encode("latin-1")
        self.raw = [pair for pair in self.raw if pair[0] != wanted]

    def items(self) -> list[tuple[str, str]]:
        return [(key.decode("latin-1"), value.decode("latin-1")) for key, value in self.raw]

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"


class Body(Protocol):
    """A request or response body on its way in. Iterate once, or ``read`` it whole.

    Back-pressure: what is not read is not received. Raises ``BodyError`` when the peer breaks off.
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def read(self, limit: int | None = None) -> bytes:
        """All of it; raises BodyTooLarge beyond ``limit`` bytes."""


class BodyError(Exception):
    """The body ended before its declared length, or its framing broke."""


class BodyTooLarge(BodyError):
    """More bytes than the reader is ready to hold."""


async def gathered(chunks: AsyncIterable[bytes], limit: int | None) -> bytes:
    """``Body.read`` of what only comes in chunks."""
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if limit is not None and size > limit:
            raise BodyTooLarge(f"more than the {limit} bytes that are allowed")
        parts.append(chunk)
    return b"".join(parts)


class BytesBody:
    """A body that is already here."""

    __slots__ = ("data",)

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.data:
            yield self.data

    async def read(self, limit: int | None = None) -> bytes:
        if limit is not None and len(self.data) > limit:
            raise BodyTooLarge(f"{len(self.data)} bytes where at most {limit} are allowed")
        return self.data


@dataclass(slots=True)
class Peer:
    """Who is on the other side of the connection."""

    host: str
    port: int
    tls: bool = False
    server_name: str | None = None  # SNI
    certificate: bytes | None = None  # the client's certificate, DER, verified against the listener's CAs
    handshake: str = ""  # of TLS: "TLSv1.3:TLS_AES_256_GCM_SHA384:fullHandshake", or sessionResumed at the end
    http_version: str | None = None  # what a viewer speaks to a front that stands between: 1.1, 2.0, 3.0
    ja3: str = ""  # of its ClientHello, where somebody asked for fingerprints and our listener ends TLS
    ja4: str = ""


@dataclass(slots=True)
class Request:
    method: str
    target: str  # as on the request line, still percent-encoded: "/a%20b?x=1"
    headers: Headers
    body: Body
    peer: Peer
    http_version: str = "1.1"
    received_at: float = 0.0  # Unix seconds
    # sends an interim response (103) before the final one, while a handler is awaited; None before that
    interim: Callable[[int, Headers], None] | None = None

    @property
    def raw_path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query_string(self) -> str:
        return self.target.partition("?")[2]

    @property
    def host(self) -> str:
        return self.headers.get("host") or ""


@dataclass(frozen=True, slots=True)
class Proof:
    """How to see that a file is what it should be, a block at a time; blocks are of one size but for the last."""

    block: int
    sound: Callable[[int, memoryview], bool]


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Part of a file, sent by the kernel (sendfile) where the transport allows. With a ``proof`` each block is looked
    at just before it goes out, and one that is not sound ends the response there."""

    path: Path
    offset: int
    length: int
    proof: Proof | None = None


ResponseBody = bytes | FileSlice | AsyncIterator[bytes]


@dataclass(slots=True)
class Response:
    """``headers`` must not hold Connection, Transfer-Encoding or Date: the listener frames and dates.

    Content-Length is set by the listener for bytes and FileSlice; an iterator without one is sent chunked. One that has
    ``trailers`` (Headers) when it ends sends them to a client that takes them (TE: trailers).

    ``prepared`` is for answers given again and again (a cache's hits): the status line and the header lines, each
    ended by CRLF, as ``protocols.http1.prepared_head`` makes and checks them once. The listener writes it as it is
    instead of ``headers`` and adds Content-Length (or chunks, for an iterator), Connection and, unless a line
    ``date: `` is there, Date; so it must hold none of the framing ones, and ``status`` must be that of its first
    line. A line that changes is appended: ``prepared + b"age: %d\r\n" % age``.

    ``again`` answers the very same request once more: asked with the same head on the same connection, over HTTP/1.1
    that stays open, it gives all bytes of the response, a Passage to be begun, or None where the handler is to be asked
    as usual.
    """

    status: int
    headers: Headers = field(default_factory=Headers)
    body: ResponseBody = b""
    close: bool = False  # close the connection after this response
    prepared: bytes | None = None
    note: object = None  # of the handler, for those who observe its answers; never sent
    again: Again | None = None


@dataclass(slots=True)
class WebSocketUpgrade:
    """Answer of a handler that accepts a WebSocket: the listener does the handshake (RFC 6455), then feeds the
    payload of binary frames to an ``asyncio.Protocol`` whose transport writes binary frames."""

    protocol_factory: Callable[[], asyncio.Protocol]
    subprotocol: str | None = None
    headers: Headers = field(default_factory=Headers)


class Upgraded(Protocol):
    """A connection whose server has answered 101 (``client.ClientResponse``)."""

    def switch(self, protocol: asyncio.Protocol) -> None:
        """Hand it over: ``protocol`` gets the transport and what came after the head. Raises ConnectionError."""

    def release(self) -> None: ...


@dataclass(slots=True)
class Switching:
    """Answer of a handler that got a 101 from elsewhere: the listener sends it on and joins the two connections.
    ``headers`` hold no Connection and no Upgrade; ``protocol`` is the value of Upgrade."""

    upstream: Upgraded
    headers: Headers
    protocol: bytes = b"websocket"
    idle_timeout: float = 600.0  # seconds without a byte in either direction
    on_end: Callable[[int, int], None] | None = None  # told the bytes that the client sent, and those it was sent


Answer = Response | WebSocketUpgrade | Switching | Passage
Handler = Callable[[Request], Answer | Awaitable[Answer]]


def json_response(status: int, document: object) -> Response:
    return Response(status, Headers.of([("content-type", "application/json")]), json.dumps(document).encode())
