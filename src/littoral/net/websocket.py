"""A WebSocket as a plain byte stream: an ``asyncio.Protocol`` that knows nothing of it talks through binary frames.
Here is the server's side; ``websocketclient`` has the other.

Owns: frames on a transport, the closing handshake, pings and the facade that stands for the transport. Knows no
message boundaries: MQTT over WebSocket (MQTT 5, 6.0) is a byte stream cut anywhere. Text frames are refused with
close code 1003.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, cast

from littoral.net.delivery import on_its_way
from littoral.protocols.websocket import (
    BINARY,
    NORMAL,
    PONG,
    TEXT,
    UNSUPPORTED,
    Close,
    Data,
    Decoder,
    Ping,
    ProtocolError,
    close_frame,
    frame,
)

if TYPE_CHECKING:
    from littoral.net.listen import HttpService

log = logging.getLogger("littoral.net")


class WebSocketTransport(asyncio.Transport):
    """What the protocol sees: its bytes go out as one binary frame for each write."""

    def __init__(self, bridge: Bridge, inner: asyncio.Transport) -> None:
        super().__init__()
        self._bridge = bridge
        self._inner = inner

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the real transport (``peername``, ``ssl_object``, ``sockname``)."""
        return self._inner.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self.is_closing():
            self._inner.write(self._bridge.frame(BINARY, bytes(data)))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Send a close frame after what is written; the connection ends when the client agrees or time is up."""
        self._bridge.begin_close(NORMAL)

    def abort(self) -> None:
        self._bridge.closing = True
        self._inner.abort()

    def is_closing(self) -> bool:
        return self._bridge.closing or self._inner.is_closing()

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None:
        raise NotImplementedError("a WebSocket has no half-closed state")

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def is_reading(self) -> bool:
        return self._inner.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._inner.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._inner.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._inner.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._bridge.protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._bridge.protocol


class Bridge(asyncio.Protocol):
    """The protocol of the real transport after the handshake."""

    def __init__(self, protocol: asyncio.Protocol, *, server: bool) -> None:
        self.protocol = protocol
        self.closing = False  # our close frame is out
        self._masks = not server
        self._decoder = Decoder(server=server)
        self._over = False

    def frame(self, opcode: int, payload: bytes) -> bytes:
        return frame(opcode, payload, key=os.urandom(4) if self._masks else None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner = cast(asyncio.Transport, transport)
        self.protocol.connection_made(WebSocketTransport(self, self._inner))

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        arrived: list[bytes] = []
        try:
            for event in self._decoder.feed(data):
                match event:
                    case Data(opcode=opcode, payload=payload):
                        if opcode == TEXT:
                            raise ProtocolError(UNSUPPORTED, "binary frames only")
                        arrived.append(payload)
                    case Ping(payload=payload):
                        if not self.closing:
                            self._inner.write(self.frame(PONG, payload))
                    case Close(code=code):
                        self._hand_over(arrived)
                        self._peer_closed(code)
                        return
                    case _:
                        pass  # an unasked pong is a heartbeat (RFC 6455 5.5.3)
        except ProtocolError as error:
            log.info("websocket of %s: %s", self._inner.get_extra_info("peername"), error)
            self._hand_over(arrived)
            self._over = True
            self.begin_close(error.code)
            self._inner.close()
            return
        self._hand_over(arrived)

    def _hand_over(self, arrived: list[bytes]) -> None:
        payload = arrived[0] if len(arrived) == 1 else b"".join(arrived)
        if payload and not self.closing:
            self.protocol.data_received(payload)

    def _peer_closed(self, code: int) -> None:
        self._over = True
        self.begin_close(NORMAL if code == 1005 else code)
        self._inner.close()

    def begin_close(self, code: int) -> None:
        if not self.closing:
            self.closing = True
            if not self._inner.is_closing():
                self._inner.write(close_frame(code, key=os.urandom(4) if self._masks else None))

    def eof_received(self) -> None:
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self._over = self.closing = True
        self.protocol.connection_lost(error)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()


class WebSocketBridge(Bridge):
    """As the server has it among its connections."""

    host = ""
    idle_since: float | None = None  # its silence is not ours to judge

    def __init__(self, protocol: asyncio.Protocol, server: HttpService) -> None:
        super().__init__(protocol, server=True)
        self._server = server
        self._since = 0.0

    def begin_close(self, code: int) -> None:
        if not self.closing:
            self._since = self._server.now
        super().begin_close(code)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.forget(self)
        super().connection_lost(error)

    @property
    def delivered(self) -> bool:
        return self._inner.is_closing() and not on_its_way(self._inner)

    def overdue(self, now: float) -> None:
        """Idle times are the inner protocol's own business (MQTT has keep-alive); only a closing handshake ends."""
        if self.closing and now - self._since > self._server.limits.linger:
            self._inner.close()

    def shut_down(self) -> None:
        """Going away (1001) is said at once: a stream has no last response to wait for."""
        self.begin_close(1001)

    def cut(self) -> None:
        self._inner.abort()
