"""DeleteObject and DeleteObjects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.objects.api.parts import Operations, check_version, origin_of
from littoral.objects.conditions import matches
from littoral.objects.errors import error, precondition_failed
from littoral.objects.names import check_key

Check = Callable[[str, int, float], None]
MOST = 1000


class DeleteOperations(Operations):
    @operation(harmless={"RequestPayer", "BypassGovernanceRetention"})
    async def delete_object(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        if_match: str | None = None,
        if_match_last_modified_time: datetime | None = None,
        if_match_size: int | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_key(key)
        check_version(version_id)
        self._check_owner(expected_bucket_owner)
        check = _check(if_match, if_match_last_modified_time, if_match_size)
        (refused,) = await self._index.delete(bucket, [(key, check)], origin_of(call))
        if refused is not None:
            raise refused
        return {}

    @operation(
        harmless={"RequestPayer", "BypassGovernanceRetention", "ChecksumAlgorithm"},
        notes="the checksum of the request document is not compared",
    )
    async def delete_objects(
        self, call: Call, *, bucket: str, delete: dict[str, Any], expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(expected_bucket_owner)
        wanted = delete.get("Objects") or []
        if not 1 <= len(wanted) <= MOST:
            raise error("MalformedXML", "The XML you provided was not well-formed or did not validate")
        outcomes = await self._index.delete(
            bucket, [(each["Key"], _check_of(each)) for each in wanted], origin_of(call)
        )
        output: Output = {"Deleted": [], "Errors": []}
        for each, refused in zip(wanted, outcomes, strict=True):
            if refused is None:
                output["Deleted"].append({"Key": each["Key"]})
            elif isinstance(refused, ServiceError):
                failed = {"Key": each["Key"], "Code": refused.code, "Message": refused.message}
                output["Errors"].append(failed)
            else:
                raise refused
        if delete.get("Quiet"):
            del output["Deleted"]
        return output


def _check_of(wanted: dict[str, Any]) -> Check | None:
    version = wanted.get("VersionId")
    if version not in (None, "null"):

        def refuse(etag: str, size: int, modified: float) -> None:
            raise error("NoSuchVersion", "The specified version does not exist.")

        return refuse
    return _check(wanted.get("ETag"), wanted.get("LastModifiedTime"), wanted.get("Size"))


def _check(if_match: str | None, modified_time: datetime | None, wanted_size: int | None) -> Check | None:
    if if_match is None and modified_time is None and wanted_size is None:
        return None

    def check(etag: str, size: int, modified: float) -> None:
        if if_match is not None and not matches(if_match, etag):
            raise precondition_failed("If-Match")
        if modified_time is not None and int(modified) != int(modified_time.timestamp()):
            raise precondition_failed("x-amz-if-match-last-modified-time")
        if wanted_size is not None and size != wanted_size:
            raise precondition_failed("x-amz-if-match-size")

    return check
