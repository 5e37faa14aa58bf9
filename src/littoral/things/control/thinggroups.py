"""Thing groups: a forest of names; dynamic ones are in ``dynamicgroups``, members in ``groupmembers``."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import exists, invalid, version_conflict
from littoral.things.control.tagging import TagList
from littoral.things.control.things import merged_attributes
from littoral.things.names import THING_NAME
from littoral.things.registry import ThingGroup

MAX_DEPTH = 7  # of a hierarchy, its root included


class ThingGroups(Noun):
    @operation()
    async def create_thing_group(
        self,
        call: Call,
        *,
        thing_group_name: str,
        parent_group_name: str | None = None,
        thing_group_properties: dict[str, Any] | None = None,
        tags: TagList = (),
    ) -> Output:
        """Making a group again with the same configuration succeeds; with another one it already exists."""
        if parent_group_name is not None:
            parent = self.group(parent_group_name)
            if parent.query is not None:
                raise invalid("A dynamic thing group has no groups below it")
            if len(self.registry.ancestors(parent_group_name)) + 2 > MAX_DEPTH:
                raise invalid(f"A hierarchy of thing groups has at most {MAX_DEPTH} levels")
        made = await self.make_group(call, thing_group_name, thing_group_properties, tags, parent=parent_group_name)
        return self.group_names(made)

    async def make_group(
        self,
        call: Call,
        name: str,
        properties: dict[str, Any] | None,
        tags: TagList,
        *,
        parent: str | None = None,
        query: str | None = None,
    ) -> ThingGroup:
        """Raises InvalidRequestException, ResourceAlreadyExistsException."""
        if not THING_NAME.fullmatch(name):
            raise invalid(f"Invalid thing group name: {name!r}")
        given = properties or {}
        made = ThingGroup(
            name,
            str(uuid.uuid4()),
            call.now,
            given.get("thingGroupDescription", ""),
            merged_attributes({}, given.get("attributePayload")),
            parent,
            query=query,
        )
        async with self.registry.changing:
            found = self.registry.groups.get(name)
            if found is None:
                await self.tag_new(self.names.arn("thinggroup", name), call.now, tags)
                await self.registry.groups.put(name, made)
                return made
        if replace(made, id=found.id, created=found.created, version=found.version) != found:
            raise exists(f"Thing group {name} already exists", self.names.arn("thinggroup", name), name)
        return found

    def group_names(self, group: ThingGroup) -> Output:
        arn = self.names.arn("thinggroup", group.name)
        return {"thingGroupName": group.name, "thingGroupArn": arn, "thingGroupId": group.id}

    @operation()
    async def describe_thing_group(self, call: Call, *, thing_group_name: str) -> Output:
        group = self.group(thing_group_name)
        properties: Output = {}
        if group.attributes:  # nothing where there is nothing: Terraform would want it removed
            properties["attributePayload"] = {"attributes": group.attributes}
        if group.description:
            properties["thingGroupDescription"] = group.description
        metadata: Output = {"creationDate": group.created}
        if group.parent is not None:
            above = self.registry.ancestors(group.name)
            metadata["parentGroupName"] = group.parent
            metadata["rootToParentThingGroups"] = [self._pair(name) for name in reversed(above)]
        described = {
            **self.group_names(group),
            "version": group.version,
            "thingGroupProperties": properties,
            "thingGroupMetadata": metadata,
        }
        if group.query is None:
            return described
        dynamic = {"indexName": "AWS_Things", "queryString": group.query, "queryVersion": "2017-09-30"}
        return {**described, **dynamic, "status": "ACTIVE"}

    def _pair(self, name: str) -> Output:
        return {"groupName": name, "groupArn": self.names.arn("thinggroup", name)}

    @operation()
    async def list_thing_groups(
        self,
        call: Call,
        *,
        next_token: str | None = None,
        max_results: int | None = None,
        parent_group: str | None = None,
        name_prefix_filter: str = "",
        recursive: bool = True,
    ) -> Output:
        """All groups, or those below one; without ``recursive`` its children only."""
        if parent_group is not None:
            self.group(parent_group)

        def wanted(group: ThingGroup) -> bool:
            if not group.name.startswith(name_prefix_filter):
                return False
            if parent_group is None:
                return recursive or group.parent is None
            return group.parent == parent_group or (recursive and parent_group in self.registry.ancestors(group.name))

        found = [group.name for group in self.registry.groups.values() if wanted(group)]
        names, token = pages.names(found, next_token, pages.size(max_results))
        return pages.with_token({"thingGroups": [self._pair(name) for name in names]}, "nextToken", token)

    @operation()
    async def update_thing_group(
        self,
        call: Call,
        *,
        thing_group_name: str,
        thing_group_properties: dict[str, Any],
        expected_version: int | None = None,
    ) -> Output:
        if self.group(thing_group_name).query is not None:
            raise invalid(f"{thing_group_name} is a dynamic thing group: use UpdateDynamicThingGroup")
        changed = await self.change_group(thing_group_name, thing_group_properties, expected_version)
        return {"version": changed.version}

    async def change_group(
        self, name: str, properties: dict[str, Any], expected: int | None, query: str | None = None
    ) -> ThingGroup:
        """Raises ResourceNotFoundException, VersionConflictException."""
        async with self.registry.changing:
            group = self.group(name)
            _check_version(group, expected)
            payload = properties.get("attributePayload")
            changed = replace(
                group,
                description=properties.get("thingGroupDescription", group.description),
                attributes=group.attributes if payload is None else merged_attributes(group.attributes, payload),
                version=group.version + 1,
                query=group.query if query is None else query,
            )
            await self.registry.groups.put(name, changed)
        return changed

    @operation()
    async def delete_thing_group(
        self, call: Call, *, thing_group_name: str, expected_version: int | None = None
    ) -> Output:
        """Not while there are groups below it. Its policies and members are detached. One that is not there is gone."""
        if (group := self.registry.groups.get(thing_group_name)) is None:
            return {}
        if group.query is not None:
            raise invalid(f"{thing_group_name} is a dynamic thing group: use DeleteDynamicThingGroup")
        await self.drop_group(thing_group_name, expected_version)
        return {}

    async def drop_group(self, name: str, expected: int | None) -> None:
        async with self.registry.changing:
            _check_version(self.group(name), expected)
            if len(self.registry.within(name)) > 1:
                raise invalid(f"Cannot delete thing group {name} when there are still child groups attached to it")
            concerned = self.registry.certificates_in(name)
            for policy in self.registry.group_grants.of_holder(name):
                await self.registry.group_grants.remove(name, policy)
            for thing in self.registry.members.of_name(name):
                await self.registry.members.remove(thing, name)
            await self.registry.groups.delete(name)
        self.registry.changed(concerned)
        self.registry.fleet_changed("")


def _check_version(group: ThingGroup, expected: int | None) -> None:
    if expected is not None and expected != group.version:
        raise version_conflict(expected, group.version)
