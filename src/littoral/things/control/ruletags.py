"""Tags of topic rules; those of other resources are in ``tags``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl

from littoral.aws.service import Call, Output, operation
from littoral.things.control.errors import invalid, limit_exceeded, not_found
from littoral.things.names import Names
from littoral.things.rules import RuleEngine, RuleRecord

MOST: Final = 50


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
            given = {tag["Key"]: tag.get("Value", "") for tag in tags}
            await self.engine.put(replace(rule, tags=checked({**rule.tags, **given})))
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


def checked(tags: Mapping[str, str]) -> dict[str, str]:
    """Raises LimitExceededException, InvalidRequestException."""
    if len(tags) > MOST:
        raise limit_exceeded(f"A resource has at most {MOST} tags")
    for key, value in tags.items():
        if not 0 < len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise invalid(f"Invalid tag {key[:200]!r}")
    return dict(tags)


def of_header(tagging: str | None) -> dict[str, str]:
    """``x-amz-tagging: ward=7&kind=alarm``."""
    try:
        pairs = parse_qsl(tagging or "", keep_blank_values=True, strict_parsing=bool(tagging))
    except ValueError:
        raise invalid("tags are written key=value&key=value") from None
    if len({key for key, _ in pairs}) < len(pairs):
        raise invalid("A tag is given twice")
    return checked(dict(pairs))
