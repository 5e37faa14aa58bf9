"""RestoreObject."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.cold import until
from littoral.objects.versions import check_version


class RestoreOperations(Operations):
    @operation(
        harmless={"ChecksumAlgorithm", "RequestPayer"},
        notes="takes no time here, whatever the tier; no events are sent",
    )
    async def restore_object(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        restore_request: dict[str, Any] | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        """202 where it was archived, 200 where its days are only changed."""
        check_version(version_id)
        self._check_owner(bucket, expected_bucket_owner)
        stored = self._readable(call, bucket, key, version_id)
        restored = until(stored.facts, restore_request or {}, call.now)
        was_there = (stored.facts.restored or 0.0) > call.now
        await self._index.set_restored(stored, restored)
        return {"ResponseMetadata": {"HTTPStatusCode": 200 if was_there else 202}}
