"""WebSocket (RFC 6455) without a socket: the opening handshake and the frame codec.

Owns: what the bytes mean and which of them are wrong. Knows no transport. Both sides are served: a server's decoder
demands masked frames, a client's demands unmasked ones. Payloads are not assembled: a ``Data`` event carries what of
a frame has arrived, so a peer cannot make us hold a message or a thousand fragments.

    decoder = Decoder(server=True)
    for event in decoder.feed(data):   # Data, Ping, Pong, Close; raises ProtocolError with a close code
        ...
    transport.write(frame(BINARY, payload))
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, TOO_BIG, INTERNAL_ERROR = 1000, 1001, 1002, 1003, 1009, 1011

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


# ---------------------------------------------------------------------------------------------- handshake


class HandshakeRefused(Exception):
    def __init__(self, status: int, reason: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = list(headers)


def accept_key(key: bytes) -> bytes:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _tokens(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [token.strip() for key, value in headers if key == name for token in value.split(b",") if token.strip()]


def accept_handshake(
    method: str, headers: Iterable[tuple[bytes, bytes]], subprotocol: str | None
) -> list[tuple[bytes, bytes]]:
    """The header lines that a 101 needs, for a request with lower-case header names; raises HandshakeRefused."""
    headers = list(headers)
    if method != "GET" or b"websocket" not in [token.lower() for token in _tokens(headers, b"upgrade")]:
        raise HandshakeRefused(426, "this address speaks WebSocket", [(b"upgrade", b"websocket")])
    if b"upgrade" not in [token.lower() for token in _tokens(headers, b"connection")]:
        raise HandshakeRefused(400, "Connection does not say Upgrade")
    if _tokens(headers, b"sec-websocket-version") != [b"13"]:
        raise HandshakeRefused(426, "only WebSocket version 13 is spoken", [(b"sec-websocket-version", b"13")])
    keys = _tokens(headers, b"sec-websocket-key")
    if len(keys) != 1 or not _is_nonce(keys[0]):
        raise HandshakeRefused(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    lines = [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", accept_key(keys[0])),
    ]
    if subprotocol is not None:
        chosen = subprotocol.encode("latin-1")
        if chosen not in _tokens(headers, b"sec-websocket-protocol"):
            raise HandshakeRefused(400, f"the client does not offer the subprotocol {subprotocol}")
        lines.append((b"sec-websocket-protocol", chosen))
    return lines


def asks(method: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request wants to switch to WebSocket, rightly or not."""
    headers = list(headers)
    return (
        method == "GET"
        and b"websocket" in [token.lower() for token in _tokens(headers, b"upgrade")]
        and b"upgrade" in [token.lower() for token in _tokens(headers, b"connection")]
    )


def answers(headers: Iterable[tuple[bytes, bytes]], key: bytes) -> bool:
    """Whether the headers of a 101 are the answer to a handshake with that key (RFC 6455 4.1)."""
    headers = list(headers)
    return (
        [token.lower() for token in _tokens(headers, b"upgrade")] == [b"websocket"]
        and b"upgrade" in [token.lower() for token in _tokens(headers, b"connection")]
        and _tokens(headers, b"sec-websocket-accept") == [accept_key(key)]
    )


def _is_nonce(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


# ------------------------------------------------------------------------------------------------- frames


class ProtocolError(Exception):
    """The peer broke RFC 6455; close with ``code``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Data:
    """Part of a message. ``final`` marks the last part; ``payload`` may be empty then."""

    opcode: int  # TEXT or BINARY, also for continuations
    payload: bytes
    final: bool


@dataclass(frozen=True, slots=True)
class Ping:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    code: int  # 1005 when the peer gave none
    reason: str = ""


Event = Data | Ping | Pong | Close


def mask(data: bytes, key: bytes, offset: int = 0) -> bytes:
    """XOR with the four-byte key, starting ``offset`` bytes into it; the same undoes it.

    As one large integer: a byte-by-byte loop costs a hundred times more.
    """
    size = len(data)
    if not size:
        return b""
    turn = offset & 3
    stream = (key[turn:] + key[:turn]) * (size // 4 + 1)
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream[:size], "little")).to_bytes(size, "little")


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, key: bytes | None = None) -> bytes:
    """One frame; ``key`` masks it, as a client must."""
    size = len(payload)
    first = opcode | (0x80 if final else 0)
    masked = 0x80 if key is not None else 0
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65536:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    return head + payload if key is None else head + key + mask(payload, key)


def close_frame(code: int, reason: str = "", *, key: bytes | None = None) -> bytes:
    """A close frame; the reason is cut to what fits."""
    text = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + text, key=key)


def _valid_close(code: int) -> bool:
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


class Decoder:
    """Bytes in, events out. After a ProtocolError or a Close it must not be fed again."""

    __slots__ = (
        "_buffer",
        "_final",
        "_key",
        "_left",
        "_message",
        "_offset",
        "_server",
        "_total",
        "limit",
    )

    def __init__(self, *, server: bool, limit: int = 64 * 1024 * 1024) -> None:
        self._server = server
        self.limit = limit  # bytes of one message over all its fragments
        self._buffer = b""  # a head, or a control frame, not yet whole
        self._left = -1  # payload bytes still to come of a data frame; -1 between frames
        self._offset = 0
        self._key = b""
        self._final = True
        self._message: int | None = None  # opcode of the message whose fragments are coming
        self._total = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events of these bytes and of what was waiting. Raises ProtocolError."""
        events: list[Event] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        position = 0
        while position < len(data) or self._left == 0:
            if self._left < 0:
                after = self._head(data, position, events)
                if after is None:
                    self._buffer = data[position:]
                    break
                position = after
            else:
                part = data[position : position + self._left]
                position += len(part)
                self._payload(part, events)
        return events

    def _payload(self, part: bytes, events: list[Event]) -> None:
        self._left -= len(part)
        ends = self._left == 0
        message = self._message
        assert message is not None
        if part or (ends and self._final):
            plain = mask(part, self._key, self._offset) if self._key else part
            events.append(Data(message, plain, ends and self._final))
        self._offset += len(part)
        if ends:
            self._left = -1
            if self._final:
                self._message = None
                self._total = 0

    def _head(self, data: bytes, start: int, events: list[Event]) -> int | None:
        """Parse a head (and a whole control frame) at ``start``; the position after it, or None for more bytes."""
        if len(data) - start < 2:
            return None
        first, second = data[start], data[start + 1]
        opcode, final = first & 0x0F, bool(first & 0x80)
        if first & 0x70:
            raise ProtocolError(PROTOCOL_ERROR, "reserved bits are set")
        if bool(second & 0x80) != self._server:
            raise ProtocolError(PROTOCOL_ERROR, "a client masks its frames and a server does not")
        size, position = second & 0x7F, start + 2
        if opcode >= CLOSE:
            if opcode > PONG or not final or size > 125:
                raise ProtocolError(PROTOCOL_ERROR, "a control frame is unknown, fragmented or too long")
        else:
            self._check_order(opcode)
        extra = 2 if size == 126 else 8 if size == 127 else 0
        need = position + extra + (4 if self._server else 0)
        if len(data) < need:
            return None
        if extra:
            size = int.from_bytes(data[position : position + extra], "big")
            if size < (126 if extra == 2 else 65536) or size >> 63:
                raise ProtocolError(PROTOCOL_ERROR, "a length is not in its shortest form")
            position += extra
        key = data[position:need] if self._server else b""
        if opcode >= CLOSE:
            if len(data) < need + size:
                return None
            payload = data[need : need + size]
            events.append(_control(opcode, mask(payload, key) if key else payload))
            return need + size
        self._begin(opcode, final, size, key)
        return need

    def _check_order(self, opcode: int) -> None:
        if opcode not in (CONTINUATION, TEXT, BINARY):
            raise ProtocolError(PROTOCOL_ERROR, f"opcode {opcode} is not defined")
        if (opcode == CONTINUATION) != (self._message is not None):
            raise ProtocolError(PROTOCOL_ERROR, "fragments are out of order")

    def _begin(self, opcode: int, final: bool, size: int, key: bytes) -> None:
        self._total += size
        if self._total > self.limit:
            raise ProtocolError(TOO_BIG, f"a message has more than {self.limit} bytes")
        if opcode != CONTINUATION:
            self._message = opcode
        self._final = final
        self._left = size
        self._offset = 0
        self._key = key


def _control(opcode: int, payload: bytes) -> Event:
    if opcode == PING:
        return Ping(payload)
    if opcode == PONG:
        return Pong(payload)
    if not payload:
        return Close(1005)
    if len(payload) == 1 or not _valid_close(int.from_bytes(payload[:2], "big")):
        raise ProtocolError(PROTOCOL_ERROR, "the close code is not valid")
    try:
        return Close(int.from_bytes(payload[:2], "big"), payload[2:].decode())
    except UnicodeDecodeError:
        raise ProtocolError(1007, "the close reason is not UTF-8") from None
