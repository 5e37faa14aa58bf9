"""Where replicas go. ``HereTarget`` names the same bytes in another bucket of this place; ``FarTarget`` speaks S3.

A far side that is Littoral keeps the version's id (the header ``x-littoral-replica``); any other gives one of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import md5
from typing import Any, Protocol
from urllib.parse import quote, urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from littoral.aws.service import ServiceError
from littoral.aws.sign import sign
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers
from littoral.objects import etags
from littoral.objects.access.acl import GROUPS, Acl
from littoral.objects.access.public import Block
from littoral.objects.api.parts import REPLICA_HEADER
from littoral.objects.checksums import ALGORITHMS
from littoral.objects.conditions import Span
from littoral.objects.content import Shelf
from littoral.objects.encryption import Keys
from littoral.objects.events import Origin
from littoral.objects.facts import Facts, Stored
from littoral.objects.index import Index
from littoral.objects.locks import OPEN
from littoral.objects.mailsafe import headers_of
from littoral.objects.steps import WriteConditions
from littoral.objects.versions import Removal
from littoral.store.remote.far import Credentials

log = logging.getLogger("littoral.objects")
DAMAGED = frozenset(("BadDigest", "IncompleteBody"))  # on its way: it is sent again
MOST_ANSWER = 1024 * 1024
HEADERS = {
    "ContentType": "content-type",
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "Expires": "expires",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}


class Away(Exception):
    """It cannot be reached now, or is in trouble: later."""


class Unanswered(Away):
    """Nobody answers, as where the link is down."""


class Declined(Exception):
    """It will not have this."""


class NotUnderstood(Declined):
    """It does not know what it is asked for, or finds it wrong."""


class Never(Declined):
    """Nor will it later."""


class Target(Protocol):
    """Raises Away, Declined."""

    async def send(self, stored: Stored) -> None: ...
    async def mark(self, key: str, version: str) -> None:
        """A delete marker."""

    async def change(self, stored: Stored) -> None:
        """The tags, the list and the lock that a version has now, where it is there."""

    async def keeps_versions(self) -> bool: ...


class Elsewhere(Protocol):
    """Another S3 endpoint, and who we are there."""

    @property
    def url(self) -> str: ...
    @property
    def region(self) -> str: ...
    def credentials(self) -> Credentials: ...


class HereTarget:
    def __init__(self, index: Index, bucket: str, clock: Callable[[], float]) -> None:
        self._index = index
        self._bucket = bucket
        self._clock = clock

    def _origin(self, version: str | None) -> Origin:
        return Origin("s3.amazonaws.com", "127.0.0.1", "REPLICATION", self._clock(), version)

    async def send(self, stored: Stored) -> None:
        try:
            await self._index.put(
                self._bucket,
                stored.key,
                stored.content,
                self._facts(stored),
                stored.tags,
                self._origin(stored.version),
                "ObjectCreated:Put",
                conditions=WriteConditions(),
                source=stored.id,
                lock=stored.lock if stored.lock != OPEN and self._locks() else None,
            )
        except ServiceError as refused:
            raise _as_told(refused.status or 500, refused.code) from refused

    async def change(self, stored: Stored) -> None:
        try:
            try:
                replica = self._index.get(self._bucket, stored.key, stored.version)
            except ServiceError:  # it never came here, or was removed: there is nothing to change
                return
            if stored.tags != replica.tags:
                await self._index.set_tags(replica, stored.tags, self._origin(None))
            acl = self._facts(stored).acl
            if acl != replica.facts.acl:
                await self._index.set_acl(replica, acl, self._origin(None))
            if self._locks():
                await self._index.set_lock(replica, lambda _: stored.lock, self._clock())
        except ServiceError as refused:
            raise _as_told(refused.status or 500, refused.code) from refused

    def _facts(self, stored: Stored) -> Facts:
        """With the object's list, where the bucket of replicas takes lists, and one that is as public."""
        acl, held = stored.facts.acl, self._index.bucket(self._bucket)
        if acl is None or not held.lists_apply or (acl.public and Block.load(held.public_block).blocks_lists):
            return stored.facts.without_list()
        return stored.facts

    def _locks(self) -> bool:
        return self._index.bucket(self._bucket).lock is not None

    async def mark(self, key: str, version: str) -> None:
        try:
            await self._index.delete(self._bucket, [Removal(key)], self._origin(version))
        except ServiceError as refused:
            raise _as_told(refused.status or 500, refused.code) from refused

    async def keeps_versions(self) -> bool:
        try:
            return self._index.bucket(self._bucket).versioning == "Enabled"
        except ServiceError:
            return False


class FarTarget:
    def __init__(
        self,
        client: HttpClient,
        place: Elsewhere,
        bucket: str,
        shelf: Shelf,
        keys: Keys,
    ) -> None:
        self._client = client
        self._base = f"{place.url.rstrip('/')}/{bucket}"
        self._region = place.region
        self._credentials = place.credentials
        self._shelf = shelf
        self._keys = keys
        self._knows_checksum = True  # of ``etags``, as far as it has not refused one

    async def send(self, stored: Stored) -> None:
        encryption = stored.facts.encryption
        if encryption is not None and encryption.key_md5 is not None:
            raise Never("only its customer can open it (SSE-C)")
        key = self._keys.opened(encryption, None)
        await (self._send_parts(stored, key) if stored.facts.parts else self._send_whole(stored, key))
        if stored.facts.acl is not None:
            await self._list(stored, stored.facts.acl)
        if stored.lock != OPEN:
            await self._lock(stored)

    async def _send_whole(self, stored: Stored, key: bytes | None) -> None:
        encryption = stored.facts.encryption
        headers = _described(stored) | {REPLICA_HEADER: stored.version or ""}
        if encryption is None and len(stored.content.etag) == 32:
            headers["content-md5"] = b64encode(bytes.fromhex(stored.content.etag)).decode()
        await self._put(stored, Span(0, stored.content.size), key, headers, {})

    async def _send_parts(self, stored: Stored, key: bytes | None) -> None:
        """Asking for ETags as its writer did, so that the ETag is the same; where that is not understood, without."""
        parts = stored.facts.parts
        by_checksum = etags.is_by_checksum(stored.content.etag, ((part.checksum, part.size) for part in parts))
        try:
            await self._send_upload(stored, key, by_checksum=by_checksum and self._knows_checksum)
        except NotUnderstood as refused:
            if not by_checksum or not self._knows_checksum:
                raise
            await self._send_upload(stored, key, by_checksum=False)
            self._knows_checksum = False
            log.warning("%s refuses %s (%s): replicas go without it", self._base, etags.ALGORITHM, refused)

    async def _send_upload(self, stored: Stored, key: bytes | None, *, by_checksum: bool) -> None:
        """In the same parts."""
        told = _described(stored)
        if by_checksum:
            told["x-amz-checksum-algorithm"] = etags.ALGORITHM
        begun = await self._ask("POST", stored.key, {"uploads": ""}, told)
        upload = _text(begun, "UploadId")
        try:
            done = await self._send_each(stored, key, upload, by_checksum=by_checksum)
            document = f"<CompleteMultipartUpload>{done}</CompleteMultipartUpload>".encode()
            headers = {REPLICA_HEADER: stored.version or "", "content-type": "application/xml"}
            await self._ask("POST", stored.key, {"uploadId": upload}, headers, document)
        except Declined:
            with suppress(Declined):
                await self._ask("DELETE", stored.key, {"uploadId": upload}, {})
            raise

    async def _send_each(self, stored: Stored, key: bytes | None, upload: str, *, by_checksum: bool) -> str:
        """The parts, as completing lists them."""
        done, at = "", 0
        for number, part in enumerate(stored.facts.parts, 1):
            query, span = {"partNumber": str(number), "uploadId": upload}, Span(at, part.size)
            if by_checksum:
                known = {ALGORITHMS[etags.ALGORITHM].header: part.checksum or "", **etags.ASKED}
            else:
                known = {"content-md5": await self._md5(stored, span, key)}
            etag = await self._put(stored, span, key, known, query)
            done += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            at += part.size
        return done

    async def _md5(self, stored: Stored, span: Span, key: bytes | None) -> str:
        """Nobody keeps those of parts: they are read once more for it, and what was damaged on its way is refused."""
        digest = md5(usedforsecurity=False)
        async for chunk in self._shelf.read(stored.content, span, key):
            await asyncio.to_thread(digest.update, chunk)
        return b64encode(digest.digest()).decode()

    async def _put(
        self, stored: Stored, span: Span, key: bytes | None, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> str:
        """The ETag that it has there."""
        chunks = self._shelf.read(stored.content, span, key)
        length = {"content-length": str(span.length)}
        response = await self._request("PUT", stored.key, query, {**headers, **length}, chunks)
        return response[0].get("etag") or ""

    async def mark(self, key: str, version: str) -> None:
        await self._ask("DELETE", key, {}, {REPLICA_HEADER: version})

    async def change(self, stored: Stored) -> None:
        """By the version's id, which another Littoral keeps. Raises Never where it is not known there."""
        tags = "".join(f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in stored.tags)
        await self._set(stored, "tagging", f"<Tagging><TagSet>{tags}</TagSet></Tagging>")
        if stored.facts.acl is not None:
            await self._list(stored, stored.facts.acl)
        if stored.lock != OPEN:
            await self._lock(stored)

    async def _list(self, stored: Stored, acl: Acl) -> None:
        """Where the bucket over there takes it: its lists may be off, or public access blocked, or whom it names not
        known. The replica is its bucket's owner's alone then."""
        grants: dict[str, list[str]] = {}
        for each in acl.grants:
            kind = "uri" if each.grantee.startswith(GROUPS) else "id"
            grants.setdefault(each.permission, []).append(f'{kind}="{each.grantee}"')
        headers = {f"x-amz-grant-{name.lower().replace('_', '-')}": ", ".join(those) for name, those in grants.items()}
        query = {"acl": "", "versionId": stored.version or ""}
        try:
            await self._ask("PUT", stored.key, query, headers or {"x-amz-acl": "private"})
        except Declined as problem:
            log.info("the access control list of %s was not replicated: %s", stored.key, problem)

    async def _lock(self, stored: Stored) -> None:
        """Where the bucket over there has locks."""
        try:
            await self._ask("GET", "", {"object-lock": ""}, {})
        except Declined:
            return
        lock = stored.lock
        if lock.until is not None:
            until = datetime.fromtimestamp(lock.until, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            held = f"<Mode>{lock.mode}</Mode><RetainUntilDate>{until}</RetainUntilDate>"
            await self._set(stored, "retention", f"<Retention>{held}</Retention>")
        if lock.hold is not None:
            hold = f"<LegalHold><Status>{'ON' if lock.hold else 'OFF'}</Status></LegalHold>"
            await self._set(stored, "legal-hold", hold)

    async def _set(self, stored: Stored, what: str, document: str) -> None:
        body = document.encode()
        headers = {"content-md5": b64encode(md5(body, usedforsecurity=False).digest()).decode()}
        if what == "retention":
            headers["x-amz-bypass-governance-retention"] = "true"
        try:
            await self._ask("PUT", stored.key, {what: "", "versionId": stored.version or ""}, headers, body)
        except Declined as problem:
            if "NoSuchVersion" in str(problem) or "InvalidArgument" in str(problem):
                raise Never(f"the version has another id over there: {problem}") from problem
            raise

    async def keeps_versions(self) -> bool:
        try:
            return _text(await self._ask("GET", "", {"versioning": ""}, {}), "Status") == "Enabled"
        except Declined:
            return False

    async def _ask(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes = b""
    ) -> bytes:
        return (await self._request(method, key, query, headers, body))[1]

    async def _request(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes],
    ) -> tuple[Headers, bytes]:
        url = f"{self._base}/{quote(key, safe='/-_.~')}" + (f"?{urlencode(query)}" if query else "")
        signed = Headers.of([(name, value) for name, value in headers.items()])
        credentials = self._credentials()
        sign(
            method,
            url,
            signed,
            access_key=credentials.key,
            secret=credentials.secret,
            token=credentials.token,
            service="s3",
            region=self._region,
            now=time.time(),
            payload=body if isinstance(body, bytes) else None,
        )
        try:
            response = await self._client.request(method, url, headers=signed, body=body, read_timeout=60.0)
            async with response:
                said = await response.body.read(MOST_ANSWER)
        except (RequestFailed, BodyError) as problem:
            raise Unanswered(str(problem)) from problem
        if response.status >= 300 or b"<Error>" in said[:200]:
            raise _as_told(response.status, _text(said, "Code") or str(response.status))
        return response.headers, said


def _described(stored: Stored) -> dict[str, str]:
    facts = stored.facts
    told = {name: str(facts.headers[member]) for member, name in HEADERS.items() if member in facts.headers}
    told |= headers_of(facts.metadata)
    if stored.tags:
        told["x-amz-tagging"] = urlencode(stored.tags)
    if facts.encryption is not None:
        told["x-amz-server-side-encryption"] = facts.encryption.kind
    return told


def _as_told(status: int, code: str) -> Away | Declined:
    if code in DAMAGED:
        return Away(f"{status} {code}")
    if status in (400, 501):
        return NotUnderstood(f"{status} {code}")
    return Away(f"{status} {code}") if status >= 500 or status in (408, 429) else Declined(f"{status} {code}")


def _text(document: bytes, name: str) -> str:
    """Of the first element of that name, whatever its namespace."""
    try:
        root: Any = ElementTree.fromstring(document)  # noqa: S314 - expat of Python 3.11 refuses expanding entities
    except ElementTree.ParseError:
        return ""
    return next((each.text or "" for each in root.iter() if each.tag.rpartition("}")[2] == name), "")
