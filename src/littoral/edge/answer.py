"""From a stored or passing response to what one viewer gets: conditions, ranges, and the headers of the edge.

RFC 9110 s. 13 (conditional requests) and s. 14 (ranges). Multi-range is answered whole unless it is ascending
without overlap, as CloudFront has it.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time

from littoral.edge.cache import CacheFile, Entry
from littoral.edge.responseheaders import ResponseHeaders
from littoral.net.message import Headers, Request, Response
from littoral.protocols.http1 import prepared_head
from littoral.protocols.httpcache import http_date

RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
UNCHANGED_KEEPS = frozenset((b"cache-control", b"content-location", b"etag", b"expires", b"vary", b"last-modified"))

HIT = "Hit from cloudfront"
_NONE = Headers([])  # of a prepared response
_process = secrets.token_urlsafe(18)
_numbers = itertools.count(1)


def request_id() -> str:
    """X-Amz-Cf-Id: unlike any other, without a random number a request."""
    return f"{_process}{next(_numbers):010x}=="


def hit(entry: Entry, pop: str, now: float, policy: ResponseHeaders | None = None) -> Response:
    """A fresh stored response, whole: its head is written once, Age once a second, only the request's id each time.

    ``policy`` does not depend on the request here: no Origin, no Server-Timing.
    """
    age = max(0, int(now - entry.born))
    if age != entry.aged or entry.dressed is not policy:
        if not entry.head or entry.dressed is not policy:
            raw = [*entry.raw, (b"x-cache", HIT.encode()), *_of_this_place(pop)]
            entry.head = prepared_head(entry.status, raw if policy is None else policy.apply(raw, "GET", _NONE))
            entry.dressed = policy
        entry.aged_head = b"%bage: %d\r\nx-amz-cf-id: %b" % (entry.head, age, _process.encode())
        entry.aged = age
    body = entry.body if isinstance(entry.body, bytes) else entry.content()
    return Response(entry.status, _NONE, body, False, b"%b%010x==\r\n" % (entry.aged_head, next(_numbers)))


def _of_this_place(pop: str) -> list[tuple[bytes, bytes]]:
    return [(b"via", b"1.1 %b.cloudfront.net (CloudFront)" % pop.encode()), (b"x-amz-cf-pop", pop.encode())]


def from_entry(entry: Entry, request: Request, label: str, pop: str, now: float) -> Response:
    """A stored response for one viewer: 200, 206, 304 or 416."""
    raw = [
        *entry.raw,
        (b"age", b"%d" % max(0, now - entry.born)),
        (b"x-cache", label.encode()),
        *_of_this_place(pop),
        (b"x-amz-cf-id", request_id().encode()),
    ]
    headers = request.headers
    conditional = ranged = False
    for name, _ in headers.raw:
        if name == b"if-none-match" or name == b"if-modified-since":  # noqa: PLR1714 - this is the hot path
            conditional = True
        elif name == b"range":
            ranged = True
    if entry.status == 200:
        if conditional and unchanged(entry.etag, entry.last_modified or entry.headers.get("date"), headers):
            kept = [pair for pair in raw if not pair[0].startswith(b"content-") or pair[0] in UNCHANGED_KEEPS]
            return Response(304, Headers(kept))
        if ranged and request.method == "GET":
            return ranged_response(entry, raw, headers)
    if isinstance(entry.body, bytes):
        return Response(entry.status, Headers(raw), entry.body)
    return Response(entry.status, Headers(raw), entry.content())


def unchanged(etag: str | None, last_modified: str | None, headers: Headers) -> bool:
    """RFC 9110 s. 13.2.2: If-None-Match goes before If-Modified-Since. ``last_modified`` is the Date of what has none
    (RFC 9111 s. 4.3.2)."""
    wanted = headers.get_all("if-none-match")
    if wanted:
        tags = [tag.strip() for line in wanted for tag in line.split(",")]
        if "*" in tags:
            return True
        return etag is not None and any(_weak(tag) == _weak(etag) for tag in tags)
    since = http_date(headers.get("if-modified-since"))
    modified = http_date(last_modified)
    return since is not None and modified is not None and modified <= since


def _weak(tag: str) -> str:
    return tag.removeprefix("W/")


def ranged_response(entry: Entry, raw: list[tuple[bytes, bytes]], headers: Headers) -> Response:
    condition = headers.get("if-range")
    if condition is not None and condition not in {entry.etag, entry.last_modified}:
        return Response(200, Headers(raw), entry.content())
    text = (headers.get("range") or "").replace(" ", "")
    spans = spans_of(text, entry.size)
    if spans is None:
        return Response(200, Headers(raw), entry.content())
    if not spans:
        plain = [pair for pair in raw if pair[0] != b"content-type"]
        return Response(416, Headers([*plain, (b"content-range", b"bytes */%d" % entry.size)]))
    if len(spans) > 1:
        return _multipart(entry, raw, spans)
    first, last = spans[0]
    span = b"bytes %d-%d/%d" % (first, last, entry.size)
    return Response(206, Headers([*raw, (b"content-range", span)]), entry.content(first, last - first + 1))


def spans_of(text: str, size: int) -> list[tuple[int, int]] | None:
    """Byte positions asked for; None means "answer whole", an empty list "not satisfiable"."""
    if not text.startswith("bytes="):
        return None
    spans = []
    for part in text[6:].split(","):
        match = RANGE.match("bytes=" + part)
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


def _multipart(entry: Entry, raw: list[tuple[bytes, bytes]], spans: list[tuple[int, int]]) -> Response:
    boundary = secrets.token_hex(12).encode()
    kind = next((value for name, value in raw if name == b"content-type"), b"application/octet-stream")
    parts = []
    for first, last in spans:
        head = b"--%b\r\nContent-Type: %b\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"
        parts.append(head % (boundary, kind, first, last, entry.size))
        content = entry.content(first, last - first + 1)
        parts.append(content if isinstance(content, bytes) else _read(entry, first, last - first + 1))
        parts.append(b"\r\n")
    parts.append(b"--%b--\r\n" % boundary)
    others = [pair for pair in raw if pair[0] != b"content-type"]
    return Response(
        206, Headers([*others, (b"content-type", b"multipart/byteranges; boundary=" + boundary)]), b"".join(parts)
    )


def _read(entry: Entry, offset: int, length: int) -> bytes:
    assert isinstance(entry.body, CacheFile)
    with entry.body.path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def page(status: int, title: str, reason: str, pop: str, label: str = "Error from cloudfront") -> Response:
    """A response that the edge itself makes."""
    identifier = request_id()
    text = (
        f"<!doctype html><html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1>"
        f"<p>{reason}</p><p>Generated by Littoral at {pop}. Request ID: {identifier}</p></body></html>"
    )
    return Response(
        status,
        Headers.of(
            [
                ("content-type", "text/html"),
                ("x-cache", label),
                ("via", f"1.1 {pop}.cloudfront.net (CloudFront)"),
                ("x-amz-cf-pop", pop),
                ("x-amz-cf-id", identifier),
            ]
        ),
        text.encode(),
    )


def clock() -> float:
    return time.time()
