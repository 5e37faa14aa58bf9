"""The life of a multipart upload: create, list its parts, complete, abort, list uploads.

Completing moves no bytes: the object's pieces are the parts' blobs, in order.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.objects import etags
from littoral.objects.api.acls import granted
from littoral.objects.api.extracting import EXTRACT, ExtractOperations
from littoral.objects.api.parts import (
    checked_metadata,
    header_tags,
    headers_in,
    origin_of,
)
from littoral.objects.checksums import ALGORITHMS, Checksum, algorithm_of, check_of_part, joined, kind_of, stated_in
from littoral.objects.cold import kept_class
from littoral.objects.conditions import check_write_conditions, matches
from littoral.objects.encryption import customer_key, kept_of
from littoral.objects.errors import error
from littoral.objects.facts import Bucket, Completed, Content, Facts, Part, Upload, UploadedPart, version_member
from littoral.objects.lifecycle import expiration
from littoral.objects.listing import Row, check_encoding, encoded, limit_of, list_many, part_marker
from littoral.objects.locks import lock_of, no_lock_configuration
from littoral.objects.steps import WriteConditions

LEAST_PART = 5 * 1024 * 1024  # bytes of every part but the last
OBJECT_LIMIT = 5 * 1024**4


class MultipartOperations(ExtractOperations):
    @operation(harmless={"RequestPayer", "BucketKeyEnabled"}, notes="StorageClass: kept")
    async def create_multipart_upload(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        acl: str | None = None,
        grant_full_control: str | None = None,
        grant_read: str | None = None,
        grant_read_acp: str | None = None,
        grant_write_acp: str | None = None,
        cache_control: str | None = None,
        content_disposition: str | None = None,
        content_encoding: str | None = None,
        content_language: str | None = None,
        content_type: str | None = None,
        expires: str | None = None,
        metadata: dict[str, str] | None = None,
        storage_class: str | None = None,
        website_redirect_location: str | None = None,
        tagging: str | None = None,
        server_side_encryption: str | None = None,
        ssekms_key_id: str | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        object_lock_mode: str | None = None,
        object_lock_retain_until_date: datetime | None = None,
        object_lock_legal_hold_status: str | None = None,
        expected_bucket_owner: str | None = None,
        checksum_algorithm: str | None = None,
        checksum_type: str | None = None,
    ) -> Output:
        arguments = locals()
        kept = kept_class(storage_class)
        self._check_owner(bucket, expected_bucket_owner)
        lock = lock_of(object_lock_mode, object_lock_retain_until_date, object_lock_legal_hold_status, call.now)
        algorithm = algorithm_of(checksum_algorithm)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        held = self._index.bucket(bucket)
        grants = granted(grant_full_control, grant_read, grant_read_acp, None, grant_write_acp)
        sealing = self._keys.sealing(server_side_encryption, ssekms_key_id, customer, held.encryption)
        if lock is not None and held.lock is None:
            raise no_lock_configuration()
        if algorithm is None and checksum_type is not None:
            message = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            raise error("InvalidRequest", message)
        facts = Facts(
            headers_in(arguments) | kept,
            checked_metadata(metadata),
            encryption=kept_of(sealing),
            acl=self._acl_of(call, held, acl, grants),
        )
        kind = kind_of(algorithm, checksum_type) if algorithm else None
        name = algorithm.name if algorithm else None
        made = Upload(_upload_id(call.now), bucket, key, call.now, facts, header_tags(tagging), name, kind, lock)
        await self._index.create_upload(made)
        output: Output = {"Bucket": bucket, "Key": key, "UploadId": made.id, **facts.encryption_members}
        return output | ({"ChecksumAlgorithm": name, "ChecksumType": kind} if name else {})

    @operation(harmless={"RequestPayer"})
    async def complete_multipart_upload(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        upload_id: str,
        multipart_upload: dict[str, Any] | None = None,
        checksum_crc32: str | None = None,
        checksum_crc32_c: str | None = None,
        checksum_crc64_nvme: str | None = None,
        checksum_sha1: str | None = None,
        checksum_sha256: str | None = None,
        checksum_sha512: str | None = None,
        checksum_md5: str | None = None,
        checksum_xxhash64: str | None = None,
        checksum_xxhash3: str | None = None,
        checksum_xxhash128: str | None = None,
        checksum_type: str | None = None,
        mpu_object_size: int | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        given = stated_in(locals())
        self._check_owner(bucket, expected_bucket_owner)
        check_write_conditions(if_match, if_none_match)
        asked = (multipart_upload or {}).get("Parts") or []
        with self._index.moment():  # another may complete it just now
            if (done := self._repeated(call, bucket, key, upload_id, asked)) is not None:
                return done
            upload, there = self._index.upload(bucket, key, upload_id), self._index.parts(upload_id)
        if customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5) is not None:
            upload.facts.check_customer(sse_customer_key_md5)
        parts = _chosen(upload, asked, there)
        content = _content(parts)
        if mpu_object_size is not None and mpu_object_size != content.size:
            message = f"The provided 'x-amz-mp-object-size' header value {mpu_object_size} does not match what was"
            raise error("InvalidRequest", f"{message} computed: {content.size}")
        checksum = _checksum(upload, parts, given, checksum_type)
        if upload.facts.metadata.get(EXTRACT) == "true":
            await self._extract_upload(call, upload, content)
            return _place(call, bucket, key, content.etag) | (checksum.members() if checksum else {})
        described = tuple(Part(number, part.piece.size, part.checksum) for number, part in enumerate(parts, 1))
        try:
            version = await self._index.put(
                bucket,
                key,
                content,
                replace(upload.facts, checksum=checksum, parts=described),
                upload.tags,
                origin_of(call),
                "ObjectCreated:CompleteMultipartUpload",
                conditions=WriteConditions(if_match, if_none_match),
                upload=upload_id,
                lock=upload.lock,
            )
        except ServiceError:  # perhaps it was completed while this waited
            if (done := self._repeated(call, bucket, key, upload_id, asked)) is not None:
                return done
            raise
        told = _told(upload.facts) | (checksum.members() if checksum else {})
        told |= expiration(self._index.bucket(bucket).lifecycle, key, call.now, content.size, upload.tags)
        return _place(call, bucket, key, content.etag) | version_member(version) | told

    def _repeated(
        self, call: Call, bucket: str, key: str, upload_id: str, asked: list[dict[str, Any]]
    ) -> Output | None:
        """The answer, where the very same was asked for before: who asks again has not heard the first."""
        done = self._index.completed(bucket, key, upload_id)
        if done is None or done.etag != _joined_etag([part.get("ETag") or "" for part in asked]):
            return None
        return self._completed(call, bucket, key, done)

    def _completed(self, call: Call, bucket: str, key: str, done: Completed) -> Output:
        """The answer once more. What is told of the object is left out where it has been replaced meanwhile."""
        stored = self._index.find(bucket, key)
        told: Output = {}
        if stored is not None and stored.id == done.object:
            checksum = stored.facts.checksum
            told = _told(stored.facts) | (checksum.members() if checksum else {})
        return _place(call, bucket, key, done.etag) | version_member(done.version) | told

    @operation(harmless={"RequestPayer"})
    async def abort_multipart_upload(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        upload_id: str,
        if_match_initiated_time: datetime | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        upload = self._index.upload(bucket, key, upload_id)
        if if_match_initiated_time is not None and int(upload.initiated) != int(if_match_initiated_time.timestamp()):
            raise error("PreconditionFailed", "The upload was initiated at another time")
        await self._index.drop_upload(bucket, key, upload_id)
        return {}

    @operation(harmless={"RequestPayer"})
    async def list_parts(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        upload_id: str,
        max_parts: int | None = None,
        part_number_marker: int | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        limit, after = limit_of(max_parts, "max-parts"), part_marker(part_number_marker)
        with self._index.moment():  # an upload that ends just now has not lost its parts before
            upload = self._index.upload(bucket, key, upload_id)
            found = self._index.parts(upload_id, after, limit + 1)
        if customer is not None:
            upload.facts.check_customer(customer.md5)
        shown = found[:limit]
        owner = self._owner_of(self._index.bucket(bucket), upload.facts)
        output: Output = {
            "Bucket": bucket,
            "Key": key,
            "UploadId": upload_id,
            "PartNumberMarker": after,
            "NextPartNumberMarker": shown[-1].number if shown else 0,
            "MaxParts": limit,
            "IsTruncated": bool(limit) and len(found) > limit,
            "Parts": [_shown(part, upload.algorithm) for part in shown],
            "Initiator": owner,
            "Owner": owner,
            "StorageClass": upload.facts.storage_class,
        }
        if upload.algorithm is not None:
            output |= {"ChecksumAlgorithm": upload.algorithm, "ChecksumType": upload.kind}
        return output

    @operation(harmless={"RequestPayer"})
    async def list_multipart_uploads(
        self,
        call: Call,
        *,
        bucket: str,
        delimiter: str | None = None,
        encoding_type: str | None = None,
        key_marker: str | None = None,
        max_uploads: int | None = None,
        prefix: str | None = None,
        upload_id_marker: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        """``upload_id_marker`` counts beside a key marker only: uploads of that key begun after that one come first."""
        check_encoding(encoding_type)
        held = self._index.bucket(bucket)
        self._check_owner(bucket, expected_bucket_owner)
        limit, marker = limit_of(max_uploads, "max-uploads"), key_marker or ""
        fetch = partial(self._index.uploads, bucket)
        after = (marker, upload_id_marker if marker else None)
        with self._index.moment():
            page = list_many(fetch, prefix=prefix or "", delimiter=delimiter or "", after=after, limit=limit)
        output: Output = {
            "Bucket": bucket,
            "KeyMarker": encoded(marker, encoding_type),
            "UploadIdMarker": upload_id_marker or "",
            "MaxUploads": limit,
            "IsTruncated": page.truncated,
            "Prefix": encoded(prefix or "", encoding_type),
            "Uploads": [self._upload(held, row, encoding_type) for row in page.rows],
            "CommonPrefixes": [{"Prefix": encoded(text, encoding_type)} for text in page.prefixes],
        }
        if delimiter:
            output["Delimiter"] = encoded(delimiter, encoding_type)
        if encoding_type is not None:
            output["EncodingType"] = encoding_type
        if page.truncated:
            output["NextKeyMarker"] = encoded(page.last, encoding_type)
            output["NextUploadIdMarker"] = page.last_id or ""
        return output

    def _upload(self, held: Bucket, row: Row, encoding: str | None) -> dict[str, Any]:
        key, upload_id, initiated, algorithm, kind, facts = row
        kept = Facts.load(facts)
        owner = self._owner_of(held, kept)
        shown: dict[str, Any] = {
            "Key": encoded(key, encoding),
            "UploadId": upload_id,
            "Initiated": initiated,
            "StorageClass": kept.storage_class,
            "Owner": owner,
            "Initiator": owner,
        }
        return shown | ({"ChecksumAlgorithm": algorithm, "ChecksumType": kind} if algorithm else {})


def _place(call: Call, bucket: str, key: str, etag: str) -> Output:
    location = f"{call.base_url}/{bucket}/{encoded(key, 'url')}"
    return {"Location": location, "Bucket": bucket, "Key": key, "ETag": f'"{etag}"'}


def _told(facts: Facts) -> dict[str, Any]:
    """CompleteMultipartUpload does not tell of a customer's key."""
    return {} if facts.encryption is None or facts.encryption.key_md5 is not None else facts.encryption_members


def _upload_id(now: float) -> str:
    """Ids of one key sort as the uploads were begun."""
    return f"{int(now * 1e6):016x}{secrets.token_hex(24)}"


def _chosen(upload: Upload, asked: list[dict[str, Any]], uploaded: list[UploadedPart]) -> list[UploadedPart]:
    """The parts that the caller lists, checked. Raises MalformedXML, InvalidPartOrder, InvalidPart, EntityTooSmall."""
    if not asked or any("PartNumber" not in part for part in asked):
        raise error("MalformedXML", "The XML you provided was not well-formed or did not validate")
    numbers = [part["PartNumber"] for part in asked]
    if any(first >= second for first, second in pairwise(numbers)):
        message = (
            "The list of parts was not in ascending order. The parts list must be specified in order by part number."
        )
        raise error("InvalidPartOrder", message, UploadId=upload.id)
    held = {part.number: part for part in uploaded}
    chosen = [_part(upload, part, held.get(part["PartNumber"])) for part in asked]
    for part in chosen[:-1]:
        if part.piece.size < LEAST_PART:
            raise error(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                ETag=part.etag,
                PartNumber=part.number,
                ProposedSize=part.piece.size,
                MinSizeAllowed=LEAST_PART,
            )
    return chosen


def _part(upload: Upload, asked: dict[str, Any], held: UploadedPart | None) -> UploadedPart:
    """Raises InvalidArgument, InvalidPart, InvalidRequest."""
    stated = {each.name: asked[each.member] for each in ALGORITHMS.values() if asked.get(each.member) is not None}
    check_of_part(stated)
    if held is None or not matches(asked.get("ETag") or "", held.etag):
        raise _invalid_part(upload, asked)
    if not stated and upload.algorithm is not None and upload.kind == "COMPOSITE":
        message = f"The upload was created using a {upload.algorithm.lower()} checksum. The complete request must"
        message += f" include the checksum for each part. It was missing for part {held.number} in the request."
        raise error("InvalidRequest", message)
    if stated and (upload.algorithm is None or stated.get(upload.algorithm) != held.checksum):
        raise _invalid_part(upload, asked)  # also what is by another algorithm: there is nothing to hold it against
    return held


def _invalid_part(upload: Upload, asked: dict[str, Any]) -> ServiceError:
    message = "One or more of the specified parts could not be found. The part may not have been uploaded, or the"
    message += " specified entity tag may not match the part's entity tag."
    return error("InvalidPart", message, UploadId=upload.id, PartNumber=asked["PartNumber"], ETag=asked.get("ETag"))


def _content(parts: list[UploadedPart]) -> Content:
    """The ETag of an object in parts is of theirs."""
    size = sum(part.piece.size for part in parts)
    if size > OBJECT_LIMIT:
        message = "Your proposed upload exceeds the maximum allowed size"
        raise error("EntityTooLarge", message, ProposedSize=size, MaxSizeAllowed=OBJECT_LIMIT)
    etag = etags.of_parts(bytes.fromhex(part.etag) for part in parts)
    return Content(size, etag, None, tuple(part.piece for part in parts))


def _joined_etag(parts: list[str]) -> str | None:
    """None where one is no ETag of a part."""
    try:
        return etags.of_parts(bytes.fromhex(part.strip('"')) for part in parts)
    except ValueError:
        return None


def _checksum(upload: Upload, parts: list[UploadedPart], given: dict[str, str], kind: str | None) -> Checksum | None:
    """Raises BadDigest, InvalidRequest."""
    if upload.algorithm is None or upload.kind is None:
        if given or kind is not None:
            raise error("InvalidRequest", "The upload was created without a checksum algorithm.")
        return None
    if set(given) - {upload.algorithm} or kind not in (None, upload.kind):
        message = f"The upload was created with the {upload.kind} checksum type and the {upload.algorithm} algorithm."
        raise error("InvalidRequest", message)
    whole = joined(
        ALGORITHMS[upload.algorithm], upload.kind, [(part.checksum or "", part.piece.size) for part in parts]
    )
    if given and given[upload.algorithm] not in (whole.value, whole.value.partition("-")[0]):
        message = f"The {upload.algorithm} you specified did not match the calculated checksum."
        raise error("BadDigest", message)
    return whole


def _shown(part: UploadedPart, algorithm: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "PartNumber": part.number,
        "LastModified": part.modified,
        "ETag": f'"{part.etag}"',
        "Size": part.piece.size,
    }
    return shown | ({ALGORITHMS[algorithm].member: part.checksum} if algorithm and part.checksum else {})
