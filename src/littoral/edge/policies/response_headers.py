"""CloudFront developer guide, "Use managed response headers policies"."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]
_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


def _list(items: list[str]) -> Config:
    return {"Quantity": len(items), "Items": items}


def _cors(*, preflight: bool) -> Config:
    """Any origin; what the origin says itself stays."""
    made = {
        "AccessControlAllowOrigins": _list(["*"]),
        "AccessControlAllowHeaders": {"Quantity": 0},
        "AccessControlAllowMethods": _list(_METHODS if preflight else ["GET"]),
        "AccessControlAllowCredentials": False,
        "OriginOverride": False,
    }
    return made | ({"AccessControlExposeHeaders": _list(["*"])} if preflight else {})


def _security() -> Config:
    return {
        "XSSProtection": {"Override": False, "Protection": True, "ModeBlock": True},
        "FrameOptions": {"Override": False, "FrameOption": "SAMEORIGIN"},
        "ReferrerPolicy": {"Override": False, "ReferrerPolicy": "strict-origin-when-cross-origin"},
        "ContentTypeOptions": {"Override": True},
        "StrictTransportSecurity": {"Override": False, "AccessControlMaxAgeSec": 31536000},
    }


def _policy(name: str, *, cors: str = "", secure: bool = False) -> Config:
    made: Config = {"Name": f"Managed-{name}", "Comment": ""}
    if cors:
        made["CorsConfig"] = _cors(preflight=cors == "preflight")
    if secure:
        made["SecurityHeadersConfig"] = _security()
    return made


MANAGED_RESPONSE_HEADERS: dict[str, Config] = {
    "60669652-455b-4ae9-85a4-c4c02393f86c": _policy("SimpleCORS", cors="simple"),
    "5cc3b908-e619-4b99-88e5-2cf7f45965bd": _policy("CORS-With-Preflight", cors="preflight"),
    "67f7725c-6f97-4210-82d7-5512b31e9d03": _policy("SecurityHeadersPolicy", secure=True),
    "e61eb60c-9c35-4d20-a928-2b84e02af89c": _policy("CORS-and-SecurityHeadersPolicy", cors="simple", secure=True),
    "eaab4381-ed33-4a86-88ca-d9558dc6cd63": _policy(
        "CORS-with-preflight-and-SecurityHeadersPolicy", cors="preflight", secure=True
    ),
}
