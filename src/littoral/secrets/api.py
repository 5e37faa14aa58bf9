"""The Secrets Manager API (botocore's "secretsmanager").

A value is sealed by a key of the place's KMS, or by the place's own, which is ``alias/aws/secretsmanager`` here. There
is no rotation, no replication and no resource policy: those operations are refused. Whoever may call the API may read.
"""

from __future__ import annotations

import copy
import secrets
import string
import uuid
from collections.abc import Sequence
from typing import Any, Final

from littoral.aws.service import Call, Output, operation
from littoral.secrets.catalog import Catalog
from littoral.secrets.errors import exists, invalid_parameter, invalid_request, not_found
from littoral.secrets.listing import Listing
from littoral.secrets.secret import CURRENT, DAY, Secret, Version, value_of

OWN: Final = "alias/aws/secretsmanager"
NAME: Final = frozenset(string.ascii_letters + string.digits + "/_+=.@-")
SUFFIX: Final = string.ascii_letters + string.digits
RECOVERY: Final = (7, 30)  # days


class SecretsApi(Listing):
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/"""

    def __init__(self, catalog: Catalog, region: str, account: str) -> None:
        super().__init__(catalog, region)
        self._account = account

    # ------------------------------------------------------------------------------------------------ made and changed

    @operation(harmless={"ForceOverwriteReplicaSecret"})
    async def create_secret(
        self,
        call: Call,
        *,
        name: str,
        client_request_token: str | None = None,
        description: str = "",
        kms_key_id: str = "",
        secret_binary: bytes | None = None,
        secret_string: str | None = None,
        tags: Sequence[dict[str, str]] = (),
    ) -> Output:
        if not set(name) <= NAME:
            raise invalid_parameter("Invalid name. Must be a valid name containing alphanumeric characters, or /_+=.@-")
        kms_key = self._key(kms_key_id)
        value = value_of(secret_binary, secret_string)
        token = client_request_token or str(uuid.uuid4())
        async with self._catalog.lock:
            await self._catalog.purge(call.now)
            known = next((each for each in self._catalog.all(call.now) if each.name == name), None)
            if known is not None:
                return await self._created_before(known, token, value)
            suffix = "".join(secrets.choice(SUFFIX) for _ in range(6))
            arn = f"arn:aws:secretsmanager:{self._region}:{self._account}:secret:{name}-{suffix}"
            secret = Secret(name, arn, call.now, call.now, description, kms_key=kms_key)
            secret.tag(tags)
            if value is not None:
                await self._add(secret, token, value, [CURRENT], call.now)
            await self._catalog.save(secret)
        return _named(secret, **({"VersionId": token} if value is not None else {}))

    async def _created_before(self, known: Secret, token: str, value: tuple[bytes, bool] | None) -> Output:
        if known.deleted is not None:
            raise invalid_request(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        if value is not None and token in known.versions and await self._catalog.same(known, token, value):
            return _named(known, VersionId=token)
        raise exists(f"The operation failed because the secret {known.name} already exists.")

    @operation(notes="rotationToken is refused: there is no rotation")
    async def put_secret_value(
        self,
        call: Call,
        *,
        secret_id: str,
        client_request_token: str | None = None,
        secret_binary: bytes | None = None,
        secret_string: str | None = None,
        version_stages: Sequence[str] = (CURRENT,),
    ) -> Output:
        value = value_of(secret_binary, secret_string)
        if value is None:
            raise invalid_request("You must provide either SecretString or SecretBinary.")
        token = client_request_token or str(uuid.uuid4())
        async with self._catalog.lock:
            secret = self._changed(secret_id, call)
            if not await self._known(secret, token, value):
                await self._add(secret, token, value, version_stages, call.now)
                await self._catalog.save(secret)
        return _named(secret, VersionId=token, VersionStages=list(secret.versions[token].stages))

    @operation()
    async def update_secret(
        self,
        call: Call,
        *,
        secret_id: str,
        client_request_token: str | None = None,
        description: str | None = None,
        kms_key_id: str | None = None,
        secret_binary: bytes | None = None,
        secret_string: str | None = None,
    ) -> Output:
        kms_key = None if kms_key_id is None else self._key(kms_key_id)
        value = value_of(secret_binary, secret_string)
        token = client_request_token or str(uuid.uuid4())
        async with self._catalog.lock:
            secret = self._changed(secret_id, call)
            if description is not None:
                secret.description = description
            if kms_key is not None and kms_key != secret.kms_key:
                secret.kms_key = kms_key
                await self._catalog.reseal(secret)
            if value is not None and not await self._known(secret, token, value):
                await self._add(secret, token, value, [CURRENT], call.now)
            secret.changed = call.now
            await self._catalog.save(secret)
        return _named(secret, **({"VersionId": token} if value is not None else {}))

    @operation()
    async def update_secret_version_stage(
        self,
        call: Call,
        *,
        secret_id: str,
        version_stage: str,
        remove_from_version_id: str | None = None,
        move_to_version_id: str | None = None,
    ) -> Output:
        async with self._catalog.lock:
            secret = self._changed(secret_id, call)
            for version in (remove_from_version_id, move_to_version_id):
                if version is not None and version not in secret.versions:
                    raise not_found(f"Secrets Manager can't find the specified secret value for VersionId: {version}")
            before = secret.staged(version_stage)
            if remove_from_version_id != before and (before is not None or remove_from_version_id is not None):
                raise invalid_parameter(
                    f"The staging label {version_stage} is attached to version {before or 'none'}, so you must "
                    "explicitly reference that version in RemoveFromVersionId."
                )
            if version_stage == CURRENT and move_to_version_id is None:
                raise invalid_parameter(f"You can't remove the staging label {CURRENT}, only move it.")
            secret.move(version_stage, move_to_version_id)
            secret.changed = call.now
            await self._catalog.save(secret)
        return _named(secret)

    @operation()
    async def tag_resource(self, call: Call, *, secret_id: str, tags: Sequence[dict[str, str]]) -> Output:
        async with self._catalog.lock:
            secret = self._changed(secret_id, call)
            secret.tag(tags)
            await self._catalog.save(secret)
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, secret_id: str, tag_keys: Sequence[str]) -> Output:
        async with self._catalog.lock:
            secret = self._changed(secret_id, call)
            secret.tags = {key: value for key, value in secret.tags.items() if key not in tag_keys}
            await self._catalog.save(secret)
        return {}

    # ------------------------------------------------------------------------------------------------ deleted

    @operation()
    async def delete_secret(
        self,
        call: Call,
        *,
        secret_id: str,
        recovery_window_in_days: int | None = None,
        force_delete_without_recovery: bool = False,
    ) -> Output:
        """It is gone ``RecoveryWindowInDays`` (7 to 30) later, and can be restored until then."""
        if force_delete_without_recovery and recovery_window_in_days is not None:
            raise invalid_parameter(
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
            )
        days = RECOVERY[1] if recovery_window_in_days is None else recovery_window_in_days
        if not RECOVERY[0] <= days <= RECOVERY[1]:
            raise invalid_parameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
        async with self._catalog.lock:
            secret = copy.deepcopy(self._catalog.find(secret_id, call.now))
            if force_delete_without_recovery:
                await self._catalog.forget(secret)
                return _named(secret, DeletionDate=call.now)
            if secret.deleted is not None:
                raise invalid_request(
                    "You can't perform this operation on the secret because it was already scheduled for deletion."
                )
            secret.deleted, secret.gone = call.now, call.now + days * DAY
            await self._catalog.save(secret)
        return _named(secret, DeletionDate=secret.gone)

    @operation()
    async def restore_secret(self, call: Call, *, secret_id: str) -> Output:
        async with self._catalog.lock:
            secret = copy.deepcopy(self._catalog.find(secret_id, call.now))
            secret.deleted = secret.gone = None
            await self._catalog.save(secret)
        return _named(secret)

    # ------------------------------------------------------------------------------------------------ parts

    def _key(self, asked: str) -> str:
        """As it is kept: "" for the place's own. Raises EncryptionFailure, InvalidParameterException."""
        kept = "" if asked in (OWN, f"arn:aws:kms:{self._region}:{self._account}:{OWN}") else asked
        self._catalog.check_key(kept)
        return kept

    def _changed(self, identifier: str, call: Call) -> Secret:
        """A copy, to be changed and saved. Raises ServiceError."""
        secret = copy.deepcopy(self._catalog.find(identifier, call.now))
        secret.check_there()
        return secret

    async def _known(self, secret: Secret, token: str, value: tuple[bytes, bool]) -> bool:
        """Whether that very version was put before. Raises ResourceExistsException where it has another value."""
        if token not in secret.versions:
            return False
        if await self._catalog.same(secret, token, value):
            return True
        raise exists(
            "You can't use ClientRequestToken "
            f"{token} because that value is already in use for a version of secret {secret.arn}."
        )

    async def _add(
        self, secret: Secret, token: str, value: tuple[bytes, bool], stages: Sequence[str], now: float
    ) -> None:
        secret.add(token, Version(now, value[1]), stages)
        secret.changed = now
        await self._catalog.put_value(secret, token, value[0])


def _named(secret: Secret, **more: Any) -> Output:
    return {"ARN": secret.arn, "Name": secret.name, **more}
