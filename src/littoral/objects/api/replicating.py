"""The replication of a bucket."""

from __future__ import annotations

import json
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.errors import error
from littoral.objects.facts import Bucket
from littoral.objects.replication.rules import checked, rules_of
from littoral.objects.replication.sending import Replicator
from littoral.objects.replication.targets import Away
from littoral.objects.versions import ENABLED


class ReplicationOperations(Operations):
    replicator: Replicator  # handed in as the capability is opened

    @operation(
        harmless={"ContentMD5", "ChecksumAlgorithm", "Token"},
        notes="of objects written from then on; the role is kept and not asked; ReplicationTime, Metrics,"
        " AccessControlTranslation, EncryptionConfiguration, ReplicaModifications and ExistingObjectReplication are"
        " refused; later changes of tags and locks go, too, those of ACLs do not",
    )
    async def put_bucket_replication(
        self,
        call: Call,
        *,
        bucket: str,
        replication_configuration: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        self._index.bucket(bucket)
        kept = checked(replication_configuration)
        for target in {rule.target for rule in rules_of(kept)}:
            await self._check_target(bucket, target)
        await self._index.set_bucket(bucket, "replication", kept, check=_check_versioning)
        return {}

    async def _check_target(self, bucket: str, target: str) -> None:
        """Raises InvalidRequest; ServiceUnavailable where it cannot be asked."""
        if target == bucket and target not in self.replicator.far:
            raise error("InvalidRequest", "Destination bucket cannot be the same as the source bucket.")
        if target not in self.replicator.far and not self._index.is_bucket(target):
            raise error("InvalidRequest", "Destination bucket must exist.")
        try:
            keeps = await self.replicator.target(target).keeps_versions()
        except Away as problem:
            raise error("ServiceUnavailable", f"The destination bucket cannot be asked now: {problem}") from problem
        if not keeps:
            raise error("InvalidRequest", "Destination bucket must have versioning enabled.")

    @operation()
    async def get_bucket_replication(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).replication
        if kept is None:
            message = "The replication configuration was not found"
            raise error("ReplicationConfigurationNotFoundError", message, BucketName=bucket)
        return {"ReplicationConfiguration": json.loads(kept)}

    @operation()
    async def delete_bucket_replication(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        """What waits goes all the same."""
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "replication", None)
        return {}


def _check_versioning(held: Bucket) -> None:
    if held.versioning != ENABLED:
        message = "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
        raise error("InvalidRequest", message)
