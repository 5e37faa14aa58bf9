"""Object Lock: its configuration of a bucket; retention and legal hold of a version."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.errors import error, malformed
from littoral.objects.facts import Bucket, Stored
from littoral.objects.locks import no_lock_configuration, retention_of, rule_of
from littoral.objects.versions import ENABLED, check_version

DIGESTS = {"ContentMD5", "ChecksumAlgorithm", "RequestPayer"}


class LockOperations(Operations):
    @operation(harmless=DIGESTS, notes="Token is not asked for")
    async def put_object_lock_configuration(
        self,
        call: Call,
        *,
        bucket: str,
        object_lock_configuration: dict[str, Any] | None = None,
        token: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        """Once a bucket has Object Lock it keeps it."""
        self._check_owner(bucket, expected_bucket_owner)
        kept = json.dumps(rule_of(object_lock_configuration or {}))

        def check(held: Bucket) -> None:
            if held.versioning != ENABLED:
                message = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
                raise error("InvalidBucketState", message)

        await self._index.set_bucket(bucket, "lock", kept, check=check)
        return {}

    @operation()
    async def get_object_lock_configuration(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).lock
        if kept is None:
            message = "Object Lock configuration does not exist for this bucket"
            raise error("ObjectLockConfigurationNotFoundError", message, BucketName=bucket)
        return {"ObjectLockConfiguration": json.loads(kept)}

    @operation(harmless=DIGESTS)
    async def put_object_retention(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        retention: dict[str, Any] | None = None,
        version_id: str | None = None,
        bypass_governance_retention: bool = False,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        stored = self._lockable(bucket, key, version_id, expected_bucket_owner)
        mode, until = retention_of(retention or {}, call.now)
        await self._index.set_lock(
            stored, lambda lock: lock.retained(mode, until, call.now, bypass=bypass_governance_retention), call.now
        )
        return {}

    @operation(harmless={"RequestPayer"})
    async def get_object_retention(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        lock = self._lockable(bucket, key, version_id, expected_bucket_owner).lock
        if lock.mode is None:
            raise _nothing_set()
        return {"Retention": {"Mode": lock.mode, "RetainUntilDate": lock.until}}

    @operation(harmless=DIGESTS)
    async def put_object_legal_hold(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        legal_hold: dict[str, Any] | None = None,
        version_id: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        stored = self._lockable(bucket, key, version_id, expected_bucket_owner)
        status = (legal_hold or {}).get("Status")
        if status not in ("ON", "OFF"):
            raise malformed()
        await self._index.set_lock(stored, lambda lock: replace(lock, hold=status == "ON"), call.now)
        return {}

    @operation(harmless={"RequestPayer"})
    async def get_object_legal_hold(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        lock = self._lockable(bucket, key, version_id, expected_bucket_owner).lock
        if lock.hold is None:
            raise _nothing_set()
        return {"LegalHold": {"Status": "ON" if lock.hold else "OFF"}}

    def _lockable(self, bucket: str, key: str, version: str | None, owner: str | None) -> Stored:
        """Raises InvalidRequest where the bucket has no Object Lock."""
        check_version(version)
        self._check_owner(bucket, owner)
        if self._index.bucket(bucket).lock is None:
            raise no_lock_configuration()
        return self._index.get(bucket, key, version)


def _nothing_set() -> Exception:
    message = "The specified object does not have a ObjectLock configuration"
    return error("NoSuchObjectLockConfiguration", message)
