"""Tags of objects and buckets."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations, bucket_tags, object_tags, origin_of, tag_pairs
from littoral.objects.errors import error
from littoral.objects.facts import Tags, dump_tags, load_tags
from littoral.objects.versions import check_version

DIGESTS = {"ContentMD5", "ChecksumAlgorithm"}  # which the wire compares before the document is parsed


class TaggingOperations(Operations):
    @operation(harmless={*DIGESTS, "RequestPayer"})
    async def put_object_tagging(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        tagging: dict[str, Any],
        version_id: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_version(version_id)
        self._check_owner(bucket, expected_bucket_owner)
        stored = self._readable(call, bucket, key, version_id)
        await self._index.set_tags(stored, object_tags(tag_pairs(tagging.get("TagSet"))), origin_of(call))
        return stored.version_member

    @operation(harmless={"RequestPayer"})
    async def get_object_tagging(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_version(version_id)
        self._check_owner(bucket, expected_bucket_owner)
        stored = self._readable(call, bucket, key, version_id)
        return {"TagSet": _shown(stored.tags)} | stored.version_member

    @operation()
    async def delete_object_tagging(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_version(version_id)
        self._check_owner(bucket, expected_bucket_owner)
        stored = self._readable(call, bucket, key, version_id)
        await self._index.set_tags(stored, (), origin_of(call))
        return stored.version_member

    @operation(harmless=DIGESTS)
    async def put_bucket_tagging(
        self, call: Call, *, bucket: str, tagging: dict[str, Any], expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        tags = bucket_tags(tag_pairs(tagging.get("TagSet")))
        await self._index.set_bucket(bucket, "tags", dump_tags(tags))
        return {}

    @operation()
    async def get_bucket_tagging(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        tags = load_tags(self._index.bucket(bucket).tags)
        if not tags:
            raise error("NoSuchTagSet", "The TagSet does not exist", BucketName=bucket)
        return {"TagSet": _shown(tags)}

    @operation()
    async def delete_bucket_tagging(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "tags", None)
        return {}


def _shown(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags]
