"""Tags of component versions, deployments and core devices; and the account's service role.

The role is what AWS's Greengrass acts by in the account. Littoral's acts by itself, so it is kept and shown, and
grants nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Final

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.core.region.names import invalid, not_found, operators_only
from littoral.core.region.state import State
from littoral.store.documents import Document, Documents

MOST: Final = 50  # tags of a resource
ROLE: Final = "service-role"
_RESOURCE = re.compile(
    r"arn:[^:]*:greengrass:[^:]*:[0-9]+:(?P<kind>components|deployments|coreDevices):(?P<name>[^:]+)"
    r"(?::versions:(?P<version>[^:]+))?"
)
_ROLE = re.compile(r"arn:[^:]+:iam::[0-9]{12}:role/.+")


class TagsAndRole:
    def __init__(self, state: State) -> None:
        self._state = state

    @operation()
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: Mapping[str, str]) -> Output:
        await self._retag(call, resource_arn, {**tags}, ())
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: Sequence[str]) -> Output:
        await self._retag(call, resource_arn, {}, tag_keys)
        return {}

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        operators_only(call)
        _, _, found = await self._tagged(resource_arn)
        return {"tags": found.get("tags", {})}

    async def _retag(self, call: Call, arn: str, added: Mapping[str, str], removed: Sequence[str]) -> None:
        operators_only(call)
        async with self._state.lock:
            documents, key, found = await self._tagged(arn)
            kept = {name: value for name, value in found.get("tags", {}).items() if name not in removed}
            await documents.put(key, {**found, "tags": checked_tags({**kept, **added})})

    async def _tagged(self, arn: str) -> tuple[Documents, str, Document]:
        """Where the resource is kept. Raises ValidationException, ResourceNotFoundException."""
        named = _RESOURCE.fullmatch(arn)
        if named is None or (named["kind"] == "components") != (named["version"] is not None):
            raise invalid(f"{arn} is not the ARN of a component version, a deployment or a core device")
        documents, key = {
            "components": (self._state.components, f"{named['name']}/{named['version']}"),
            "deployments": (self._state.deployments, named["name"]),
            "coreDevices": (self._state.cores, named["name"]),
        }[named["kind"]]
        found = await documents.get(key)
        if found is None:
            raise not_found(arn, named["kind"])
        return documents, key, found

    # ------------------------------------------------------------------------------------------ the service role

    @operation(notes="roleArn: kept and shown; Littoral's Greengrass needs no role to act in the account")
    async def associate_service_role_to_account(self, call: Call, *, role_arn: str) -> Output:
        operators_only(call)
        if not _ROLE.fullmatch(role_arn):
            raise invalid(f"{role_arn} is not the ARN of a role")
        at = _written(call.now)
        await self._state.account.put(ROLE, {"roleArn": role_arn, "associatedAt": at})
        return {"associatedAt": at}

    @operation()
    async def disassociate_service_role_from_account(self, call: Call) -> Output:
        """Where there is none, too."""
        operators_only(call)
        await self._state.account.delete(ROLE)
        return {"disassociatedAt": _written(call.now)}

    @operation()
    async def get_service_role_for_account(self, call: Call) -> Output:
        operators_only(call)
        found = await self._state.account.get(ROLE)
        if found is None:
            raise ServiceError(
                "ResourceNotFoundException", "You need to attach a service role to this account.", status=404
            )
        return dict(found)


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Raises ValidationException."""
    if len(tags) > MOST:
        raise invalid(f"A resource has at most {MOST} tags")
    if reserved := sorted(name for name in tags if name.lower().startswith("aws:")):
        raise invalid(f"Names of tags that begin with aws: are AWS's own ({', '.join(reserved)})")
    return dict(tags)


def _written(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
