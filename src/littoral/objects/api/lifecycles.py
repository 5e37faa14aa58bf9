"""The lifecycle rules of a bucket."""

from __future__ import annotations

import json
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.errors import error, not_implemented
from littoral.objects.lifecycle import checked

SMALLEST_TRANSITION = "all_storage_classes_128K"  # AWS's default, which Terraform waits to hear of


class LifecycleOperations(Operations):
    @operation(
        harmless={"ChecksumAlgorithm"},
        notes="rules are followed once an hour; of transitions no events are sent",
    )
    async def put_bucket_lifecycle_configuration(
        self,
        call: Call,
        *,
        bucket: str,
        lifecycle_configuration: dict[str, Any] | None = None,
        transition_default_minimum_object_size: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        if transition_default_minimum_object_size not in (None, SMALLEST_TRANSITION):
            message = "What is smaller than 128 KiB changes its class only where a rule's filter has a size"
            raise not_implemented(message, "x-amz-transition-default-minimum-object-size")
        await self._index.set_bucket(bucket, "lifecycle", checked(lifecycle_configuration or {}))
        return {"TransitionDefaultMinimumObjectSize": SMALLEST_TRANSITION}

    @operation()
    async def get_bucket_lifecycle_configuration(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        kept = self._index.bucket(bucket).lifecycle
        if kept is None:
            message = "The lifecycle configuration does not exist"
            raise error("NoSuchLifecycleConfiguration", message, BucketName=bucket)
        return {"Rules": json.loads(kept), "TransitionDefaultMinimumObjectSize": SMALLEST_TRANSITION}

    @operation()
    async def delete_bucket_lifecycle(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        await self._index.set_bucket(bucket, "lifecycle", None)
        return {}
