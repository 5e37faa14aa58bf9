"""Byte ranges: what a Range header asks for, and blocks, the pieces in which parts of an object are kept.

RFC 9110 s. 14. Multi-range is answered whole unless it is ascending without overlap, as CloudFront has it. A part of an
object that is not stored is fetched in blocks of ``BLOCK`` bytes at multiples of it, each an entry of its own.
"""

from __future__ import annotations

import itertools
import re
import secrets
from dataclasses import dataclass

from littoral.edge.entry import Entry, Key
from littoral.net.message import RawHeaders

BLOCK = 1024 * 1024  # bytes
SPAN = re.compile(r"(\d{0,18})-(\d{0,18})")
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
Span = tuple[int, int]  # first and last byte


def spans_of(text: str, size: int) -> list[Span] | None:
    """Byte positions asked for; None means "answer whole", an empty list "not satisfiable"."""
    if not text.startswith("bytes="):
        return None
    spans = []
    for part in text[6:].replace(" ", "").split(","):
        match = SPAN.fullmatch(part)
        if match is None or (not match[1] and not match[2]):
            return None
        if not match[1]:
            first, last = max(0, size - int(match[2])), size - 1
            if int(match[2]) == 0:
                continue
        else:
            first, last = int(match[1]), min(int(match[2]), size - 1) if match[2] else size - 1
            if match[2] and int(match[2]) < first:
                return None
        if first < size:
            spans.append((first, last))
    if any(after[0] <= before[1] for before, after in itertools.pairwise(spans)):
        return None
    return spans


def first_asked(text: str) -> int | None:
    """The first byte asked for where the size is not known yet (0 for a suffix); None for what is answered whole."""
    if spans_of(text, 1 << 60) is None:
        return None
    match = SPAN.match(text[6:].replace(" ", ""))
    return int(match[1]) if match is not None and match[1] else 0


@dataclass(frozen=True, slots=True)
class Part:
    """Where a piece of an object belongs, as Content-Range says."""

    first: int
    last: int
    total: int


def part_of(content_range: str | None) -> Part | None:
    match = CONTENT_RANGE.fullmatch((content_range or "").strip())
    if match is None:
        return None
    part = Part(int(match[1]), int(match[2]), int(match[3]))
    return part if part.first <= part.last < part.total else None


def block_key(key: Key, number: int) -> Key:
    return (key[0], (*key[1], ("block", number)))


def block_range(number: int) -> str:
    return f"bytes={number * BLOCK}-{(number + 1) * BLOCK - 1}"


def is_block(part: Part | None, number: int) -> bool:
    """Whether that is the whole of the block, up to the end of the object."""
    begin = number * BLOCK
    return part is not None and part.first == begin and part.last == min(begin + BLOCK, part.total) - 1


def same_object(one: Entry, other: Entry) -> bool:
    """Whether two blocks are of one version, which only a validator tells (RFC 9110 s. 15.3.7.3)."""
    if one.etag is not None or other.etag is not None:
        return one.etag == other.etag and not str(one.etag).startswith("W/")
    return one.last_modified is not None and one.last_modified == other.last_modified


def multipart(raw: RawHeaders, spans: list[Span], total: int) -> tuple[RawHeaders, list[tuple[bytes, Span]], bytes]:
    """The headers of a multipart/byteranges, what stands before each part, and what ends it (s. 14.6)."""
    boundary = secrets.token_hex(12).encode()
    kind = next((value for name, value in raw if name == b"content-type"), b"application/octet-stream")
    begin = b"--%b\r\nContent-Type: %b\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"
    parts = [
        ((b"\r\n" if number else b"") + begin % (boundary, kind, *span, total), span)
        for number, span in enumerate(spans)
    ]
    headers = [pair for pair in raw if pair[0] != b"content-type"]
    headers.append((b"content-type", b"multipart/byteranges; boundary=" + boundary))
    return headers, parts, b"\r\n--%b--\r\n" % boundary
