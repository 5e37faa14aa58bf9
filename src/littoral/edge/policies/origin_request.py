"""CloudFront developer guide, "Use managed origin request policies"."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


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


_CORS = ("Origin", "Access-Control-Request-Headers", "Access-Control-Request-Method")
_OF_2022 = (
    "CloudFront-Forwarded-Proto",
    "CloudFront-Is-Android-Viewer",
    "CloudFront-Is-Desktop-Viewer",
    "CloudFront-Is-IOS-Viewer",
    "CloudFront-Is-Mobile-Viewer",
    "CloudFront-Is-SmartTV-Viewer",
    "CloudFront-Is-Tablet-Viewer",
    "CloudFront-Viewer-Address",
    "CloudFront-Viewer-ASN",
    "CloudFront-Viewer-City",
    "CloudFront-Viewer-Country",
    "CloudFront-Viewer-Country-Name",
    "CloudFront-Viewer-Country-Region",
    "CloudFront-Viewer-Country-Region-Name",
    "CloudFront-Viewer-Http-Version",
    "CloudFront-Viewer-Latitude",
    "CloudFront-Viewer-Longitude",
    "CloudFront-Viewer-Metro-Code",
    "CloudFront-Viewer-Postal-Code",
    "CloudFront-Viewer-Time-Zone",
    "CloudFront-Viewer-TLS",
)
MANAGED_ORIGIN_REQUEST: dict[str, Config] = {
    "216adef6-5c7f-47e4-b989-5492eafa07d3": _request("Managed-AllViewer", "allViewer"),
    "33f36d7e-f396-46d9-90e0-52428a34d9dc": _request(
        "Managed-AllViewerAndCloudFrontHeaders-2022-06", "allViewerAndWhitelistCloudFront", _OF_2022
    ),
    "b689b0a8-53d0-40ab-baf2-68738e2966ac": _request("Managed-AllViewerExceptHostHeader", "allExcept", ("Host",)),
    "59781a5b-3903-41f3-afcb-af62929ccde1": _request(
        "Managed-CORS-CustomOrigin", "whitelist", ("Origin",), "none", "none"
    ),
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": _request("Managed-CORS-S3Origin", "whitelist", _CORS, "none", "none"),
    "775133bc-15f2-49f9-abea-afb2e0bf67d2": _request(
        "Managed-Elemental-MediaTailor-PersonalizedManifests",
        "whitelist",
        (*_CORS, "User-Agent", "X-Forwarded-For"),
        "none",
    ),
    "bf0718e1-ba1e-49d1-88b1-f726733018ae": _request("Managed-HostHeaderOnly", "whitelist", ("Host",), "none", "none"),
    "acba4595-bd28-49b8-b9fe-13317c0390fa": _request(
        "Managed-UserAgentRefererHeaders", "whitelist", ("User-Agent", "Referer"), "none", "none"
    ),
}
