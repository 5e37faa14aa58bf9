"""Bucket policies, ownership controls and blocks of public access."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.access.acl import Acl
from littoral.objects.access.gate import denied
from littoral.objects.access.policies import checked_policy
from littoral.objects.access.public import Block
from littoral.objects.api.parts import Operations
from littoral.objects.errors import error, has_lists, malformed
from littoral.objects.facts import ENFORCED, Bucket

DIGESTS = {"ContentMD5", "ChecksumAlgorithm"}
OWNERSHIPS = (ENFORCED, "BucketOwnerPreferred", "ObjectWriter")


class PolicyOperations(Operations):
    @operation(
        harmless={*DIGESTS, "ConfirmRemoveSelfBucketAccess"},
        notes="principals are accounts, users and roles; that they exist is not checked",
    )
    async def put_bucket_policy(
        self, call: Call, *, bucket: str, policy: str, expected_bucket_owner: str | None = None
    ) -> Output:
        """The owner's root always reaches the policy, so nobody shuts themselves out."""
        self._check_owner(bucket, expected_bucket_owner)
        made = checked_policy(policy, bucket)

        def check(held: Bucket) -> None:
            if made.public and Block.load(held.public_block).blocks_policies:
                raise denied()

        await self._index.set_bucket(bucket, "policy", policy, check=check)
        return {"ResponseMetadata": {"HTTPStatusCode": 204}}

    @operation()
    async def get_bucket_policy(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).policy
        if kept is None:
            raise error("NoSuchBucketPolicy", "The bucket policy does not exist", BucketName=bucket)
        return {"Policy": kept}

    @operation()
    async def delete_bucket_policy(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "policy", None)
        return {}

    @operation()
    async def get_bucket_policy_status(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        """Whether its policy or its list lets anybody in."""
        self._check_owner(bucket, expected_bucket_owner)
        held = self._index.bucket(bucket)
        return {"PolicyStatus": {"IsPublic": self._gate.public(held) or self._gate.list_of(held, None).public}}

    @operation(harmless=DIGESTS)
    async def put_bucket_ownership_controls(
        self,
        call: Call,
        *,
        bucket: str,
        ownership_controls: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        rules = ownership_controls.get("Rules") or []
        wanted = rules[0].get("ObjectOwnership") if len(rules) == 1 else None
        if wanted not in OWNERSHIPS:
            raise malformed()

        def check(held: Bucket) -> None:
            if wanted == ENFORCED and held.acl is not None and not Acl.read(held.acl).private():
                raise has_lists()

        await self._index.set_bucket(bucket, "ownership", wanted, check=check)
        return {}

    @operation()
    async def get_bucket_ownership_controls(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).ownership
        if kept == "":
            message = "The bucket ownership controls were not found"
            raise error("OwnershipControlsNotFoundError", message, BucketName=bucket)
        return {"OwnershipControls": {"Rules": [{"ObjectOwnership": kept or ENFORCED}]}}

    @operation()
    async def delete_bucket_ownership_controls(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "ownership", "")
        return {}

    @operation(harmless=DIGESTS)
    async def put_public_access_block(
        self,
        call: Call,
        *,
        bucket: str,
        public_access_block_configuration: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "public_block", Block.of(public_access_block_configuration).dump())
        return {}

    @operation()
    async def get_public_access_block(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).public_block
        if kept is None:
            message = "The public access block configuration was not found"
            raise error("NoSuchPublicAccessBlockConfiguration", message, BucketName=bucket)
        return {"PublicAccessBlockConfiguration": Block.load(kept).shown()}

    @operation()
    async def delete_public_access_block(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "public_block", None)
        return {}
