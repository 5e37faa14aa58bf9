"""WebSocket framing (RFC 6455), server side: bytes in, messages out. Knows no socket.

Clients must mask, servers must not. Fragments are joined up to ``limit`` bytes; control frames may stand between
them. Anything else is a protocol error with the close code that the RFC names.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))


class ProtocolError(Exception):
    """``code`` is what to close with: 1002 protocol error, 1003 unacceptable data, 1009 too big."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole message (TEXT, BINARY) or a control frame."""

    opcode: int
    payload: bytes


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a client's Sec-WebSocket-Key (RFC 6455 s. 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()


def encode(opcode: int, payload: bytes, *, mask: bytes | None = None) -> bytes:
    """One final frame. ``mask`` (4 bytes) only for the client's side, which the tests play."""
    bit = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, bit | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, bit | 127, size)
    return head + mask + xor(payload, mask) if mask else head + payload


def xor(data: bytes, mask: bytes) -> bytes:
    """Masking as one big-integer operation: some hundred MB/s where a loop over bytes does five."""
    size = len(data)
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


class Decoder:
    """Feed bytes, get frames. After ProtocolError it must not be fed again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._fragments: list[bytes] = []
        self._fragmented = 0  # opcode of the message that is being joined
        self._joined = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Raises ProtocolError."""
        self._buffer += data
        found = []
        while (frame := self._next()) is not None:
            found.append(frame)
        return found

    def _next(self) -> Frame | None:
        while (raw := self._take()) is not None:
            final, opcode, payload = raw
            if opcode >= CLOSE:
                return Frame(opcode, payload)
            if opcode == CONTINUATION:
                if not self._fragmented:
                    raise ProtocolError(1002, "a continuation of nothing")
            elif self._fragmented:
                raise ProtocolError(1002, "a new message inside a fragmented one")
            else:
                self._fragmented = opcode
            self._joined += len(payload)
            if self._joined > self._limit:
                raise ProtocolError(1009, f"a message of more than {self._limit} bytes")
            self._fragments.append(payload)
            if final:
                whole = Frame(self._fragmented, b"".join(self._fragments))
                self._fragments, self._fragmented, self._joined = [], 0, 0
                return whole
        return None

    def _take(self) -> tuple[bool, int, bytes] | None:
        """One raw frame from the buffer."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode, size, at = first & 0x0F, second & 0x7F, 2
        self._check(first, second, opcode, size)
        if size == 126:
            if len(buffer) < 4:
                return None
            (size,), at = struct.unpack_from("!H", buffer, 2), 4
        elif size == 127:
            if len(buffer) < 10:
                return None
            (size,), at = struct.unpack_from("!Q", buffer, 2), 10
        if size > self._limit:
            raise ProtocolError(1009, f"a frame of more than {self._limit} bytes")
        end = at + 4 + size
        if len(buffer) < end:
            return None
        payload = xor(bytes(buffer[at + 4 : end]), bytes(buffer[at : at + 4]))
        del buffer[:end]
        return bool(first & 0x80), opcode, payload

    def _check(self, first: int, second: int, opcode: int, size: int) -> None:
        if first & 0x70:
            raise ProtocolError(1002, "reserved bits without an extension")
        if not second & 0x80:
            raise ProtocolError(1002, "an unmasked frame from a client")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ProtocolError(1002, f"unknown opcode {opcode}")
        if opcode >= CLOSE and (size > 125 or not first & 0x80):
            raise ProtocolError(1002, "a control frame that is fragmented or too long")


def close_payload(code: int, reason: str = "") -> bytes:
    return struct.pack("!H", code) + reason.encode()[:123]


def close_code(payload: bytes) -> int:
    """The code to answer a client's close frame with."""
    if not payload:
        return 1000
    if len(payload) < 2:
        return 1002
    (code,) = struct.unpack_from("!H", payload)
    return code if code in CLOSE_CODES else 1002
