"""An origin, as requests are sent to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from littoral.edge.plan.document import Document, items


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
    shield: str | None = None  # the location that is asked before it (``tier``)
    ssl_protocols: tuple[str, ...] = ("TLSv1.2",)  # as functions are told; the connection negotiates the best there is
    function_url: bool = False  # of a Lambda function of the region: it is reached at the region's API
    website: bool = False  # of a bucket: there, too
    signing: str = "no"  # always, never, no-override, or no (no access control)

    @property
    def here(self) -> bool:
        """Whether it is reached at the region's API, under its own name."""
        return self.function_url or self.website


BUCKET = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]*?)\.s3[.-](?!website[.-])(?:[a-z0-9-]+\.)?amazonaws\.com$")
WEBSITE = re.compile(r"^[a-z0-9][a-z0-9.-]*\.s3-website[.-][a-z0-9-]+\.amazonaws\.com$")
FUNCTION_URL = re.compile(r"^[a-z0-9]{32}\.lambda-url\.[a-z0-9-]+\.(on\.aws|localhost)$")


def is_website(domain: str) -> bool:
    """Of a bucket."""
    return WEBSITE.match(domain) is not None


def is_function_url(domain: str) -> bool:
    return FUNCTION_URL.match(domain) is not None


def bucket_of(domain: str) -> str | None:
    """The bucket that an S3 origin's domain names; None where it names none. Websites are custom origins."""
    found = BUCKET.match(domain)
    return None if found is None else found["bucket"]


def origin_of(item: Document, policies: Mapping[str, Document]) -> Origin:
    domain = item["DomainName"]
    custom, shield = item.get("CustomOriginConfig") or {}, item.get("OriginShield") or {}
    files = item.get("S3OriginConfig") or {}
    identity = files.get("OriginAccessIdentity")
    control = policies.get(item.get("OriginAccessControlId") or "", {})
    kind = control.get("OriginAccessControlOriginType")
    return Origin(
        id=item["Id"],
        domain=domain,
        path=item.get("OriginPath") or "",
        bucket=None if custom else bucket_of(domain),
        protocol_policy=custom.get("OriginProtocolPolicy", "http-only"),
        http_port=int(custom.get("HTTPPort", 80)),
        https_port=int(custom.get("HTTPSPort", 443)),
        connect_timeout=float(item.get("ConnectionTimeout") or 10),
        attempts=int(item.get("ConnectionAttempts") or 3),
        read_timeout=float((custom or files).get("OriginReadTimeout") or 30),
        keepalive_timeout=int(custom.get("OriginKeepaliveTimeout") or 5),
        shield=shield.get("OriginShieldRegion") if shield.get("Enabled") else None,
        function_url=is_function_url(domain) and (domain.endswith(".localhost") or kind == "lambda"),
        website=is_website(domain),
        ssl_protocols=tuple(items(custom, "OriginSslProtocols")) or ("TLSv1.2",),
        headers=tuple((h["HeaderName"], h["HeaderValue"]) for h in items(item, "CustomHeaders")),
        signing="always" if identity else control.get("SigningBehavior", "no"),
    )
