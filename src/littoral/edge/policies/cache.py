"""CloudFront developer guide, "Use managed cache policies"."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def _cache(
    name: str,
    ttl: tuple[int, int, int],
    *,
    headers: tuple[str, ...] = (),
    cookies: str = "none",
    query: str | tuple[str, ...] = "none",
    gzip: bool = True,
    brotli: bool = True,
) -> Config:
    """``ttl``: minimum, default, maximum. ``query`` is a behaviour, or the parameters of a whitelist."""
    return {
        "Name": name,
        "Comment": "",
        "MinTTL": ttl[0],
        "DefaultTTL": ttl[1],
        "MaxTTL": ttl[2],
        "ParametersInCacheKeyAndForwardedToOrigin": {
            "EnableAcceptEncodingGzip": gzip,
            "EnableAcceptEncodingBrotli": brotli,
            "HeadersConfig": _selected("Header", headers),
            "CookiesConfig": {"CookieBehavior": cookies},
            "QueryStringsConfig": (
                {"QueryStringBehavior": query} if isinstance(query, str) else _selected("QueryString", query)
            ),
        },
    }


def _selected(kind: str, names: tuple[str, ...]) -> Config:
    if not names:
        return {f"{kind}Behavior": "none"}
    return {f"{kind}Behavior": "whitelist", f"{kind}s": {"Quantity": len(names), "Items": list(names)}}


DAY, YEAR = 86400, 31536000
OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")

MANAGED_CACHE: dict[str, Config] = {
    "658327ea-f89d-4fab-a63d-7e88639e58f6": _cache("Managed-CachingOptimized", (1, DAY, YEAR)),
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": _cache(
        "Managed-CachingOptimizedForUncompressedObjects", (1, DAY, YEAR), gzip=False, brotli=False
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
        "Managed-Elemental-MediaPackage",
        (0, DAY, YEAR),
        headers=("Origin",),
        query=("aws.manifestfilter", "start", "end", "m"),
        brotli=False,
    ),
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65": _cache(
        "Managed-UseOriginCacheControlHeaders", (0, 0, YEAR), headers=("Host", "Origin", *OVERRIDES), cookies="all"
    ),
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe": _cache(
        "Managed-UseOriginCacheControlHeaders-QueryStrings",
        (0, 0, YEAR),
        headers=("Host", "Origin", *OVERRIDES),
        cookies="all",
        query="all",
    ),
}
