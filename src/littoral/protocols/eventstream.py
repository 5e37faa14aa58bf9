"""The framing of AWS's event streams (``application/vnd.amazon.eventstream``). Sans-IO: bytes to messages and back.

Source: Smithy, "Amazon Event Stream specification". One message::

    total length (u32) · length of headers (u32) · CRC-32 of these 8 bytes · headers · payload · CRC-32 of all before

A header is a length (u8) and name, a type (u8), and a value whose form the type says. Streaming operations carry one
event in each message, told by ``:message-type`` and ``:event-type``; Greengrass's IPC uses the same frames.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

MAX_HEADERS = 128 * 1024  # bytes
MAX_MESSAGE = 24 * 1024 * 1024  # bytes in all
CONTENT_TYPE = "application/vnd.amazon.eventstream"

_PRELUDE = struct.Struct(">III")
_AROUND = _PRELUDE.size + 4  # bytes of a message without headers and payload
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadMessage(ValueError):
    """The bytes are no event stream. Nothing after them can be trusted."""


class Kind(IntEnum):
    TRUE = 0
    FALSE = 1
    BYTE = 2
    SHORT = 3
    INT = 4
    LONG = 5
    BYTES = 6
    STRING = 7
    TIMESTAMP = 8
    UUID = 9


Plain = bool | int | bytes | str | datetime | UUID
_INTEGERS = {
    Kind.BYTE: struct.Struct(">b"),
    Kind.SHORT: struct.Struct(">h"),
    Kind.INT: struct.Struct(">i"),
    Kind.LONG: struct.Struct(">q"),
}


class Value(NamedTuple):
    """A header's value: ``kind`` tells an int's width. A timestamp has whole milliseconds and a time zone."""

    kind: Kind
    value: Plain


def text(value: str) -> Value:
    return Value(Kind.STRING, value)


@dataclass(frozen=True, slots=True)
class Message:
    headers: Mapping[str, Value] = field(default_factory=dict)
    payload: bytes = b""

    def text(self, name: str) -> str | None:
        """A header that is a string; None when it is not there or of another type."""
        found = self.headers.get(name)
        return str(found.value) if found is not None and found.kind is Kind.STRING else None


def encode(message: Message) -> bytes:
    """The message's bytes. Raises BadMessage for what the framing cannot hold."""
    headers = b"".join(_header(name, value) for name, value in message.headers.items())
    if len(headers) > MAX_HEADERS:
        raise BadMessage(f"{len(headers)} bytes of headers, where {MAX_HEADERS} are allowed")
    total = _AROUND + len(headers) + len(message.payload)
    if total > MAX_MESSAGE:
        raise BadMessage(f"a message of {total} bytes, where {MAX_MESSAGE} are allowed")
    lengths = struct.pack(">II", total, len(headers))
    body = b"".join((lengths, crc32(lengths).to_bytes(4, "big"), headers, message.payload))
    return body + crc32(body).to_bytes(4, "big")


class Decoder:
    """Takes bytes as they come, gives messages as they are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._total = 0  # of the message that is coming, once its prelude is here

    def feed(self, data: bytes) -> list[Message]:
        """Messages that these bytes complete. Raises BadMessage; the decoder is then of no more use."""
        self._buffer += data
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    @property
    def waits(self) -> bool:
        """A message has begun and is not whole."""
        return bool(self._buffer)

    def _next(self) -> Message | None:
        buffer = self._buffer
        if not self._total:
            if len(buffer) < _PRELUDE.size:
                return None
            self._total = _checked_total(buffer)
        if len(buffer) < self._total:
            return None
        whole = bytes(buffer[: self._total])
        del buffer[: self._total]
        self._total = 0
        if crc32(whole[:-4]) != int.from_bytes(whole[-4:], "big"):
            raise BadMessage("the checksum of the message is wrong")
        size = int.from_bytes(whole[4:8], "big")
        return Message(_headers(whole[12 : 12 + size]), whole[12 + size : -4])


def _checked_total(buffer: bytearray) -> int:
    total, headers, checksum = _PRELUDE.unpack_from(buffer)
    if crc32(buffer[:8]) != checksum:
        raise BadMessage("the checksum of the prelude is wrong")
    if headers > MAX_HEADERS or total > MAX_MESSAGE or total < _AROUND + headers:
        raise BadMessage(f"a message of {total} bytes with {headers} bytes of headers")
    return int(total)


# ------------------------------------------------------------------------------------------------ headers


def _header(name: str, value: Value) -> bytes:
    encoded = name.encode()
    if not 1 <= len(encoded) <= 255:
        raise BadMessage(f"a header's name of {len(encoded)} bytes")
    try:
        return bytes((len(encoded),)) + encoded + bytes((value.kind,)) + _packed(value.kind, value.value)
    except (struct.error, AttributeError, TypeError) as error:
        raise BadMessage(f"the header {name} cannot be {value.kind.name} of {value.value!r}") from error


def _packed(kind: Kind, value: Plain) -> bytes:
    if kind in (Kind.TRUE, Kind.FALSE):
        return b""
    if kind in _INTEGERS:
        return _INTEGERS[kind].pack(value)
    if kind is Kind.TIMESTAMP:
        return struct.pack(">q", (value - _EPOCH) // timedelta(milliseconds=1))  # type: ignore[operator]
    if kind is Kind.UUID:
        return value.bytes  # type: ignore[union-attr]
    data = value.encode() if kind is Kind.STRING else bytes(value)  # type: ignore[union-attr, arg-type]
    return struct.pack(">H", len(data)) + data


def _headers(data: bytes) -> dict[str, Value]:
    found: dict[str, Value] = {}
    at = 0
    try:
        while at < len(data):
            size = data[at]
            name = _exactly(data, at + 1, size).decode()
            at += 1 + size
            value, at = _value(Kind(data[at]), data, at + 1)
            if not name or name in found:
                raise BadMessage(f"the header {name!r} is there twice" if name else "a header without a name")
            found[name] = value
    except BadMessage:
        raise
    except (IndexError, ValueError, OverflowError, struct.error) as error:
        raise BadMessage(f"headers that cannot be read: {error}") from error
    return found


def _value(kind: Kind, data: bytes, at: int) -> tuple[Value, int]:
    """The value that begins there, and where it ends."""
    if kind in (Kind.TRUE, Kind.FALSE):
        return Value(kind, kind is Kind.TRUE), at
    if kind in _INTEGERS:
        form = _INTEGERS[kind]
        return Value(kind, form.unpack_from(data, at)[0]), at + form.size
    if kind is Kind.TIMESTAMP:
        milliseconds = struct.unpack_from(">q", data, at)[0]
        return Value(kind, _EPOCH + timedelta(milliseconds=milliseconds)), at + 8
    if kind is Kind.UUID:
        return Value(kind, UUID(bytes=_exactly(data, at, 16))), at + 16
    size = struct.unpack_from(">H", data, at)[0]
    found = _exactly(data, at + 2, size)
    return Value(kind, found.decode() if kind is Kind.STRING else found), at + 2 + size


def _exactly(data: bytes, at: int, size: int) -> bytes:
    found = data[at : at + size]
    if len(found) != size:
        raise BadMessage("headers end in the middle of one")
    return found
