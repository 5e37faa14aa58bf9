"""Which parts of a request a policy means, and what of a request that is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from littoral.edge.plan.document import Document, items
from littoral.net.message import Headers
from littoral.protocols.httpcache import Ttl
from littoral.protocols.iam.wildcards import wildcard

REFUSED = re.compile(r";\s*q\s*=\s*0(\.0*)?\s*$", re.IGNORECASE)  # of an encoding (RFC 9110 s. 12.4.2)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of a request's headers, cookies or query parameters are meant."""

    mode: str = "none"  # none, whitelist, allExcept, all, allViewer, allViewerAndWhitelistCloudFront
    names: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None  # of those names that have wildcards

    def takes(self, name: str) -> bool:
        if self.mode in {"all", "allViewer", "allViewerAndWhitelistCloudFront"}:
            return True
        if self.mode == "whitelist":
            return self._names(name)
        return self.mode == "allExcept" and not self._names(name)

    def _names(self, name: str) -> bool:
        return name in self.names or (self.pattern is not None and self.pattern.fullmatch(name) is not None)


def of_cookies(mode: str, names: Iterable[str]) -> Selection:
    """Names of cookies have wildcards: ``*`` is any characters, ``?`` is one."""
    names = frozenset(names)
    wild = [wildcard(name) for name in sorted(names) if "*" in name or "?" in name]
    return Selection(mode, names, re.compile("|".join(wild)) if wild else None)


@dataclass(frozen=True, slots=True)
class Choice:
    """Headers, cookies and query together: of the cache key, or of what goes to the origin."""

    headers: Selection = Selection()
    cookies: Selection = Selection()
    query: Selection = Selection()
    gzip: bool = False
    brotli: bool = False
    zstd: bool = False  # beyond CloudFront: where the place offers it, beside the others


def choice_of(config: Document) -> Choice:
    def chosen(part: str) -> tuple[str, list[str]]:
        found = config.get(f"{part}Config") or {}
        return found.get(f"{part[:-1]}Behavior", "none"), items(found, part)

    headers, names = chosen("Headers")
    query, parameters = chosen("QueryStrings")
    return Choice(
        Selection(headers, frozenset(name.lower() for name in names)),
        of_cookies(*chosen("Cookies")),
        Selection(query, frozenset(parameters)),
        bool(config.get("EnableAcceptEncodingGzip")),
        bool(config.get("EnableAcceptEncodingBrotli")),
    )


def forwarded_values(item: Document) -> tuple[Choice, Choice, Ttl]:
    values = item.get("ForwardedValues") or {}
    cookies = values.get("Cookies") or {}
    headers = [name.lower() for name in items(values, "Headers")]
    query_keys = frozenset(items(values, "QueryStringCacheKeys"))
    all_query = Selection("all") if values.get("QueryString") else Selection()
    choice = Choice(
        Selection("whitelist", frozenset(headers)) if headers and headers != ["*"] else Selection(),
        of_cookies(cookies.get("Forward", "none"), items(cookies, "WhitelistedNames")),
        Selection("whitelist", query_keys) if query_keys and values.get("QueryString") else all_query,
        gzip=bool(item.get("Compress")),
    )
    forward = Choice(Selection("all") if headers == ["*"] else choice.headers, choice.cookies, all_query, choice.gzip)
    uncached = headers == ["*"]  # forwarding all headers means: do not cache
    ttl = Ttl(
        float(item.get("MinTTL", 0)),
        float(item.get("DefaultTTL", 86400)),
        0.0 if uncached else float(item.get("MaxTTL", 31536000)),
    )
    return choice, forward, ttl


def query_text(query: str, *selections: Selection) -> str:
    """The parameters that any of them selects, in the order and spelling of the request."""
    asked = []  # a loop: a comprehension costs each request more, and mostly there is one selection, of nothing
    for each in selections:
        if each.mode == "all":
            return query
        if each.mode != "none":
            asked.append(each)
    if not asked:
        return ""
    return "&".join(part for part in query.split("&") if _taken(unquote(part.partition("=")[0]), asked))


def cookie_text(headers: Headers, *selections: Selection) -> str:
    """The cookies that any of them selects, as one Cookie header would hold them."""
    asked = [each for each in selections if each.mode != "none"]
    if not asked:
        return ""
    pairs = [part.strip() for line in headers.get_all("cookie") for part in line.split(";")]
    return "; ".join(part for part in pairs if part and _taken(part.partition("=")[0].strip(), asked))


def _taken(name: str, selections: list[Selection]) -> bool:
    return any(each.takes(name) for each in selections)


def accepted_encoding(headers: Headers, choice: Choice) -> str:
    """Accept-Encoding as it enters the key and goes to the origin: ``br,gzip``, ``gzip`` or nothing."""
    text = headers.get("accept-encoding")
    return "" if text is None else _accepted(text, choice.gzip, choice.brotli, choice.zstd)


@lru_cache(maxsize=1024)
def _accepted(text: str, gzip: bool, brotli: bool, zstd: bool) -> str:
    offered = {part.partition(";")[0].strip().lower() for part in text.split(",") if not REFUSED.search(part)}
    found = [name for name, on in (("zstd", zstd), ("br", brotli), ("gzip", gzip)) if on and name in offered]
    return ",".join(found)
