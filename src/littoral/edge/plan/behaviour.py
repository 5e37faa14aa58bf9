"""A cache behaviour: which requests are its own, who may make them, their key, how long answers are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from littoral.edge.cloudfrontheaders import asked_for
from littoral.edge.plan.document import Document, items
from littoral.edge.plan.failover import Failover
from littoral.edge.plan.origin import Origin
from littoral.edge.plan.selection import Choice, accepted_encoding, choice_of, cookie_text, forwarded_values, query_text
from littoral.edge.realtime.configuration import RealtimeLog, realtime_of
from littoral.edge.responseheaders import ResponseHeaders, compile_headers
from littoral.edge.signing import Signers, signers_of
from littoral.net.message import Headers
from littoral.protocols.httpcache import Ttl
from littoral.protocols.iam.wildcards import wildcard

Target = tuple[Origin, Failover | None]
SAFE_METHODS = frozenset(("GET", "HEAD"))
EVENTS = ("viewer-request", "origin-request", "origin-response", "viewer-response")


@dataclass(frozen=True, slots=True)
class Trigger:
    function: str  # ARN of a numbered version
    include_body: bool = False


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
    signers: Signers | None = None  # whose signature a request must bear
    response_headers: ResponseHeaders | None = None
    compress: bool = False  # what the policy's encodings allow
    functions: dict[str, str] = field(default_factory=dict)  # ARNs of CloudFront functions, by event
    grpc: bool = False  # requests of gRPC go to the origin over HTTP/2
    failover: Failover | None = None  # where the target is an origin group
    realtime: RealtimeLog | None = None
    caches: bool = field(init=False)
    shares_authorized: bool = field(init=False)  # an Authorization header does not make a response private
    direct: bool = field(init=False)  # a fresh object may go to whoever asks for it, as it lies there
    quick: bool = field(init=False)  # a fresh hit needs neither a function nor a look at Authorization
    scripted: bool = field(init=False)  # the same, after its viewer-request function has run
    called: bool = field(init=False)  # the same, after its Lambda@Edge function at viewer-request has run
    made: frozenset[str] = field(init=False)  # CloudFront-* headers of the key or for the origin
    relayed: bool = field(init=False)  # nothing is stored, and nobody has to see a request or its answer (``relaying``)
    keyed_by_target: bool = field(init=False)  # the key is made of path, query and Accept-Encoding only

    def __post_init__(self) -> None:
        self.caches = self.ttl.maximum > 0
        keyed = self.key.headers.takes("authorization")
        self.shares_authorized = keyed or not self.forward.headers.takes("authorization")
        timed = self.response_headers is not None and self.response_headers.timing is not None
        of_key = asked_for(self.key.headers.names)
        self.made = of_key | asked_for(self.forward.headers.names)
        self.direct = self.caches and self.shares_authorized and not timed
        quick = self.direct and not (self.triggers or of_key)
        self.quick, self.scripted = quick and not self.functions, quick and bool(self.functions)
        triggered = {kind: trigger.include_body for kind, trigger in self.triggers.items()} == {"viewer-request": False}
        self.called = self.direct and triggered and not (self.functions or self.signers or self.made)
        seen = bool(self.triggers or self.functions or self.signers or self.failover or self.grpc or self.made)
        varies = timed or (self.response_headers is not None and self.response_headers.cors is not None)
        plain = self.origin.bucket is None and not self.origin.here
        self.relayed = plain and not (self.caches or seen or varies)
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


def pattern_matcher(pattern: str) -> Callable[[str], bool]:
    """``*`` and ``?``, case-sensitive; a leading slash may be left out ("Path pattern")."""
    if pattern in {"*", "/*"}:
        return lambda _path: True
    text = pattern if pattern.startswith(("/", "*")) else "/" + pattern
    compiled = re.compile(wildcard(text))  # viewers choose the path: its time is linear
    return lambda path: compiled.fullmatch(path) is not None


def behaviour_of(
    item: Document, pattern: str, targets: Mapping[str, Target], policies: Mapping[str, Document]
) -> Behaviour:
    methods = item.get("AllowedMethods") or {}
    origin, failover = targets[item["TargetOriginId"]]
    cached = frozenset((methods.get("CachedMethods") or {}).get("Items") or SAFE_METHODS)
    legacy = not item.get("CachePolicyId")
    if legacy:
        key, forward, ttl = forwarded_values(item)
    else:
        policy = policies[item["CachePolicyId"]]
        key = choice_of(policy.get("ParametersInCacheKeyAndForwardedToOrigin") or {})
        asked = policies.get(item.get("OriginRequestPolicyId") or "")
        forward = choice_of(asked) if asked else Choice()
        least = float(policy["MinTTL"])
        most = float(policy.get("MaxTTL", max(31536000, least)))
        ttl = Ttl(least, float(policy.get("DefaultTTL", min(max(86400, least), most))), most)
    return Behaviour(
        pattern,
        pattern_matcher(pattern),
        origin,
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
        signers_of(items(item, "TrustedKeyGroups"), policies),
        compile_headers(policies[item["ResponseHeadersPolicyId"]]) if item.get("ResponseHeadersPolicyId") else None,
        bool(item.get("Compress")),
        {each["EventType"]: each["FunctionARN"] for each in items(item, "FunctionAssociations")},
        bool((item.get("GrpcConfig") or {}).get("Enabled")),
        failover,
        realtime_of(item, policies),
    )
