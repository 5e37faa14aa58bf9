"""One request as one line of CloudFront's standard access log: 33 fields, tab separated. Pure.

Source: developer guide, "Standard logging reference". Control characters, space, what is beyond ASCII and the
characters of its table are URL-encoded, ``%`` among them. A field with nothing to say is ``-``. Bytes are counted as
HTTP/1.1 writes them, whatever stands between.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

FIELDS = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) "
    "cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken "
    "x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    "fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    "sc-range-start sc-range-end"
)
HEAD = f"#Version: 1.0\n#Fields: {FIELDS}\n"
ENCODED = re.compile(r"""[\x00-\x20\x7f-\U0010ffff<>"#%{}|\\^~\[\]`']""")
DATE_LINE = len("date: Sat, 28 Nov 2026 05:00:00 GMT\r\n")
RANGE = re.compile(r"bytes (\d+)-(\d+)/")


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


class Source(NamedTuple):
    """What a file's lines have in common."""

    pop: str
    domain: str
    cookies: bool


def line(record: Record, source: Source) -> str:
    asked, answered = _by_name(record.asked), _response(record)
    path, _, query = record.target.partition("?")
    result, detail, before = _results(record, answered)
    spans = RANGE.match(answered.get("content-range", ""))
    bodiless = record.method == "HEAD"
    sent = 0 if bodiless else record.sent
    tls = record.handshake.split(":") if record.handshake else ["", ""]
    fields = (
        *_moment(int(record.ended)),
        source.pop,
        str(_head_size(record, answered) + sent),
        record.host,
        record.method,
        source.domain,
        path,
        f"{record.status:03d}",
        asked.get("referer", ""),
        asked.get("user-agent", ""),
        query,
        asked.get("cookie", "") if source.cookies else "",
        result,
        answered.get("x-amz-cf-id", ""),
        asked.get("host", ""),
        "https" if record.handshake else "http",
        str(_asked_size(record, asked)),
        f"{max(0.0, record.ended - record.began):.3f}",
        asked.get("x-forwarded-for", ""),
        tls[0],
        tls[1],
        before,
        f"HTTP/{record.version}",
        "",
        "",
        str(record.port),
        f"{max(0.0, record.first - record.began):.3f}",
        detail,
        answered.get("content-type", ""),
        answered.get("content-length", "") or ("" if bodiless else str(record.sent)),
        spans[1] if spans else "",
        spans[2] if spans else "",
    )
    return "\t".join([encoded(field) or "-" for field in fields])


def encoded(text: str) -> str:
    return ENCODED.sub(_percent, text) if ENCODED.search(text) else text


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=16)
def _moment(second: int) -> tuple[str, str]:
    moment = time.gmtime(second)
    return time.strftime("%Y-%m-%d", moment), time.strftime("%H:%M:%S", moment)


def _by_name(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _response(record: Record) -> dict[str, str]:
    if not isinstance(record.answered, bytes):
        return _by_name(record.answered)
    lines = record.answered.decode("latin-1").split("\r\n")[1:]
    return {name: value.strip() for name, _, value in (each.partition(":") for each in lines if each)}


def _results(record: Record, answered: Mapping[str, str]) -> tuple[str, str, str]:
    """x-edge-result-type, x-edge-detailed-result-type and x-edge-response-result-type."""
    label = answered.get("x-cache", "").partition(" ")[0] or "Error"
    failed = record.status >= 400 or label.endswith("Error")
    before = "Error" if failed and label != "LimitExceeded" else label
    if not record.whole and record.method != "HEAD":
        return "Error", "ClientCommError", before
    return before, label if before == "Error" and label.endswith("Error") else before, before


def _head_size(record: Record, answered: Mapping[str, str]) -> int:
    if isinstance(record.answered, bytes):
        size = len(record.answered)
    else:
        size = len("HTTP/1.1 200 OK\r\n") + sum(len(name) + len(value) + 4 for name, value in record.answered)
    if "content-length" not in answered:
        size += len(f"content-length: {record.sent}\r\n")
    return size + (0 if "date" in answered else DATE_LINE) + 2


def _asked_size(record: Record, asked: Mapping[str, str]) -> int:
    head = len(record.method) + len(record.target) + len(" " + " HTTP/1.1\r\n") + 2
    length = asked.get("content-length", "0")
    body = int(length) if length.isdecimal() and len(length) < 19 else 0
    return head + sum(len(name) + len(value) + 4 for name, value in record.asked) + body


def records_of(document: Any) -> list[Record]:
    """What ``marshal`` read back."""
    return [Record(*each) for each in document]
