"""A WebSocket that we open: an ``asyncio.Protocol`` talks through its binary frames, as on the server's side
(``websocket``)."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from littoral.net.connecting import connected
from littoral.net.websocket import Bridge
from littoral.protocols.websocket import answers

MOST_HEAD: Final = 16 * 1024  # bytes
PATIENCE: Final = 15.0  # seconds for the answer
LINGER: Final = 5.0  # for the other side's close frame


class HandshakeFailed(Exception):
    """The server answers, but with no WebSocket; ``status`` is what it said instead."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asking:
    """For what, of whom."""

    host: str
    port: int
    path: str
    subprotocol: str
    fields: Mapping[str, str] = field(default_factory=dict)  # further headers

    def head(self, key: bytes) -> bytes:
        """Of the request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        fields = {
            **{"host": host, "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"},
            **{"sec-websocket-key": key.decode(), "sec-websocket-protocol": self.subprotocol, **self.fields},
        }
        lines = (f"{name}: {value}\r\n" for name, value in fields.items())
        return f"GET {self.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


async def open_websocket(asking: Asking, tls: ssl.SSLContext | None, factory: Callable[[], asyncio.Protocol]) -> None:
    """The protocol that the factory makes is connected on return. Raises OSError, HandshakeFailed."""
    key = base64.b64encode(os.urandom(16))
    opening = _Opening(asking.head(key), key, factory)
    async with asyncio.timeout(PATIENCE):
        await connected(asking.host, asking.port, lambda: opening, tls, asking.host)
        try:
            await opening.opened
        except BaseException:
            opening.abort()
            raise


class _Opening(asyncio.Protocol):
    """The handshake; then a bridge takes its place."""

    def __init__(self, asked: bytes, key: bytes, factory: Callable[[], asyncio.Protocol]) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked = asked
        self._key = key
        self._factory = factory
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._asked)

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > MOST_HEAD:
                self._fail(HandshakeFailed(0, "an answer without an end"))
            return
        first, *lines = head.split(b"\r\n")
        status = int(first.split(b" ")[1]) if first[9:12].isdigit() else 0
        pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        if status != 101 or not answers(pairs, self._key):
            self._fail(
                HandshakeFailed(status, rest[:200].decode("utf-8", "replace").strip() or first.decode("latin-1"))
            )
            return
        bridge = _Bridge(self._factory(), server=False)
        self._transport.set_protocol(bridge)
        bridge.connection_made(self._transport)
        if not self.opened.done():
            self.opened.set_result(None)
        if rest:
            bridge.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("the connection ended before the answer"))

    def _fail(self, problem: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(problem)


class _Bridge(Bridge):
    def begin_close(self, code: int) -> None:
        if not self.closing:
            asyncio.get_running_loop().call_later(LINGER, self._abort)
        super().begin_close(code)

    def _abort(self) -> None:
        self._inner.abort()
