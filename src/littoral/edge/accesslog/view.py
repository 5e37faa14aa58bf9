"""One request as logs see it: what was noted of it, read once for all fields. Pure.

Control characters, space, what is beyond ASCII and the characters of CloudFront's table are URL-encoded, ``%`` among
them ("Standard logging reference"). Bytes are counted as HTTP/1.1 writes them, whatever stands between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

ENCODED = re.compile(r"[^!$&(-;=?-Z_a-z]")
DATE_LINE = len("date: Sat, 28 Nov 2026 05:00:00 GMT\r\n")
IDENTIFIER = b"\r\nx-amz-cf-id: "
RANGE = re.compile(r"bytes (\d+)-(\d+)/")
# what a function did instead: the result itself is Error, the detail says which ("Edge function logs")
FAILURES = frozenset(("LambdaLimitExceeded",))


class Record(NamedTuple):
    """What is noted of a request; of plain values, so that ``marshal`` can write it. Times are Unix seconds."""

    ended: float
    first: float  # when the first byte of the response was ready
    began: float
    host: str  # of the peer
    port: int
    handshake: str  # of TLS: "TLSv1.3:TLS_AES_256_GCM_SHA384:…", "" without
    version: str  # of HTTP
    method: str
    target: str
    asked: list[tuple[bytes, bytes]]  # the request's headers
    status: int
    answered: bytes | list[tuple[bytes, bytes]]  # the response's head as prepared, or its headers
    sent: int  # bytes of body that went out
    whole: bool  # all of the body did
    detail: str = ""  # more than X-Cache says of the result
    origin_first: float = -1.0  # seconds until the origin's answer began, below 0 where this request asked none
    origin_last: float = -1.0  # and until it was there
    origin: str = ""  # its domain
    reason: str = ""  # why that origin: "Failover:502"
    received: int = -1  # bytes that a WebSocket's viewer sent, below 0 for all other requests


class Repeats(NamedTuple):
    """As many requests as ``moments``, answered at once and the same but for that time and the identifier."""

    moments: tuple[float, ...]
    identifiers: bytes  # one after the other, all of the same length
    record: Record  # with no times, and with another identifier (``hidden``)


class Source(NamedTuple):
    """What a file's lines have in common."""

    pop: str
    domain: str
    cookies: bool


class View:
    """A record, taken apart."""

    __slots__ = (
        "_lines",
        "answered",
        "asked",
        "before",
        "detail",
        "path",
        "query",
        "record",
        "result",
        "source",
        "spans",
        "tls",
    )

    def __init__(self, record: Record, source: Source) -> None:
        self.record = record
        self.source = source
        self.asked, self._lines = _asked(tuple(record.asked))
        self.answered = response_headers(record)
        self.path, _, self.query = record.target.partition("?")
        self.result, self.detail, self.before = results(record, self.answered)
        self.spans = RANGE.match(self.answered.get("content-range", ""))
        self.tls = record.handshake.split(":") if record.handshake else ["", ""]

    @property
    def socket(self) -> bool:
        """Whether a WebSocket was opened."""
        return self.record.received >= 0

    @property
    def protocol(self) -> str:
        return ("ws" if self.socket else "http") + ("s" if self.record.handshake else "")

    @property
    def sent(self) -> int:
        """Head and body."""
        head = head_size(self.record, self.answered)
        return head + (0 if self.record.method == "HEAD" else self.record.sent)

    @property
    def received(self) -> int:
        record = self.record
        size = len(record.method) + len(record.target) + len(" " + " HTTP/1.1\r\n") + 2 + self._lines
        return size if record.received < 0 else size + record.received

    @property
    def content_length(self) -> str:
        bodiless = self.record.method == "HEAD" or self.socket
        return self.answered.get("content-length", "") or ("" if bodiless else str(self.record.sent))


@lru_cache(maxsize=4096)
def encoded(text: str) -> str:
    """Most fields were there a line before."""
    return ENCODED.sub(_percent, text) if ENCODED.search(text) else text


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def by_name(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


@lru_cache(maxsize=1024)
def _asked(raw: tuple[tuple[bytes, bytes], ...]) -> tuple[Mapping[str, str], int]:
    """And the bytes of the lines and of the body."""
    asked = by_name(raw)
    length = asked.get("content-length", "0")
    body = int(length) if length.isdecimal() and len(length) < 19 else 0
    return asked, sum(len(name) + len(value) + 4 for name, value in raw) + body


def response_headers(record: Record) -> Mapping[str, str]:
    if not isinstance(record.answered, bytes):
        return by_name(record.answered)
    head, identifier = head_and_identifier(record.answered)  # all else is that of another
    return {**_answered(head), "x-amz-cf-id": identifier} if identifier else _answered(head)


def head_and_identifier(head: bytes) -> tuple[bytes, str]:
    """The head with as many other bytes in place of X-Amz-Cf-Id, and that; "" where there is none."""
    start = head.find(IDENTIFIER) + len(IDENTIFIER)
    end = head.find(b"\r\n", start)
    if start < len(IDENTIFIER) or end < 0:
        return head, ""
    return hidden(head, start, end), head[start:end].decode("latin-1")


def hidden(head: bytes, start: int, end: int) -> bytes:
    """With an identifier that is nobody's there."""
    return b"%b%b%b" % (head[:start], b"=" * (end - start), head[end:])


@lru_cache(maxsize=1024)
def _answered(head: bytes) -> Mapping[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name: value.strip() for name, _, value in (each.partition(":") for each in lines if each)}


def results(record: Record, answered: Mapping[str, str]) -> tuple[str, str, str]:
    """x-edge-result-type, x-edge-detailed-result-type and x-edge-response-result-type."""
    label = answered.get("x-cache", "").partition(" ")[0] or ("Miss" if record.received >= 0 else "Error")
    if record.detail == "MissGeneratedResponse":
        label = "Miss"
    elif record.detail == "OriginShieldHit":
        label = "Hit"
    failed = record.status >= 400 or label.endswith("Error")
    before = "Error" if failed and label != "LimitExceeded" else label
    if not record.whole and record.method != "HEAD":
        return "Error", "ClientCommError", before
    if before == "Error":
        named = label.endswith("Error") or label in FAILURES
        return before, record.detail or (label if named else before), before
    return before, record.detail or before, before


def head_size(record: Record, answered: Mapping[str, str]) -> int:
    if isinstance(record.answered, bytes):
        size = len(record.answered)
    else:
        size = len("HTTP/1.1 200 OK\r\n") + sum(len(name) + len(value) + 4 for name, value in record.answered)
    if "content-length" not in answered and record.received < 0:
        size += len(f"content-length: {record.sent}\r\n")
    return size + (0 if "date" in answered else DATE_LINE) + 2


def records_of(document: Any) -> list[Record | Repeats]:
    """What ``marshal`` read back; shorter ones were written by an earlier version."""
    found: list[Record | Repeats] = []
    for each in document:
        repeated = isinstance(each[0], tuple)
        found.append(Repeats(each[0], each[1], Record(*each[2])) if repeated else Record(*each))
    return found
