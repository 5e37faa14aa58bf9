"""The control plane beside distributions' life: quotas and refusals, identities, look-ups, names, tags, monitoring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from littoral.edge.api.shapes import filled
from littoral.edge.cloudfront import documents_of
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE
from tests.edge.place import OPTIMIZED, behaving, cache_policy, listed
from tests.edge.test_control import Place, config, refused, there  # noqa: F401 - a fixture

S3 = {"Id": "o", "DomainName": "shop.s3.us-east-1.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}
CUSTOM = config()["Origins"]["Items"][0]
SECOND = CUSTOM | {"Id": "b"}
LEGACY = {
    "TargetOriginId": "o",
    "ViewerProtocolPolicy": "allow-all",
    "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
    "MinTTL": 0,
}


def origin(**changes: Any) -> dict[str, Any]:
    custom = CUSTOM["CustomOriginConfig"] | changes.pop("custom", {})
    return {"Origins": listed([CUSTOM | {"CustomOriginConfig": custom} | changes])}


def group(members: list[str], *statuses: int, **more: Any) -> dict[str, Any]:
    made = {
        "Id": "g",
        "FailoverCriteria": {"StatusCodes": listed(list(statuses))},
        "Members": listed([{"OriginId": each} for each in members]),
    }
    behaviour = behaving(TargetOriginId="g", **more)
    return {
        "Origins": listed([CUSTOM, SECOND]),
        "OriginGroups": listed([made]),
        "DefaultCacheBehavior": behaviour,
    }


def legacy(**changes: Any) -> dict[str, Any]:
    values = LEGACY["ForwardedValues"] | changes.pop("values", {})  # type: ignore[operator]
    return {"DefaultCacheBehavior": LEGACY | changes | {"ForwardedValues": values}}


def names(count: int) -> dict[str, Any]:
    return listed([f"x-{number}" for number in range(count)])


def page(**changes: Any) -> dict[str, Any]:
    made = {"ErrorCode": 404, "ResponsePagePath": "/e", "ResponseCode": "200", "ErrorCachingMinTTL": 1}
    return {"CustomErrorResponses": listed([made | changes])}


def geo(kind: str, *countries: str) -> dict[str, Any]:
    return {"Restrictions": {"GeoRestriction": {"RestrictionType": kind, **listed(list(countries))}}}


GROUP = group(["o", "b"], 500)["OriginGroups"]["Items"][0]
ALL = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
EXPIRED = {"AdvertiseTrustStoreCaNames": False, "IgnoreCertificateExpiry": True}
TEXT = {"StringSchema": {"Required": False}}
REFUSED = [
    ({"Comment": "x" * 129}, "InvalidArgument"),
    ({"DefaultRootObject": "/index.html"}, "InvalidDefaultRootObject"),
    ({"Aliases": listed(["a b.test"])}, "InvalidArgument"),
    ({"Aliases": listed(["a.*.test"])}, "InvalidArgument"),
    ({"Aliases": listed([f"a{n}.test" for n in range(101)])}, "TooManyDistributionCNAMEs"),
    ({"Origins": listed([CUSTOM | {"Id": f"o{n}"} for n in range(101)])}, "TooManyOrigins"),
    ({"Origins": listed([CUSTOM, CUSTOM])}, "InvalidArgument"),
    ({"Origins": listed([{"Id": "o", "DomainName": "a.test"}])}, "InvalidOrigin"),
    (origin(DomainName="http://a.test"), "InvalidArgument"),
    (origin(OriginPath="a"), "InvalidArgument"),
    (origin(OriginPath="/a/"), "InvalidArgument"),
    (origin(ConnectionAttempts=4), "InvalidArgument"),
    (origin(ConnectionTimeout=11), "InvalidArgument"),
    (origin(custom={"OriginReadTimeout": 121}), "InvalidOriginReadTimeout"),
    (origin(custom={"OriginKeepaliveTimeout": 0}), "InvalidOriginKeepaliveTimeout"),
    (
        origin(CustomHeaders=listed([{"HeaderName": f"x-{n}", "HeaderValue": "1"} for n in range(31)])),
        "TooManyOriginCustomHeaders",
    ),
    (origin(CustomHeaders=listed([{"HeaderName": "Host", "HeaderValue": "a"}])), "InvalidArgument"),
    (origin(CustomHeaders=listed([{"HeaderName": "X", "HeaderValue": "a\nb"}])), "InvalidArgument"),
    ({"Origins": listed([S3 | {"OriginAccessControlId": "none"}])}, "InvalidOriginAccessControl"),
    (
        {
            "Origins": listed(
                [S3 | {"S3OriginConfig": {"OriginAccessIdentity": "origin-access-identity/cloudfront/E0"}}]
            )
        },
        "InvalidOriginAccessIdentity",
    ),
    (
        {"Origins": listed([S3 | {"OriginAccessControlId": "E1", "S3OriginConfig": {"OriginAccessIdentity": "a/b"}}])},
        "IllegalOriginAccessConfiguration",
    ),
    (group(["o", "o"], 500), "InvalidArgument"),
    (group(["o", "none"], 500), "NoSuchOrigin"),
    (group(["o", "b"], 418), "InvalidArgument"),
    (group(["o", "b"], 500, methods=ALL), "InvalidArgument"),
    (
        {
            "OriginGroups": listed([GROUP | {"Id": f"g{n}"} for n in range(11)]),
        },
        "TooManyOriginGroupsPerDistribution",
    ),
    ({"DefaultCacheBehavior": behaving(methods=["GET", "HEAD", "PUT"])}, "InvalidArgument"),
    ({"CacheBehaviors": listed([behaving(PathPattern="/a b")])}, "InvalidArgument"),
    (legacy(MinTTL=5, DefaultTTL=4), "InvalidTTLOrder"),
    (legacy(values={"Cookies": {"Forward": "whitelist"}}), "InvalidForwardCookies"),
    (legacy(values={"Headers": names(11)}), "TooManyHeadersInForwardedValues"),
    (
        legacy(values={"Cookies": {"Forward": "whitelist", "WhitelistedNames": names(11)}}),
        "TooManyCookieNamesInWhiteList",
    ),
    (legacy(values={"QueryString": True, "QueryStringCacheKeys": names(11)}), "TooManyQueryStringParameters"),
    (legacy(values={"QueryStringCacheKeys": names(1)}), "InvalidQueryStringParameters"),
    (page(ErrorCode=418), "InvalidErrorCode"),
    (page(ResponseCode="418"), "InvalidResponseCode"),
    (page(ResponseCode=""), "InvalidArgument"),
    (page(ResponsePagePath="e"), "InvalidArgument"),
    (geo("whitelist"), "InvalidGeoRestrictionParameter"),
    (geo("none", "DE"), "InvalidGeoRestrictionParameter"),
    (geo("blacklist", "ZZ"), "InvalidLocationCode"),
    # what would be taken and not held to
    ({"DefaultCacheBehavior": behaving(TrustedKeyGroups={"Enabled": True, "Quantity": 0})}, "InvalidArgument"),
    ({"DefaultCacheBehavior": behaving(TrustedSigners={"Enabled": False, **listed(["self"])})}, "NotImplemented"),
    ({"DefaultCacheBehavior": behaving(MinTTL=7)}, "InvalidArgument"),
    ({"DefaultCacheBehavior": behaving(GrpcConfig={"Enabled": True})}, "InvalidArgument"),
    (
        {"DefaultCacheBehavior": behaving(methods=ALL, GrpcConfig={"Enabled": True}), "HttpVersion": "http3"},
        "InvalidArgument",
    ),
    ({"Logging": {"Enabled": True}}, "InvalidArgument"),
    ({"ViewerCertificate": {"CloudFrontDefaultCertificate": False}}, "InvalidViewerCertificate"),
    ({"ViewerCertificate": {"Certificate": "x", "CertificateSource": "acm"}}, "InvalidViewerCertificate"),
    ({"ViewerCertificate": {"IAMCertificateId": "x", "SSLSupportMethod": "sni-only"}}, "NotImplemented"),
    ({"ViewerCertificate": {"ACMCertificateArn": "arn:aws:acm:a"}}, "InvalidViewerCertificate"),
    ({"ViewerCertificate": {"ACMCertificateArn": "arn:aws:acm:a", "SSLSupportMethod": "vip"}}, "NotImplemented"),
    (
        {"ViewerCertificate": {"ACMCertificateArn": "arn:aws:acm:a", "CloudFrontDefaultCertificate": True}},
        "InvalidViewerCertificate",
    ),
    ({"ViewerMtlsConfig": {"TrustStoreConfig": {"TrustStoreId": "none"}}}, "InvalidArgument"),
    ({"Aliases": listed(["a.test", "A.test"])}, "InvalidArgument"),
    ({"CustomErrorResponses": listed([page()["CustomErrorResponses"]["Items"][0]] * 2)}, "InvalidArgument"),
    (origin(custom={"OriginMtlsConfig": {"ClientCertificateArn": "arn:a"}}), "NotImplemented"),
    (origin(custom={"IpAddressType": "ipv6"}), "NotImplemented"),
    (origin(VpcOriginConfig={"VpcOriginId": "vo_1"}), "NotImplemented"),
    ({"ViewerMtlsConfig": {"TrustStoreConfig": {"TrustStoreId": "t", **EXPIRED}}}, "NotImplemented"),
    ({"TenantConfig": {"ParameterDefinitions": [{"Name": "n", "Definition": TEXT}]}}, "NotImplemented"),
    (origin(S3OriginConfig={"OriginAccessIdentity": ""}), "InvalidOrigin"),
    ({"Origins": listed([S3 | {"DomainName": "a.test"}])}, "InvalidArgument"),
    ({"Origins": listed([S3 | {"DomainName": "a.s3-website-us-east-1.amazonaws.com"}])}, "InvalidArgument"),
    (
        {"Origins": listed([S3 | {"S3OriginConfig": {"OriginAccessIdentity": "", "OriginReadTimeout": 121}}])},
        "InvalidOriginReadTimeout",
    ),
]


@pytest.mark.parametrize(("change", "code"), REFUSED, ids=[code for _, code in REFUSED])
def test_what_a_distribution_may_not_say(there: Place, change: dict[str, Any], code: str) -> None:  # noqa: F811
    refused(code, there.cloudfront.create_distribution, DistributionConfig=config(**change))
    assert there.cloudfront.list_distributions()["DistributionList"]["Quantity"] == 0


@pytest.mark.parametrize("change", [{}, legacy(), page(), {"CacheBehaviors": listed([behaving(PathPattern="/a*")])}])
def test_what_is_handed_back_means_what_was_asked_for(change: dict[str, Any]) -> None:
    """Whoever reads a configuration, changes one thing and writes it back changes that alone (HTTP/2 was gone)."""

    def meaning(written: dict[str, Any]) -> Any:
        plan = compile_plan("E1", "a.test", written, MANAGED_CACHE)
        return replace(plan, behaviours=[replace(each, matches=bool) for each in plan.behaviours])

    asked = config(**change)
    assert meaning(filled(asked)) == meaning(asked)


def test_what_is_not_there_is_named_in_a_sentence(there: Place) -> None:  # noqa: F811
    wanted = config(DefaultCacheBehavior=behaving(FieldLevelEncryptionId="E1"))
    problem = refused("NotImplemented", there.cloudfront.create_distribution, DistributionConfig=wanted)
    place = "DefaultCacheBehavior.FieldLevelEncryptionId"
    assert problem.response["Error"]["Message"] == f"Not implemented here: field-level encryption ({place})."


def test_what_it_may_say(there: Place) -> None:  # noqa: F811
    create = there.cloudfront.create_distribution
    whole = group(["o", "b"], 500, 404) | geo("blacklist", "DE", "XK") | page() | {"Aliases": listed(["*.a.test"])}
    made = create(DistributionConfig=config(**whole))["Distribution"]["DistributionConfig"]
    assert made["OriginGroups"]["Items"][0]["FailoverCriteria"]["StatusCodes"]["Items"] == [500, 404]
    assert made["Restrictions"]["GeoRestriction"]["Items"] == ["DE", "XK"]
    assert create(DistributionConfig=config(reference="2", **legacy(DefaultTTL=5, MaxTTL=6)))
    default = {"CloudFrontDefaultCertificate": True, "SSLSupportMethod": "vip", "CertificateSource": "cloudfront"}
    calls = behaving(methods=ALL, GrpcConfig={"Enabled": True}, MinTTL=0)
    told = {"DefaultCacheBehavior": calls, "ViewerCertificate": default | {"MinimumProtocolVersion": "TLSv1"}}
    assert create(DistributionConfig=config(reference="3", **told))


@pytest.mark.parametrize(
    "change",
    [
        {"SigningBehavior": "always-amz-auth"},
        {"SigningProtocol": "sigv4a"},
        {"OriginAccessControlOriginType": "mediastore"},
    ],
)
def test_access_controls_that_nobody_signs_for(there: Place, change: dict[str, str]) -> None:  # noqa: F811
    usual = {"Name": "a", "SigningProtocol": "sigv4", "SigningBehavior": "always"}
    asked = usual | {"OriginAccessControlOriginType": "s3"} | change
    refused("NotImplemented", there.cloudfront.create_origin_access_control, OriginAccessControlConfig=asked)


def test_how_long_s3_may_take() -> None:
    slow = S3 | {"S3OriginConfig": {"OriginAccessIdentity": "", "OriginReadTimeout": 7}}
    plan = compile_plan("E1", "a.test", config(Origins=listed([slow])), MANAGED_CACHE)
    assert plan.origins["o"].read_timeout == 7


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"MinTTL": 5, "DefaultTTL": 4}, "InvalidArgument"),
        ({"Name": "a b"}, "InvalidArgument"),
        ({"HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": names(11)}}, "TooManyHeadersInCachePolicy"),
        ({"CookiesConfig": {"CookieBehavior": "whitelist", "Cookies": names(11)}}, "TooManyCookiesInCachePolicy"),
        (
            {"QueryStringsConfig": {"QueryStringBehavior": "allExcept", "QueryStrings": names(11)}},
            "TooManyQueryStringsInCachePolicy",
        ),
        ({"CookiesConfig": {"CookieBehavior": "all", "Cookies": names(1)}}, "InvalidArgument"),
        ({"HeadersConfig": {"HeaderBehavior": "allViewer"}}, "InvalidArgument"),
        ({"MinTTL": 0, "DefaultTTL": 0, "MaxTTL": 0, "EnableAcceptEncodingGzip": True}, "InvalidArgument"),
        (
            {"HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": {"Quantity": 2, "Items": ["a"]}}},
            "InconsistentQuantities",
        ),
    ],
)
def test_what_a_cache_policy_may_not_say(there: Place, change: dict[str, Any], code: str) -> None:  # noqa: F811
    own = {"Name": "own"} | cache_policy(EnableAcceptEncodingGzip=False)
    top = {name: value for name, value in change.items() if name in {"Name", "MinTTL", "DefaultTTL", "MaxTTL"}}
    parameters = own["ParametersInCacheKeyAndForwardedToOrigin"] | {k: v for k, v in change.items() if k not in top}
    made = own | top | {"ParametersInCacheKeyAndForwardedToOrigin": parameters}
    refused(code, there.cloudfront.create_cache_policy, CachePolicyConfig=made)


def test_origin_access_identities(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront
    own = {"CallerReference": "1", "Comment": "shop"}
    made = cf.create_cloud_front_origin_access_identity(CloudFrontOriginAccessIdentityConfig=own)
    identity = made["CloudFrontOriginAccessIdentity"]
    again = cf.create_cloud_front_origin_access_identity(CloudFrontOriginAccessIdentityConfig=own)
    assert again["CloudFrontOriginAccessIdentity"]["Id"] == identity["Id"]
    other = own | {"Comment": "x"}
    refused(
        "CloudFrontOriginAccessIdentityAlreadyExists",
        cf.create_cloud_front_origin_access_identity,
        CloudFrontOriginAccessIdentityConfig=other,
    )
    updated = cf.update_cloud_front_origin_access_identity(
        Id=identity["Id"], CloudFrontOriginAccessIdentityConfig=other, IfMatch=made["ETag"]
    )
    listing = cf.list_cloud_front_origin_access_identities()["CloudFrontOriginAccessIdentityList"]
    assert [(each["Id"], each["Comment"]) for each in listing["Items"]] == [(identity["Id"], "x")]
    assert len(listing["Items"][0]["S3CanonicalUserId"]) == 96
    named = {"OriginAccessIdentity": f"origin-access-identity/cloudfront/{identity['Id']}"}
    signed = config(Origins=listed([S3 | {"S3OriginConfig": named}]))
    cf.create_distribution(DistributionConfig=signed)
    assert compile_plan("E1", "d", signed, documents_of(there.control)).origins["o"].signing == "always"
    delete = cf.delete_cloud_front_origin_access_identity
    refused("CloudFrontOriginAccessIdentityInUse", delete, Id=identity["Id"], IfMatch=updated["ETag"])
    refused("NoSuchCloudFrontOriginAccessIdentity", delete, Id="E0", IfMatch="E0")


def test_an_access_control_is_updated(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront
    own = {
        "Name": "oac",
        "SigningProtocol": "sigv4",
        "SigningBehavior": "always",
        "OriginAccessControlOriginType": "s3",
    }
    made = cf.create_origin_access_control(OriginAccessControlConfig=own)
    identifier = made["OriginAccessControl"]["Id"]
    changed = own | {"SigningBehavior": "never", "Name": "new"}
    update = cf.update_origin_access_control
    refused("PreconditionFailed", update, Id=identifier, OriginAccessControlConfig=changed, IfMatch="E0")
    updated = update(Id=identifier, OriginAccessControlConfig=changed, IfMatch=made["ETag"])
    found = cf.get_origin_access_control_config(Id=identifier)
    assert (found["ETag"], found["OriginAccessControlConfig"]["SigningBehavior"]) == (updated["ETag"], "never")
    for kind in ("mediapackagev2", "mediastore"):
        other = own | {"Name": kind, "OriginAccessControlOriginType": kind}
        refused("NotImplemented", cf.create_origin_access_control, OriginAccessControlConfig=other)


def test_distributions_by_what_they_use(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront
    ids = [
        cf.create_distribution(DistributionConfig=config(reference=str(number)))["Distribution"]["Id"]
        for number in range(3)
    ]
    found = cf.list_distributions_by_cache_policy_id(CachePolicyId=OPTIMIZED, MaxItems="2")["DistributionIdList"]
    rest = cf.list_distributions_by_cache_policy_id(CachePolicyId=OPTIMIZED, Marker=found["NextMarker"])
    assert sorted(found["Items"] + rest["DistributionIdList"]["Items"]) == sorted(ids)
    by_headers = cf.list_distributions_by_response_headers_policy_id
    unused = "67f7725c-6f97-4210-82d7-5512b31e9d03"
    assert by_headers(ResponseHeadersPolicyId=unused)["DistributionIdList"]["Quantity"] == 0
    refused("NoSuchResponseHeadersPolicy", by_headers, ResponseHeadersPolicyId="none")
    by_request = cf.list_distributions_by_origin_request_policy_id
    refused("NoSuchOriginRequestPolicy", by_request, OriginRequestPolicyId="none")
    without = cf.list_distributions_by_web_acl_id(WebACLId="null")["DistributionList"]
    assert sorted(each["Id"] for each in without["Items"]) == sorted(ids)


def test_a_name_moves_to_another_distribution(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront

    def made(reference: str, *aliases: str) -> str:
        wanted = config(reference=reference, Aliases=listed(list(aliases)))
        return str(cf.create_distribution(DistributionConfig=wanted)["Distribution"]["Id"])

    one, two = made("1", "a.example.test", "b.example.test"), made("2", "c.test")
    wild = cf.list_conflicting_aliases(DistributionId=two, Alias="*.example.test")["ConflictingAliasesList"]
    assert {(each["Alias"], each["DistributionId"]) for each in wild["Items"]} == {
        ("a.example.test", one),
        ("b.example.test", one),
    }
    assert (
        cf.list_conflicting_aliases(DistributionId=one, Alias="a.example.test")["ConflictingAliasesList"]["Quantity"]
        == 0
    )
    cf.associate_alias(TargetDistributionId=two, Alias="A.example.test")
    kept = {key: cf.get_distribution_config(Id=key)["DistributionConfig"]["Aliases"]["Items"] for key in (one, two)}
    assert kept == {one: ["b.example.test"], two: ["c.test", "A.example.test"]}
    refused("NoSuchDistribution", cf.associate_alias, TargetDistributionId="E0", Alias="a.test")
    refused("InvalidArgument", cf.associate_alias, TargetDistributionId=one, Alias="a b")


def test_tags_come_and_go(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront
    made = cf.create_distribution(DistributionConfig=config(Enabled=False))
    arn = made["Distribution"]["ARN"]
    cf.tag_resource(Resource=arn, Tags={"Items": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]})
    cf.untag_resource(Resource=arn, TagKeys={"Items": ["a", "none"]})
    assert cf.list_tags_for_resource(Resource=arn)["Tags"]["Items"] == [{"Key": "b", "Value": "2"}]
    many = {"Items": [{"Key": f"k{number}", "Value": ""} for number in range(50)]}
    refused("InvalidTagging", cf.tag_resource, Resource=arn, Tags=many)
    refused("InvalidTagging", cf.tag_resource, Resource=arn, Tags={"Items": [{"Key": "aws:x", "Value": ""}]})
    refused("InvalidArgument", cf.list_tags_for_resource, Resource="arn:aws:s3:::shop")
    refused("NoSuchResource", cf.list_tags_for_resource, Resource=arn[:-1])
    cf.delete_distribution(Id=made["Distribution"]["Id"], IfMatch=made["ETag"])
    assert there.control.all("tags") == {}


def test_monitoring_subscriptions(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront
    identifier = cf.create_distribution(DistributionConfig=config())["Distribution"]["Id"]
    refused("NoSuchMonitoringSubscription", cf.get_monitoring_subscription, DistributionId=identifier)
    asked = {"RealtimeMetricsSubscriptionConfig": {"RealtimeMetricsSubscriptionStatus": "Enabled"}}
    cf.create_monitoring_subscription(DistributionId=identifier, MonitoringSubscription=asked)
    assert cf.get_monitoring_subscription(DistributionId=identifier)["MonitoringSubscription"] == asked
    again = {"DistributionId": identifier, "MonitoringSubscription": asked}
    refused("MonitoringSubscriptionAlreadyExists", cf.create_monitoring_subscription, **again)
    cf.delete_monitoring_subscription(DistributionId=identifier)
    refused("NoSuchDistribution", cf.get_monitoring_subscription, DistributionId="E0")


def test_a_policy_is_for_a_hundred_distributions(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront
    own = {"Name": "own"} | cache_policy(EnableAcceptEncodingGzip=False)
    policy = cf.create_cache_policy(CachePolicyConfig=own)["CachePolicy"]["Id"]
    used = {"DefaultCacheBehavior": behaving(CachePolicyId=policy)}
    for number in range(100):
        cf.create_distribution(DistributionConfig=config(reference=str(number), **used))
    code = "TooManyDistributionsAssociatedToCachePolicy"
    refused(code, cf.create_distribution, DistributionConfig=config(reference="101", **used))
    own = {"SigningProtocol": "sigv4", "SigningBehavior": "always", "OriginAccessControlOriginType": "s3"}
    control = cf.create_origin_access_control(OriginAccessControlConfig=own | {"Name": "oac"})["OriginAccessControl"]
    origins = listed([S3 | {"OriginAccessControlId": control["Id"]}])
    for document in there.control.all("distribution").values():  # as if all of them had been made so
        document["config"] |= {"Origins": origins}
    code = "TooManyDistributionsAssociatedToOriginAccessControl"
    refused(code, cf.create_distribution, DistributionConfig=config(reference="101", Origins=origins))
