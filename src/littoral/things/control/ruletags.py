"""Tags of topic rules; those of other resources are in ``tags``."""

from __future__ import annotations

from dataclasses import replace

from littoral.aws.service import Call, Output, operation
from littoral.things.control.errors import invalid, not_found
from littoral.things.control.tagging import checked, of_list
from littoral.things.names import Names
from littoral.things.rules import RuleEngine, RuleRecord


class RuleTags:
    engine: RuleEngine
    names: Names

    def _tagged(self, arn: str) -> RuleRecord:
        name = self.names.name_in("rule", arn)
        if name is None:
            raise invalid(f"{arn[:300]!r} has no tags here: of iot's resources only topic rules have")
        found = self.engine.records.get(name)
        if found is None:
            raise not_found(f"Topic rule {name} does not exist.")
        return found

    @operation(notes="topic rules only")
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: list[dict[str, str]]) -> Output:
        async with self.engine.changing:
            rule = self._tagged(resource_arn)
            await self.engine.put(replace(rule, tags=checked({**rule.tags, **of_list(tags)})))
        return {}

    @operation(notes="topic rules only")
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: list[str]) -> Output:
        async with self.engine.changing:
            rule = self._tagged(resource_arn)
            kept = {key: value for key, value in rule.tags.items() if key not in tag_keys}
            await self.engine.put(replace(rule, tags=kept))
        return {}

    @operation(harmless={"nextToken"}, notes="topic rules only")
    async def list_tags_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        return {
            "tags": [{"Key": key, "Value": value} for key, value in sorted(self._tagged(resource_arn).tags.items())]
        }
