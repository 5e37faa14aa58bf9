"""ListObjects and ListObjectsV2."""

from __future__ import annotations

import json
import re
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects import cold
from littoral.objects.api.parts import Operations
from littoral.objects.facts import PLAIN_CLASS, Bucket, Facts
from littoral.objects.listing import Page, Row, check_encoding, encoded, limit_of, list_page, marker_of, token

# Of ``Facts.dump``: names of members stand in quotes, which texts within have only behind a backslash.
_CHECKSUM = re.compile(r'"checksum":(?:null|{"algorithm":"(\w+)","value":"[^"\\]*","kind":"(\w+)"})').search


class ListOperations(Operations):
    @operation(harmless={"RequestPayer"})
    async def list_objects(
        self,
        call: Call,
        *,
        bucket: str,
        delimiter: str | None = None,
        encoding_type: str | None = None,
        marker: str | None = None,
        max_keys: int | None = None,
        prefix: str | None = None,
        optional_object_attributes: list[str] | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_encoding(encoding_type)
        limit = limit_of(max_keys)
        held = self._index.bucket(bucket)
        page = self._page(bucket, prefix, delimiter, marker or "", limit, expected_bucket_owner)
        output = self._shown(
            page,
            bucket,
            prefix,
            delimiter,
            encoding_type,
            limit,
            owners=held,
            restored_at=restores(call, optional_object_attributes),
        )
        output["Marker"] = encoded(marker or "", encoding_type)
        if page.truncated and delimiter:
            output["NextMarker"] = encoded(page.last, encoding_type)
        return output

    @operation(harmless={"RequestPayer"})
    async def list_objects_v2(
        self,
        call: Call,
        *,
        bucket: str,
        delimiter: str | None = None,
        encoding_type: str | None = None,
        max_keys: int | None = None,
        prefix: str | None = None,
        continuation_token: str | None = None,
        fetch_owner: bool = False,
        start_after: str | None = None,
        optional_object_attributes: list[str] | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_encoding(encoding_type)
        limit = limit_of(max_keys)
        after = start_after or "" if continuation_token is None else marker_of(continuation_token)
        held = self._index.bucket(bucket)
        page = self._page(bucket, prefix, delimiter, after, limit, expected_bucket_owner)
        owners = held if fetch_owner else None
        output = self._shown(
            page,
            bucket,
            prefix,
            delimiter,
            encoding_type,
            limit,
            owners=owners,
            restored_at=restores(call, optional_object_attributes),
        )
        output["KeyCount"] = page.count
        if continuation_token is not None:
            output["ContinuationToken"] = continuation_token
        if page.truncated:
            output["NextContinuationToken"] = token(page.last)
        if start_after is not None:
            output["StartAfter"] = encoded(start_after, encoding_type)
        return output

    def _page(
        self, bucket: str, prefix: str | None, delimiter: str | None, after: str, limit: int, owner: str | None
    ) -> Page:
        self._check_owner(bucket, owner)

        def fetch(start: str, end: str | bytes, most: int) -> list[tuple[Any, ...]]:
            return self._index.page(bucket, start, end, most)

        with self._index.moment():  # a page is several reads where keys are rolled up
            return list_page(fetch, prefix=prefix or "", delimiter=delimiter or "", after=after, limit=limit)

    def _shown(
        self,
        page: Page,
        bucket: str,
        prefix: str | None,
        delimiter: str | None,
        encoding: str | None,
        limit: int,
        *,
        owners: Bucket | None,
        restored_at: float | None,
    ) -> Output:
        """``owners`` is the bucket where owners are told, ``restored_at`` the time where restorations are."""
        output: Output = {
            "IsTruncated": page.truncated,
            "Name": bucket,
            "Prefix": encoded(prefix or "", encoding),
            "MaxKeys": limit,
        }
        if delimiter:
            output["Delimiter"] = encoded(delimiter, encoding)
        if encoding is not None:
            output["EncodingType"] = encoding
        if page.rows:
            output["Contents"] = [self._entry(row, encoding, owners, restored_at) for row in page.rows]
        if page.prefixes:
            output["CommonPrefixes"] = [{"Prefix": encoded(text, encoding)} for text in page.prefixes]
        return output

    def _entry(
        self, row: Row, encoding: str | None, owners: Bucket | None, restored_at: float | None
    ) -> dict[str, Any]:
        key, size, etag, modified, facts = row
        entry: dict[str, Any] = {
            "Key": encoded(key, encoding),
            "LastModified": modified,
            "ETag": f'"{etag}"',
            "Size": size,
            **told_in_lists(facts, restored_at),
        }
        if owners is not None:
            entry["Owner"] = self._owner_of(owners, Facts.load(facts))
        return entry


def restores(call: Call, attributes: list[str] | None) -> float | None:
    """The time, where a listing is to tell of restorations; it is the only thing that can be asked for."""
    return call.now if attributes else None


def told_in_lists(facts: str, restored_at: float | None) -> dict[str, Any]:
    """What a listing says of an entry's class and checksum. A page has a thousand, so most are not read as JSON."""
    found = None if '"StorageClass"' in facts else _CHECKSUM(facts)
    if found is not None:
        algorithm, kind = found.groups()
        if kind is None:
            return {"StorageClass": PLAIN_CLASS}
        return {"StorageClass": PLAIN_CLASS, "ChecksumAlgorithm": [algorithm], "ChecksumType": kind}
    kept = json.loads(facts)
    told: dict[str, Any] = {"StorageClass": kept["headers"].get("StorageClass", PLAIN_CLASS)}
    if checksum := kept["checksum"]:
        told |= {"ChecksumAlgorithm": [checksum["algorithm"]], "ChecksumType": checksum["kind"]}
    return told if restored_at is None else told | cold.told_in_lists(kept, restored_at)
