"""The head of an HTTP/1.1 response as bytes: status line, framing, Date. Knows no socket."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from littoral.net.message import FileSlice, Response

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
STATUS_LINES = {status: b"HTTP/1.1 %d %s\r\n" % (status, REASONS.get(status, b"Status")) for status in range(100, 600)}
NO_BODY = frozenset((204, 304))

_date = (0, b"")


def date_header(now: float) -> bytes:
    """``Date: …`` for this second, made once a second."""
    global _date  # noqa: PLW0603 - a cache of one value, shared by every connection of the process
    second = int(now)
    if _date[0] != second:
        _date = (second, b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n")
    return _date[1]


def head(response: Response, *, version: str, keep_alive: bool, chunked: bool) -> bytes:
    """Everything up to the blank line, for a request of that HTTP version."""
    status = response.status
    parts = [STATUS_LINES[status], date_header(time.time())]
    has_length = False
    for name, value in response.headers.raw:
        if name == b"content-length":
            has_length = True
        parts.append(b"%b: %b\r\n" % (name, value))
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
    elif not has_length and status not in NO_BODY and status >= 200:
        body = response.body
        if body.__class__ is bytes:
            parts.append(b"content-length: %d\r\n" % len(body))
        elif isinstance(body, FileSlice):
            parts.append(b"content-length: %d\r\n" % body.length)
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    elif version == "1.0":
        parts.append(b"connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)
