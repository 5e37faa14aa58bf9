"""What no place has is refused in the model's words, or is an empty list; managed products are those that are there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.edge.waf.crs.groups import CATALOGUE
from tests.edge.waf.place import installed, visible, waf_region

LOCK = "00000000-0000-0000-0000-000000000000"
RULE_SET = {"Name": "n", "Scope": "REGIONAL", "Id": LOCK}
WINDOW = {"StartTime": datetime(2026, 11, 1, tzinfo=UTC), "EndTime": datetime(2026, 11, 2, tzinfo=UTC)}
MONEY = {"TimeWindow": WINDOW, "Scope": "CLOUDFRONT", "Currency": "USDC"}
SDK = {"Platform": "IOS", "ReleaseVersion": "1.0"}


@pytest.fixture(scope="module")
def waf() -> Iterator[Any]:
    with waf_region() as (place, _, _):
        yield boto3.client("wafv2", **place.client_kwargs)


@pytest.mark.parametrize(
    ("operation", "asked", "code"),
    [
        ("create_api_key", {"Scope": "REGIONAL", "TokenDomains": ["a.example"]}, "WAFInvalidOperationException"),
        ("get_decrypted_api_key", {"Scope": "REGIONAL", "APIKey": "k"}, "WAFNonexistentItemException"),
        ("delete_api_key", {"Scope": "REGIONAL", "APIKey": "k"}, "WAFNonexistentItemException"),
        ("get_managed_rule_set", RULE_SET, "WAFNonexistentItemException"),
        ("put_managed_rule_set_versions", {**RULE_SET, "LockToken": LOCK}, "WAFNonexistentItemException"),
        (
            "update_managed_rule_set_version_expiry_date",
            {
                **RULE_SET,
                "LockToken": LOCK,
                "VersionToExpire": "1",
                "ExpiryTimestamp": datetime(2027, 1, 1, tzinfo=UTC),
            },
            "WAFNonexistentItemException",
        ),
        ("get_mobile_sdk_release", SDK, "WAFNonexistentItemException"),
        ("generate_mobile_sdk_release_url", SDK, "WAFNonexistentItemException"),
        (
            "get_revenue_statistics",
            {**MONEY, "StatisticType": "TOP_PATHS_BY_REVENUE", "SortBy": "NAME"},
            "WAFInvalidOperationException",
        ),
        ("get_revenue_statistics_summary", MONEY, "WAFInvalidOperationException"),
        ("list_settlement_records", MONEY, "WAFInvalidOperationException"),
    ],
)
def test_what_no_place_has_is_refused(waf: Any, operation: str, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(waf, operation)(**asked)
    assert refused.value.response["Error"]["Code"] == code


def test_lists_of_what_no_place_has_are_empty(waf: Any) -> None:
    assert waf.list_api_keys(Scope="CLOUDFRONT", Limit=10)["APIKeySummaries"] == []
    assert waf.list_managed_rule_sets(Scope="CLOUDFRONT")["ManagedRuleSets"] == []
    assert waf.list_mobile_sdk_releases(Platform="ANDROID")["ReleaseSummaries"] == []


def test_what_names_a_web_acl_looks_it_up_first(waf: Any) -> None:
    made = waf.create_web_acl(
        Name="one", Scope="CLOUDFRONT", DefaultAction={"Allow": {}}, VisibilityConfig=visible("one")
    )["Summary"]
    gone = made["ARN"][:-4] + "0000"
    paths = {"Scope": "CLOUDFRONT", "TimeWindow": WINDOW, "Limit": 5, "NumberOfTopTrafficBotsPerPath": 2}
    for operation, asked, code in (
        ("get_top_path_statistics_by_traffic", {"WebAclArn": gone, **paths}, "WAFNonexistentItemException"),
        (
            "get_top_path_statistics_by_traffic",
            {"WebAclArn": made["ARN"], **paths},
            "WAFFeatureNotIncludedInPricingPlanException",
        ),
        (
            "delete_firewall_manager_rule_groups",
            {"WebACLArn": gone, "WebACLLockToken": LOCK},
            "WAFNonexistentItemException",
        ),
        (
            "delete_firewall_manager_rule_groups",
            {"WebACLArn": made["ARN"], "WebACLLockToken": LOCK},
            "WAFOptimisticLockException",
        ),
        (
            "delete_firewall_manager_rule_groups",
            {"WebACLArn": made["ARN"], "WebACLLockToken": made["LockToken"]},
            "WAFInvalidOperationException",
        ),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(waf, operation)(**asked)
        assert refused.value.response["Error"]["Code"] == code


def test_managed_products_are_the_groups_that_are_installed(waf: Any) -> None:
    there = CATALOGUE if installed() is not None else {}
    every = waf.describe_all_managed_products(Scope="CLOUDFRONT")["ManagedProducts"]
    assert {(each["VendorName"], each["ManagedRuleSetName"]) for each in every} == set(there)
    owasp = waf.describe_managed_products_by_vendor(Scope="CLOUDFRONT", VendorName="OWASP")["ManagedProducts"]
    assert len(owasp) == sum(vendor == "OWASP" for vendor, _ in there)
    assert waf.describe_managed_products_by_vendor(Scope="CLOUDFRONT", VendorName="X")["ManagedProducts"] == []
