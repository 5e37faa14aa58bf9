"""How long an object may be served without asking its origin.

CloudFront, "Managing how long content stays in the cache (expiration)": with a minimum TTL of 0 the origin's
headers decide, up to the maximum; with a greater minimum they are clamped to [minimum, maximum], and ``no-cache``,
``no-store`` and ``private`` no longer prevent storing. ``s-maxage`` goes before ``max-age`` before ``Expires``.

"Caching error responses": 404, 414 and 500 to 504 are kept for at least the error minimum; 400, 403, 405, 412 and
415 only when the origin says how long. Beyond CloudFront: ``CDN-Cache-Control`` goes before ``Cache-Control`` and
``Expires`` (RFC 9213), ``Vary: *`` is never stored (RFC 9111 s. 4.1), a status that is named nowhere is kept where the
origin says how long (s. 3), and ``must-understand`` goes before ``no-store`` where the status is understood
(s. 5.2.2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from littoral.protocols.httpcache.directives import cache_control, delta_seconds, http_date, targeted_directives

SHARING = frozenset(("public", "must-revalidate", "s-maxage"))
FORBIDDING = ("no-store", "private", "no-cache")
ERRORS_KEPT = frozenset((404, 414, 500, 501, 502, 503, 504))
ERRORS_IF_SAID = frozenset((400, 403, 405, 412, 415))
KEPT = frozenset((200, 203, 204, 206, 300, 301, 302, 307, 308, 410))


@dataclass(frozen=True, slots=True)
class Ttl:
    """A behaviour's times to live, seconds."""

    minimum: float = 0.0
    default: float = 86400.0
    maximum: float = 31536000.0


@dataclass(frozen=True, slots=True)
class Lifetime:
    """``seconds`` of freshness; 0 means revalidate each time. ``refusal`` names why it may not be stored at all."""

    seconds: float = 0.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float | None = None  # None: the origin says nothing
    refusal: str | None = None

    @property
    def storable(self) -> bool:
        return self.refusal is None


def lifetime(  # noqa: PLR0911 - one return a rule
    status: int, headers: Mapping[str, list[str]], ttl: Ttl, now: float, error_minimum: float = 10.0
) -> Lifetime:
    """``headers`` maps lower-case names to their values."""
    if "*" in varies_on(headers):
        return Lifetime(refusal="vary: *")
    directives, targeted = _directives(headers)
    said = stated(directives, {} if targeted else headers, now)
    if status in ERRORS_KEPT:
        return Lifetime(max(error_minimum, said or 0.0))
    if status in ERRORS_IF_SAID:
        if said is None:
            return Lifetime(refusal=f"status {status} without max-age or s-maxage")
        return Lifetime(max(error_minimum, said))
    if status not in KEPT and (said is None or status < 200 or status == 304 or "must-understand" in directives):
        return Lifetime(refusal=f"status {status} is not kept")
    if ttl.maximum <= 0:
        return Lifetime(refusal="the behaviour's maximum TTL is 0")
    forbidden = next((name for name in FORBIDDING if name in directives), None)
    if forbidden == "no-store" and "must-understand" in directives:
        forbidden = next((name for name in FORBIDDING[1:] if name in directives), None)
    if forbidden and ttl.minimum <= 0:
        if forbidden == "no-cache" and (headers.get("etag") or headers.get("last-modified")):
            return Lifetime(0.0, 0.0, 0.0)  # RFC 9111 s. 4.2.4: never stale without asking
        return Lifetime(refusal=forbidden)
    if forbidden:
        seconds = ttl.minimum
    elif said is None:
        seconds = max(ttl.minimum, min(ttl.default, ttl.maximum))
    else:
        seconds = max(ttl.minimum, min(said, ttl.maximum))
    validator = headers.get("etag") or headers.get("last-modified")
    if seconds <= 0 and not validator:
        return Lifetime(refusal="no time to live and no validator")
    revalidates = "must-revalidate" in directives or "proxy-revalidate" in directives or "s-maxage" in directives
    while_revalidating = 0.0 if revalidates else float(delta_seconds(directives.get("stale-while-revalidate")) or 0)
    if_error = 0.0 if revalidates and ttl.minimum <= 0 else _optional(directives, "stale-if-error")
    return Lifetime(seconds, while_revalidating, if_error)


def stated(directives: Mapping[str, str | None], headers: Mapping[str, list[str]], now: float) -> float | None:
    """What the origin says, None where it says nothing."""
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return float(delta_seconds(directives[name]) or 0)
    expires = headers.get("expires")
    if expires:
        moment = http_date(expires[0]) if len(expires) == 1 else None
        if moment is None:
            return 0.0  # RFC 9111 s. 5.3: an invalid date, such as 0, is in the past
        date = http_date((headers.get("date") or [""])[0])
        return max(0.0, moment - (date if date is not None else now))
    return None


def shareable(headers: Mapping[str, list[str]]) -> bool:
    """Whether the origin lets the answer to a request with Authorization be given to others (RFC 9111 s. 3.5)."""
    return not _directives(headers)[0].keys().isdisjoint(SHARING)


def varies_on(headers: Mapping[str, list[str]]) -> list[str]:
    """The names in Vary, in lower case, in order, each once."""
    names = [name.strip().lower() for line in headers.get("vary", []) for name in line.split(",")]
    return sorted({name for name in names if name})


def initial_age(headers: Mapping[str, list[str]], requested_at: float, received_at: float) -> float:
    """RFC 9111 s. 4.2.3: how old the object was when it arrived, seconds."""
    age = headers.get("age", ["0"])[0].partition(",")[0].strip()
    said = float(age) if age.isascii() and age.isdigit() else 0.0
    date = http_date((headers.get("date") or [""])[0])
    apparent = max(0.0, received_at - date) if date is not None else 0.0
    return max(apparent, said + (received_at - requested_at))


def _directives(headers: Mapping[str, list[str]]) -> tuple[dict[str, str | None], bool]:
    """What counts here, and whether it was said to CDNs only."""
    targeted = targeted_directives(headers.get("cdn-cache-control", []))
    return (cache_control(headers.get("cache-control", [])), False) if targeted is None else (targeted, True)


def _optional(directives: Mapping[str, str | None], name: str) -> float | None:
    return float(delta_seconds(directives[name]) or 0) if name in directives else None
