"""GetObject and HeadObject."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.net.message import ResponseBody
from littoral.objects.api.parts import Operations
from littoral.objects.checksums import ALGORITHMS, wants_checksum
from littoral.objects.cold import check_readable, is_readable, told
from littoral.objects.conditions import ReadConditions, Span, span_of
from littoral.objects.encryption import customer_key
from littoral.objects.errors import error, invalid_argument, lost
from littoral.objects.facts import Stored
from littoral.objects.lifecycle import expiration
from littoral.objects.mailsafe import shown
from littoral.objects.versions import check_version
from littoral.protocols.httpcache import http_date
from littoral.protocols.ownheaders import FOUND
from littoral.store.contract import NotFound
from littoral.store.spool import HEADER as SPOOLED

Found = tuple[Stored, Span, bytes | None]  # with the object's data key
_LATIN = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
LAST_ATTEMPT = (False, False, True)  # an object may be overwritten between index and shelf


class ReadOperations(Operations):
    @operation(harmless={"RequestPayer"})
    def get_object(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        range: str | None = None,
        part_number: int | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        if_modified_since: str | None = None,
        if_unmodified_since: str | None = None,
        response_cache_control: str | None = None,
        response_content_disposition: str | None = None,
        response_content_encoding: str | None = None,
        response_content_language: str | None = None,
        response_content_type: str | None = None,
        response_expires: str | None = None,
        version_id: str | None = None,
        checksum_mode: str | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output | Awaitable[Output]:
        """At once where the bytes lie in the index."""
        check_version(version_id)
        _check_asked(call)
        self._check_owner(bucket, expected_bucket_owner)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        conditions = ReadConditions(if_match, if_none_match, _date(if_modified_since), _date(if_unmodified_since))
        checksums = wants_checksum(checksum_mode)
        overrides = _overrides(
            call,
            CacheControl=response_cache_control,
            ContentDisposition=response_content_disposition,
            ContentEncoding=response_content_encoding,
            ContentLanguage=response_content_language,
            ContentType=response_content_type,
            Expires=response_expires,
        )

        def find() -> Found:
            stored, span = self._found(call, bucket, key, version_id, conditions, range, part_number)
            check_readable(stored.facts, call.now)
            return stored, span, self._keys.opened(stored.facts.encryption, customer)

        def answer(stored: Stored, span: Span, body: ResponseBody) -> Output:
            output = described(stored, span, call.now, checksums=checksums, part_number=part_number)
            output |= overrides
            output["Body"] = body
            return output

        found = stored, span, data_key = find()
        at_hand = self._shelf.at_hand(stored.content, span, data_key)
        if at_hand is not None:
            return answer(stored, span, at_hand)
        return self._from_shelf(found, find, answer)

    async def _from_shelf(
        self,
        found: Found,
        find: Callable[[], Found],
        answer: Callable[[Stored, Span, ResponseBody], Output],
    ) -> Output:
        for last in LAST_ATTEMPT:
            stored, span, data_key = found
            try:
                return answer(stored, span, await self._shelf.body(stored.content, span, data_key))
            except NotFound as problem:
                if last:
                    raise lost() from problem
            found = find()
        raise AssertionError("unreachable: the last attempt returns or raises")

    @operation(harmless={"RequestPayer"})
    def head_object(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        range: str | None = None,
        part_number: int | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        if_modified_since: str | None = None,
        if_unmodified_since: str | None = None,
        response_cache_control: str | None = None,
        response_content_disposition: str | None = None,
        response_content_encoding: str | None = None,
        response_content_language: str | None = None,
        response_content_type: str | None = None,
        response_expires: str | None = None,
        version_id: str | None = None,
        checksum_mode: str | None = None,
        sse_customer_algorithm: str | None = None,
        sse_customer_key: str | None = None,
        sse_customer_key_md5: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output | Awaitable[Output]:
        """Into the spool, too, where that is asked for, and can be."""
        check_version(version_id)
        _check_asked(call)
        self._check_owner(bucket, expected_bucket_owner)
        customer = customer_key(sse_customer_algorithm, sse_customer_key, sse_customer_key_md5)
        conditions = ReadConditions(if_match, if_none_match, _date(if_modified_since), _date(if_unmodified_since))
        stored, span = self._found(call, bucket, key, version_id, conditions, range, part_number)
        self._keys.check_customer(stored.facts.encryption, customer)
        overrides = _overrides(
            call,
            CacheControl=response_cache_control,
            ContentDisposition=response_content_disposition,
            ContentEncoding=response_content_encoding,
            ContentLanguage=response_content_language,
            ContentType=response_content_type,
            Expires=response_expires,
        )
        output = described(stored, span, call.now, checksums=wants_checksum(checksum_mode), part_number=part_number)
        output |= overrides
        named = call.request.headers.get(SPOOLED)
        return output if named is None or span.partial else self._laid_out(stored, named, call.now, output)

    async def _laid_out(self, stored: Stored, named: str, now: float, output: Output) -> Output:
        """What a GET would give, and nobody has to open."""
        plain = stored.facts.encryption is None and is_readable(stored.facts, now)
        if plain and await self._shelf.lay_out(stored.content, named):
            headers = output.setdefault("ResponseMetadata", {"HTTPHeaders": {}})["HTTPHeaders"]
            headers[SPOOLED] = named
        return output

    def _found(
        self,
        call: Call,
        bucket: str,
        key: str,
        version: str | None,
        conditions: ReadConditions,
        asked: str | None,
        part_number: int | None,
    ) -> tuple[Stored, Span]:
        """The object and which of its bytes are meant. Conditions come before ranges (RFC 9110 section 13.2.2)."""
        stored = self._readable(call, bucket, key, version)
        try:
            conditions.check(stored.content.etag, stored.modified)
        except ServiceError as refused:
            if refused.code == "NotModified":
                refused.headers |= _freshness(stored)
            raise
        if part_number is None:
            kept = asked if _is_as_before(stored, call.request.headers.get("if-range")) else None
            return stored, span_of(kept, stored.content.size)
        if asked is not None:
            raise error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
        return stored, _part_span(stored, part_number)


def _freshness(stored: Stored) -> dict[str, str]:
    """What a 304 says as the whole answer would. (RFC 9110 section 15.4.5)"""
    headers = stored.facts.headers
    told = {
        "Last-Modified": formatdate(int(stored.modified), usegmt=True),
        "Cache-Control": headers.get("CacheControl"),
        "Expires": headers.get("Expires"),
        "x-amz-version-id": stored.version,
    }
    return {name: value for name, value in told.items() if value is not None}


def _is_as_before(stored: Stored, condition: str | None) -> bool:
    """What If-Range says: who goes on with a download wants the rest of the object that it was, or another one whole.
    S3's model does not have it, and browsers send it."""
    if condition is None or condition == stored.quoted:
        return True
    return http_date(condition) == int(stored.modified)


def _check_asked(call: Call) -> None:
    """Which encryption an object has is not for its readers to say. Raises InvalidRequest."""
    for name in ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"):
        if name in call.request.headers:
            raise error("InvalidRequest", f"The header {name} is not applicable to this type of request.")


def _date(said: str | None) -> datetime | None:
    """None where it is none: then there is no condition (RFC 9110 s. 13.1.3)."""
    moment = http_date(said)
    return None if moment is None else datetime.fromtimestamp(moment, UTC)


def _overrides(call: Call, **members: Any) -> dict[str, Any]:
    """Of an answer's headers. Raises InvalidRequest where nobody signed what a link makes of the object,
    InvalidArgument for what no header can say."""
    given = {name: value for name, value in members.items() if value is not None}
    if given and call.principal.kind == "anonymous":
        raise error("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
    for name, value in given.items():
        if isinstance(value, str) and not _LATIN(value):
            argument = f"response-{re.sub('(?<=[a-z])(?=[A-Z])', '-', name).lower()}"
            raise invalid_argument("Header value cannot be represented using ISO-8859-1.", argument, value)
    return given


def _part_span(stored: Stored, number: int) -> Span:
    """Part ``number`` of what was uploaded in parts; anything else is one part."""
    if not 1 <= number <= 10_000:
        raise invalid_argument("Part number must be an integer between 1 and 10000, inclusive", "partNumber", number)
    parts = stored.facts.parts
    if number > max(len(parts), 1):
        message = "The requested partnumber is not satisfiable"
        raise error("InvalidPartNumber", message, PartNumberRequested=number, ActualPartCount=max(len(parts), 1))
    if not parts:
        return Span(0, stored.content.size, partial=stored.content.size > 0)
    start = sum(part.size for part in parts[: number - 1])
    return Span(start, parts[number - 1].size, partial=parts[number - 1].size > 0)


def described(stored: Stored, span: Span, now: float, *, checksums: bool, part_number: int | None) -> Output:
    """All members but Body that GetObject and HeadObject share."""
    metadata, missing = shown(stored.facts.metadata)
    output: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "LastModified": float(int(stored.modified)),
        "ContentLength": span.length,
        "ETag": stored.quoted,
        "Metadata": metadata,
        **stored.facts.headers,
        **stored.version_member,
        **stored.lock.members(),
        **stored.facts.encryption_members,
        **told(stored.facts, now),
    }
    if missing:
        output["MissingMeta"] = missing
    if span.partial:
        output["ContentRange"] = span.content_range(stored.content.size)
        output["ResponseMetadata"] = {"HTTPStatusCode": 206}
    if part_number is not None and stored.facts.parts:
        output["PartsCount"] = len(stored.facts.parts)
    output |= expiration(stored.rules, stored.key, stored.modified, stored.content.size, stored.tags)
    if stored.replication is not None:
        output["ReplicationStatus"] = stored.replication
    if stored.tags:
        output["TagCount"] = len(stored.tags)
    if checksums and stored.facts.found is not None and not span.partial:
        output["ResponseMetadata"] = {"HTTPHeaders": {FOUND: stored.facts.found}}
    checksum = stored.facts.checksum
    if checksums and checksum is not None and span.length == stored.content.size:
        output |= checksum.members()
    elif checksums and checksum is not None and part_number is not None and stored.facts.parts:
        part = stored.facts.parts[part_number - 1].checksum
        output |= {} if part is None else {ALGORITHMS[checksum.algorithm].member: part, "ChecksumType": checksum.kind}
    return output
