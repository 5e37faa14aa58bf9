"""What AWS runs as a service of its own beside the firewall, and no place has: mobile SDKs, the CAPTCHA script's keys,
vendors' rule sets, Firewall Manager, statistics of bots and revenue. A list is empty, which is true; the rest is
refused by the error that the model has for it, after what the request names was looked up.
"""

from __future__ import annotations

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.waf.api.parts import Operations, check_lock, nonexistent

PAGED = {"Scope", "NextMarker", "Limit"}
RULE_SET = {"Name", "Scope", "Id"}
REVENUE = {"StatisticType", "TimeWindow", "Scope", "Currency", "GroupBy", "Filters", "NextMarker", "Limit"}
NO_KEYS = "nobody has a key: the CAPTCHA JavaScript API is not here"
NO_VENDOR = "the account is no vendor of rule sets"
NO_SDK = "there are no mobile SDKs"
NOTHING_SOLD = "no rule can Monetize, so nothing was sold"
NO_REVENUE = f"always refused: {NOTHING_SOLD}"


def unavailable(reason: str) -> ServiceError:
    return ServiceError("WAFInvalidOperationException", f"The operation isn't valid at this place: {reason}.")


class AbsentOperations(Operations):
    # ------------------------------------------------------------------------------------ keys of the CAPTCHA script

    @operation(harmless={"Scope", "TokenDomains"}, notes=f"always refused: {NO_KEYS}")
    async def create_api_key(self, call: Call) -> Output:
        raise unavailable("the CAPTCHA JavaScript API, which such keys are for, is not here; its pages need no key")

    @operation(harmless=PAGED, notes=f"empty: {NO_KEYS}")
    async def list_api_keys(self, call: Call) -> Output:
        return {"APIKeySummaries": []}

    @operation(harmless={"Scope", "APIKey"}, notes=f"never found: {NO_KEYS}")
    async def get_decrypted_api_key(self, call: Call) -> Output:
        raise nonexistent()

    @operation(harmless={"Scope", "APIKey"}, notes=f"never found: {NO_KEYS}")
    async def delete_api_key(self, call: Call) -> Output:
        raise nonexistent()

    # ------------------------------------------------------------------------------------ vendors' rule sets

    @operation(harmless=PAGED, notes=f"empty: {NO_VENDOR}")
    async def list_managed_rule_sets(self, call: Call) -> Output:
        return {"ManagedRuleSets": []}

    @operation(harmless=RULE_SET, notes=f"never found: {NO_VENDOR}")
    async def get_managed_rule_set(self, call: Call) -> Output:
        raise nonexistent()

    @operation(
        harmless=RULE_SET | {"LockToken", "RecommendedVersion", "VersionsToPublish"}, notes=f"never found: {NO_VENDOR}"
    )
    async def put_managed_rule_set_versions(self, call: Call) -> Output:
        raise nonexistent()

    @operation(
        harmless=RULE_SET | {"LockToken", "VersionToExpire", "ExpiryTimestamp"}, notes=f"never found: {NO_VENDOR}"
    )
    async def update_managed_rule_set_version_expiry_date(self, call: Call) -> Output:
        raise nonexistent()

    @operation(notes="always refused: Firewall Manager puts no rule groups here")
    async def delete_firewall_manager_rule_groups(
        self, call: Call, *, web_acl_arn: str, web_acl_lock_token: str
    ) -> Output:
        check_lock(self._by_arn("webacl", web_acl_arn), web_acl_lock_token)
        raise unavailable("no rule group of this web ACL is Firewall Manager's")

    # ------------------------------------------------------------------------------------ mobile SDKs

    @operation(harmless={"Platform", "NextMarker", "Limit"}, notes=f"empty: {NO_SDK}")
    async def list_mobile_sdk_releases(self, call: Call) -> Output:
        return {"ReleaseSummaries": []}

    @operation(harmless={"Platform", "ReleaseVersion"}, notes=f"never found: {NO_SDK}")
    async def get_mobile_sdk_release(self, call: Call) -> Output:
        raise nonexistent()

    @operation(harmless={"Platform", "ReleaseVersion"}, notes=f"never found: {NO_SDK}")
    async def generate_mobile_sdk_release_url(self, call: Call) -> Output:
        raise nonexistent()

    # ------------------------------------------------------------------------------------ statistics

    @operation(
        harmless=PAGED
        | {"UriPathPrefix", "TimeWindow", "BotCategory", "BotOrganization", "BotName", "NumberOfTopTrafficBotsPerPath"},
        notes="always refused: bots are not told apart here",
    )
    async def get_top_path_statistics_by_traffic(self, call: Call, *, web_acl_arn: str) -> Output:
        self._by_arn("webacl", web_acl_arn)
        message = "Bots are not told apart at this place, so there are no statistics of them."
        raise ServiceError("WAFFeatureNotIncludedInPricingPlanException", message)

    @operation(harmless=REVENUE | {"SortBy", "SortOrder"}, notes=NO_REVENUE)
    async def get_revenue_statistics(self, call: Call) -> Output:
        raise unavailable(NOTHING_SOLD)

    @operation(harmless={"TimeWindow", "Scope", "Currency", "Filters"}, notes=NO_REVENUE)
    async def get_revenue_statistics_summary(self, call: Call) -> Output:
        raise unavailable(NOTHING_SOLD)

    @operation(harmless=REVENUE | {"Interval"}, notes=NO_REVENUE)
    async def get_revenue_statistics_time_series(self, call: Call) -> Output:
        raise unavailable(NOTHING_SOLD)

    @operation(harmless=(REVENUE | {"SortBy", "SortOrder"}) - {"StatisticType", "GroupBy"}, notes=NO_REVENUE)
    async def list_settlement_records(self, call: Call) -> Output:
        raise unavailable(NOTHING_SOLD)
