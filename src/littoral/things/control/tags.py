"""Tags of the service's resources, by ARN. A rule's are its own (``ruletags``); those of all others lie beside them.

With the tags is kept whose they are: a resource that is made anew under an old name begins without.
"""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.things.authorizers import Authorizers
from littoral.things.control.errors import invalid, not_found
from littoral.things.control.jobs import JobNoun
from littoral.things.control.ruletags import RuleTags
from littoral.things.control.tagging import of_list
from littoral.things.domains import Domains
from littoral.things.provisioning import Provisioning


class Tags(JobNoun, RuleTags):
    """``provisioning``, ``authorizers`` and ``domains`` are set when the API is composed."""

    provisioning: Provisioning
    authorizers: Authorizers
    domains: Domains

    def _made_at(self, arn: str) -> float:
        """Tells this resource from an earlier one of its name. Raises ResourceNotFoundException,
        InvalidRequestException for what has no tags."""
        tables: dict[str, Any] = {
            "thinggroup": self.registry.groups,
            "thingtype": self.registry.types,
            "billinggroup": self.registry.billing_groups,
            "policy": self.registry.policies,
            "cacert": self.registry.authorities,
            "rolealias": self.registry.role_aliases,
            "authorizer": self.authorizers.table,
            "domainconfiguration": self.domains.table,
            "provisioningtemplate": self.provisioning.templates,
            "job": self.jobs.table,
            "jobtemplate": self.jobs.templates,
        }
        for kind, table in tables.items():
            name = self.names.name_in(kind, arn)
            if name is not None:
                found = table.get(name)
                if found is None:
                    raise not_found(f"{arn[:300]} cannot be found.")
                return float(found.created)
        raise invalid(f"{arn[:300]!r} has no tags")

    async def _kept(self, arn: str) -> dict[str, str]:
        made = self._made_at(arn)
        found = await self.registry.tags.get(arn)
        return dict(found["tags"]) if found is not None and found["of"] == str(made) else {}

    def _is_rule(self, arn: str) -> bool:
        return self.names.name_in("rule", arn) is not None

    @operation()
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: list[dict[str, str]]) -> Output:
        if self._is_rule(resource_arn):
            return await super().tag_resource(call, resource_arn=resource_arn, tags=tags)
        async with self.registry.changing:
            kept = {**await self._kept(resource_arn), **of_list(tags)}
            await self.keep_tags(resource_arn, self._made_at(resource_arn), kept)
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: list[str]) -> Output:
        if self._is_rule(resource_arn):
            return await super().untag_resource(call, resource_arn=resource_arn, tag_keys=tag_keys)
        async with self.registry.changing:
            kept = {key: value for key, value in (await self._kept(resource_arn)).items() if key not in tag_keys}
            await self.keep_tags(resource_arn, self._made_at(resource_arn), kept)
        return {}

    @operation(harmless={"nextToken"})
    async def list_tags_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        if self._is_rule(resource_arn):
            return await super().list_tags_for_resource(call, resource_arn=resource_arn)
        kept = await self._kept(resource_arn)
        return {"tags": [{"Key": key, "Value": value} for key, value in sorted(kept.items())]}
