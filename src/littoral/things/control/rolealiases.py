"""Role aliases: what devices call the role whose credentials they ask for (``things/credentials.py``)."""

from __future__ import annotations

from dataclasses import replace

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import exists, not_found
from littoral.things.control.tagging import TagList
from littoral.things.registry import RoleAlias


class RoleAliases(Noun):
    def _role_alias(self, name: str) -> RoleAlias:
        found = self.registry.role_aliases.get(name)
        if found is None:
            raise not_found(f"Role alias {name} cannot be found.")
        return found

    @operation(notes="there are no roles to assume: the credentials may do what an access key of the place may")
    async def create_role_alias(
        self,
        call: Call,
        *,
        role_alias: str,
        role_arn: str,
        credential_duration_seconds: int = 3600,
        tags: TagList = (),
    ) -> Output:
        made = RoleAlias(role_alias, role_arn, credential_duration_seconds, call.now, call.now)
        arn = self.names.arn("rolealias", role_alias)
        async with self.registry.changing:
            if role_alias in self.registry.role_aliases:
                raise exists(f"Role alias {role_alias} already exists.", arn, role_alias)
            await self.tag_new(arn, call.now, tags)
            await self.registry.role_aliases.put(role_alias, made)
        return {"roleAlias": role_alias, "roleAliasArn": arn}

    @operation()
    async def describe_role_alias(self, call: Call, *, role_alias: str) -> Output:
        found = self._role_alias(role_alias)
        return {
            "roleAliasDescription": {
                "roleAlias": found.name,
                "roleAliasArn": self.names.arn("rolealias", found.name),
                "roleArn": found.role,
                "owner": self.names.account,
                "credentialDurationSeconds": found.seconds,
                "creationDate": found.created,
                "lastModifiedDate": found.modified,
            }
        }

    @operation()
    async def list_role_aliases(
        self, call: Call, *, page_size: int | None = None, marker: str | None = None, ascending_order: bool = False
    ) -> Output:
        rows = ((one.created, one.name, one.name) for one in self.registry.role_aliases.values())
        found, token = pages.by_age(rows, marker, ascending_order, pages.size(page_size))
        return pages.with_token({"roleAliases": found}, "nextMarker", token)

    @operation()
    async def update_role_alias(
        self,
        call: Call,
        *,
        role_alias: str,
        role_arn: str | None = None,
        credential_duration_seconds: int | None = None,
    ) -> Output:
        async with self.registry.changing:
            found = self._role_alias(role_alias)
            changed = replace(
                found,
                role=role_arn or found.role,
                seconds=credential_duration_seconds or found.seconds,
                modified=call.now,
            )
            await self.registry.role_aliases.put(role_alias, changed)
        return {"roleAlias": role_alias, "roleAliasArn": self.names.arn("rolealias", role_alias)}

    @operation()
    async def delete_role_alias(self, call: Call, *, role_alias: str) -> Output:
        async with self.registry.changing:
            self._role_alias(role_alias)
            await self.registry.role_aliases.delete(role_alias)
        return {}
