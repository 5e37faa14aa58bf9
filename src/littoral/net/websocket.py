"""A WebSocket as a byte stream: binary frames carry the bytes of an ``asyncio.Protocol`` such as MQTT's."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Iterable
from typing import Any, cast

from littoral.net import respond
from littoral.net.message import Request, Response, WebSocketUpgrade
from littoral.protocols import websocket as ws

MESSAGE_LIMIT = 1024 * 1024


def accept(transport: asyncio.Transport, request: Request, upgrade: WebSocketUpgrade) -> WebSocketConnection | None:
    """Answer the handshake (RFC 6455 s. 4.2); None where the request is not one."""
    headers = request.headers
    key = headers.get("sec-websocket-key") or ""
    if (
        request.method != "GET"
        or (headers.get("upgrade") or "").lower() != "websocket"
        or "upgrade" not in (headers.get("connection") or "").lower()
        or headers.get("sec-websocket-version") != "13"
        or not _is_key(key)
    ):
        return None
    offered = [name.strip() for line in headers.get_all("sec-websocket-protocol") for name in line.split(",")]
    response = Response(101, upgrade.headers)
    response.headers.set("upgrade", "websocket")
    response.headers.set("connection", "Upgrade")
    response.headers.set("sec-websocket-accept", ws.accept_key(key))
    if upgrade.subprotocol is not None:
        if upgrade.subprotocol not in offered:
            return None
        response.headers.set("sec-websocket-protocol", upgrade.subprotocol)
    transport.write(respond.head(response, version="1.1", keep_alive=True, chunked=False))
    return WebSocketConnection(transport, upgrade)


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


class WebSocketConnection(asyncio.Protocol):
    """Stands between the socket and the inner protocol."""

    def __init__(self, transport: asyncio.Transport, upgrade: WebSocketUpgrade) -> None:
        self._transport = transport
        self._decoder = ws.Decoder(MESSAGE_LIMIT)
        self._inner = upgrade.protocol_factory()
        self._closing = False

    def begin(self) -> None:
        self._inner.connection_made(FrameTransport(self._transport, self))

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
        except ws.ProtocolError as problem:
            self.close(problem.code, str(problem))
            return
        for frame in frames:
            if self._closing:
                return
            self._take(frame)

    def _take(self, frame: ws.Frame) -> None:
        if frame.opcode == ws.BINARY:
            self._inner.data_received(frame.payload)
        elif frame.opcode == ws.PING:
            self._transport.write(ws.encode(ws.PONG, frame.payload))
        elif frame.opcode == ws.CLOSE:
            self.close(ws.close_code(frame.payload))
        elif frame.opcode == ws.TEXT:
            self.close(1003, "only binary messages are understood here")

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._closing:
            self._closing = True
            self._transport.write(ws.encode(ws.CLOSE, ws.close_payload(code, reason)))
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class FrameTransport(asyncio.Transport):
    """What the inner protocol writes to: every write is one binary frame."""

    def __init__(self, transport: asyncio.Transport, connection: WebSocketConnection) -> None:
        super().__init__()
        self._socket = transport
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._connection._closing:
            self._socket.write(ws.encode(ws.BINARY, bytes(data)))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._socket.abort()

    def is_closing(self) -> bool:
        return self._connection._closing or self._socket.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

    def is_reading(self) -> bool:
        return self._socket.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._socket.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._connection._inner = cast(asyncio.Protocol, protocol)
