"""What a place and a model's process say to one another: a head in JSON, and bytes. Sans-IO; standard library only."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, Final

PREFIX: Final = struct.Struct("!IQ")  # how long the head is, and all the bytes behind it
MOST_HEAD: Final = 16 << 20
MOST_ANSWERS: Final = 256 << 20  # of bodies in what a process answers

Head = dict[str, Any]
Bytes = bytes | bytearray | memoryview


def encoded(head: Head, parts: Sequence[Bytes]) -> list[Bytes]:
    """``sizes`` in the head says how long each part is."""
    text = json.dumps({**head, "sizes": [len(part) for part in parts]}, separators=(",", ":")).encode()
    return [PREFIX.pack(len(text), sum(map(len, parts))) + text, *parts]


def lengths(prefix: Bytes) -> tuple[int, int]:
    """Raises ValueError for a head that is too long."""
    head, body = PREFIX.unpack(prefix)
    if head > MOST_HEAD:
        raise ValueError(f"a head of {head} bytes")
    return head, body


def decoded(head: Bytes, body: Bytes) -> tuple[Head, list[memoryview]]:
    """Raises ValueError where the parts are not the body."""
    said = json.loads(bytes(head))
    view, parts, at = memoryview(body), [], 0
    for size in said.pop("sizes"):
        parts.append(view[at : at + size])
        at += size
    if at != len(body):
        raise ValueError("the parts are not the body")
    return said, parts
