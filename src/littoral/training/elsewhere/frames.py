"""What region and machine say to one another about one host. Sans-IO.

A frame is its length (4 bytes), its kind (1) and its body. A connection is one offered host, and serves one job:

    machine → region   HELLO                                        an offer
    region → machine   ORDER, FOLDER…, (FILE, PIECE…, WHOLE)…, BEGIN   what is to run, and its folder
    both               PACKET                                       of the network between the job's hosts
    region → machine   TERMINATE, KILL
    machine → region   LINE                                         of what it prints
                       (FILE, PIECE…, WHOLE)…                       checkpoints; what it left, after ENDED
                       ENDED, SETTLED                               its wait status; all that it left was sent
                       LEAVING                                      the machine is asked to end
    both               ALIVE                                         when there is nothing else
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from typing import Any, Final

MOST: Final = 1 << 18  # bytes of a body
PIECE: Final = 1 << 16  # bytes of a file that are sent at once
_HEAD = struct.Struct(">IB")


class Broken(Exception):
    """The other side does not keep to this; nothing more is heard from it."""


class Kind(IntEnum):
    HELLO = 1
    ORDER = 2
    FOLDER = 3
    FILE = 4
    PIECE = 5
    WHOLE = 6
    BEGIN = 7
    PACKET = 8
    TERMINATE = 9
    KILL = 10
    LINE = 11
    ENDED = 12
    SETTLED = 13
    LEAVING = 14
    ALIVE = 15


def frame(kind: Kind, body: bytes = b"") -> bytes:
    if len(body) > MOST:
        raise ValueError(f"{len(body)} bytes where a frame takes {MOST}")
    return _HEAD.pack(len(body), kind) + body


def document(body: bytes) -> dict[str, Any]:
    """Raises Broken."""
    try:
        found = json.loads(body)
    except ValueError as problem:
        raise Broken(f"no JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise Broken("no JSON object")
    return found


class Decoder:
    """Bytes in, frames out. After Broken it must not be fed again."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """The frames that are whole now. Raises Broken."""
        self._buffer += data
        found, at = [], 0
        while len(self._buffer) - at >= _HEAD.size:
            size, kind = _HEAD.unpack_from(self._buffer, at)
            if size > MOST:
                raise Broken(f"a frame of {size} bytes")
            end = at + _HEAD.size + size
            if end > len(self._buffer):
                break
            try:
                found.append((Kind(kind), bytes(self._buffer[at + _HEAD.size : end])))
            except ValueError as problem:
                raise Broken(str(problem)) from problem
            at = end
        del self._buffer[:at]
        return found
