"""What a DistributionConfig may not ask for yet: refused where it would matter, never silently taken.

Each row: where the field stands (``*`` for every item of a list), the values that ask for nothing, and what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from littoral.aws.service import ServiceError
from littoral.edge.cloudfrontheaders import check_known

NOTHING: tuple[Any, ...] = (None, "", 0, False, {}, [])
ORIGIN, DEFAULT, OTHERS = "Origins.Items.*.", "DefaultCacheBehavior.", "CacheBehaviors.Items.*."

IAM = "certificates of IAM (import them to ACM, or choose the default one and the edge_certificates folder)"

REFUSED: list[tuple[str, tuple[Any, ...], str]] = [
    ("ViewerCertificate.IAMCertificateId", NOTHING, IAM),
    ("ViewerCertificate.CertificateSource", (*NOTHING, "cloudfront", "acm"), IAM),
    ("AnycastIpListId", NOTHING, "anycast IPs"),
    ("ConnectionMode", (*NOTHING, "direct"), "tenants"),
    ("TenantConfig", NOTHING, "tenants"),
    ("ViewerMtlsConfig.Mode", (*NOTHING, "required", "optional"), "viewer mTLS that passes certificates unread"),
    ("ViewerMtlsConfig.TrustStoreConfig.IgnoreCertificateExpiry", NOTHING, "expired certificates of viewers"),
    ("ConnectionFunctionAssociation", NOTHING, "connection functions"),
    (ORIGIN + "VpcOriginConfig", NOTHING, "VPC origins"),
    (ORIGIN + "CustomOriginConfig.OriginMtlsConfig", NOTHING, "client certificates towards origins"),
    (ORIGIN + "CustomOriginConfig.IpAddressType", (*NOTHING, "ipv4", "dualstack"), "origins over IPv6 alone"),
    (ORIGIN + "ResponseCompletionTimeout", NOTHING, "response completion timeouts"),
    *(
        (prefix + field, allowed, what)
        for prefix in (DEFAULT, OTHERS)
        for field, allowed, what in (
            ("TrustedSigners.Enabled", NOTHING, "trusted signers (accounts; use trusted key groups)"),
            ("TrustedSigners.Items", NOTHING, "trusted signers (accounts; use trusted key groups)"),
            ("FieldLevelEncryptionId", NOTHING, "field-level encryption"),
            ("SmoothStreaming", NOTHING, "smooth streaming"),
        )
    ),
]
NOTES = (
    "Refused when asked for: " + ", ".join(sorted({what for _, _, what in REFUSED})) + ". "
    "SSLSupportMethod of a certificate of ACM is sni-only; Certificate may say what ACMCertificateArn says. "
    "The headers CloudFront-Viewer-JA3-Fingerprint and -JA4-Fingerprint are not made behind a front. "
    "Geo restriction needs a database at each location (--geo-database): without one everybody is served. "
    "Taken without effect: PriceClass, IsIPV6Enabled, IpAddressType (whatever address answers), OriginSslProtocols "
    "(1.2 or newer), OriginKeepaliveTimeout (20 s), AdvertiseTrustStoreCaNames. "
    "Of MinimumProtocolVersion TLS 1.3 is held to; otherwise it is 1.2, with our own choice of ciphers."
)


def check_honoured(config: Mapping[str, Any]) -> None:
    """Raises NotImplemented for the first field that asks for what is not there."""
    for prefix in (DEFAULT, OTHERS):
        for name in _values(config, [*prefix.split(".")[:-1], *"ForwardedValues.Headers.Items.*".split(".")]):
            check_known(name.lower())
    for path, allowed, what in REFUSED:
        for value in _values(config, path.split(".")):
            if value not in allowed:
                raise ServiceError("NotImplemented", f"Not implemented here: {what} ({path}).", status=501)


def _values(document: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield document
    elif path[0] == "*":
        for item in document or ():
            yield from _values(item, path[1:])
    elif isinstance(document, Mapping) and path[0] in document:
        yield from _values(document[path[0]], path[1:])
