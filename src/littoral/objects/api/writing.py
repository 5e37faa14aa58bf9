"""PutObject."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

from littoral.aws.service import Call, Output, operation
from littoral.net.message import Body, BytesBody
from littoral.objects.api.acls import granted
from littoral.objects.api.extracting import EXTRACT, IN_MEMORY, ExtractOperations, Wanted
from littoral.objects.api.parts import (
    checked_metadata,
    decoded_length,
    header_tags,
    headers_in,
    origin_of,
)
from littoral.objects.checksums import Checksum, Stated, stated_by, stated_in
from littoral.objects.cold import kept_class
from littoral.objects.conditions import check_write_conditions
from littoral.objects.encryption import Sealing, customer_key, kept_of
from littoral.objects.errors import error, not_implemented
from littoral.objects.events import Origin
from littoral.objects.facts import Bucket, Content, Facts, Tags, version_member
from littoral.objects.lifecycle import expiration
from littoral.objects.locks import Lock, lock_of
from littoral.objects.names import check_key
from littoral.objects.steps import WriteConditions

_WHOLE = re.compile(r"bytes 0-(\d{1,18})/(\d{1,18})").fullmatch  # of a Content-Range


@dataclass(slots=True)
class Put:
    """A PutObject whose every member has been looked at, and whose body has not come yet."""

    bucket: str
    key: str
    body: Body
    stated: Stated
    sealing: Sealing | None
    facts: Facts
    tags: Tags
    lock: Lock | None
    conditions: WriteConditions
    held: Bucket


class WriteOperations(ExtractOperations):
    @operation(
        harmless={"RequestPayer", "ContentLength", "BucketKeyEnabled"},
        notes="StorageClass: kept; x-amz-meta-snowball-auto-extract: archives are taken apart",
    )
    async def put_object(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        body: Body | None = None,
        acl: str | None = None,
        grant_full_control: str | None = None,
        grant_read: str | None = None,
        grant_read_acp: str | None = None,
        grant_write_acp: str | None = None,
        cache_control: str | None = None,
        content_disposition: str | None = None,
        content_encoding: str | None = None,
        content_language: str | None = None,
        content_md5: str | None = None,
        content_type: str | None = None,
        checksum_algorithm: str | None = None,
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
        expires: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
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
    ) -> Output:
        arguments = locals()
        given = stated_in(arguments)
        _check_whole(call.request.headers.get("content-range"))
        kept = kept_class(storage_class)
        check_write_conditions(if_match, if_none_match)
        lock = lock_of(object_lock_mode, object_lock_retain_until_date, object_lock_legal_hold_status, call.now)
        held = self._index.bucket(bucket)
        self._check_owner(bucket, expected_bucket_owner)
        grants = granted(grant_full_control, grant_read, grant_read_acp, None, grant_write_acp)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        asked = (server_side_encryption, ssekms_key_id, customer)
        sealing = self._keys.sealing(*asked, held.encryption)
        facts = Facts(
            headers_in(arguments) | kept,
            checked_metadata(metadata),
            encryption=kept_of(sealing),
            acl=self._acl_of(call, held, acl, grants),
        )
        tags = header_tags(tagging)
        stated = stated_by(call.request.headers, content_md5, given, checksum_algorithm)
        _check_lockable(lock, stated)
        conditions = WriteConditions(if_match, if_none_match)
        put = Put(bucket, key, body or BytesBody(), stated, sealing, facts, tags, lock, conditions, held)
        if facts.metadata.get(EXTRACT) != "true":
            return await self._put_object(call, put)
        if if_match is not None or if_none_match is not None:
            raise error("InvalidRequest", "An archive that is extracted takes no conditions: it is not one object.")
        return await self._put_archive(call, put, Wanted(held, facts, tags, lock, asked, stated.algorithm))

    async def _put_object(self, call: Call, put: Put) -> Output:
        length = decoded_length(call)
        received = await self._shelf.receive(put.body, put.stated, call.trailers, length, sealing=put.sealing)
        version = await self._keep(
            put.bucket,
            put.key,
            received.content,
            put.facts.with_checksum(received.checksum, received.found),
            put.tags,
            origin_of(call),
            put.conditions,
            put.lock,
            "Post" if call.operation == "PostObject" else "Put",
        )
        told = version_member(version) | put.facts.encryption_members
        told |= expiration(put.held.lifecycle, put.key, call.now, received.content.size, put.tags)
        return written(received.content, received.checksum) | told

    async def _put_archive(self, call: Call, put: Put, wanted: Wanted) -> Output:
        received = await self._shelf.receive(
            put.body, put.stated, call.trailers, decoded_length(call), within=IN_MEMORY, sealing=put.sealing
        )
        try:
            key = None if put.sealing is None else put.sealing.key
            await self._extract(call, put.bucket, received.content, key, wanted)
        finally:
            self._shelf.abandon(received.blobs)
        return written(received.content, received.checksum) | put.facts.encryption_members

    async def put_bytes(self, bucket: str, key: str, data: bytes, facts: Facts, origin: Origin) -> str:
        """The same for callers in this process; the ETag."""
        return await self.put_body(bucket, key, BytesBody(data), len(data), facts, origin)

    async def put_body(self, bucket: str, key: str, body: Body, size: int, facts: Facts, origin: Origin) -> str:
        """And of what is no longer than ``size`` bytes, nor shorter."""
        check_key(key)
        sealing = self._keys.sealing(None, None, None, self._index.bucket(bucket).encryption)
        received = await self._shelf.receive(body, Stated(), {}, size, sealing=sealing)
        facts = replace(facts, encryption=kept_of(sealing))
        await self._keep(bucket, key, received.content, facts, (), origin)
        return received.content.etag


def _check_whole(content_range: str | None) -> None:
    """What says that it is a piece of something would be taken for all of it. (RFC 9110 section 14.5) Raises
    NotImplemented."""
    if content_range is None:
        return
    said = _WHOLE(content_range.strip())
    if said is None or int(said[1]) + 1 != int(said[2]):
        raise not_implemented("A header you provided implies functionality that is not implemented", "Content-Range")


def _check_lockable(lock: Lock | None, stated: Stated) -> None:
    """Raises InvalidRequest."""
    if lock is not None and stated.algorithm is None and stated.md5 is None:
        message = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock"
        raise error("InvalidRequest", f"{message} parameters")


def written(content: Content, checksum: Checksum | None) -> Output:
    output: Output = {"ETag": f'"{content.etag}"'}
    if checksum is not None:
        output |= checksum.members()
    return output
