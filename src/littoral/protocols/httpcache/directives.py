"""Cache-Control and dates as they stand in headers, read leniently as RFC 9111 s. 4.2.1 and 5.2 ask."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import formatdate

DIRECTIVE = re.compile(  # possessive: what is no directive is seen in one pass, however many spaces it has
    r"\s*+([!#$%&'*+.^_`|~0-9A-Za-z-]++)\s*+(?:=\s*+(\"(?:[^\"\\]|\\.)*+\"|[^\s,;]*+))?\s*+(?:,|$)"
)
BARE = "|".join(  # RFC 8941 s. 3.3: number, string, token, bytes, boolean
    (
        r"-?\d{1,15}(?:\.\d{1,3})?",
        r"\"(?:[ !#-\[\]-~]|\\[\"\\])*\"",
        r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*",
        r":[A-Za-z0-9+/=]*:",
        r"\?[01]",
    )
)
MEMBER = re.compile(
    rf"[ \t]*([a-z*][a-z0-9_.*-]*)(?:=({BARE}))?(?:;[ ]*[a-z*][a-z0-9_.*-]*(?:=(?:{BARE}))?)*[ \t]*(,|$)"
)
INTEGER = re.compile(r"-?\d{1,15}")
SECONDS = frozenset(("max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"))
DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CLOCK = r"(?P<clock>\d\d:\d\d:\d\d)"
# RFC 9110 s. 5.6.7: the form to be written, and the two obsolete ones that must be read
DATES = (
    re.compile(rf"(?:{DAYS}), (?P<day>\d\d) (?P<month>[A-Za-z]{{3}}) (?P<year>\d{{4}}) {CLOCK} GMT", re.IGNORECASE),
    re.compile(rf"[A-Za-z]{{6,9}}, (?P<day>\d\d)-(?P<month>[A-Za-z]{{3}})-(?P<year>\d\d) {CLOCK} GMT", re.IGNORECASE),
    re.compile(rf"(?:{DAYS}) (?P<month>[A-Za-z]{{3}}) (?P<day>[ \d]\d) {CLOCK} (?P<year>\d{{4}})", re.IGNORECASE),
)
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


def targeted_directives(values: list[str]) -> dict[str, str | None] | None:
    """CDN-Cache-Control (RFC 9213): a structured dictionary (RFC 8941 s. 3.2). None where there is none, or none that
    can be read: the whole field is then passed over."""
    found: dict[str, str | None] = {}
    text = ",".join(values).strip(" ")
    at = 0
    while at < len(text):
        match = MEMBER.match(text, at)
        if match is None or match.end() == at or (match[3] and match.end() == len(text)):
            return None
        value = match[2]
        if value is None or value == "?1":
            found[match[1]] = None
        elif match[1] in SECONDS and not INTEGER.fullmatch(value):
            found.pop(match[1], None)  # of another type: the member means nothing
        elif value != "?0":
            found[match[1]] = value
        at = match.end()
    return found or None


def delta_seconds(value: str | None) -> int | None:
    """Seconds of a directive; None where there is none. An unreadable number means "stale" (0)."""
    if value is None:
        return None
    return min(int(value), MAX_SECONDS) if value.isascii() and value.isdigit() else 0


def http_date(value: str | None) -> float | None:
    """Unix seconds of an HTTP date, None where it is none: a date of another form may mean anything."""
    if not value:
        return None
    for form in DATES:
        match = form.fullmatch(value.strip())
        if match is not None:
            try:
                return _moment(match)
            except ValueError:  # no such month, day or hour
                return None
    return None


def _moment(match: re.Match[str]) -> float:
    year, month = int(match["year"]), MONTHS.index(match["month"].capitalize()) + 1
    if len(match["year"]) == 2:  # more than 50 years ahead means the past
        this_year = datetime.now(UTC).year
        year += this_year - this_year % 100
        year -= 100 if year > this_year + 50 else 0
    hour, minute, second = (int(part) for part in match["clock"].split(":"))
    second = min(second, 59)  # a leap second
    return datetime(year, month, int(match["day"]), hour, minute, second, tzinfo=UTC).timestamp()


def date_text(moment: float) -> str:
    return formatdate(int(moment), usegmt=True)
