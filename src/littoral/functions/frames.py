"""What passes on an instance's socket, as the place sees it: ``runtime/bootstrap.py`` describes the frames. Pure."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Protocol

ABOUT = struct.Struct(">dHHHH")  # seconds, lengths of ARN, client context, X-Ray header, log group
ANSWER = struct.Struct(">IBII")  # length, kind, KiB, µs
LETTER = 4096  # bytes of a frame without its length that fits into the mailbox: PIPE_BUF, the most that is one packet
ID = 36  # characters of a request id
NAMED = 1 + ID  # bytes of kind and request id, before what an event is about
MAX_FRAME = 8 * 1024 * 1024
LENGTH = 4  # bytes in front of each frame; a letter of the mailbox has none
OK, ERROR, LAST_ERROR, BOOTED, READY, FAILED, STREAM, PIECE, NO_PROGRAM = b"OEXBRFSDN"
ANSWERS = (OK, ERROR, LAST_ERROR)
_LEAST = ANSWER.size - LENGTH  # bytes of an answer


class Garbled(Exception):
    """What came is no frame: the function wrote on our socket."""


class Listener(Protocol):
    def answered(self, kind: int, memory_kib: int, microseconds: int, payload: bytes) -> None:
        """``kind`` is one of ANSWERS."""

    def said(self, kind: int, data: bytes) -> None:
        """All others."""


class Frames:
    """Bytes as they come, to frames."""

    __slots__ = ("_buffer", "_listener")

    def __init__(self, listener: Listener) -> None:
        self._buffer = bytearray()
        self._listener = listener

    def feed(self, data: bytes) -> None:
        """Raises Garbled."""
        if self._buffer:
            whole = self._joined(data)
            if whole is None:
                return
            data = whole
        at, end = 0, len(data)
        answered = self._listener.answered
        while end - at >= ANSWER.size:  # most of what comes
            size, kind, memory_kib, microseconds = ANSWER.unpack_from(data, at)
            following = at + LENGTH + size
            if kind not in ANSWERS or following > end or size < _LEAST:
                break
            answered(kind, memory_kib, microseconds, data[at + ANSWER.size : following])
            at = following
        if at < end:
            self._feed_any(data, at, end)

    def _joined(self, data: bytes) -> bytes | None:
        """With what came before; None while the first frame is not whole."""
        buffer = self._buffer
        buffer += data
        if len(buffer) >= LENGTH and len(buffer) < LENGTH + int.from_bytes(buffer[:LENGTH], "big") <= MAX_FRAME:
            return None
        data = bytes(buffer)
        buffer.clear()
        return data

    def _feed_any(self, data: bytes, at: int, end: int) -> None:
        while end - at >= LENGTH:
            size = int.from_bytes(data[at : at + LENGTH], "big")
            if not 1 <= size <= MAX_FRAME:
                raise Garbled
            following = at + LENGTH + size
            if following > end:
                break
            kind = data[at + LENGTH]
            if kind not in ANSWERS:
                self._listener.said(kind, data[at + LENGTH + 1 : following])
            elif size < _LEAST:
                raise Garbled
            else:
                _, _, memory_kib, microseconds = ANSWER.unpack_from(data, at)
                self._listener.answered(kind, memory_kib, microseconds, data[at + ANSWER.size : following])
            at = following
        self._buffer += data[at:]


@lru_cache(maxsize=256)
def event_about(arn: str, timeout: float, context: bytes = b"", trace: str = "", group: str = "") -> bytes:
    """What stands in an event's frame between its id and its payload. ``group``: of its log, "" for the function's."""
    name, root, log = arn.encode(), trace.encode(), group.encode()
    return b"".join((ABOUT.pack(timeout, len(name), len(context), len(root), len(log)), name, context, root, log))
