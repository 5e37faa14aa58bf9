"""Dynamic thing groups: a query says who is in them. ``things/indexing/membership`` puts the things there."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.things.control.errors import invalid
from littoral.things.control.indexing import VERSION, IndexNoun
from littoral.things.control.tagging import TagList
from littoral.things.control.thinggroups import ThingGroups
from littoral.things.indexing.index import THINGS
from littoral.things.registry import ThingGroup


class DynamicGroups(ThingGroups, IndexNoun):
    @operation()
    async def create_dynamic_thing_group(
        self,
        call: Call,
        *,
        thing_group_name: str,
        query_string: str,
        thing_group_properties: dict[str, Any] | None = None,
        index_name: str = THINGS,
        query_version: str = VERSION,
        tags: TagList = (),
    ) -> Output:
        """Needs the index of things. Its first members are there a moment later."""
        self._check(index_name, query_string, query_version)
        made = await self.make_group(call, thing_group_name, thing_group_properties, tags, query=query_string)
        self.membership.touch()
        return {
            **self.group_names(made),
            "indexName": THINGS,
            "queryString": query_string,
            "queryVersion": VERSION,
        }

    def _check(self, index: str, text: str, version: str) -> None:
        if index != THINGS or not self.index.ready(THINGS):
            raise invalid(f"A dynamic thing group needs the index {THINGS}, which is turned on by its configuration")
        self.query(text, version)

    def _dynamic(self, name: str) -> ThingGroup:
        group = self.group(name)
        if group.query is None:
            raise invalid(f"{name} is not a dynamic thing group")
        return group

    @operation()
    async def update_dynamic_thing_group(
        self,
        call: Call,
        *,
        thing_group_name: str,
        thing_group_properties: dict[str, Any],
        expected_version: int | None = None,
        index_name: str = THINGS,
        query_string: str | None = None,
        query_version: str = VERSION,
    ) -> Output:
        self._dynamic(thing_group_name)
        if query_string is not None:
            self._check(index_name, query_string, query_version)
        changed = await self.change_group(thing_group_name, thing_group_properties, expected_version, query_string)
        self.membership.touch()
        return {"version": changed.version}

    @operation()
    async def delete_dynamic_thing_group(
        self, call: Call, *, thing_group_name: str, expected_version: int | None = None
    ) -> Output:
        """One that is not there is gone."""
        if thing_group_name in self.registry.groups:
            self._dynamic(thing_group_name)
            await self.drop_group(thing_group_name, expected_version)
        return {}
