"""What a DistributionConfig may not say by itself, whatever else there is. Pure; each raises the modelled error.

Sources: "Quotas on distributions", the API reference of each member, and CloudFront's own messages where known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from littoral.aws.service import ServiceError, modelled
from littoral.edge.api.parts import invalid
from littoral.edge.geo import COUNTRIES
from littoral.edge.plan import FAILS_OVER, items
from littoral.edge.plan.distribution import HTTP_VERSIONS
from littoral.edge.plan.origin import bucket_of

MOST_GROUPS = 10
MOST_ORIGIN_HEADERS = 30
MOST_FORWARDED = 10  # headers, cookie names and query parameters of ForwardedValues, each
ERROR_CODES = frozenset((400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504))
FAILOVER_CODES = frozenset((400, 403, 404, 416, 429, 500, 502, 503, 504))
METHOD_SETS = (
    frozenset(("GET", "HEAD")),
    frozenset(("GET", "HEAD", "OPTIONS")),
    frozenset(("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")),
)
NOT_ADDED = frozenset(  # "Custom headers that CloudFront can't add to origin requests"
    "cache-control connection content-length cookie host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since max-forwards pragma proxy-authenticate proxy-authorization proxy-connection range "
    "request-range te trailer transfer-encoding upgrade via x-real-ip".split()
)
NAME = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
ALIAS = re.compile(rf"^(?=.{{1,253}}$)(?:\*\.)?(?:{LABEL}\.)+{LABEL}$", re.IGNORECASE)
DOMAIN = re.compile(r"^[A-Za-z0-9._-]{1,253}$")
PATTERN = re.compile(r"^[A-Za-z0-9_.*$/~\"'@:+?&-]{1,255}$")
IDENTITY = "origin-access-identity/cloudfront/"


def check_alone(config: Mapping[str, Any]) -> None:
    """Everything of this module."""
    if len(config.get("Comment") or "") > 128:
        raise invalid("A distribution's comment has at most 128 characters.")
    root = config.get("DefaultRootObject") or ""
    if root.startswith("/") or len(root) > 255:
        raise ServiceError("InvalidDefaultRootObject", "The default root object is a name of at most 255 characters.")
    aliases = items(config, "Aliases")
    for name in aliases:
        if not ALIAS.match(name):
            raise invalid(f"{name} is not a domain name that a distribution can have.")
    _check_once("an alternate domain name", [name.lower() for name in aliases])
    for origin in items(config, "Origins"):
        _check_origin(origin)
    _check_groups(config)
    groups = {group["Id"] for group in items(config, "OriginGroups")}
    for behaviour in behaviours_of(config):
        _check_behaviour(behaviour, groups)
    http = HTTP_VERSIONS[str(config.get("HttpVersion") or "http2").lower()]
    if "2" not in http and any((each.get("GrpcConfig") or {}).get("Enabled") for each in behaviours_of(config)):
        raise invalid("gRPC needs a distribution that speaks HTTP/2.")
    _check_viewer_certificate(config.get("ViewerCertificate") or {})
    pages = items(config, "CustomErrorResponses")
    for page in pages:
        _check_error_page(page)
    _check_once("an error code", [page["ErrorCode"] for page in pages])
    _check_geo((config.get("Restrictions") or {}).get("GeoRestriction") or {})


def _check_viewer_certificate(asked: Mapping[str, Any]) -> None:
    """``Certificate`` and ``CertificateSource`` are what CloudFront tells, and say nothing by themselves."""
    arn, told = asked.get("ACMCertificateArn") or "", asked.get("Certificate") or ""
    if arn and asked.get("CloudFrontDefaultCertificate"):
        raise viewer_certificate("A distribution has either CloudFront's default certificate or one of ACM.")
    if not arn and asked.get("CloudFrontDefaultCertificate") is False:
        raise viewer_certificate("A viewer certificate that is not CloudFront's own names a certificate.")
    if told not in ("", arn) or (asked.get("CertificateSource") == "acm" and not arn):
        raise viewer_certificate("Certificate, which is deprecated, is what ACMCertificateArn says.")
    if not arn:
        return
    if not asked.get("SSLSupportMethod"):
        raise viewer_certificate("A certificate of ACM goes with an SSLSupportMethod, which is sni-only here.")
    if asked["SSLSupportMethod"] != "sni-only":
        message = "Not implemented here: addresses for one distribution alone (ViewerCertificate.SSLSupportMethod)."
        raise ServiceError("NotImplemented", message, status=501)


viewer_certificate = modelled("InvalidViewerCertificate")


def _check_once(what: str, listed: list[Any]) -> None:
    if len(set(listed)) != len(listed):
        raise invalid(f"The configuration has {what} twice.")


def behaviours_of(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The default one first."""
    yield config["DefaultCacheBehavior"]
    yield from items(config, "CacheBehaviors")


def _check_origin(origin: Mapping[str, Any]) -> None:
    identifier = origin["Id"]
    if not DOMAIN.match(origin["DomainName"]):
        raise invalid(f"The origin {identifier} has no domain name.")
    path = origin.get("OriginPath") or ""
    if path and (not path.startswith("/") or path.endswith("/") or len(path) > 255):
        raise invalid("An origin path begins with a slash and does not end with one.")
    _check_between(origin, "ConnectionAttempts", 1, 3, "InvalidArgument")
    _check_between(origin, "ConnectionTimeout", 1, 10, "InvalidArgument")
    custom, bucket = origin.get("CustomOriginConfig") or {}, origin.get("S3OriginConfig")
    if custom and bucket is not None:
        raise ServiceError("InvalidOrigin", f"The origin {identifier} is either S3 or custom, not both.", status=400)
    if bucket is not None and bucket_of(origin["DomainName"]) is None:
        raise invalid("The parameter Origin DomainName does not refer to a valid S3 bucket.")
    _check_between(custom or bucket or {}, "OriginReadTimeout", 1, 120, "InvalidOriginReadTimeout")
    _check_between(custom, "OriginKeepaliveTimeout", 1, 120, "InvalidOriginKeepaliveTimeout")
    for name in ("HTTPPort", "HTTPSPort"):
        _check_between(custom, name, 1, 65535, "InvalidArgument")
    headers = items(origin, "CustomHeaders")
    if len(headers) > MOST_ORIGIN_HEADERS:
        message = f"An origin may have at most {MOST_ORIGIN_HEADERS} custom headers."
        raise ServiceError("TooManyOriginCustomHeaders", message, status=400)
    for header in headers:
        name, value = header["HeaderName"].lower(), header["HeaderValue"]
        if name in NOT_ADDED or name.startswith(("x-amz-", "x-edge-")) or not NAME.match(name):
            raise invalid(f"The header {header['HeaderName']} cannot be added to origin requests.")
        if not value.isprintable() or not value.isascii():
            raise invalid(f"The value of {header['HeaderName']} holds what a header cannot.")
    if origin.get("OriginAccessControlId") and (origin.get("S3OriginConfig") or {}).get("OriginAccessIdentity"):
        message = "An origin has an origin access control or an origin access identity, not both."
        raise ServiceError("IllegalOriginAccessConfiguration", message, status=400)


def _check_between(document: Mapping[str, Any], name: str, least: int, most: int, code: str) -> None:
    value = document.get(name)
    if value is not None and not least <= value <= most:
        raise ServiceError(code, f"{name} is a number from {least} to {most}.", status=400)


def _check_groups(config: Mapping[str, Any]) -> None:
    groups, origins = items(config, "OriginGroups"), [origin["Id"] for origin in items(config, "Origins")]
    if len(groups) > MOST_GROUPS:
        message = f"A distribution may have at most {MOST_GROUPS} origin groups."
        raise ServiceError("TooManyOriginGroupsPerDistribution", message, status=400)
    names = origins + [group["Id"] for group in groups]
    if len(names) != len(set(names)):
        raise invalid("An id of an origin or origin group is there twice.")
    for group in groups:
        members = [member["OriginId"] for member in items(group, "Members")]
        if len(members) != 2 or members[0] == members[1]:
            raise invalid(f"The origin group {group['Id']} must have two different members.")
        if not set(members) <= set(origins):
            message = f"The origin group {group['Id']} refers to an origin that does not exist."
            raise ServiceError("NoSuchOrigin", message, status=404)
        statuses = items(group["FailoverCriteria"], "StatusCodes")
        if not statuses or not set(statuses) <= FAILOVER_CODES:
            raise invalid(f"The failover criteria of {group['Id']} are some of {sorted(FAILOVER_CODES)}.")
        if group.get("SelectionCriteria", "default") != "default":
            raise ServiceError("NotImplemented", "Media-quality-based selection is not implemented here.", status=501)


def _check_behaviour(behaviour: Mapping[str, Any], groups: set[str]) -> None:
    pattern = behaviour.get("PathPattern")
    if pattern is not None and not PATTERN.match(pattern):
        raise invalid(f"{pattern!r} is not a path pattern.")
    methods = behaviour.get("AllowedMethods") or {}
    allowed = frozenset(methods.get("Items") or METHOD_SETS[0])
    cached = frozenset((methods.get("CachedMethods") or {}).get("Items") or METHOD_SETS[0])
    if allowed not in METHOD_SETS or cached not in METHOD_SETS[:2] or not cached <= allowed:
        raise invalid("The allowed or the cached methods are none of the sets that CloudFront knows.")
    if behaviour["TargetOriginId"] in groups and not allowed <= FAILS_OVER:
        raise invalid(
            "The parameter AllowedMethods cannot include POST, PUT, PATCH, or DELETE for a cached behavior associated "
            "with an origin group."
        )
    if (behaviour.get("GrpcConfig") or {}).get("Enabled") and "POST" not in allowed:
        raise invalid("gRPC needs a cache behavior that allows POST.")
    groups_of_keys = behaviour.get("TrustedKeyGroups") or {}
    if bool(groups_of_keys.get("Enabled")) != bool(groups_of_keys.get("Items")):
        raise invalid("TrustedKeyGroups are enabled where key groups are listed, and only there.")
    for name in ("ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL") if behaviour.get("CachePolicyId") else ():
        if behaviour.get(name):
            raise invalid(
                f"The parameter {name} cannot be used when a cache policy is associated to the cache behavior."
            )
    if behaviour.get("ForwardedValues"):
        _check_forwarded(behaviour, behaviour["ForwardedValues"])


def _check_forwarded(behaviour: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    least, usual, most = (behaviour.get(f"{name}TTL") for name in ("Min", "Default", "Max"))
    times = [time for time in (least or 0, usual, most) if time is not None]
    if times != sorted(times) or times[0] < 0:
        raise ServiceError("InvalidTTLOrder", "MinTTL, DefaultTTL and MaxTTL must grow in this order.", status=400)
    cookies = values.get("Cookies") or {}
    names = items(cookies, "WhitelistedNames")
    if bool(names) != (cookies.get("Forward") == "whitelist"):
        message = "Cookie names go with Forward whitelist, and only with it."
        raise ServiceError("InvalidForwardCookies", message, status=400)
    for listed, code in (
        (items(values, "Headers"), "TooManyHeadersInForwardedValues"),
        (names, "TooManyCookieNamesInWhiteList"),
        (items(values, "QueryStringCacheKeys"), "TooManyQueryStringParameters"),
    ):
        if len(listed) > MOST_FORWARDED:
            raise ServiceError(code, f"At most {MOST_FORWARDED} can be listed.", status=400)
    if items(values, "QueryStringCacheKeys") and not values.get("QueryString"):
        message = "QueryStringCacheKeys go with QueryString."
        raise ServiceError("InvalidQueryStringParameters", message, status=400)


def _check_error_page(page: Mapping[str, Any]) -> None:
    if page["ErrorCode"] not in ERROR_CODES:
        raise ServiceError("InvalidErrorCode", f"{page['ErrorCode']} cannot have a custom error response.", status=400)
    path, code = page.get("ResponsePagePath") or "", str(page.get("ResponseCode") or "")
    if bool(path) != bool(code):
        raise invalid("A custom error response has both ResponsePagePath and ResponseCode, or neither.")
    if code and (not code.isdecimal() or int(code) not in ERROR_CODES | {200}):
        raise ServiceError("InvalidResponseCode", f"{code} cannot be a response code.", status=400)
    if path and not path.startswith("/"):
        raise invalid("ResponsePagePath begins with a slash.")
    if (page.get("ErrorCachingMinTTL") or 0) < 0:
        raise invalid("ErrorCachingMinTTL is a number of seconds.")


def _check_geo(restriction: Mapping[str, Any]) -> None:
    kind, countries = restriction.get("RestrictionType", "none"), list(restriction.get("Items") or ())
    if bool(countries) != (kind != "none"):
        message = "Locations go with the restriction types whitelist and blacklist, and only with them."
        raise ServiceError("InvalidGeoRestrictionParameter", message, status=400)
    for country in countries:
        if country not in COUNTRIES:
            raise ServiceError("InvalidLocationCode", f"{country} is not a country code.", status=400)
