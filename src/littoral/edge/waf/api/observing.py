"""Logging configurations, sampled requests, what rate-based rules hold back; tags and policies."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.waf.addresses import number
from littoral.edge.waf.api.parts import LogDestinations, Operations, invalid, merged_tags, nonexistent, page, stored
from littoral.edge.waf.api.rulechecks import REDACTABLE
from littoral.edge.waf.sampling import LONGEST

PREFIX = "aws-waf-logs-"


async def check_destination(destinations: LogDestinations | None, arn: str) -> None:
    name = arn.removesuffix(":*").rpartition(":")[2].rpartition("/")[2]
    if not name.startswith(PREFIX):
        raise invalid(f"The name of a destination begins with {PREFIX}", "LOG_DESTINATION", arn)
    if destinations is None or not await destinations.exists(arn):
        raise invalid(
            "The destination is not there: a bucket, log group or data stream of this place", "LOG_DESTINATION", arn
        )


class ObservingOperations(Operations):
    # ------------------------------------------------------------------------------------ logging

    @operation(
        notes="to an S3 bucket, a log group or, beyond AWS, a Kinesis data stream; LogType and LogScope are kept only"
    )
    async def put_logging_configuration(self, call: Call, *, logging_configuration: dict[str, Any]) -> Output:
        arn = logging_configuration["ResourceArn"]
        destinations = logging_configuration["LogDestinationConfigs"]
        if len(destinations) != 1:
            raise invalid("Exactly one destination", "LOG_DESTINATION", ",".join(destinations))
        await check_destination(self._destinations, destinations[0])
        for field in logging_configuration.get("RedactedFields") or ():
            if len(field) != 1 or next(iter(field)) not in REDACTABLE:
                raise invalid("This field cannot be redacted", "FIELD_TO_MATCH", ",".join(field))
        async with self._control.changing:
            self._by_arn("webacl", arn)
            configuration = {**stored(logging_configuration), "ManagedByFirewallManager": False}
            await self._control.put("waf-logging", arn, {"configuration": configuration})
        return {"LoggingConfiguration": configuration}

    @operation(harmless={"LogType", "LogScope"})
    async def get_logging_configuration(self, call: Call, *, resource_arn: str) -> Output:
        found = self._control.get("waf-logging", resource_arn)
        if found is None:
            raise nonexistent()
        return {"LoggingConfiguration": found["configuration"]}

    @operation(harmless={"LogType", "LogScope"})
    async def delete_logging_configuration(self, call: Call, *, resource_arn: str) -> Output:
        async with self._control.changing:
            if self._control.get("waf-logging", resource_arn) is None:
                raise nonexistent()
            await self._control.delete("waf-logging", resource_arn)
        return {}

    @operation(harmless={"LogScope"})
    async def list_logging_configurations(
        self, call: Call, *, scope: str, next_marker: str | None = None, limit: int = 100
    ) -> Output:
        part = ":global/" if scope == "CLOUDFRONT" else ":regional/"
        found = [each for arn, each in sorted(self._control.all("waf-logging").items()) if part in arn]
        selected, more = page(found, next_marker, limit)
        return {"LoggingConfigurations": [each["configuration"] for each in selected], **more}

    # ------------------------------------------------------------------------------------ what happened

    @operation(harmless={"Scope"}, notes="held in memory for three hours")
    async def get_sampled_requests(
        self,
        call: Call,
        *,
        web_acl_arn: str,
        rule_metric_name: str,
        time_window: dict[str, Any],
        max_items: int,
    ) -> Output:
        self._by_arn("webacl", web_acl_arn)
        start, end = seconds(time_window["StartTime"]), seconds(time_window["EndTime"])
        if end <= start:
            raise invalid("The window's end is after its start", "EXPIRE_TIMESTAMP", "TimeWindow")
        start = max(start, call.now - LONGEST)
        found, population = self._reports.samples.find(web_acl_arn, rule_metric_name, start, end, max_items)
        return {
            "SampledRequests": found,
            "PopulationSize": population,
            "TimeWindow": {"StartTime": start, "EndTime": end},
        }

    @operation(notes="addresses that some edge location reported within the last half minute")
    async def get_rate_based_statement_managed_keys(
        self,
        call: Call,
        *,
        scope: str,
        web_acl_name: str,
        web_acl_id: str,
        rule_name: str,
        rule_group_rule_name: str | None = None,
    ) -> Output:
        acl = self._named("webacl", scope, web_acl_name, web_acl_id)
        statement = self._rate_statement(acl, rule_name, rule_group_rule_name)
        if statement["AggregateKeyType"] not in {"IP", "FORWARDED_IP"}:
            message = "The rule's aggregation key is no address, so there is no list of addresses."
            raise ServiceError("WAFUnsupportedAggregateKeyTypeException", message)
        keys = self._reports.blocked(acl["arn"], rule_name, rule_group_rule_name or "", call.now)
        made: Output = {}
        for version, bits, member in ((4, 32, "ManagedKeysIPV4"), (6, 128, "ManagedKeysIPV6")):
            found = [f"{key}/{bits}" for key in keys if (number(key) or (0, 0))[0] == version]
            made[member] = {"IPAddressVersion": f"IPV{version}", "Addresses": found}
        return made

    def _rate_statement(self, acl: dict[str, Any], rule: str, group_rule: str | None) -> dict[str, Any]:
        rules = acl["document"].get("Rules") or []
        if group_rule is not None:
            outer = next((each for each in rules if each["Name"] == group_rule), None)
            arn = ((outer or {}).get("Statement", {}).get("RuleGroupReferenceStatement") or {}).get("ARN")
            rules = self._by_arn("rulegroup", arn or "-")["document"]["Rules"]
        for each in rules:
            statement: dict[str, Any] | None = each["Statement"].get("RateBasedStatement")
            if each["Name"] == rule and statement is not None:
                return statement
        raise nonexistent()

    # ------------------------------------------------------------------------------------ tags and policies

    @operation()
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: list[dict[str, str]]) -> Output:
        async with self._control.changing:
            before = self._tags(resource_arn)
            await self._control.put("waf-tags", resource_arn, {"tags": merged_tags(before, tags)}, deploy=False)
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: list[str]) -> Output:
        async with self._control.changing:
            kept = {key: value for key, value in self._tags(resource_arn).items() if key not in tag_keys}
            await self._control.put("waf-tags", resource_arn, {"tags": kept}, deploy=False)
        return {}

    @operation()
    async def list_tags_for_resource(
        self, call: Call, *, resource_arn: str, next_marker: str | None = None, limit: int = 100
    ) -> Output:
        tags = [{"Key": key, "Value": value} for key, value in sorted(self._tags(resource_arn).items())]
        selected, more = page(tags, next_marker, limit)
        return {"TagInfoForResource": {"ResourceARN": resource_arn, "TagList": selected}, **more}

    def _tags(self, arn: str) -> dict[str, str]:
        """Raises WAFNonexistentItemException for what is no resource of ours."""
        self._by_arn((arn.split(":")[5:6] or [""])[0].split("/")[1:2][0] if arn.count("/") >= 3 else "-", arn)
        found = self._control.get("waf-tags", arn)
        return dict(found["tags"]) if found else {}

    @operation(notes="kept and shown; there is one account here, so nothing is decided by it")
    async def put_permission_policy(self, call: Call, *, resource_arn: str, policy: str) -> Output:
        async with self._control.changing:
            self._by_arn("rulegroup", resource_arn)
            try:
                json.loads(policy)
            except ValueError as problem:
                message = f"The policy is no JSON: {problem}"
                raise ServiceError("WAFInvalidPermissionPolicyException", message) from problem
            await self._control.put("waf-policy", resource_arn, {"policy": policy}, deploy=False)
        return {}

    @operation()
    async def get_permission_policy(self, call: Call, *, resource_arn: str) -> Output:
        found = self._control.get("waf-policy", resource_arn)
        if found is None:
            raise nonexistent()
        return {"Policy": found["policy"]}

    @operation()
    async def delete_permission_policy(self, call: Call, *, resource_arn: str) -> Output:
        async with self._control.changing:
            if self._control.get("waf-policy", resource_arn) is None:
                raise nonexistent()
            await self._control.delete("waf-policy", resource_arn)
        return {}


def seconds(moment: datetime | float) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
