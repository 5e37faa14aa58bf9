"""Many small objects in one answer: how they are asked for, and how they come. Littoral's own; no other S3 has it.

    POST /BUCKET?littoral-objects      {"Objects": [{"Key": "a", "ETag": "9e10…"}, …]}

The answer is frames in the order of what was asked: each the number of the object in the request, the status, and the
lengths of head and body (four numbers of 32 bits, big-endian), then the head's lines (names in small letters) and the
body, all as the GetObject of that key with If-Match would have had them. What is refused has its error's status and
document. An answer may end before all that was asked for: the rest is for another request. Pure.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

QUERY: Final = "littoral-objects"
TYPE: Final = "application/x-littoral-objects"
MOST: Final = 1000  # objects of a request
EACH: Final = 256 * 1024  # bytes of an object
LARGEST: Final = 8 * 1024 * 1024  # bytes in an answer, but for one turn of objects beyond it
MOST_REQUEST: Final = 4 * 1024 * 1024  # bytes
_FRAME: Final = struct.Struct(">IIII")
_BREAKS: Final = b"\r\n\0"


class Malformed(ValueError):
    """It is not what is described above."""


class Asked(NamedTuple):
    key: str
    etag: str


class Frame(NamedTuple):
    number: int
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(wanted: Iterable[Asked]) -> bytes:
    objects = [{"Key": one.key, "ETag": one.etag} for one in wanted]
    return json.dumps({"Objects": objects}, ensure_ascii=False).encode()


def asked(data: bytes) -> list[Asked]:
    """Raises Malformed."""
    if len(data) > MOST_REQUEST:
        raise Malformed(f"it is longer than {MOST_REQUEST} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise Malformed("it is no JSON") from problem
    objects = document.get("Objects") if isinstance(document, dict) else None
    if not isinstance(objects, list) or not 1 <= len(objects) <= MOST:
        raise Malformed(f"it names no list of 1 to {MOST} objects")
    return [_asked(one) for one in objects]


def _asked(one: object) -> Asked:
    if not isinstance(one, dict) or one.keys() != {"Key", "ETag"}:
        raise Malformed("an object has a Key and an ETag, and nothing else")
    key, etag = one["Key"], one["ETag"]
    if not isinstance(key, str) or not isinstance(etag, str) or not key or not etag:
        raise Malformed("Key and ETag are texts")
    try:
        key.encode()
    except UnicodeEncodeError as problem:  # half of a surrogate pair
        raise Malformed("a Key is no Unicode") from problem
    return Asked(key, etag)


def frame(number: int, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Raises ValueError for a header that would break out of its line."""
    head = b"\r\n".join([b"%b: %b" % pair for pair in headers])
    if len(head) - len(head.translate(None, _BREAKS)) != 2 * max(len(headers) - 1, 0):
        raise ValueError("a header holds a line break or NUL")
    return b"%b%b%b" % (_FRAME.pack(number, status, len(head), len(body)), head, body)


def frames(data: bytes) -> Iterator[Frame]:
    """Of a whole answer. Raises Malformed."""
    at, end = 0, len(data)
    while at < end:
        begin = at + _FRAME.size
        if begin > end:
            raise Malformed("it ends within a frame")
        number, status, head, body = _FRAME.unpack_from(data, at)
        at = begin + head + body
        if at > end:
            raise Malformed("it ends within a frame")
        if not 200 <= status < 600:
            raise Malformed(f"{status} is no answer's status")
        yield Frame(number, status, _headers(data[begin : begin + head]), data[begin + head : at])


def _headers(head: bytes) -> dict[str, str]:
    """Raises Malformed."""
    found = {}
    for line in head.decode("latin-1").split("\r\n") if head else ():
        name, colon, value = line.partition(": ")
        if not colon:
            raise Malformed("a line of a head is no header")
        found[name] = value
    return found
