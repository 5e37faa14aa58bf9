"""A distribution compiled once, so that a request runs straight-line code: no configuration is read on its way.

Input is a DistributionConfig in the API's own names, and the policies it refers to by id. What a plan holds is plain
data and small functions of a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from littoral.net.message import Headers
from littoral.protocols.httpcache import Ttl

Document = Mapping[str, Any]
SAFE_METHODS = frozenset(("GET", "HEAD"))
EVENTS = ("viewer-request", "origin-request", "origin-response", "viewer-response")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of a request's headers, cookies or query parameters are meant."""

    mode: str = "none"  # none, whitelist, allExcept, all
    names: frozenset[str] = frozenset()

    def takes(self, name: str) -> bool:
        if self.mode in {"all", "allViewer"}:
            return True
        if self.mode == "whitelist":
            return name in self.names
        return self.mode == "allExcept" and name not in self.names


@dataclass(frozen=True, slots=True)
class Choice:
    """Headers, cookies and query together: of the cache key, or of what goes to the origin."""

    headers: Selection = Selection()
    cookies: Selection = Selection()
    query: Selection = Selection()
    gzip: bool = False
    brotli: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    function: str  # ARN of a numbered version
    include_body: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    id: str
    domain: str
    path: str = ""
    bucket: str | None = None  # of an S3 origin
    protocol_policy: str = "http-only"  # http-only, https-only, match-viewer
    http_port: int = 80
    https_port: int = 443
    connect_timeout: float = 10.0
    attempts: int = 3
    read_timeout: float = 30.0
    keepalive_timeout: int = 5
    headers: tuple[tuple[str, str], ...] = ()
    signing: str = "no"  # always, never, no-override, or no (no access control)


@dataclass(frozen=True, slots=True)
class ErrorPage:
    minimum_ttl: float
    path: str | None = None
    status: int | None = None


@dataclass(slots=True)
class Behaviour:
    pattern: str
    matches: Callable[[str], bool]
    origin: Origin
    viewer_policy: str
    allowed: frozenset[str]
    cached: frozenset[str]
    key: Choice
    forward: Choice
    legacy: bool  # ForwardedValues instead of policies: other headers pass too
    ttl: Ttl
    triggers: dict[str, Trigger] = field(default_factory=dict)
    caches: bool = field(init=False)
    shares_authorized: bool = field(init=False)  # an Authorization header does not make a response private
    quick: bool = field(init=False)  # a fresh hit needs neither a function nor a look at Authorization
    keyed_by_target: bool = field(init=False)  # the key is made of path, query and Accept-Encoding only

    def __post_init__(self) -> None:
        self.caches = self.ttl.maximum > 0
        keyed = self.key.headers.takes("authorization")
        self.shares_authorized = keyed or not self.forward.headers.takes("authorization")
        self.quick = self.caches and self.shares_authorized and not self.triggers
        self.keyed_by_target = self.key.headers.mode == "none" and self.key.cookies.mode == "none"

    def key_of(self, path: str, query: str, headers: Headers, method: str) -> tuple[Any, ...]:
        """The cache key within the distribution. Cheap where the policy selects nothing."""
        key = self.key
        kind = "OPTIONS" if method == "OPTIONS" else ""
        selected_query = query_text(query, key.query) if query else ""
        encoding = accepted_encoding(headers, key) if key.gzip or key.brotli else ""
        parts: tuple[Any, ...] = (path, selected_query, encoding, kind)
        if key.headers.mode != "none":
            parts += tuple((name, headers.get(name)) for name in sorted(key.headers.names))
        if key.cookies.mode != "none":
            parts += (cookie_text(headers, key.cookies),)
        return parts


@dataclass(slots=True)
class Plan:
    id: str
    domain: str
    aliases: tuple[str, ...]
    enabled: bool
    default_root: str
    behaviours: list[Behaviour]
    origins: dict[str, Origin]
    errors: dict[int, ErrorPage]

    def behaviour(self, path: str) -> Behaviour:
        """The first whose pattern matches; the default is last and matches all."""
        for behaviour in self.behaviours:
            if behaviour.matches(path):
                return behaviour
        return self.behaviours[-1]

    def error_minimum(self, status: int) -> float:
        page = self.errors.get(status)
        return page.minimum_ttl if page is not None else 10.0


# -------------------------------------------------------------------------------------- compiling a config


def compile_plan(identifier: str, domain: str, config: Document, policies: Mapping[str, Document]) -> Plan:
    """``policies`` maps ids of cache policies, origin request policies and access controls to their configs."""
    origins = {item["Id"]: _origin(item, policies) for item in items(config, "Origins")}
    behaviours = [_behaviour(item, item["PathPattern"], origins, policies) for item in items(config, "CacheBehaviors")]
    behaviours.append(_behaviour(config["DefaultCacheBehavior"], "*", origins, policies))
    errors = {
        int(item["ErrorCode"]): ErrorPage(
            float(item.get("ErrorCachingMinTTL", 10)),
            item.get("ResponsePagePath") or None,
            int(item["ResponseCode"]) if item.get("ResponseCode") else None,
        )
        for item in items(config, "CustomErrorResponses")
    }
    return Plan(
        identifier,
        domain,
        tuple(name.lower() for name in items(config, "Aliases")),
        bool(config.get("Enabled")),
        config.get("DefaultRootObject") or "",
        behaviours,
        origins,
        errors,
    )


def items(config: Document, name: str) -> list[Any]:
    """The Items of one of CloudFront's {Quantity, Items} lists."""
    return list((config.get(name) or {}).get("Items") or ())


def pattern_matcher(pattern: str) -> Callable[[str], bool]:
    """``*`` and ``?``, case-sensitive; a leading slash may be left out ("Path pattern")."""
    if pattern in {"*", "/*"}:
        return lambda _path: True
    text = pattern if pattern.startswith(("/", "*")) else "/" + pattern
    compiled = re.compile("".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text), re.DOTALL)
    return lambda path: compiled.fullmatch(path) is not None


def _origin(item: Document, policies: Mapping[str, Document]) -> Origin:
    domain = item["DomainName"]
    found = re.match(r"^(?P<bucket>[a-z0-9][a-z0-9.-]*?)\.s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com$", domain)
    custom = item.get("CustomOriginConfig") or {}
    control = policies.get(item.get("OriginAccessControlId") or "", {})
    return Origin(
        id=item["Id"],
        domain=domain,
        path=item.get("OriginPath") or "",
        bucket=found["bucket"] if found and not custom else None,
        protocol_policy=custom.get("OriginProtocolPolicy", "http-only"),
        http_port=int(custom.get("HTTPPort", 80)),
        https_port=int(custom.get("HTTPSPort", 443)),
        connect_timeout=float(item.get("ConnectionTimeout") or 10),
        attempts=int(item.get("ConnectionAttempts") or 3),
        read_timeout=float(custom.get("OriginReadTimeout") or 30),
        keepalive_timeout=int(custom.get("OriginKeepaliveTimeout") or 5),
        headers=tuple((h["HeaderName"], h["HeaderValue"]) for h in items(item, "CustomHeaders")),
        signing=control.get("SigningBehavior", "no"),
    )


def _behaviour(
    item: Document, pattern: str, origins: Mapping[str, Origin], policies: Mapping[str, Document]
) -> Behaviour:
    methods = item.get("AllowedMethods") or {}
    cached = frozenset((methods.get("CachedMethods") or {}).get("Items") or SAFE_METHODS)
    legacy = not item.get("CachePolicyId")
    if legacy:
        key, forward, ttl = _forwarded_values(item)
    else:
        policy = policies[item["CachePolicyId"]]
        key = _choice(policy.get("ParametersInCacheKeyAndForwardedToOrigin") or {})
        asked = policies.get(item.get("OriginRequestPolicyId") or "")
        forward = _choice(asked) if asked else Choice()
        ttl = Ttl(
            float(policy["MinTTL"]), float(policy.get("DefaultTTL", 86400)), float(policy.get("MaxTTL", 31536000))
        )
    return Behaviour(
        pattern,
        pattern_matcher(pattern),
        origins[item["TargetOriginId"]],
        item["ViewerProtocolPolicy"],
        frozenset(methods.get("Items") or SAFE_METHODS),
        cached,
        key,
        forward,
        legacy,
        ttl,
        {
            each["EventType"]: Trigger(each["LambdaFunctionARN"], bool(each.get("IncludeBody")))
            for each in items(item, "LambdaFunctionAssociations")
        },
    )


def _choice(config: Document) -> Choice:
    def selection(part: str, kind: str, lower: bool) -> Selection:
        found = config.get(f"{part}Config") or {}
        names = (found.get(kind) or {}).get("Items") or ()
        mode = {"allViewerAndWhitelistCloudFront": "allViewer"}.get(
            found.get(f"{part[:-1]}Behavior", "none"), found.get(f"{part[:-1]}Behavior", "none")
        )
        return Selection(mode, frozenset(name.lower() if lower else name for name in names))

    return Choice(
        selection("Headers", "Headers", True),
        selection("Cookies", "Cookies", False),
        selection("QueryStrings", "QueryStrings", False),
        bool(config.get("EnableAcceptEncodingGzip")),
        bool(config.get("EnableAcceptEncodingBrotli")),
    )


def _forwarded_values(item: Document) -> tuple[Choice, Choice, Ttl]:
    values = item.get("ForwardedValues") or {}
    cookies = values.get("Cookies") or {}
    names = frozenset((cookies.get("WhitelistedNames") or {}).get("Items") or ())
    headers = [name.lower() for name in items(values, "Headers")]
    query_keys = frozenset(items(values, "QueryStringCacheKeys"))
    all_query = Selection("all") if values.get("QueryString") else Selection()
    choice = Choice(
        Selection("whitelist", frozenset(headers)) if headers and headers != ["*"] else Selection(),
        Selection(cookies.get("Forward", "none"), names),
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


# ------------------------------------------------------------------------------------- parts of a request


def query_text(query: str, selection: Selection) -> str:
    """The selected parameters in the order and spelling of the request."""
    if selection.mode == "all":
        return query
    if selection.mode == "none":
        return ""
    return "&".join(part for part in query.split("&") if selection.takes(unquote(part.partition("=")[0])))


def cookie_text(headers: Headers, selection: Selection) -> str:
    """The selected cookies, as one Cookie header would hold them."""
    if selection.mode == "none":
        return ""
    pairs = [part.strip() for line in headers.get_all("cookie") for part in line.split(";")]
    return "; ".join(part for part in pairs if part and selection.takes(part.partition("=")[0].strip()))


def accepted_encoding(headers: Headers, choice: Choice) -> str:
    """Accept-Encoding as it enters the key and goes to the origin: ``br,gzip``, ``gzip`` or nothing."""
    text = headers.get("accept-encoding")
    if text is None:
        return ""
    offered = {part.partition(";")[0].strip().lower() for part in text.split(",") if "q=0" not in part.replace(" ", "")}
    found = [name for name, on in (("br", choice.brotli), ("gzip", choice.gzip)) if on and name in offered]
    return ",".join(found)
