"""Which things are in which groups. A dynamic group's members are the index's to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import invalid, limit_exceeded

MAX_GROUPS = 10  # a thing is in directly


class GroupMembers(Noun):
    @operation(harmless={"overrideDynamicGroups"})
    async def add_thing_to_thing_group(
        self,
        call: Call,
        *,
        thing_group_name: str | None = None,
        thing_group_arn: str | None = None,
        thing_name: str | None = None,
        thing_arn: str | None = None,
    ) -> Output:
        """A dynamic group takes no slot of a thing's ten here, so there is nothing to override."""
        group = self._static(self.named("thinggroup", thing_group_name, thing_group_arn))
        await self._change(self.named("thing", thing_name, thing_arn), [group], [])
        return {}

    @operation()
    async def remove_thing_from_thing_group(
        self,
        call: Call,
        *,
        thing_group_name: str | None = None,
        thing_group_arn: str | None = None,
        thing_name: str | None = None,
        thing_arn: str | None = None,
    ) -> Output:
        group = self._static(self.named("thinggroup", thing_group_name, thing_group_arn))
        await self._change(self.named("thing", thing_name, thing_arn), [], [group])
        return {}

    @operation(harmless={"overrideDynamicGroups"})
    async def update_thing_groups_for_thing(
        self,
        call: Call,
        *,
        thing_name: str | None = None,
        thing_groups_to_add: Sequence[str] = (),
        thing_groups_to_remove: Sequence[str] = (),
    ) -> Output:
        add = [self._static(name) for name in thing_groups_to_add]
        remove = [self._static(name) for name in thing_groups_to_remove]
        await self._change(self.named("thing", thing_name, None), add, remove)
        return {}

    def _static(self, name: str) -> str:
        if self.group(name).query is not None:
            raise invalid(f"{name} is a dynamic thing group: its query says what is in it")
        return name

    async def _change(self, thing: str, add: Sequence[str], remove: Sequence[str]) -> None:
        self.thing(thing)
        members = self.registry.members
        async with self.registry.changing:
            static = {name for name in members.of_holder(thing) if self.group(name).query is None}
            after = (static - set(remove)) | set(add)
            if len(after) > MAX_GROUPS and after - static:
                raise limit_exceeded(f"A thing is in at most {MAX_GROUPS} thing groups")
            if after - static:
                self._check_hierarchies(after)
            for name in sorted(static - after):
                await members.remove(thing, name)
            for name in sorted(after - static):
                await members.add(thing, name)
        self.registry.changed(self.registry.principals.of_name(thing))
        self.registry.fleet_changed(thing)

    def _check_hierarchies(self, groups: Iterable[str]) -> None:
        roots = Counter([group, *self.registry.ancestors(group)][-1] for group in groups)
        for root, times in roots.items():
            if times > 1:
                raise invalid(f"A thing is in one group of a hierarchy only: it would be in {times} below {root}")

    @operation()
    async def list_things_in_thing_group(
        self,
        call: Call,
        *,
        thing_group_name: str,
        recursive: bool = False,
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> Output:
        self.group(thing_group_name)
        things = self.registry.things_in(thing_group_name, recursive=recursive)
        found, token = pages.names(things, next_token, pages.size(max_results))
        return pages.with_token({"things": found}, "nextToken", token)

    @operation()
    async def list_thing_groups_for_thing(
        self, call: Call, *, thing_name: str, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        self.thing(thing_name)
        found, token = pages.names(self.registry.members.of_holder(thing_name), next_token, pages.size(max_results))
        groups = [{"groupName": name, "groupArn": self.names.arn("thinggroup", name)} for name in found]
        return pages.with_token({"thingGroups": groups}, "nextToken", token)
