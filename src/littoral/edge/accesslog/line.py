"""One request as one line of CloudFront's standard access log: 33 fields, tab separated. Pure.

Source: developer guide, "Standard logging reference". A field with nothing to say is ``-``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import Any

from littoral.edge.accesslog.view import (
    Record,
    Repeats,
    Source,
    View,
    encoded,
    head_and_identifier,
    response_headers,
)

FIELDS = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) "
    "cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken "
    "x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    "fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    "sc-range-start sc-range-end"
)
HEAD = f"#Version: 1.0\n#Fields: {FIELDS}\n"


def line(record: Record, source: Source) -> str:
    """The same request answered the same again differs in times and identifier only: the rest is not written anew."""
    head, identifier = record.answered, ""
    if isinstance(head, bytes):
        head, identifier = head_and_identifier(head)
        parts = known_lines(source, record[3:9], tuple(record.asked), record.status, head, record[12:])
    else:
        parts = _parts(record, source)
        identifier = response_headers(record).get("x-amz-cf-id", "")
    day, second = _moment(int(record.ended))
    named = encoded.__wrapped__(identifier) or "-"  # none comes twice
    took, waited = max(0.0, record.ended - record.began), max(0.0, record.first - record.began)
    return f"{day}\t{second}\t{parts[0]}\t{named}\t{parts[1]}\t{took:.3f}\t{parts[2]}\t{waited:.3f}\t{parts[3]}"


def lines(repeats: Repeats, source: Source) -> Iterator[tuple[int, str]]:
    """Those of each second, with their line ends: what they have in common stands between their identifiers, which are
    our own and need no encoding."""
    record, text = repeats.record, repeats.identifiers.decode("ascii")
    assert isinstance(record.answered, bytes)
    width = len(text) // len(repeats.moments)
    parts = known_lines(source, record[3:9], tuple(record.asked), record.status, record.answered, record[12:])
    after = f"\t{parts[1]}\t0.000\t{parts[2]}\t0.000\t{parts[3]}\n"
    start = 0
    for second, same in groupby(map(int, repeats.moments)):
        end = start + width * len(list(same))
        day, clock = _moment(second)
        before = f"{day}\t{clock}\t{parts[0]}\t"
        identifiers = [text[at : at + width] for at in range(start, end, width)]
        yield second, f"{before}{(after + before).join(identifiers)}{after}"
        start = end


@lru_cache(maxsize=1024)
def known_lines(
    source: Source, asker: tuple[Any, ...], asked: tuple[Any, ...], status: int, head: bytes, rest: tuple[Any, ...]
) -> tuple[str, ...]:
    values: tuple[Any, ...] = (0.0, 0.0, 0.0, *asker, list(asked), status, head, *rest)
    return _parts(Record(*values), source)


def _parts(record: Record, source: Source) -> tuple[str, ...]:
    """The fields between date and time, identifier, time-taken and time-to-first-byte."""
    view = View(record, source)
    asked, answered, spans = view.asked, view.answered, view.spans
    fields = (
        (
            source.pop,
            str(view.sent),
            record.host,
            record.method,
            source.domain,
            view.path,
            f"{record.status:03d}",
            asked.get("referer", ""),
            asked.get("user-agent", ""),
            view.query,
            asked.get("cookie", "") if source.cookies else "",
            view.result,
        ),
        (asked.get("host", ""), view.protocol, str(view.received)),
        (
            asked.get("x-forwarded-for", ""),
            view.tls[0],
            view.tls[1],
            view.before,
            f"HTTP/{record.version}",
            "",
            "",
            str(record.port),
        ),
        (
            view.detail,
            answered.get("content-type", ""),
            view.content_length,
            spans[1] if spans else "",
            spans[2] if spans else "",
        ),
    )
    return tuple("\t".join([encoded(field) or "-" for field in part]) for part in fields)


@lru_cache(maxsize=16)
def _moment(second: int) -> tuple[str, str]:
    moment = time.gmtime(second)
    return time.strftime("%Y-%m-%d", moment), time.strftime("%H:%M:%S", moment)
