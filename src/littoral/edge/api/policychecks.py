"""Everything that can be wrong with a policy, before it is stored ("Quotas on policies", "Understand … policies")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from littoral.aws.service import ServiceError
from littoral.edge.api.parts import check_quantities, invalid
from littoral.edge.cloudfrontheaders import NOT_IN_A_KEY, check_known
from littoral.edge.plan import items

MOST_NAMES = 10  # headers, cookies and query parameters of a policy, each
MOST_CUSTOM = MOST_REMOVED = 10
LONGEST_CSP = 1783  # characters
NAME = re.compile(r"^[A-Za-z0-9_-]{1,128}$")
TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
NOT_REMOVABLE = frozenset(
    "connection content-encoding content-length expect host keep-alive proxy-authenticate proxy-authorization "
    "proxy-connection trailer transfer-encoding upgrade via warning x-accel-buffering x-accel-charset "
    "x-accel-limit-rate x-accel-redirect x-amzn-auth x-amzn-cf-billing x-amzn-cf-id x-amzn-cf-xff x-amzn-errortype "
    "x-amzn-fle-profile x-amzn-header-count x-amzn-header-order x-amzn-lambda-integration-tag x-amzn-requestid "
    "x-cache x-forwarded-proto x-real-ip".split()
)
# what a cache policy has its own settings for, or what CloudFront keeps to itself
NOT_IN_A_POLICY = frozenset(("accept-encoding", "cookie", "*"))
PARTS = (("Headers", "Header"), ("Cookies", "Cookie"), ("QueryStrings", "QueryString"))
ALLOWED_ORIGIN = re.compile(
    r"^(?:\*|(?:[a-z][a-z0-9+.-]*://)?(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5}|:\*)?)$", re.I
)


def check_cache(config: Mapping[str, Any]) -> None:
    """Raises the modelled error."""
    _check_name(config)
    shortest, longest = config["MinTTL"], config.get("MaxTTL", max(31536000, config["MinTTL"]))
    usual = config.get("DefaultTTL", min(max(86400, shortest), longest))
    if not 0 <= shortest <= usual <= longest:
        raise invalid("MinTTL may not be greater than DefaultTTL, nor DefaultTTL than MaxTTL.")
    parameters = config.get("ParametersInCacheKeyAndForwardedToOrigin") or {}
    for name in items(parameters.get("HeadersConfig") or {}, "Headers"):
        if name.lower() in NOT_IN_A_KEY:
            raise invalid(f"The header {name} can be in an origin request policy only.")
    names = _check_parts(parameters, "CachePolicy", {"none", "whitelist"})
    if longest == 0 and (names or _selects(parameters)):
        raise invalid("With a MaxTTL of 0 nothing is cached, so that nothing can be in the cache key.")


def check_origin_request(config: Mapping[str, Any]) -> None:
    """Raises the modelled error."""
    _check_name(config)
    modes = {"none", "whitelist", "allViewer", "allViewerAndWhitelistCloudFront", "allExcept"}
    names = _check_parts(config, "OriginRequestPolicy", modes)
    everything = config["HeadersConfig"]["HeaderBehavior"] == "allViewerAndWhitelistCloudFront"
    if everything and any(not name.startswith("cloudfront-") for name in names):
        raise invalid("Beside all viewer headers only CloudFront headers can be listed.")


def _check_parts(parameters: Mapping[str, Any], noun: str, modes: set[str]) -> set[str]:
    """The names of the headers, in lower case. Raises InvalidArgument, TooMany…"""
    check_quantities(parameters)
    for plural, singular in PARTS:
        part = parameters.get(f"{plural}Config") or {}
        mode = part.get(f"{singular}Behavior", "none")
        listed = items(part, plural)
        if len(listed) > MOST_NAMES and mode != "allViewerAndWhitelistCloudFront":
            message = f"A policy may have at most {MOST_NAMES} {plural}."
            raise ServiceError(f"TooMany{plural}In{noun}", message, status=400)
        if (mode in {"none", "all", "allViewer"}) == bool(listed):
            raise invalid(f"{plural} go with the behaviors that list some, and {mode} does not agree.")
    header_config = parameters.get("HeadersConfig") or {}
    mode = header_config.get("HeaderBehavior", "none")
    if mode not in modes:
        raise invalid(f"HeaderBehavior {mode} is not for this kind of policy.")
    names = {name.lower() for name in items(header_config, "Headers")}
    for name in names:
        if name in NOT_IN_A_POLICY or not TOKEN.match(name):
            raise invalid(f"The header {name} cannot be in a policy.")
        check_known(name)
    return names


def _selects(parameters: Mapping[str, Any]) -> bool:
    chosen = any(
        (parameters.get(f"{plural}Config") or {}).get(f"{singular}Behavior", "none") != "none"
        for plural, singular in PARTS
    )
    return chosen or any(parameters.get(f"EnableAcceptEncoding{coding}") for coding in ("Gzip", "Brotli"))


def check_response_headers(config: Mapping[str, Any]) -> None:
    """Raises the modelled error."""
    _check_name(config)
    check_quantities(config)
    custom, removed = items(config, "CustomHeadersConfig"), items(config, "RemoveHeadersConfig")
    if len(custom) > MOST_CUSTOM:
        message = f"A response headers policy may have at most {MOST_CUSTOM} custom headers."
        raise ServiceError("TooManyCustomHeadersInResponseHeadersPolicy", message, status=400)
    if len(removed) > MOST_REMOVED:
        message = f"A response headers policy may remove at most {MOST_REMOVED} headers."
        raise ServiceError("TooManyRemoveHeadersInResponseHeadersPolicy", message, status=400)
    for each in (*custom, *removed):
        _check_response_header(each["Header"], each.get("Value") or "")
    for kind, listed in (("custom", custom), ("removed", removed)):
        if len({each["Header"].lower() for each in listed}) != len(listed):
            raise invalid(f"A {kind} header is there twice.")
    rate = (config.get("ServerTimingHeadersConfig") or {}).get("SamplingRate") or 0
    if not 0 <= rate <= 100:
        raise invalid("SamplingRate is a number from 0 to 100.")
    _check_security(config.get("SecurityHeadersConfig") or {})
    _check_cors(config.get("CorsConfig"))


def _check_name(config: Mapping[str, Any]) -> None:
    if not NAME.match(config["Name"]):
        raise invalid("A policy's name has 1 to 128 letters, digits, hyphens and underscores.")
    if len(config.get("Comment") or "") > 128:
        raise invalid("A policy's comment has at most 128 characters.")


def _check_response_header(name: str, value: str) -> None:
    lower = name.lower()
    if lower in NOT_REMOVABLE or lower.startswith(("x-amz-cf-", "x-edge-")):
        raise invalid(f"The header {name} cannot be in a response headers policy.")
    _check_text(name, value)
    if not TOKEN.match(name):
        raise invalid(f"{name!r} is not a header name.")


def _check_text(name: str, value: str) -> None:
    if not value.isprintable() or not value.isascii():
        raise invalid(f"The value of {name} holds what a header cannot.")


def _check_security(config: Mapping[str, Any]) -> None:
    policy = (config.get("ContentSecurityPolicy") or {}).get("ContentSecurityPolicy") or ""
    _check_text("Content-Security-Policy", policy)
    if len(policy) > LONGEST_CSP:
        message = f"A content security policy has at most {LONGEST_CSP} characters."
        raise ServiceError("TooLongCSPInResponseHeadersPolicy", message, status=400)
    xss = config.get("XSSProtection") or {}
    _check_text("X-XSS-Protection", xss.get("ReportUri") or "")
    if xss.get("ModeBlock") and xss.get("ReportUri"):
        raise invalid("X-XSS-Protection has ModeBlock or a ReportUri, not both.")
    if not xss.get("Protection") and (xss.get("ModeBlock") or xss.get("ReportUri")):
        raise invalid("ModeBlock and ReportUri go with Protection.")
    if (config.get("StrictTransportSecurity") or {}).get("AccessControlMaxAgeSec", 0) < 0:
        raise invalid("AccessControlMaxAgeSec is a number of seconds.")


def _check_cors(config: Mapping[str, Any] | None) -> None:
    if not config:
        return
    origins = items(config, "AccessControlAllowOrigins")
    if not origins:
        raise invalid("A CORS configuration allows at least one origin.")
    for origin in origins:
        if not ALLOWED_ORIGIN.match(origin):
            raise invalid(f"{origin} is not an origin that can be allowed.")
    listed = [items(config, f"AccessControl{part}Headers") for part in ("Allow", "Expose")]
    for name in (name for names in listed for name in names):
        if not TOKEN.match(name):
            raise invalid(f"{name!r} is not a header name.")
    methods = items(config, "AccessControlAllowMethods")
    everything = "*" in origins or "ALL" in methods or any("*" in names for names in listed)
    if config.get("AccessControlAllowCredentials") and everything:
        raise invalid("With AccessControlAllowCredentials nothing may be allowed by * or ALL.")
    if (config.get("AccessControlMaxAgeSec") or 0) < 0:
        raise invalid("AccessControlMaxAgeSec is a number of seconds.")
