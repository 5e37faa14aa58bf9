"""The KMS API (botocore's "kms"): symmetric keys of this place, made, named, switched off, rotated, deleted.

Whoever may call the API may use the keys: key policies are kept and told, and not asked. There are no asymmetric and
HMAC keys, no imported material, no keys of other stores or regions, and no grants: each is refused by name.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.kms.catalog import Catalog
from littoral.kms.errors import invalid, invalid_alias, invalid_marker, invalid_state, not_found, unsupported
from littoral.kms.key import DAY, PERIOD, USUAL_PERIOD, WINDOW, Key, checked_policy, days, usual_policy
from littoral.kms.using import UsingOperations

ALIAS = re.compile(r"alias/[a-zA-Z0-9/_-]{1,250}")
PAGE = 100
SYMMETRIC = {
    "KeyUsage": "ENCRYPT_DECRYPT",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
    "Origin": "AWS_KMS",
}


class KmsApi(UsingOperations):
    """https://docs.aws.amazon.com/kms/latest/APIReference/"""

    def __init__(self, catalog: Catalog, account: str) -> None:
        super().__init__(catalog)
        self._account = account

    # ------------------------------------------------------------------------------------------------ keys

    @operation(
        harmless={"BypassPolicyLockoutSafetyCheck"},
        notes="symmetric keys of this place; the policy is kept and not asked: who may call the API may use its keys",
    )
    async def create_key(
        self,
        call: Call,
        *,
        policy: str | None = None,
        description: str = "",
        key_usage: str = "ENCRYPT_DECRYPT",
        customer_master_key_spec: str = "SYMMETRIC_DEFAULT",
        key_spec: str = "SYMMETRIC_DEFAULT",
        origin: str = "AWS_KMS",
        multi_region: bool = False,
        tags: Sequence[Mapping[str, str]] = (),
    ) -> Output:
        asked = zip(SYMMETRIC, (key_usage, key_spec, customer_master_key_spec, origin), strict=True)
        other = next((f"{name} {value}" for name, value in asked if value != SYMMETRIC[name]), None)
        if other is not None or multi_region:
            raise unsupported(
                f"Keys here are symmetric and of this place alone: {other or 'MultiRegion'} is not there."
            )
        identity = str(uuid.uuid4())
        kept = usual_policy(self._account) if policy is None else checked_policy(policy)
        key = Key(identity, f"{self._catalog.prefix}key/{identity}", call.now, description, kept)
        key.tag(tags)
        async with self._catalog.lock:
            await self._catalog.purge()
            await self._catalog.add_material(key)
        return {"KeyMetadata": key.metadata(self._account)}

    @operation(harmless={"GrantTokens"})
    async def describe_key(self, call: Call, *, key_id: str) -> Output:
        return {"KeyMetadata": self._catalog.find(key_id).metadata(self._account)}

    @operation(notes="all keys are of this account")
    async def list_keys(
        self, call: Call, *, limit: int = PAGE, marker: str | None = None, resource_owners: Sequence[str] = ()
    ) -> Output:
        found = [{"KeyId": key.id, "KeyArn": key.arn} for key in self._catalog.all()]
        return _page("Keys", found, limit, marker)

    @operation()
    async def enable_key(self, call: Call, *, key_id: str) -> Output:
        return await self._switch(key_id, on=True)

    @operation()
    async def disable_key(self, call: Call, *, key_id: str) -> Output:
        return await self._switch(key_id, on=False)

    async def _switch(self, key_id: str, *, on: bool) -> Output:
        async with self._catalog.changing(key_id) as key:
            key.enabled = on
        return {}

    @operation()
    async def update_key_description(self, call: Call, *, key_id: str, description: str) -> Output:
        async with self._catalog.changing(key_id) as key:
            key.description = description
        return {}

    @operation(notes="what is encrypted under the key is lost when it is deleted, objects too")
    async def schedule_key_deletion(
        self, call: Call, *, key_id: str, pending_window_in_days: int = WINDOW[1]
    ) -> Output:
        window = days(pending_window_in_days, WINDOW, "PendingWindowInDays")
        async with self._catalog.changing(key_id) as key:
            key.window, key.gone, key.enabled = window, call.now + window * DAY, False
        return {
            "KeyId": key.arn,
            "DeletionDate": key.gone,
            "KeyState": key.state,
            "PendingWindowInDays": key.window,
        }

    @operation()
    async def cancel_key_deletion(self, call: Call, *, key_id: str) -> Output:
        """The key is disabled then, as KMS leaves it."""

        def pending(key: Key) -> None:
            if key.gone is None:
                raise invalid_state(f"{key.arn} is not pending deletion.")

        async with self._catalog.changing(key_id, pending) as key:
            key.gone = None
        return {"KeyId": key.arn}

    # ------------------------------------------------------------------------------------------------ rotation

    @operation()
    async def get_key_rotation_status(self, call: Call, *, key_id: str) -> Output:
        key = self._catalog.named(key_id)
        told: Output = {"KeyId": key.arn, "KeyRotationEnabled": key.period is not None}
        if key.period is not None:
            told |= {"RotationPeriodInDays": key.period, "NextRotationDate": key.due}
        return told

    @operation(notes="when it is due, new material is made by the next use through this API, or when the place starts")
    async def enable_key_rotation(
        self, call: Call, *, key_id: str, rotation_period_in_days: int = USUAL_PERIOD
    ) -> Output:
        return await self._rotate_every(key_id, days(rotation_period_in_days, PERIOD, "RotationPeriodInDays"))

    @operation()
    async def disable_key_rotation(self, call: Call, *, key_id: str) -> Output:
        return await self._rotate_every(key_id, None)

    async def _rotate_every(self, key_id: str, period: int | None) -> Output:
        async with self._catalog.changing(key_id, Key.check_usable) as key:
            key.period = period
        return {}

    @operation()
    async def rotate_key_on_demand(self, call: Call, *, key_id: str) -> Output:
        async with self._catalog.lock:
            key = self._catalog.named(key_id)
            key.check_usable()
            await self._catalog.add_material(key)
        return {"KeyId": key.arn}

    # ------------------------------------------------------------------------------------------------ aliases

    @operation()
    async def create_alias(self, call: Call, *, alias_name: str, target_key_id: str) -> Output:
        return await self._point(alias_name, target_key_id, new=True)

    @operation()
    async def update_alias(self, call: Call, *, alias_name: str, target_key_id: str) -> Output:
        return await self._point(alias_name, target_key_id, new=False)

    async def _point(self, alias: str, key_id: str, *, new: bool) -> Output:
        if not ALIAS.fullmatch(alias):
            raise invalid('Alias must start with the prefix "alias/", then letters, digits, /, _ and -.')
        if alias.startswith("alias/aws/"):
            raise invalid_alias("Aliases that begin with alias/aws/ are AWS's own.")
        async with self._catalog.lock:
            key = self._catalog.named(key_id)
            key.check_changeable()
            await self._catalog.put_alias(alias, key, new=new)
        return {}

    @operation()
    async def delete_alias(self, call: Call, *, alias_name: str) -> Output:
        async with self._catalog.lock:
            await self._catalog.drop_alias(alias_name)
        return {}

    @operation()
    async def list_aliases(
        self, call: Call, *, key_id: str | None = None, limit: int = PAGE, marker: str | None = None
    ) -> Output:
        wanted = None if key_id is None else self._catalog.named(key_id).id
        found = [
            {"AliasName": name, "AliasArn": f"{self._catalog.prefix}{name}", "TargetKeyId": target}
            for name, target in sorted(self._catalog.aliases.items())
            if wanted in (None, target)
        ]
        return _page("Aliases", found, limit, marker)

    # ------------------------------------------------------------------------------------------- policies and tags

    @operation()
    async def get_key_policy(self, call: Call, *, key_id: str, policy_name: str = "default") -> Output:
        _check_default(policy_name)
        return {"Policy": self._catalog.named(key_id).policy, "PolicyName": policy_name}

    @operation(
        harmless={"BypassPolicyLockoutSafetyCheck"},
        notes="kept, and not asked: who may call the API may use its keys",
    )
    async def put_key_policy(self, call: Call, *, key_id: str, policy: str, policy_name: str = "default") -> Output:
        _check_default(policy_name)
        async with self._catalog.changing(key_id) as key:
            key.policy = checked_policy(policy)
        return {}

    @operation()
    async def list_key_policies(
        self, call: Call, *, key_id: str, limit: int = PAGE, marker: str | None = None
    ) -> Output:
        self._catalog.named(key_id)
        return _page("PolicyNames", ["default"], limit, marker)

    @operation()
    async def tag_resource(self, call: Call, *, key_id: str, tags: Sequence[Mapping[str, str]]) -> Output:
        async with self._catalog.changing(key_id) as key:
            key.tag(tags)
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, key_id: str, tag_keys: Sequence[str]) -> Output:
        async with self._catalog.changing(key_id) as key:
            key.tags = {name: value for name, value in key.tags.items() if name not in tag_keys}
        return {}

    @operation()
    async def list_resource_tags(
        self, call: Call, *, key_id: str, limit: int = PAGE, marker: str | None = None
    ) -> Output:
        tags = self._catalog.named(key_id).tags
        return _page("Tags", [{"TagKey": k, "TagValue": v} for k, v in sorted(tags.items())], limit, marker)


def _check_default(policy_name: str) -> None:
    if policy_name != "default":
        raise not_found(f"Policy {policy_name[:100]}")


def _page(member: str, found: Sequence[Any], limit: int, marker: str | None) -> Output:
    if marker is not None and not marker.isdecimal():
        raise invalid_marker()
    start = int(marker or 0)
    more = start + limit < len(found)
    page: Output = {member: list(found[start : start + limit]), "Truncated": more}
    return page | {"NextMarker": str(start + limit)} if more else page
