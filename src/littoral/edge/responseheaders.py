"""What a response headers policy makes of a response: removes, adds, CORS, Server-Timing. Pure.

Source: CloudFront developer guide, "Understand response headers policies". First what is to be removed goes, then the
policy's own headers come. One with ``override`` replaces the origin's, one without stands back behind it.

A policy that asks for neither CORS nor Server-Timing does the same to every response, so a hit's head is made once.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from littoral.net.message import Headers, RawHeaders

ALL_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
CORS_PREFIX = b"access-control-"
# what of a removed header the edge says itself
INSTEAD = {b"server": b"CloudFront"}


@dataclass(frozen=True, slots=True)
class Added:
    name: bytes
    value: bytes
    override: bool


@dataclass(frozen=True, slots=True)
class Cors:
    origins: tuple[re.Pattern[str], ...]  # of an Origin header; none: every origin
    always: tuple[Added, ...]  # in every response to a CORS request
    preflight: tuple[Added, ...]  # in responses to OPTIONS with Access-Control-Request-Method, beside
    override: bool

    def headers_for(self, method: str, request: Headers) -> tuple[Added, ...]:
        """Nothing where the request is no CORS request, or its origin is not allowed."""
        origin = request.get("origin")
        if origin is None or (self.origins and not any(each.fullmatch(origin) for each in self.origins)):
            return ()
        allowed = Added(b"access-control-allow-origin", origin.encode("latin-1") if self.origins else b"*", True)
        asks = method == "OPTIONS" and "access-control-request-method" in request
        return (allowed, *self.always, *(self.preflight if asks else ()))


@dataclass(frozen=True, slots=True, eq=False)
class ResponseHeaders:
    """One policy, compiled. Compared by identity: a hit's head belongs to the policy that it was made with."""

    removed: frozenset[bytes]
    added: tuple[Added, ...]
    cors: Cors | None
    timing: float | None  # the share of responses that get Server-Timing; None: it is not asked for

    def apply(self, raw: RawHeaders, method: str, request: Headers) -> RawHeaders:
        """The headers that the viewer gets, Server-Timing aside."""
        if self.removed:
            raw = _without(raw, self.removed)
        if self.cors is not None:
            raw = self._with_cors(raw, self.cors, method, request)
        return add(raw, self.added)

    def _with_cors(self, raw: RawHeaders, cors: Cors, method: str, request: Headers) -> RawHeaders:
        if cors.origins:
            raw = _with_vary(raw)
        given = cors.headers_for(method, request)
        if not given:
            return raw
        if cors.override:
            return add(raw, given)
        if any(name.startswith(CORS_PREFIX) for name, _ in raw):
            return raw  # the origin has its say on CORS, and the whole of it
        return add(raw, given)

    def times(self, request: Headers) -> bool:
        """Whether this response gets a Server-Timing header."""
        if self.timing is None:
            return False
        return random.random() < self.timing or "server-timing" in (request.get("pragma") or "").lower()


def add(raw: RawHeaders, added: Iterable[Added]) -> RawHeaders:
    wanted = tuple(added)
    present = {name for name, _ in raw}
    replaced = frozenset(each.name for each in wanted if each.override and each.name in present)
    kept = _without(raw, replaced) if replaced else list(raw)
    kept += [(each.name, each.value) for each in wanted if each.override or each.name not in present]
    return kept


def _without(raw: RawHeaders, removed: frozenset[bytes]) -> RawHeaders:
    kept = [pair for pair in raw if pair[0] not in removed]
    return kept + [(name, value) for name, value in INSTEAD.items() if name in removed]


def _with_vary(raw: RawHeaders) -> RawHeaders:
    said = [value for name, value in raw if name == b"vary"]
    if any(b"origin" in value.lower() or value.strip() == b"*" for value in said):
        return raw
    return [*(pair for pair in raw if pair[0] != b"vary"), (b"vary", b", ".join([*said, b"Origin"]))]


def server_timing(result: str, pop: str, identifier: str, took: float, upstream: float | None) -> bytes:
    """The metrics of one response. ``result`` is the first word of X-Cache; times are seconds.

    DNS and connection times are left out: the guide says that a response holds some of the metrics only.
    """
    parts = []
    if upstream is not None:
        parts += ['cdn-upstream-layer;desc="EDGE"', f"cdn-upstream-fbl;dur={upstream * 1000:.0f}"]
    parts.append({"Hit": "cdn-cache-hit", "RefreshHit": "cdn-cache-refresh"}.get(result, "cdn-cache-miss"))
    parts += [f'cdn-pop;desc="{pop}"', f'cdn-rid;desc="{identifier}"']
    if result == "Hit":
        parts.append('cdn-hit-layer;desc="EDGE"')
    parts.append(f"cdn-downstream-fbl;dur={took * 1000:.0f}")
    return ",".join(parts).encode()


# ----------------------------------------------------------------------------------------------- compiling


def compile_headers(config: Mapping[str, Any]) -> ResponseHeaders:
    """From a ResponseHeadersPolicyConfig."""
    timing = config.get("ServerTimingHeadersConfig") or {}
    rate = float(timing.get("SamplingRate") or 0.0) / 100 if timing.get("Enabled") else None
    custom = [
        Added(each["Header"].lower().encode("latin-1"), (each.get("Value") or "").encode("latin-1"), each["Override"])
        for each in _items(config.get("CustomHeadersConfig"))
    ]
    removed = frozenset(each["Header"].lower().encode("latin-1") for each in _items(config.get("RemoveHeadersConfig")))
    cors = config.get("CorsConfig")
    security = _security(config.get("SecurityHeadersConfig") or {})
    return ResponseHeaders(removed, (*security, *custom), _cors(cors) if cors else None, rate)


def _items(listed: Mapping[str, Any] | None) -> list[Any]:
    return list((listed or {}).get("Items") or ())


def _security(config: Mapping[str, Any]) -> list[Added]:
    said: dict[str, tuple[str, Callable[[Any], str]]] = {
        "ContentSecurityPolicy": ("content-security-policy", lambda c: c["ContentSecurityPolicy"]),
        "ContentTypeOptions": ("x-content-type-options", lambda _: "nosniff"),
        "FrameOptions": ("x-frame-options", lambda c: c["FrameOption"]),
        "ReferrerPolicy": ("referrer-policy", lambda c: c["ReferrerPolicy"]),
        "StrictTransportSecurity": ("strict-transport-security", _transport_security),
        "XSSProtection": ("x-xss-protection", _xss_protection),
    }
    return [
        Added(name.encode(), value(config[part]).encode("latin-1"), bool(config[part]["Override"]))
        for part, (name, value) in said.items()
        if config.get(part)
    ]


def _transport_security(config: Mapping[str, Any]) -> str:
    text = f"max-age={config['AccessControlMaxAgeSec']}"
    text += "; includeSubDomains" if config.get("IncludeSubdomains") else ""
    return text + ("; preload" if config.get("Preload") else "")


def _xss_protection(config: Mapping[str, Any]) -> str:
    if not config["Protection"]:
        return "0"
    if config.get("ModeBlock"):
        return "1; mode=block"
    return f"1; report={config['ReportUri']}" if config.get("ReportUri") else "1"


def _cors(config: Mapping[str, Any]) -> Cors:
    override = bool(config["OriginOverride"])
    origins = _items(config["AccessControlAllowOrigins"])
    always, preflight = [], []
    if config.get("AccessControlAllowCredentials"):
        always.append(("access-control-allow-credentials", "true"))
    if exposed := _items(config.get("AccessControlExposeHeaders")):
        always.append(("access-control-expose-headers", ", ".join(exposed)))
    if headers := _items(config.get("AccessControlAllowHeaders")):
        preflight.append(("access-control-allow-headers", ", ".join(headers)))
    if methods := _items(config.get("AccessControlAllowMethods")):
        listed = ALL_METHODS if "ALL" in methods else methods
        preflight.append(("access-control-allow-methods", ", ".join(listed)))
    if config.get("AccessControlMaxAgeSec") is not None:
        preflight.append(("access-control-max-age", str(config["AccessControlMaxAgeSec"])))
    patterns = () if "*" in origins else tuple(_origin_pattern(each) for each in origins)
    return Cors(patterns, _added(always, override), _added(preflight, override), override)


def _added(pairs: list[tuple[str, str]], override: bool) -> tuple[Added, ...]:
    return tuple(Added(name.encode(), value.encode("latin-1"), override) for name, value in pairs)


def _origin_pattern(allowed: str) -> re.Pattern[str]:
    """``https://*.example.org``, ``example.org`` (any scheme); ``*`` stands for labels on the left."""
    scheme, found, rest = allowed.rpartition("://")
    text = re.escape(rest).replace(r"\*", "[^/]+")
    return re.compile((re.escape(scheme) + "://" if found else "[a-z][a-z0-9+.-]*://") + text, re.IGNORECASE)
