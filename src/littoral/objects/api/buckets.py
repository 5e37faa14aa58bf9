"""CreateBucket, HeadBucket, DeleteBucket, ListBuckets and what a bucket is asked about itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.access.acl import canned, from_headers, private
from littoral.objects.access.public import ALL
from littoral.objects.api.acls import granted
from littoral.objects.api.parts import Operations, bucket_tags, tag_pairs
from littoral.objects.api.policies import OWNERSHIPS
from littoral.objects.errors import both_stated, error, has_lists, invalid_argument, not_implemented
from littoral.objects.facts import ENFORCED, Bucket, dump_tags
from littoral.objects.locks import rule_of
from littoral.objects.names import check_bucket_name

MOST_BUCKETS = 10_000


class BucketOperations(Operations):
    @operation(notes="CreateBucketConfiguration: LocationConstraint and Tags only")
    async def create_bucket(
        self,
        call: Call,
        *,
        bucket: str,
        acl: str | None = None,
        grant_full_control: str | None = None,
        grant_read: str | None = None,
        grant_read_acp: str | None = None,
        grant_write: str | None = None,
        grant_write_acp: str | None = None,
        create_bucket_configuration: dict[str, Any] | None = None,
        object_ownership: str | None = None,
        object_lock_enabled_for_bucket: bool = False,
    ) -> Output:
        """Creating one's own bucket again is no error in us-east-1, and BucketAlreadyOwnedByYou elsewhere."""
        check_bucket_name(bucket)
        configuration = create_bucket_configuration or {}
        self._check_location(configuration)
        tags = dump_tags(bucket_tags(tag_pairs(configuration.get("Tags"))))
        lock = json.dumps(rule_of({"ObjectLockEnabled": "Enabled"})) if object_lock_enabled_for_bucket else None
        grants = granted(grant_full_control, grant_read, grant_read_acp, grant_write, grant_write_acp)
        made = replace(self._new(call, acl, grants, object_ownership, lock), tags=tags)
        done = await self._index.create_bucket(bucket, made)
        if not done and (self._index.bucket(bucket).owner or self._parts.account) != made.owner:
            message = "The requested bucket name is not available. The bucket namespace is shared by all users of the"
            raise error("BucketAlreadyExists", f"{message} system. Please select a different name and try again.")
        if not done and self._parts.region != "us-east-1":
            message = "Your previous request to create the named bucket succeeded and you already own it."
            raise error("BucketAlreadyOwnedByYou", message, BucketName=bucket)
        return {"Location": f"/{bucket}", "BucketArn": f"arn:aws:s3:::{bucket}"}

    def _new(
        self, call: Call, acl: str | None, grants: dict[str, str], ownership: str | None, lock: str | None
    ) -> Bucket:
        """Raises InvalidBucketAclWithObjectOwnership, InvalidArgument, InvalidRequest."""
        if ownership not in (None, *OWNERSHIPS):
            raise invalid_argument("Invalid x-amz-object-ownership header", "x-amz-object-ownership", ownership)
        owner = call.principal.account or self._parts.account
        chosen = ownership or (ENFORCED if self._parts.closed else "")
        if grants and acl is not None:
            raise both_stated()
        made = from_headers(grants, owner, self._displayed()) if grants else canned(acl or "private", owner, owner)
        if chosen == ENFORCED and not made.private():
            raise has_lists()
        block = ALL if self._parts.closed else None
        if block is not None and made.public:
            raise error(
                "InvalidBucketAclWithBlockPublicAccessError",
                "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
            )
        kept = None if made == private(owner) else made.dump()
        public_block = None if block is None else block.dump()
        return Bucket(call.now, lock=lock, owner=owner, ownership=chosen, acl=kept, public_block=public_block)

    def _check_location(self, configuration: dict[str, Any]) -> None:
        for member in configuration:
            if member not in ("LocationConstraint", "Tags"):
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
        self._check_owner(bucket, expected_bucket_owner)
        return {"BucketRegion": self._parts.region, "BucketArn": f"arn:aws:s3:::{bucket}"}

    @operation()
    async def delete_bucket(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
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
        owner = call.principal.account or self._parts.account
        found = []
        if bucket_region in (None, self._parts.region):
            found = self._index.buckets(owner, prefix or "", continuation_token or "", limit + 1)
        shown = [
            {
                "Name": name,
                "CreationDate": created,
                "BucketRegion": self._parts.region,
                "BucketArn": f"arn:aws:s3:::{name}",
            }
            for name, created in found[:limit]
        ]
        output: Output = {"Buckets": shown, "Owner": self._parts.owner(owner)}
        if prefix is not None:
            output["Prefix"] = prefix
        if len(found) > limit:
            output["ContinuationToken"] = found[limit - 1][0]
        return output

    @operation()
    async def get_bucket_location(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        """For us-east-1 the answer is empty, as S3's."""
        self._index.bucket(bucket)
        self._check_owner(bucket, expected_bucket_owner)
        return {} if self._parts.region == "us-east-1" else {"LocationConstraint": self._parts.region}
