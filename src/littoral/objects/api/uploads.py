"""UploadPart and UploadPartCopy: the bytes of a multipart upload."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from littoral.aws.service import Call, Output, operation
from littoral.net.message import Body, BytesBody
from littoral.objects.access.needs import READ_OBJECT
from littoral.objects.api.parts import Operations, decoded_length, source_of
from littoral.objects.checksums import ALGORITHMS, Checksum, Digests, Stated, stated_by, stated_in
from littoral.objects.conditions import ReadConditions, copy_span
from littoral.objects.content import Chunks
from littoral.objects.encryption import CUSTOMER, CustomerKey, Sealing, customer_key
from littoral.objects.errors import error, invalid_argument
from littoral.objects.facts import Upload, UploadedPart
from littoral.objects.inline import Received
from littoral.objects.pouring import PUT_LIMIT
from littoral.protocols.ownheaders import BY_CHECKSUM, ETAG
from littoral.store.spool import HEADER as SPOOLED

MOST_PARTS = 10_000


class UploadOperations(Operations):
    @operation(harmless={"RequestPayer", "ContentLength"})
    async def upload_part(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        part_number: int,
        upload_id: str,
        body: Body | None = None,
        content_md5: str | None = None,
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
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        """An upload begun with a checksum algorithm computes it for parts that state none."""
        given = stated_in(locals())
        check_part_number(part_number)
        self._check_owner(bucket, expected_bucket_owner)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        upload = self._index.upload(bucket, key, upload_id)
        stated = stated_by(call.request.headers, content_md5, given, checksum_algorithm)
        if upload.algorithm and stated.algorithm and stated.algorithm.name != upload.algorithm:
            expected, actual = upload.algorithm.lower(), stated.algorithm.name.lower()
            message = f"Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type:"
            raise error("InvalidRequest", f"{message} {actual}")
        if upload.algorithm and stated.algorithm is None:
            stated = replace(stated, algorithm=ALGORITHMS[upload.algorithm], wanted=True)
        if call.request.headers.get(ETAG) == BY_CHECKSUM:
            stated = replace(stated, by_checksum=True)
        sealing = self._sealing(upload, customer)
        received = await self._received(call, body or BytesBody(), stated, sealing)
        checksum = await self._add(upload, part_number, received, call.now, sealing)
        told = upload.facts.encryption_members
        return {"ETag": f'"{received.content.etag}"'} | _member(checksum or received.checksum) | told

    @operation(harmless={"RequestPayer"})
    async def upload_part_copy(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        part_number: int,
        upload_id: str,
        copy_source: str,
        copy_source_if_match: str | None = None,
        copy_source_if_modified_since: datetime | None = None,
        copy_source_if_none_match: str | None = None,
        copy_source_if_unmodified_since: datetime | None = None,
        copy_source_range: str | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        copy_source_sse_customer_algorithm: str | None = None,
        copy_source_sse_customer_key: str | None = None,
        copy_source_sse_customer_key_md5: str | None = None,
        expected_bucket_owner: str | None = None,
        expected_source_bucket_owner: str | None = None,
    ) -> Output:
        check_part_number(part_number)
        self._check_owner(bucket, expected_bucket_owner)
        from_bucket, from_key, from_version = source_of(copy_source)
        self._check_owner(from_bucket, expected_source_bucket_owner)
        self._gate.check(call, READ_OBJECT, from_bucket, from_key, from_version)
        upload = self._index.upload(bucket, key, upload_id)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        source_customer = customer_key(
            copy_source_sse_customer_algorithm, copy_source_sse_customer_key, copy_source_sse_customer_key_md5
        )
        source = self._source(call, from_bucket, from_key, from_version)
        source_key = self._keys.opened(source.facts.encryption, source_customer)
        ReadConditions(
            copy_source_if_match,
            copy_source_if_none_match,
            copy_source_if_modified_since,
            copy_source_if_unmodified_since,
        ).check(source.content.etag, source.modified, reading=False, prefix="x-amz-copy-source-")
        span = copy_span(copy_source_range, source.content.size)
        if span.length > PUT_LIMIT:
            raise error("InvalidRequest", f"A part is copied from at most {PUT_LIMIT} bytes")
        body = Chunks(self._shelf.read(source.content, span, source_key))
        sealing = self._sealing(upload, customer)
        with self._shelf.holding(source.content):  # also where it is overwritten before the first byte is read
            received = await self._shelf.receive(body, Stated(), {}, span.length, inline=False, sealing=sealing)
        checksum = await self._add(upload, part_number, received, call.now, sealing)
        result = {"ETag": f'"{received.content.etag}"', "LastModified": call.now}
        told = {} if source.version is None else {"CopySourceVersionId": source.version}
        return {"CopyPartResult": result | _member(checksum)} | told | upload.facts.encryption_members

    async def _received(self, call: Call, body: Body, stated: Stated, sealing: Sealing | None) -> Received:
        """The bytes, or the name of a file that they lie in, and its sums."""
        named = call.request.headers.get(SPOOLED)
        if named is not None:
            return await self._shelf.take_over(body, stated, named, sealing)
        length = decoded_length(call)
        return await self._shelf.receive(body, stated, call.trailers, length, inline=False, sealing=sealing)

    def _sealing(self, upload: Upload, customer: CustomerKey | None) -> Sealing | None:
        """With the upload's own data key. Raises InvalidRequest, InvalidArgument."""
        kept = upload.facts.encryption
        if kept is not None and customer is not None and kept.key_md5 not in (None, customer.md5):
            message = "The provided encryption parameters did not match the ones used originally."
            raise invalid_argument(message, "x-amz-server-side-encryption", CUSTOMER)
        key = self._keys.opened(kept, customer)
        return None if kept is None or key is None else Sealing(key, kept)

    async def _add(
        self, upload: Upload, number: int, received: Received, now: float, sealing: Sealing | None
    ) -> Checksum | None:
        """Name the part in the index; its checksum by the upload's algorithm."""
        try:
            checksum = await self._checksum(upload, received, sealing)
            (piece,) = received.content.pieces
            value = checksum.value if checksum else None
            await self._index.put_part(upload.id, UploadedPart(number, piece, received.content.etag, value, now))
        except BaseException:
            self._shelf.abandon(received.blobs)
            raise
        return checksum

    async def _checksum(self, upload: Upload, received: Received, sealing: Sealing | None) -> Checksum | None:
        if upload.algorithm is None:
            return None
        if received.checksum is not None:
            return received.checksum
        key = None if sealing is None else sealing.key
        digests = await self._shelf.digest(received.content, Digests(ALGORITHMS[upload.algorithm]), key)
        return Checksum(upload.algorithm, digests.checksum or "")


def check_part_number(number: int) -> None:
    """Raises InvalidArgument."""
    if not 1 <= number <= MOST_PARTS:
        message = f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive"
        raise invalid_argument(message, "partNumber", number)


def _member(checksum: Checksum | None) -> dict[str, str]:
    return {} if checksum is None else {ALGORITHMS[checksum.algorithm].member: checksum.value}
