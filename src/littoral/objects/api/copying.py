"""CopyObject. The copy shares the source's blobs, which never change: no byte is moved. They are held until the copy
names them, so that whoever overwrites or deletes the source meanwhile does not take them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.access.acl import Acl
from littoral.objects.access.needs import READ_OBJECT
from littoral.objects.api.acls import granted
from littoral.objects.api.parts import (
    Operations,
    checked_metadata,
    checked_redirect,
    header_tags,
    headers_in,
    origin_of,
    source_of,
)
from littoral.objects.checksums import ALGORITHMS, Algorithm, Checksum, Digests, Stated, algorithm_of
from littoral.objects.cold import kept_class
from littoral.objects.conditions import ReadConditions, Span, check_write_conditions
from littoral.objects.content import Chunks
from littoral.objects.encryption import CustomerKey, Encryption, Sealing, customer_key, kept_of
from littoral.objects.errors import error, invalid_argument
from littoral.objects.facts import Bucket, Content, Facts, Stored, Tags, version_member
from littoral.objects.lifecycle import expiration
from littoral.objects.locks import Lock, lock_of
from littoral.objects.pouring import PUT_LIMIT
from littoral.objects.steps import WriteConditions

NEVER_COPIED = frozenset(("WebsiteRedirectLocation", "StorageClass"))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be copied, if the conditions hold of it. ``customer`` is the key that opens it."""

    bucket: str
    key: str
    version: str | None
    customer: CustomerKey | None
    conditions: ReadConditions


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy is of. ``blobs`` are those that are its own."""

    content: Content
    checksum: Checksum | None
    encryption: Encryption | None
    blobs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the copy is to be. ``described`` (headers and metadata) and ``tags`` are the source's where they are None;
    ``own_headers`` are never those of the source."""

    bucket: str
    key: str
    held: Bucket
    own_headers: dict[str, Any]
    described: tuple[dict[str, Any], dict[str, str]] | None
    tags: Tags | None
    acl: Acl | None
    lock: Lock | None
    conditions: WriteConditions
    encryption: tuple[str | None, str | None, CustomerKey | None]
    algorithm: Algorithm | None  # of its checksum; None: its source's
    reclassed: bool  # a storage class was named

    def facts(self, source: Stored, copied: Copied) -> Facts:
        headers, metadata = self.described or (source.facts.headers, source.facts.metadata)
        of_source = {name: value for name, value in headers.items() if name not in NEVER_COPIED}
        return Facts(
            of_source | self.own_headers, metadata, copied.checksum, encryption=copied.encryption, acl=self.acl
        )


class CopyOperations(Operations):
    @operation(harmless={"RequestPayer", "BucketKeyEnabled"}, notes="StorageClass: kept")
    async def copy_object(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        copy_source: str,
        acl: str | None = None,
        grant_full_control: str | None = None,
        grant_read: str | None = None,
        grant_read_acp: str | None = None,
        grant_write_acp: str | None = None,
        cache_control: str | None = None,
        checksum_algorithm: str | None = None,
        content_disposition: str | None = None,
        content_encoding: str | None = None,
        content_language: str | None = None,
        content_type: str | None = None,
        copy_source_if_match: str | None = None,
        copy_source_if_modified_since: datetime | None = None,
        copy_source_if_none_match: str | None = None,
        copy_source_if_unmodified_since: datetime | None = None,
        expires: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        metadata: dict[str, str] | None = None,
        metadata_directive: str | None = None,
        tagging_directive: str | None = None,
        storage_class: str | None = None,
        website_redirect_location: str | None = None,
        tagging: str | None = None,
        server_side_encryption: str | None = None,
        ssekms_key_id: str | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        copy_source_sse_customer_algorithm: str | None = None,
        copy_source_sse_customer_key: str | None = None,
        copy_source_sse_customer_key_md5: str | None = None,
        object_lock_mode: str | None = None,
        object_lock_retain_until_date: datetime | None = None,
        object_lock_legal_hold_status: str | None = None,
        expected_bucket_owner: str | None = None,
        expected_source_bucket_owner: str | None = None,
    ) -> Output:
        arguments = locals()
        kept = kept_class(storage_class)
        check_write_conditions(if_match, if_none_match)
        lock = lock_of(object_lock_mode, object_lock_retain_until_date, object_lock_legal_hold_status, call.now)
        algorithm = algorithm_of(checksum_algorithm)
        replaces_metadata = _replaces(metadata_directive, "x-amz-metadata-directive")
        grants = granted(grant_full_control, grant_read, grant_read_acp, None, grant_write_acp)
        replaces_tags = _replaces(tagging_directive, "x-amz-tagging-directive")
        from_bucket, from_key, from_version = source_of(copy_source)
        held = self._index.bucket(bucket)
        self._check_owner(bucket, expected_bucket_owner)
        self._check_owner(from_bucket, expected_source_bucket_owner)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        asked = Asked(
            from_bucket,
            from_key,
            from_version,
            customer_key(
                copy_source_sse_customer_algorithm, copy_source_sse_customer_key, copy_source_sse_customer_key_md5
            ),
            ReadConditions(
                copy_source_if_match,
                copy_source_if_none_match,
                copy_source_if_modified_since,
                copy_source_if_unmodified_since,
            ),
        )
        if website_redirect_location is not None:
            checked_redirect(website_redirect_location)
            kept["WebsiteRedirectLocation"] = website_redirect_location
        wanted = Wanted(
            bucket,
            key,
            held,
            own_headers=kept,
            described=(headers_in(arguments), checked_metadata(metadata)) if replaces_metadata else None,
            tags=header_tags(tagging) if replaces_tags else None,
            acl=self._acl_of(call, held, acl, grants),
            lock=lock,
            conditions=WriteConditions(if_match, if_none_match),
            encryption=(server_side_encryption, ssekms_key_id, customer),
            algorithm=algorithm,
            reclassed=storage_class is not None,
        )
        return await self._copy(call, asked, wanted)

    async def _copy(self, call: Call, asked: Asked, wanted: Wanted) -> Output:
        self._gate.check(call, READ_OBJECT, asked.bucket, asked.key, asked.version)
        source = self._source(call, asked.bucket, asked.key, asked.version)
        with self._shelf.holding(source.content):
            key = self._keys.opened(source.facts.encryption, asked.customer)
            sealing = self._keys.sealing(*wanted.encryption, wanted.held.encryption)
            asked.conditions.check(source.content.etag, source.modified, reading=False, prefix="x-amz-copy-source-")
            _check_source(source, wanted, versioned=asked.version is not None)
            copied = await self._copied(source, wanted, key, sealing)
            return await self._placed(call, source, copied, wanted)

    async def _placed(self, call: Call, source: Stored, copied: Copied, wanted: Wanted) -> Output:
        facts = wanted.facts(source, copied)
        tags = source.tags if wanted.tags is None else wanted.tags
        try:
            version = await self._index.put(
                wanted.bucket,
                wanted.key,
                copied.content,
                facts,
                tags,
                origin_of(call),
                "ObjectCreated:Copy",
                conditions=wanted.conditions,
                lock=wanted.lock,
            )
        except BaseException:
            self._shelf.abandon(copied.blobs)
            raise
        result: Output = {"ETag": f'"{copied.content.etag}"', "LastModified": call.now}
        result |= copied.checksum.members() if copied.checksum else {}
        told = expiration(wanted.held.lifecycle, wanted.key, call.now, copied.content.size, tags)
        told |= version_member(version) | facts.encryption_members
        told |= {} if source.version is None else {"CopySourceVersionId": source.version}
        return {"CopyObjectResult": result} | told

    async def _copied(self, source: Stored, wanted: Wanted, key: bytes | None, sealing: Sealing | None) -> Copied:
        """The source's bytes as those of an object put in one go. They are shared where both are encrypted, under the
        data key that they have, or neither; else they are written anew. What was computed by parts is computed again,
        for a copy is not in parts."""
        held = source.facts.checksum
        algorithm = wanted.algorithm or (ALGORITHMS[held.algorithm] if held else None)
        if (sealing is None) is not (key is None):
            body = Chunks(self._shelf.read(source.content, Span(0, source.content.size), key))
            stated = Stated(algorithm=algorithm, wanted=True)
            fresh = await self._shelf.receive(body, stated, {}, source.content.size, sealing=sealing)
            return Copied(fresh.content, fresh.checksum, kept_of(sealing), fresh.blobs)
        shared = None
        if sealing is not None and key is not None:
            _, _, customer = wanted.encryption
            shared = self._keys.around(key, sealing.kept.kind, customer, sealing.kept.kms_key)
        encryption = None if shared is None else shared.kept
        name = algorithm.name if algorithm else None
        whole = (held is None or held.kind == "FULL_OBJECT") and _alike(source.facts.encryption, encryption)
        if whole and name == (held.algorithm if held else None) and not source.facts.parts:
            return Copied(source.content, held, encryption)
        digests = await self._shelf.digest(source.content, Digests(algorithm), key)
        checksum = None if name is None or digests.checksum is None else Checksum(name, digests.checksum)
        etag = digests.md5 if shared is None else shared.etag(digests.md5)
        return Copied(replace(source.content, etag=etag.hex()), checksum, encryption)


def _alike(one: Encryption | None, other: Encryption | None) -> bool:
    """Whether their ETags are: an MD5, or one that says nothing to who has no key."""
    return (one is None or one.shows_md5) is (other is None or other.shows_md5)


def _replaces(directive: str | None, name: str) -> bool:
    if directive not in (None, "COPY", "REPLACE"):
        raise invalid_argument(f"Unknown {name.removeprefix('x-amz-').replace('-', ' ')}.", name, directive)
    return directive == "REPLACE"


def _check_source(source: Stored, wanted: Wanted, *, versioned: bool) -> None:
    """Raises InvalidRequest."""
    kind, _, customer = wanted.encryption
    changed = wanted.described is not None or "WebsiteRedirectLocation" in wanted.own_headers or wanted.reclassed
    changed = changed or kind is not None or customer is not None or versioned
    if (source.bucket, source.key) == (wanted.bucket, wanted.key) and not changed:
        message = "This copy request is illegal because it is trying to copy an object to itself without changing the"
        message += " object's metadata, storage class, website redirect location or encryption attributes."
        raise error("InvalidRequest", message)
    if source.content.size > PUT_LIMIT:
        message = "The specified copy source is larger than the maximum allowable size for a copy source"
        raise error("InvalidRequest", f"{message}: {PUT_LIMIT}")
