"""DeleteObject and DeleteObjects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.net.message import Headers, Response
from littoral.objects.access.needs import REMOVE_OBJECT, further
from littoral.objects.api.logging import LoggingOperations
from littoral.objects.api.parts import origin_of
from littoral.objects.conditions import matches
from littoral.objects.errors import error, precondition_failed
from littoral.objects.facts import version_member
from littoral.objects.names import check_key
from littoral.objects.versions import Check, Removal, Removed, check_version

MOST = 1000


class DeleteOperations(LoggingOperations):
    @operation(harmless={"RequestPayer"})
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
        bypass_governance_retention: bool = False,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_version(version_id)
        self._check_owner(bucket, expected_bucket_owner)
        check = _check(if_match, if_match_last_modified_time, if_match_size)
        removal = Removal(key, version_id, check, bypass_governance_retention)
        (done,) = await self._index.delete(bucket, [removal], origin_of(call))
        if isinstance(done, Exception):
            raise done
        self.note_removed(call, bucket, done.size)
        return version_member(done.version) | ({"DeleteMarker": True} if done.marker else {})

    @operation(
        harmless={"RequestPayer", "ChecksumAlgorithm"},
    )
    async def delete_objects(
        self,
        call: Call,
        *,
        bucket: str,
        delete: dict[str, Any],
        bypass_governance_retention: bool = False,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        wanted = delete.get("Objects") or []
        if not 1 <= len(wanted) <= MOST:
            raise error("MalformedXML", "The XML you provided was not well-formed or did not validate")
        given = {"BypassGovernanceRetention": bypass_governance_retention}
        asked = [self._admitted(call, bucket, each, given) for each in wanted]
        removals = [each for each in asked if isinstance(each, Removal)]
        outcomes = iter(await self._index.delete(bucket, removals, origin_of(call)))
        output: Output = {"Deleted": [], "Errors": []}
        for each, removal in zip(wanted, asked, strict=True):
            done = next(outcomes) if isinstance(removal, Removal) else removal
            if not isinstance(done, Removed | ServiceError):
                raise done
            self._note_removal(call, bucket, each["Key"], done)
            named = {name: each[name] for name in ("Key", "VersionId") if each.get(name)}
            if isinstance(done, Removed):
                marker = {"DeleteMarker": True, "DeleteMarkerVersionId": done.version} if done.marker else {}
                output["Deleted"].append(named | marker)
            else:
                output["Errors"].append(named | {"Code": done.code, "Message": done.message})
        if delete.get("Quiet"):
            del output["Deleted"]
        return output

    def _note_removal(self, call: Call, bucket: str, key: str, done: Removed | ServiceError) -> None:
        """In the bucket's access log, as DeleteObject would be answered."""
        if isinstance(done, ServiceError):
            self.answered_within(call, bucket, key, Response(done.status or 400), done.code)
        else:
            version = Headers([(b"x-amz-version-id", done.version.encode())] if done.version else [])
            self.answered_within(call, bucket, key, Response(204, version), "", removed=done.size)

    def _admitted(
        self, call: Call, bucket: str, wanted: dict[str, Any], given: dict[str, bool]
    ) -> Removal | ServiceError:
        """What is to be removed, where this caller may."""
        removal = _removal(wanted, bypass=given["BypassGovernanceRetention"])
        try:
            if isinstance(removal, Removal):
                for need in (REMOVE_OBJECT, *further(call.operation, given)):
                    self._gate.check(call, need, bucket, removal.key, removal.version)
        except ServiceError as refused:
            return refused
        return removal


def _removal(wanted: dict[str, Any], *, bypass: bool) -> Removal | ServiceError:
    version = wanted.get("VersionId") or None
    try:
        check_key(wanted["Key"])
    except ServiceError as refused:
        return refused
    try:
        check_version(version)
    except ServiceError:
        return error("NoSuchVersion", "The specified version does not exist.")
    check = _check(wanted.get("ETag"), wanted.get("LastModifiedTime"), wanted.get("Size"))
    return Removal(wanted["Key"], version, check, bypass)


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
