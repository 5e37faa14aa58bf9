"""The managed policies, by AWS's own ids ("Using the managed cache policies" and "… origin request policies")."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def _cache(
    name: str,
    ttl: tuple[int, int, int],
    *,
    headers: tuple[str, ...] = (),
    cookies: str = "none",
    query: str = "none",
    gzip: bool = True,
    brotli: bool = True,
) -> Config:
    header_config: Config = {"HeaderBehavior": "whitelist" if headers else "none"}
    if headers:
        header_config["Headers"] = {"Quantity": len(headers), "Items": list(headers)}
    return {
        "Name": name,
        "Comment": "",
        "MinTTL": ttl[0],
        "DefaultTTL": ttl[1],
        "MaxTTL": ttl[2],
        "ParametersInCacheKeyAndForwardedToOrigin": {
            "EnableAcceptEncodingGzip": gzip,
            "EnableAcceptEncodingBrotli": brotli,
            "HeadersConfig": header_config,
            "CookiesConfig": {"CookieBehavior": cookies},
            "QueryStringsConfig": {"QueryStringBehavior": query},
        },
    }


def _request(name: str, headers: str, listed: tuple[str, ...] = (), cookies: str = "all", query: str = "all") -> Config:
    header_config: Config = {"HeaderBehavior": headers}
    if listed:
        header_config["Headers"] = {"Quantity": len(listed), "Items": list(listed)}
    return {
        "Name": name,
        "Comment": "",
        "HeadersConfig": header_config,
        "CookiesConfig": {"CookieBehavior": cookies},
        "QueryStringsConfig": {"QueryStringBehavior": query},
    }


MANAGED_CACHE: dict[str, Config] = {
    "658327ea-f89d-4fab-a63d-7e88639e58f6": _cache("Managed-CachingOptimized", (1, 86400, 31536000)),
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": _cache(
        "Managed-CachingOptimizedForUncompressedObjects", (1, 86400, 31536000), gzip=False, brotli=False
    ),
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": _cache("Managed-CachingDisabled", (0, 0, 0), gzip=False, brotli=False),
    "2e54312d-136d-493c-8eb9-b001f22f67d2": _cache(
        "Managed-Amplify",
        (2, 2, 600),
        headers=("Authorization", "CloudFront-Viewer-Country", "Host"),
        cookies="all",
        query="all",
    ),
    "08627262-05a9-4f76-9ded-b50ca2e3a84f": _cache(
        "Managed-Elemental-MediaPackage", (0, 86400, 31536000), headers=("Origin",), query="whitelist", brotli=False
    ),
}
MANAGED_CACHE["08627262-05a9-4f76-9ded-b50ca2e3a84f"]["ParametersInCacheKeyAndForwardedToOrigin"]["QueryStringsConfig"][
    "QueryStrings"
] = {"Quantity": 3, "Items": ["aws.manifestfilter", "start", "end"]}

_CORS = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
MANAGED_ORIGIN_REQUEST: dict[str, Config] = {
    "216adef6-5c7f-47e4-b989-5492eafa07d3": _request("Managed-AllViewer", "allViewer"),
    "b689b0a8-53d0-40ab-baf2-68738e2966ac": _request("Managed-AllViewerExceptHostHeader", "allExcept", ("Host",)),
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": _request("Managed-CORS-S3Origin", "whitelist", _CORS, "none", "none"),
    "59781a5b-3903-41f3-afcb-af62929ccde1": _request(
        "Managed-CORS-CustomOrigin", "whitelist", ("Origin",), "none", "none"
    ),
    "acba4595-bd28-49b8-b9fe-13317c0390fa": _request(
        "Managed-UserAgentRefererHeaders", "whitelist", ("User-Agent", "Referer"), "none", "none"
    ),
}
