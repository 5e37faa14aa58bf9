"""From a stored or passing response to what one viewer gets: conditions, ranges, and the headers of the edge.

RFC 9110 s. 13 (conditional requests) and s. 14 (``ranges``).
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator

from littoral.edge.entry import CacheFile, Entry
from littoral.edge.outcome import Outcome
from littoral.edge.ranges import Span, multipart, spans_of
from littoral.edge.responseheaders import ResponseHeaders
from littoral.net.message import Headers, Request, Response
from littoral.protocols.http1 import prepared_head
from littoral.protocols.httpcache import http_date

READ = 256 * 1024  # bytes of a file read at once
UNCHANGED_KEEPS = frozenset((b"cache-control", b"content-location", b"etag", b"expires", b"vary", b"last-modified"))

HIT = "Hit from cloudfront"
AT_ONCE = 65536  # bytes of a body that one string with its head is made of
_NONE = Headers([])  # of a prepared response
_process = secrets.token_urlsafe(18)
_numbers = itertools.count(1)


def request_id() -> str:
    """X-Amz-Cf-Id: unlike any other, without a random number a request."""
    return f"{_process}{next(_numbers):010x}=="


def hit(
    entry: Entry, pop: str, now: float, policy: ResponseHeaders | None = None, identifier: str | None = None
) -> Response:
    """A fresh stored response, whole: its head is written once, Age once a second, only the request's id each time.

    ``policy`` does not depend on the request here: no Origin, no Server-Timing. ``identifier`` is by ``request_id``.
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
    if identifier is None:
        return Response(entry.status, _NONE, body, False, b"%b%010x==\r\n" % (entry.aged_head, next(_numbers)))
    own = identifier[len(_process) :].encode()
    return Response(entry.status, _NONE, body, False, b"%b%b\r\n" % (entry.aged_head, own))


def whole_hit(entry: Entry, now: float) -> bytes | None:
    """All bytes of the response whose head ``hit`` has written in this second; None where it has not, where the object
    is no small one in memory, or has no Date of its own."""
    body = entry.body
    if int(now - entry.born) != entry.aged or not isinstance(body, bytes) or len(body) > AT_ONCE:
        return None
    head = entry.aged_head
    if head.find(b"\r\ndate: ") < 0:
        return None
    return b"%b%010x==\r\ncontent-length: %d\r\n\r\n%b" % (head, next(_numbers), len(body), body)


def _of_this_place(pop: str) -> list[tuple[bytes, bytes]]:
    return [(b"via", b"1.1 %b.cloudfront.net (CloudFront)" % pop.encode()), (b"x-amz-cf-pop", pop.encode())]


def from_entry(
    entry: Entry, request: Request, label: str, pop: str, now: float, identifier: str | None = None
) -> Response:
    """A stored response for one viewer: 200, 206, 304 or 416. ``identifier`` is the request's, where it has one."""
    raw = [
        *entry.raw,
        (b"age", b"%d" % max(0, now - entry.born)),
        (b"x-cache", label.encode()),
        *_of_this_place(pop),
        (b"x-amz-cf-id", (identifier or request_id()).encode()),
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
    spans = spans_of(headers.get("range") or "", entry.size)
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


def _multipart(entry: Entry, raw: list[tuple[bytes, bytes]], spans: list[Span]) -> Response:
    headers, parts, end = multipart(raw, spans, entry.size)
    length = sum(len(before) + last - first + 1 for before, (first, last) in parts) + len(end)
    headers.append((b"content-length", b"%d" % length))
    return Response(206, Headers(headers), _parts(entry, parts, end))


async def _parts(entry: Entry, parts: list[tuple[bytes, Span]], end: bytes) -> AsyncIterator[bytes]:
    for before, (first, last) in parts:
        yield before
        for offset in range(first, last + 1, READ):
            length = min(READ, last + 1 - offset)
            content = entry.content(offset, length)
            yield content if isinstance(content, bytes) else await asyncio.to_thread(_read, entry, offset, length)
    yield end


def part_of_filling(outcome: Outcome, request: Request) -> Outcome | None:
    """One range of a body that is still coming, sent as far as it has come; None where all of it must be here first."""
    length, filling = outcome.headers.get("content-length"), outcome.filling
    if filling is None or length is None or "if-range" in request.headers or request.method != "GET":
        return None
    spans = spans_of(request.headers.get("range") or "", int(length))
    if spans is None or len(spans) != 1:
        return None
    (first, last), raw = spans[0], [pair for pair in outcome.headers.raw if pair[0] != b"content-length"]
    raw.append((b"content-range", b"bytes %d-%d/%d" % (first, last, int(length))))
    raw.append((b"content-length", b"%d" % (last - first + 1)))
    return Outcome(206, outcome.label, headers=Headers(raw), stream=filling.follow(first, last + 1))


def _read(entry: Entry, offset: int, length: int) -> bytes:
    assert isinstance(entry.body, CacheFile)
    with entry.body.path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def page(
    status: int, title: str, reason: str, pop: str, label: str = "Error from cloudfront", identifier: str = ""
) -> Response:
    """A response that the edge itself makes. ``identifier`` is the request's, where it has one."""
    identifier = identifier or request_id()
    headers = Headers.of([("content-type", "text/html")])
    mark(headers, label, pop, identifier)
    return Response(status, headers, page_text(status, title, reason, identifier))


def page_text(status: int, title: str, reason: str, identifier: str = "") -> bytes:
    """Errors are said as CloudFront says them. A page that is stored has no request's ``identifier``."""
    whose = f" Request ID: {identifier}" if identifier else ""
    head, said = f"{status} {title}", ""
    if status >= 400:
        head, said = f"{status} ERROR", "<h2>The request could not be satisfied.</h2>"
        title = f"ERROR: The request could not be satisfied ({title})"
    text = (
        f"<!doctype html><html><head><title>{title}</title></head><body><h1>{head}</h1>{said}"
        f"<p>{reason}</p><p>Generated by cloudfront (CloudFront).{whose}</p></body></html>"
    )
    return text.encode()


def mark(headers: Headers, label: str, pop: str, identifier: str) -> None:
    """What the edge says of itself on what did not come from its cache."""
    headers.set("x-cache", label)
    headers.set("via", f"1.1 {pop}.cloudfront.net (CloudFront)")
    headers.set("x-amz-cf-pop", pop)
    headers.set("x-amz-cf-id", identifier)


def clock() -> float:
    return time.time()
