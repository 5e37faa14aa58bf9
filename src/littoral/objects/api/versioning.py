"""Whether a bucket keeps versions, and ListObjectVersions."""

from __future__ import annotations

from functools import partial
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.listings import restores, told_in_lists
from littoral.objects.api.parts import Operations
from littoral.objects.errors import error, invalid_argument, not_implemented
from littoral.objects.facts import Bucket, Facts
from littoral.objects.listing import Row, check_encoding, encoded, limit_of, list_many
from littoral.objects.versions import ENABLED, NULL, SUSPENDED, check_version, rank_of


class VersioningOperations(Operations):
    @operation(harmless={"ContentMD5", "ChecksumAlgorithm"}, notes="MFADelete is refused")
    async def put_bucket_versioning(
        self,
        call: Call,
        *,
        bucket: str,
        versioning_configuration: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        status = versioning_configuration.get("Status")
        if versioning_configuration.get("MFADelete") == "Enabled":
            raise not_implemented("There is no MFA device here: MFADelete cannot be enabled")
        if status not in (ENABLED, SUSPENDED):
            raise error("IllegalVersioningConfigurationException", "The Versioning element must be specified")

        def check(held: Bucket) -> None:
            if held.replication is not None and status != ENABLED:
                message = "A replication configuration is present on this bucket, so the versioning state cannot be"
                raise error("InvalidBucketState", f"{message} changed.")
            if held.lock is not None and status != ENABLED:
                message = "An Object Lock configuration is present on this bucket, so the versioning state cannot be"
                raise error("InvalidBucketState", f"{message} changed.")

        await self._index.set_bucket(bucket, "versioning", status, check=check)
        return {}

    @operation()
    async def get_bucket_versioning(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        """Of a bucket that never kept versions the answer has no Status."""
        status = self._index.bucket(bucket).versioning
        self._check_owner(bucket, expected_bucket_owner)
        return {} if status is None else {"Status": status}

    @operation(harmless={"RequestPayer"})
    async def list_object_versions(
        self,
        call: Call,
        *,
        bucket: str,
        delimiter: str | None = None,
        encoding_type: str | None = None,
        key_marker: str | None = None,
        max_keys: int | None = None,
        prefix: str | None = None,
        version_id_marker: str | None = None,
        optional_object_attributes: list[str] | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        """By key, the newest version first."""
        check_encoding(encoding_type)
        held = self._index.bucket(bucket)
        self._check_owner(bucket, expected_bucket_owner)
        limit, marker = limit_of(max_keys), key_marker or ""
        fetch = partial(self._index.versions, bucket)
        with self._index.moment():
            after = (marker, self._rank(bucket, marker, version_id_marker))
            page = list_many(fetch, prefix=prefix or "", delimiter=delimiter or "", after=after, limit=limit)
        output: Output = {
            "IsTruncated": page.truncated,
            "Name": bucket,
            "Prefix": encoded(prefix or "", encoding_type),
            "KeyMarker": encoded(marker, encoding_type),
            "VersionIdMarker": version_id_marker or "",
            "MaxKeys": limit,
            "Versions": [],
            "DeleteMarkers": [],
            "CommonPrefixes": [{"Prefix": encoded(text, encoding_type)} for text in page.prefixes],
        }
        if delimiter:
            output["Delimiter"] = encoded(delimiter, encoding_type)
        if encoding_type is not None:
            output["EncodingType"] = encoding_type
        if page.truncated:
            output["NextKeyMarker"] = encoded(page.last, encoding_type)
            output["NextVersionIdMarker"] = page.rows[-1][2] if page.last_id is not None else ""
        key = marker if after[1] is not None else None  # whose newest version was on the page before
        restored_at = restores(call, optional_object_attributes)
        for row in page.rows:
            member = "DeleteMarkers" if row[7] else "Versions"
            output[member].append(self._version_entry(held, row, encoding_type, restored_at, newest=row[0] != key))
            key = row[0]
        return output

    def _rank(self, bucket: str, key: str, version: str | None) -> int | None:
        """The row behind which the page begins. Raises InvalidArgument."""
        if not version:
            return None
        if not key:
            message = "A version-id marker cannot be specified without a key marker."
            raise invalid_argument(message, "version-id-marker", version)
        check_version(version)
        found = self._index.rank(bucket, key, version)
        return found if found is not None or version == NULL else rank_of(version)

    def _version_entry(
        self, held: Bucket, row: Row, encoding: str | None, restored_at: float | None, *, newest: bool
    ) -> dict[str, Any]:
        key, _, version, size, etag, modified, facts, marker, *_ = row
        entry = {
            "Key": encoded(key, encoding),
            "VersionId": version,
            "IsLatest": newest,
            "LastModified": modified,
            "Owner": self._parts.owner(held.owner) if marker else self._owner_of(held, Facts.load(facts)),
        }
        if marker:
            return entry
        return entry | {"ETag": f'"{etag}"', "Size": size} | told_in_lists(facts, restored_at)
