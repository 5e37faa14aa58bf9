"""What the stream manager's SDKs send over their TCP connection, protocol 1.1.0, as AWS's Python SDK 1.1 writes it.

A connection begins with one byte, the version of connecting, which is 1; the server answers with the same byte. Then
come frames either way: four bytes of length (big-endian, of what follows), one byte for the operation, and a CBOR map.
The first frame must be Connect. Owns framing and the enumerations; the map is given and taken as bytes.
"""

from __future__ import annotations

import enum
import re
from typing import Final

CONNECT_VERSION: Final = 1
VERSIONS: Final = ("1.1.0", "1.0.0")  # of the protocol, the newest first
LARGEST: Final = 64 * 1024 * 1024  # bytes of a frame; the SDKs allow 1 GiB
_NAME: Final = re.compile(r"[\w ,.\-]{1,255}", re.ASCII)


class Operation(enum.IntEnum):
    """By its number on the wire."""

    CONNECT = 1
    CREATE_MESSAGE_STREAM = 2
    DELETE_MESSAGE_STREAM = 3
    APPEND_MESSAGE = 4
    READ_MESSAGES = 5
    CONNECT_RESPONSE = 6
    CREATE_MESSAGE_STREAM_RESPONSE = 7
    DELETE_MESSAGE_STREAM_RESPONSE = 8
    APPEND_MESSAGE_RESPONSE = 9
    READ_MESSAGES_RESPONSE = 10
    LIST_STREAMS = 11
    LIST_STREAMS_RESPONSE = 12
    DESCRIBE_MESSAGE_STREAM = 13
    DESCRIBE_MESSAGE_STREAM_RESPONSE = 14
    UPDATE_MESSAGE_STREAM = 15
    UPDATE_MESSAGE_STREAM_RESPONSE = 16
    UNKNOWN_OPERATION_ERROR = 17


class Status(enum.IntEnum):
    """How a request ended, by its number on the wire."""

    SUCCESS = 0
    UNKNOWN_FAILURE = 1
    UNAUTHORIZED = 2
    INVALID_REQUEST = 3
    REQUEST_PAYLOAD_TOO_LARGE = 4
    RESOURCE_NOT_FOUND = 5
    SERVER_TIMEOUT = 6
    RESPONSE_PAYLOAD_TOO_LARGE = 7
    UNSUPPORTED_CONNECT_VERSION = 8
    UNEXPECTED_OPERATION = 9
    UNSUPPORTED_PROTOCOL_VERSION = 10
    INVALID_PROTOCOL_VERSION = 11
    FAILED_TO_CONNECT = 12
    NOT_ENOUGH_MESSAGES = 13
    MESSAGE_STORE_READ_ERROR = 14
    OUT_OF_MEMORY_ERROR = 15
    UPDATE_FAILED = 16
    UPDATE_NOT_ALLOWED = 17
    UNKNOWN_OPERATION = 18


class Refused(Exception):
    """A request that is answered with a status other than success."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


class BadFrame(Exception):
    """What came is not of this protocol; the connection must end."""


def frame(operation: Operation, payload: bytes) -> bytes:
    return (len(payload) + 1).to_bytes(4, "big") + bytes((operation,)) + payload


class Frames:
    """Bytes in, frames out: the number of the operation and its payload."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.connect_version: int | None = None  # the first byte, once it is here

    def receive(self, data: bytes) -> list[tuple[int, bytes]]:
        """Raises BadFrame."""
        pending = self._pending
        pending += data
        if self.connect_version is None and pending:
            self.connect_version = pending.pop(0)
        found: list[tuple[int, bytes]] = []
        start = 0
        while len(pending) - start >= 4:
            length = int.from_bytes(pending[start : start + 4], "big")
            if not 1 <= length <= LARGEST:
                raise BadFrame(f"a frame of {length} bytes")
            end = start + 4 + length
            if len(pending) < end:
                break
            found.append((pending[start + 4], bytes(pending[start + 5 : end])))
            start = end
        del pending[:start]
        return found


def version_of(asked: object, others: object) -> str:
    """The protocol version to speak with who asks for one, and names others that it can. Raises Refused."""
    if not isinstance(asked, str) or not re.fullmatch(r"\d+\.\d+\.\d+", asked, re.ASCII):
        raise Refused(Status.INVALID_PROTOCOL_VERSION, "protocolVersion must be like 1.1.0")
    for version in (asked, *(others if isinstance(others, list) else ())):
        if version in VERSIONS:
            return str(version)
    raise Refused(Status.UNSUPPORTED_PROTOCOL_VERSION, f"this server speaks {', '.join(VERSIONS)}")


def name_of(value: object, member: str) -> str:
    """The name of a stream or of an export. Raises Refused."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Refused(Status.INVALID_REQUEST, f"{member} must be 1 to 255 of A-Z a-z 0-9 _ - , . and space")
    return value
