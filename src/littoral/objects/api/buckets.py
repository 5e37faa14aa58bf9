"""CreateBucket, HeadBucket, DeleteBucket, ListBuckets and what a bucket is asked about itself."""

from __future__ import annotations

import json
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.errors import error, invalid_argument, not_implemented
from littoral.objects.locks import rule_of
from littoral.objects.names import check_bucket_name
from littoral.objects.versions import check_version

MOST_BUCKETS = 10_000


class BucketOperations(Operations):
    @operation(
        notes="CreateBucketConfiguration: LocationConstraint only; ACLs: private; ObjectOwnership: BucketOwnerEnforced"
    )
    async def create_bucket(
        self,
        call: Call,
        *,
        bucket: str,
        acl: str | None = None,
        create_bucket_configuration: dict[str, Any] | None = None,
        object_ownership: str | None = None,
        object_lock_enabled_for_bucket: bool = False,
    ) -> Output:
        """Creating one's own bucket again is no error in us-east-1, and BucketAlreadyOwnedByYou elsewhere."""
        check_bucket_name(bucket)
        if acl not in (None, "private"):
            message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
            raise error("InvalidBucketAclWithObjectOwnership", message)
        if object_ownership not in (None, "BucketOwnerEnforced"):
            raise not_implemented("ObjectOwnership is BucketOwnerEnforced for every bucket", "x-amz-object-ownership")
        self._check_location(create_bucket_configuration or {})
        lock = json.dumps(rule_of({"ObjectLockEnabled": "Enabled"})) if object_lock_enabled_for_bucket else None
        made = await self._index.create_bucket(bucket, call.now, lock=lock)
        if not made and self._parts.region != "us-east-1":
            message = "Your previous request to create the named bucket succeeded and you already own it."
            raise error("BucketAlreadyOwnedByYou", message, BucketName=bucket)
        return {"Location": f"/{bucket}", "BucketArn": f"arn:aws:s3:::{bucket}"}

    def _check_location(self, configuration: dict[str, Any]) -> None:
        for member in configuration:
            if member != "LocationConstraint":
                raise not_implemented(f"CreateBucketConfiguration.{member} is not there")
        home = self._parts.region
        asked = configuration.get("LocationConstraint") or "us-east-1"
        if asked != home:
            name = configuration.get("LocationConstraint") or "unspecified"
            message = f"The {name} location constraint is incompatible for the region specific endpoint"
            raise error("IllegalLocationConstraintException", f"{message} this request was sent to.")

    @operation()
    async def head_bucket(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._index.bucket(bucket)
        self._check_owner(expected_bucket_owner)
        return {"BucketRegion": self._parts.region, "BucketArn": f"arn:aws:s3:::{bucket}"}

    @operation()
    async def delete_bucket(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(expected_bucket_owner)
        await self._index.delete_bucket(bucket)
        return {}

    @operation()
    async def list_buckets(
        self,
        call: Call,
        *,
        max_buckets: int | None = None,
        continuation_token: str | None = None,
        prefix: str | None = None,
        bucket_region: str | None = None,
    ) -> Output:
        """The continuation token is the last name of the page before."""
        limit = MOST_BUCKETS if max_buckets is None else max_buckets
        if not 1 <= limit <= MOST_BUCKETS:
            raise invalid_argument(f"max-buckets is 1 to {MOST_BUCKETS}", "max-buckets", limit)
        found = []
        if bucket_region in (None, self._parts.region):
            found = self._index.buckets(prefix or "", continuation_token or "", limit + 1)
        shown = [
            {
                "Name": name,
                "CreationDate": created,
                "BucketRegion": self._parts.region,
                "BucketArn": f"arn:aws:s3:::{name}",
            }
            for name, created in found[:limit]
        ]
        output: Output = {"Buckets": shown, "Owner": self._parts.owner}
        if prefix is not None:
            output["Prefix"] = prefix
        if len(found) > limit:
            output["ContinuationToken"] = found[limit - 1][0]
        return output

    @operation()
    async def get_bucket_location(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        """For us-east-1 the answer is empty, as S3's."""
        self._index.bucket(bucket)
        self._check_owner(expected_bucket_owner)
        return {} if self._parts.region == "us-east-1" else {"LocationConstraint": self._parts.region}

    @operation()
    async def get_bucket_acl(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._index.bucket(bucket)
        self._check_owner(expected_bucket_owner)
        return self._owner_only()

    @operation(harmless={"RequestPayer"})
    async def get_object_acl(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_version(version_id)
        self._check_owner(expected_bucket_owner)
        self._index.get(bucket, key, version_id)
        return self._owner_only()

    def _owner_only(self) -> Output:
        owner = self._parts.owner
        return {
            "Owner": owner,
            "Grants": [{"Grantee": {**owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}],
        }
