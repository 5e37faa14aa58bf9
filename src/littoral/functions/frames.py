"""What passes on an instance's socket, as the place sees it: ``runtime/bootstrap.py`` describes the frames. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable

from littoral.functions.turn import Turn

INVOKE = struct.Struct(">Ic36sdHHH")
ANSWER = struct.Struct(">II")  # KiB, µs
MAX_FRAME = 8 * 1024 * 1024
LENGTH = 4  # bytes in front of each frame; a letter of the mailbox has none
OK, ERROR, LAST_ERROR, READY, FAILED, STREAM, PIECE, NO_PROGRAM = b"OEXRFSDN"


class Garbled(Exception):
    """What came is no frame: the function wrote on our socket."""


class Frames:
    """Bytes as they come, to frames: ``take(data, at)``, where ``at`` is where the frame's kind stands; the frame
    reaches to the end of ``data``."""

    __slots__ = ("_buffer", "_take")

    def __init__(self, take: Callable[[bytes, int], None]) -> None:
        self._buffer = bytearray()
        self._take = take

    def feed(self, data: bytes) -> None:
        """Raises Garbled."""
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) >= LENGTH and len(buffer) < LENGTH + int.from_bytes(buffer[:LENGTH], "big") <= MAX_FRAME:
                return
            data = bytes(buffer)
            buffer.clear()
        at, end = 0, len(data)
        while end - at >= LENGTH:
            size = int.from_bytes(data[at : at + LENGTH], "big")
            if not 1 <= size <= MAX_FRAME:
                raise Garbled
            following = at + LENGTH + size
            if following > end:
                break
            if following == end:
                self._take(data, at + LENGTH)
            else:
                self._take(data[at + LENGTH : following], 0)
            at = following
        if at < end:
            buffer += data[at:]


def event_frame(turn: Turn, request_id: bytes, *, waits: bool) -> bytes:
    """``waits``: another event is under way."""
    name, root = turn.arn.encode(), turn.trace.encode()
    size = INVOKE.size - LENGTH + len(name) + len(turn.context) + len(root) + len(turn.payload)
    kind = b"Q" if waits else b"I"
    head = INVOKE.pack(size, kind, request_id, turn.timeout, len(name), len(turn.context), len(root))
    return b"".join((head, name, turn.context, root, turn.payload))
