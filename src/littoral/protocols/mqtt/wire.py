"""The elementary data of MQTT (5.0 s. 1.5): integers, strings, variable byte integers; and what a bad packet raises."""

from __future__ import annotations

from typing import Final

from littoral.protocols.mqtt.reasons import Reason

MAX_REMAINING: Final = 268_435_455  # four bytes of seven bits (s. 2.1.4)


class MalformedPacket(Exception):
    """Bytes that are no MQTT. ``reason`` is what a v5 peer is told; a v3 peer is cut off (3.1.1 s. 4.8)."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED_PACKET) -> None:
        super().__init__(message)
        self.reason = reason


class ProtocolViolation(MalformedPacket):
    """A packet that can be read and must not be sent."""

    def __init__(self, message: str, reason: Reason = Reason.PROTOCOL_ERROR) -> None:
        super().__init__(message, reason)


class Reader:
    """Reads one packet's bytes from front to back; raises MalformedPacket where they end too early."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def left(self) -> int:
        return self.end - self.at

    def take(self, count: int) -> bytes:
        start, stop = self.at, self.at + count
        if stop > self.end:
            raise MalformedPacket("the packet ends inside a field")
        self.at = stop
        return self.data[start:stop]

    def byte(self) -> int:
        if self.at >= self.end:
            raise MalformedPacket("the packet ends inside a field")
        value = self.data[self.at]
        self.at += 1
        return value

    def two(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def four(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def binary(self) -> bytes:
        return self.take(self.two())

    def text(self) -> str:
        return decode_text(self.binary())

    def variable(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if shift and not byte:
                    raise MalformedPacket("a variable byte integer longer than it needs to be")
                return value
            shift += 7
            if shift > 21:
                raise MalformedPacket("a variable byte integer of more than four bytes")

    def rest(self) -> bytes:
        return self.take(self.left())

    def finish(self) -> None:
        if self.at != self.end:
            raise MalformedPacket(f"{self.left()} bytes after the last field")


def decode_text(raw: bytes) -> str:
    """UTF-8 without surrogates (Python refuses them) and without U+0000 (s. 1.5.4)."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as problem:
        raise MalformedPacket("text that is not UTF-8") from problem
    if "\0" in text:
        raise MalformedPacket("text with U+0000")
    return text


def encode_variable(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    if value > MAX_REMAINING:
        raise ValueError(f"{value} needs more than four bytes")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_binary(value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise ValueError(f"{len(value)} bytes where at most 65535 fit")
    return len(value).to_bytes(2, "big") + value


def encode_text(value: str) -> bytes:
    return encode_binary(value.encode())
