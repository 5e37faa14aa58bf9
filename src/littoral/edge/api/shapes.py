"""A distribution as CloudFront hands it back: with the members it fills in itself."""

from __future__ import annotations

import copy

from littoral.aws.service import Output
from littoral.edge.plan import items
from littoral.store.documents import Document


def filled(config: Document) -> Document:
    """A configuration as CloudFront hands it back: with the members it fills in itself."""
    full = copy.deepcopy(config)
    for name in ("Aliases", "CacheBehaviors", "CustomErrorResponses", "OriginGroups"):
        full.setdefault(name, {"Quantity": 0})
    full.setdefault("DefaultRootObject", "")
    full.setdefault("PriceClass", "PriceClass_All")
    full.setdefault("Logging", {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": ""})
    full.setdefault("ViewerCertificate", {"CloudFrontDefaultCertificate": True})
    arn = full["ViewerCertificate"].get("ACMCertificateArn")
    if arn:
        told = {"CloudFrontDefaultCertificate": False, "Certificate": arn, "CertificateSource": "acm"}
        full["ViewerCertificate"] |= told
        full["ViewerCertificate"].setdefault("MinimumProtocolVersion", "TLSv1")
    full.setdefault("Restrictions", {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}})
    full.setdefault("WebACLId", "")
    full.setdefault("HttpVersion", "http2")
    full.setdefault("IsIPV6Enabled", False)
    full.setdefault("Staging", False)
    full.setdefault("ContinuousDeploymentPolicyId", "")
    for behaviour in [full["DefaultCacheBehavior"], *items(full, "CacheBehaviors")]:
        behaviour.setdefault("TrustedSigners", {"Enabled": False, "Quantity": 0})
        behaviour.setdefault("TrustedKeyGroups", {"Enabled": False, "Quantity": 0})
        behaviour.setdefault("LambdaFunctionAssociations", {"Quantity": 0})
        behaviour.setdefault("FunctionAssociations", {"Quantity": 0})
        behaviour.setdefault("SmoothStreaming", False)
        behaviour.setdefault("Compress", False)
        behaviour.setdefault("FieldLevelEncryptionId", "")
        behaviour.setdefault(
            "AllowedMethods",
            {
                "Quantity": 2,
                "Items": ["HEAD", "GET"],
                "CachedMethods": {"Quantity": 2, "Items": ["HEAD", "GET"]},
            },
        )
    for origin in items(full, "Origins"):
        origin.setdefault("OriginPath", "")
        origin.setdefault("CustomHeaders", {"Quantity": 0})
        origin.setdefault("ConnectionAttempts", 3)
        origin.setdefault("ConnectionTimeout", 10)
        origin.setdefault("OriginShield", {"Enabled": False})
        origin.setdefault("OriginAccessControlId", "")
    return full


def summary(distribution: Output) -> Output:
    config = distribution["DistributionConfig"]
    taken = (
        "Aliases Origins OriginGroups DefaultCacheBehavior CacheBehaviors CustomErrorResponses Comment PriceClass "
        "Enabled ViewerCertificate Restrictions WebACLId HttpVersion IsIPV6Enabled Staging"
    ).split()
    own = {name: distribution[name] for name in ("Id", "ARN", "Status", "LastModifiedTime", "DomainName")}
    return {**own, **{name: config[name] for name in taken}}
