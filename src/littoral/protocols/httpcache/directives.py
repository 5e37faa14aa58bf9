"""Cache-Control and dates as they stand in headers, read leniently as RFC 9111 s. 4.2.1 and 5.2 ask."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime

DIRECTIVE = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s,;]*))?\s*(?:,|$)")
MAX_SECONDS = 2**31 - 1  # RFC 9111 s. 1.2.2: what is greater is taken as this


def cache_control(values: list[str]) -> dict[str, str | None]:
    """Directives in lower case; the first of a name counts. What is not a directive is passed over."""
    found: dict[str, str | None] = {}
    text = ",".join(values)
    at = 0
    while at < len(text):
        match = DIRECTIVE.match(text, at)
        if match is None:
            at = text.find(",", at) + 1 or len(text)
            continue
        if match.end() == at:
            break
        value = match[2]
        if value is not None and value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        found.setdefault(match[1].lower(), value)
        at = match.end()
    return found


def delta_seconds(value: str | None) -> int | None:
    """Seconds of a directive; None where there is none. An unreadable number means "stale" (0)."""
    if value is None:
        return None
    return min(int(value), MAX_SECONDS) if value.isascii() and value.isdigit() else 0


def http_date(value: str | None) -> float | None:
    """Unix seconds of an HTTP date, None where it is none."""
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()  # asctime's form names no zone
    except (ValueError, TypeError, OverflowError):
        return None


def date_text(moment: float) -> str:
    return formatdate(int(moment), usegmt=True)
