"""The default encryption of a bucket."""

from __future__ import annotations

import json
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.encryption import BLOCKED, default_of
from littoral.objects.errors import error


class EncryptionOperations(Operations):
    @operation(
        harmless={"ContentMD5", "ChecksumAlgorithm"},
        notes="the key of KMS must be usable then; without one it is alias/aws/s3",
    )
    async def put_bucket_encryption(
        self,
        call: Call,
        *,
        bucket: str,
        server_side_encryption_configuration: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        default = default_of(server_side_encryption_configuration)
        self._keys.kms_key(default["SSEAlgorithm"], default.get("KMSMasterKeyID"))
        await self._index.set_bucket(bucket, "encryption", json.dumps(default))
        return {}

    @operation()
    async def get_bucket_encryption(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        """A bucket without one stores what no request asks to encrypt as it is, and says so."""
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).encryption
        if kept is None:
            message = "The server side encryption configuration was not found"
            raise error("ServerSideEncryptionConfigurationNotFoundError", message, BucketName=bucket)
        default = json.loads(kept)
        rule = {"BucketKeyEnabled": default.pop("BucketKeyEnabled", False)}
        if BLOCKED in default:
            rule[BLOCKED] = {"EncryptionType": default.pop(BLOCKED)}
        return {
            "ServerSideEncryptionConfiguration": {"Rules": [rule | {"ApplyServerSideEncryptionByDefault": default}]}
        }

    @operation()
    async def delete_bucket_encryption(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "encryption", None)
        return {}
