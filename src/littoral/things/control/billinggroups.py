"""Billing groups: accepted, kept and shown; nothing is billed here."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import exists, invalid, not_found, version_conflict
from littoral.things.control.tagging import TagList
from littoral.things.names import THING_NAME
from littoral.things.registry import BillingGroup


class BillingGroups(Noun):
    def _billing_group(self, name: str) -> BillingGroup:
        found = self.registry.billing_groups.get(name)
        if found is None:
            raise not_found(f"Billing group {name} cannot be found.")
        return found

    @operation()
    async def create_billing_group(
        self,
        call: Call,
        *,
        billing_group_name: str,
        billing_group_properties: dict[str, Any] | None = None,
        tags: TagList = (),
    ) -> Output:
        if not THING_NAME.fullmatch(billing_group_name):
            raise invalid(f"Invalid billing group name: {billing_group_name!r}")
        description = (billing_group_properties or {}).get("billingGroupDescription", "")
        arn = self.names.arn("billinggroup", billing_group_name)
        async with self.registry.changing:
            group = self.registry.billing_groups.get(billing_group_name)
            if group is None:
                group = BillingGroup(billing_group_name, str(uuid.uuid4()), call.now, description)
                await self.tag_new(arn, call.now, tags)
                await self.registry.billing_groups.put(group.name, group)
            elif group.description != description:
                raise exists(f"Billing group {group.name} already exists", arn, group.name)
        return {"billingGroupName": group.name, "billingGroupArn": arn, "billingGroupId": group.id}

    @operation()
    async def describe_billing_group(self, call: Call, *, billing_group_name: str) -> Output:
        group = self._billing_group(billing_group_name)
        return {
            "billingGroupName": group.name,
            "billingGroupId": group.id,
            "billingGroupArn": self.names.arn("billinggroup", group.name),
            "version": group.version,
            "billingGroupProperties": {"billingGroupDescription": group.description} if group.description else {},
            "billingGroupMetadata": {"creationDate": group.created},
        }

    @operation()
    async def list_billing_groups(
        self,
        call: Call,
        *,
        next_token: str | None = None,
        max_results: int | None = None,
        name_prefix_filter: str = "",
    ) -> Output:
        names = [one.name for one in self.registry.billing_groups.values() if one.name.startswith(name_prefix_filter)]
        found, token = pages.names(names, next_token, pages.size(max_results))
        groups = [{"groupName": name, "groupArn": self.names.arn("billinggroup", name)} for name in found]
        return pages.with_token({"billingGroups": groups}, "nextToken", token)

    @operation()
    async def update_billing_group(
        self,
        call: Call,
        *,
        billing_group_name: str,
        billing_group_properties: dict[str, Any],
        expected_version: int | None = None,
    ) -> Output:
        async with self.registry.changing:
            group = self._billing_group(billing_group_name)
            if expected_version not in (None, group.version):
                raise version_conflict(expected_version, group.version)
            description = billing_group_properties.get("billingGroupDescription", "")
            changed = replace(group, description=description, version=group.version + 1)
            await self.registry.billing_groups.put(group.name, changed)
        return {"version": changed.version}

    @operation()
    async def delete_billing_group(
        self, call: Call, *, billing_group_name: str, expected_version: int | None = None
    ) -> Output:
        """One that is not there is gone already; things in it are let go."""
        async with self.registry.changing:
            group = self.registry.billing_groups.get(billing_group_name)
            if group is None:
                return {}
            if expected_version not in (None, group.version):
                raise version_conflict(expected_version, group.version)
            for thing in self.registry.billed.of_name(group.name):
                await self.registry.billed.remove(thing, group.name)
            await self.registry.billing_groups.delete(group.name)
        return {}

    @operation()
    async def add_thing_to_billing_group(
        self,
        call: Call,
        *,
        billing_group_name: str | None = None,
        billing_group_arn: str | None = None,
        thing_name: str | None = None,
        thing_arn: str | None = None,
    ) -> Output:
        """A thing is in one at most: this one takes the place of another."""
        async with self.registry.changing:
            group = self._billing_group(self.named("billinggroup", billing_group_name, billing_group_arn))
            thing = self.thing(self.named("thing", thing_name, thing_arn))
            for other in self.registry.billed.of_holder(thing.name):
                await self.registry.billed.remove(thing.name, other)
            await self.registry.billed.add(thing.name, group.name)
        return {}

    @operation()
    async def remove_thing_from_billing_group(
        self,
        call: Call,
        *,
        billing_group_name: str | None = None,
        billing_group_arn: str | None = None,
        thing_name: str | None = None,
        thing_arn: str | None = None,
    ) -> Output:
        async with self.registry.changing:
            group = self._billing_group(self.named("billinggroup", billing_group_name, billing_group_arn))
            thing = self.thing(self.named("thing", thing_name, thing_arn))
            if (thing.name, group.name) in self.registry.billed:
                await self.registry.billed.remove(thing.name, group.name)
        return {}

    @operation()
    async def list_things_in_billing_group(
        self,
        call: Call,
        *,
        billing_group_name: str,
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> Output:
        group = self._billing_group(billing_group_name)
        found, token = pages.names(self.registry.billed.of_name(group.name), next_token, pages.size(max_results))
        return pages.with_token({"things": found}, "nextToken", token)
