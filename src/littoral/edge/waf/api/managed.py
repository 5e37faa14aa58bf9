"""Managed rule groups: listed and described. They are the OWASP Core Rule Set's, where that is installed."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.waf.api.parts import Operations, page
from littoral.edge.waf.api.rulechecks import NOT_INSTALLED
from littoral.edge.waf.crs.groups import CATALOGUE, LABELS, LIMIT, Group, NoGroup, group_of, rule_name


class ManagedOperations(Operations):
    def _catalogued(self, setting: dict[str, Any]) -> Group:
        """Raises WAFNonexistentItemException."""
        try:
            return group_of(setting)
        except NoGroup as problem:
            raise ServiceError("WAFNonexistentItemException", f"{str(problem).capitalize()}.") from problem

    @operation(notes="the Core Rule Set's, under its own name and under AWS's; empty where it is not installed")
    async def list_available_managed_rule_groups(
        self, call: Call, *, scope: str, next_marker: str | None = None, limit: int = 100
    ) -> Output:
        listed = [
            {
                "VendorName": group.vendor,
                "Name": group.name,
                "VersioningSupported": False,
                "Description": group.description,
            }
            for group in self._there()
        ]
        selected, more = page(listed, next_marker, limit)
        return {"ManagedRuleGroups": selected, **more}

    @operation(harmless={"Scope"}, notes="the same as products; none has versions or needs a subscription")
    async def describe_all_managed_products(self, call: Call) -> Output:
        return {"ManagedProducts": [_product(group) for group in self._there()]}

    @operation(harmless={"Scope"}, notes="as DescribeAllManagedProducts")
    async def describe_managed_products_by_vendor(self, call: Call, *, vendor_name: str) -> Output:
        found = [group for group in self._there() if group.vendor == vendor_name]
        return {"ManagedProducts": [_product(group) for group in found]}

    def _there(self) -> list[Group]:
        return list(CATALOGUE.values()) if self._groups is not None else []

    @operation(harmless={"Scope"}, notes="one version: the one that is installed")
    async def list_available_managed_rule_group_versions(
        self, call: Call, *, vendor_name: str, name: str, next_marker: str | None = None, limit: int = 100
    ) -> Output:
        self._catalogued({"VendorName": vendor_name, "Name": name})
        if self._groups is None:
            return {"Versions": []}
        version = self._groups.source.version
        return {"Versions": [{"Name": version}], "CurrentDefaultVersion": version}

    @operation(harmless={"Scope", "VersionName"}, notes="each rule scores, the group blocks")
    async def describe_managed_rule_group(self, call: Call, *, vendor_name: str, name: str) -> Output:
        group = self._catalogued({"VendorName": vendor_name, "Name": name})
        if self._groups is None:
            raise ServiceError("WAFUnavailableEntityException", NOT_INSTALLED)
        ids = sorted(self._groups.program(group).decisive)
        names = [*map(rule_name, ids), LIMIT]
        return {
            "VersionName": self._groups.source.version,
            "Capacity": group.capacity,
            "Rules": [{"Name": each, "Action": {"Block": {}}} for each in names],
            "LabelNamespace": LABELS,
            "AvailableLabels": [{"Name": f"{LABELS}{each}"} for each in (*ids, LIMIT.lower())],
        }


def _product(group: Group) -> Output:
    return {
        "VendorName": group.vendor,
        "ManagedRuleSetName": group.name,
        "ProductId": f"{group.vendor}-{group.name}",
        "ProductTitle": group.name,
        "ProductDescription": group.description,
        "IsVersioningSupported": False,
        "IsAdvancedManagedRuleSet": False,
    }
