"""A bucket at an S3 endpoint: what a transfer asks of one, as a source and as a destination. Each call is one request.

Raises Refused for an answer that says no, Unanswered where none came and it may be asked again.

What is written has a checksum that the other side holds against what it got: CRC64NVME, and the signature leaves the
body out, where nobody on the way can change it (TLS, or this very machine) and the endpoint knows of it, which its
answers show. Else SHA-256, which the signature is over, and which every S3 endpoint verifies.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote, unquote_plus, urlencode, urlsplit
from xml.etree import ElementTree

from littoral.box.transfer.asking import (
    MOST_ANSWER,
    Asking,
    Keys,
    Refused,
    Spoiled,
    Unanswered,
    Unwell,
    judged,
    text_of,
)
from littoral.box.transfer.sums import CRC64, SHA256, Bytes, Sum, header_of, stated, sum_of
from littoral.box.transfer.unsealing import NotOpened, Unsealing
from littoral.net.bulk import Content
from littoral.net.client import ClientResponse, HttpClient
from littoral.net.message import BodyError, Headers
from littoral.net.receiving import Opens, Sink
from littoral.protocols import manyobjects
from littoral.protocols.manyobjects import Asked, Frame, Malformed
from littoral.protocols.ownheaders import BY_CHECKSUM, ETAG
from littoral.store.spool import HEADER as SPOOL
from littoral.store.spool import Tray

T = TypeVar("T")
UNKNOWN: Final = frozenset((400, 501))  # as those answer who do not know a checksum
SHOWN: Final = {"x-amz-checksum-mode": "ENABLED"}
NO_MD5: Final = {ETAG: BY_CHECKSUM}  # of a part with a CRC64NVME: a Littoral need not compute it, others do
LISTED: Final = ("Key", "Size", "ETag", "LastModified")
HERE: Final = frozenset(("localhost", "127.0.0.1", "::1"))

Given = tuple[Mapping[str, str], bytes] | Refused | Unwell  # of an object: its head and body, or why not


@dataclass(frozen=True, slots=True)
class Listed:
    key: str
    size: int
    etag: str
    modified: str


@dataclass(frozen=True, slots=True)
class Upload:
    """One in parts. ``algorithm`` is "" where the endpoint keeps no checksums; ``parts`` are those that are there, by
    number: size, ETag, and checksum as base64."""

    id: str
    algorithm: str
    parts: Mapping[int, tuple[int, str, str]] = field(default_factory=dict)

    def arrived(self, number: int, size: int, known: Sum) -> str | None:
        """The ETag of that part, where it is there as it is now."""
        found = self.parts.get(number)
        return found[1] if found is not None and (found[0], found[2]) == (size, known.value) else None

    def held(self, number: int, size: int) -> tuple[str, Sum] | None:
        """The ETag and the checksum of that part, where one of that size is there: as the endpoint says it."""
        there, etag, checksum = self.parts.get(number, (0, "", ""))
        known = stated({header_of(self.algorithm): checksum}) if there == size else None
        return None if known is None else (etag, known)


class Bucket:
    """``url`` is the endpoint's."""

    def __init__(
        self,
        client: HttpClient,
        url: str,
        name: str,
        keys: Keys,
        tls: ssl.SSLContext | None = None,
        patience: float = 60,
        bulk_tls: ssl.SSLContext | None = None,
        tray: Tray | None = None,
    ) -> None:
        """``bulk_tls`` is for large bodies: as ``tls``, but that it may offer wide records. ``tray`` is in the
        endpoint's own spool."""
        self.name, self.place = name, f"{url.rstrip('/')}/{name}"
        self._asking = Asking(client, self.place, keys, tls, bulk_tls or tls, patience)
        self.tray = tray  # None once it has turned out to be another's
        self.tells = True  # what checksum a part has that states none, as far as is known
        parts = urlsplit(url)
        self.algorithm = CRC64 if parts.scheme == "https" or parts.hostname in HERE else SHA256

    # ------------------------------------------------------------------------------------------------ written

    async def make(self) -> None:
        """Where it is not there yet."""
        try:
            await self._asking.ask("PUT", "")
        except Refused as refused:
            if refused.code != "BucketAlreadyOwnedByYou":
                raise

    async def put(self, key: str, data: Bytes, headers: Mapping[str, str]) -> tuple[str, Sum]:
        """The ETag, and the checksum that was verified."""
        if self.algorithm == CRC64:
            known = sum_of(CRC64, data)
            told = await self._unless_unknown(self._asking.ask("PUT", key, data=data, known=known, headers=headers))
            if told is not None and told[0].get(known.header) == known.value:
                return _etag(told[0]), known
        known = sum_of(SHA256, data)
        etag = await self.put_signed(key, data, known, headers)
        self.algorithm = SHA256
        return etag, known

    async def put_signed(self, key: str, data: Bytes, known: Sum, headers: Mapping[str, str]) -> str:
        """The ETag. ``known`` is its SHA-256."""
        told, _ = await self._asking.ask("PUT", key, data=data, known=known, headers=headers)
        return _etag(told)

    async def begin(self, key: str, headers: Mapping[str, str]) -> Upload:
        if self.algorithm == CRC64:
            made = await self._unless_unknown(self._begin(key, headers, CRC64))
            if made is not None and made.algorithm == CRC64:
                return made
            if made is not None:
                await self.abort(key, made.id)
        made = await self._begin(key, headers, SHA256)
        self.algorithm = SHA256
        return made

    async def _begin(self, key: str, headers: Mapping[str, str], algorithm: str) -> Upload:
        asked = {**headers, "x-amz-checksum-algorithm": algorithm}
        told, document = await self._asking.ask("POST", key, "uploads", headers=asked)
        return Upload(text_of(document, "UploadId"), told.get("x-amz-checksum-algorithm") or "")

    async def _unless_unknown(self, asked: Awaitable[T]) -> T | None:
        """None where it is refused as those do who do not know of such a checksum."""
        try:
            return await asked
        except Refused as refused:
            if refused.status not in UNKNOWN:
                raise
            return None

    async def part(self, key: str, upload: Upload, number: int, data: Bytes | Content, known: Sum) -> str:
        """The ETag."""
        query = _query(partNumber=number, uploadId=upload.id)
        asked = NO_MD5 if upload.algorithm == CRC64 else {}
        told, _ = await self._asking.ask(
            "PUT", key, query, data=data, known=known, stated=bool(upload.algorithm), headers=asked
        )
        return _etag(told)

    async def part_unstated(self, key: str, upload: Upload, number: int, content: Content) -> tuple[str, Sum] | None:
        """The ETag, and the checksum that the endpoint found, of an upload with CRC64NVME; None where it ``tells`` of
        none."""
        query = _query(partNumber=number, uploadId=upload.id)
        answer = await self._unless_unknown(self._asking.ask("PUT", key, query, data=content, headers=NO_MD5))
        found = None if answer is None else stated(dict(answer[0].items()))
        if answer is None or found is None or found.algorithm != CRC64:
            self.tells = False
            return None
        return _etag(answer[0]), found

    async def part_spooled(
        self, key: str, upload: Upload, number: int, file: Path, known: Sum, sums: bytes
    ) -> str | None:
        """The ETag, of an upload with CRC64NVME: the ``file``, of the tray, is the part, and ``sums`` are those of its
        blocks. None where the endpoint does not take it so, or has taken it and was not heard to say so."""
        query = _query(partNumber=number, uploadId=upload.id)
        headers = {**NO_MD5, SPOOL: Tray.name(file), known.header: known.value}
        try:
            told, _ = await self._asking.ask("PUT", key, query, data=sums, headers=headers)
        except Refused as refused:
            if refused.status not in UNKNOWN:
                raise
            return None
        except Spoiled:  # who does not know the header takes the sums for the part
            return None
        return _etag(told)

    async def resumed(self, key: str, upload: str) -> Upload:
        """One that is under way. Raises Refused: NoSuchUpload."""
        found: dict[int, tuple[int, str, str]] = {}
        marker = 0
        while True:
            asked = _query(**{"part-number-marker": marker, "uploadId": upload})
            _, document = await self._asking.ask("GET", key, asked)
            algorithm = text_of(document, "ChecksumAlgorithm")
            for part in document.iterfind("{*}Part"):
                marker = int(text_of(part, "PartNumber"))
                etag = text_of(part, "ETag").strip('"')
                found[marker] = (int(text_of(part, "Size")), etag, text_of(part, f"Checksum{algorithm}"))
            if text_of(document, "IsTruncated") != "true":
                return Upload(upload, algorithm, found)

    async def complete(self, key: str, upload: Upload, parts: Sequence[tuple[str, Sum]]) -> tuple[str, str]:
        """The ETag, and the checksum of the whole as the endpoint has it, "" where it keeps none."""
        member = f"Checksum{upload.algorithm}"
        sums = [f"<{member}>{known.value}</{member}>" if upload.algorithm else "" for _, known in parts]
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{known}</Part>"
            for number, ((etag, _), known) in enumerate(zip(parts, sums, strict=True), 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        _, document = await self._asking.ask("POST", key, _query(uploadId=upload.id), data=body)
        if document.tag.endswith("Error"):
            raise Refused(200, text_of(document, "Code"), text_of(document, "Message"))
        return text_of(document, "ETag").strip('"'), text_of(document, member)

    async def abort(self, key: str, upload: str) -> None:
        await self._asking.ask("DELETE", key, _query(uploadId=upload))

    async def delete(self, key: str) -> None:
        await self._asking.ask("DELETE", key)

    # ------------------------------------------------------------------------------------------------ read

    async def beside(self) -> list[str]:
        """The endpoint's buckets, asked by one without a name. Raises Refused, Unanswered."""
        _, document = await self._asking.ask("GET", "")
        if not document.tag.endswith("ListAllMyBucketsResult"):
            raise Unwell("what it answers is no list of buckets")
        return [one.text or "" for one in document.iterfind("{*}Buckets/{*}Bucket/{*}Name")]

    async def page(self, *, prefix: str = "", after: str = "") -> tuple[list[Listed], bool]:
        """Up to a thousand keys after ``after``, and whether there are more."""
        given = {"prefix": prefix, "start-after": after}
        asked = {"list-type": "2", "encoding-type": "url", **{name: value for name, value in given.items() if value}}
        _, document = await self._asking.ask("GET", "", _query(**asked))
        return [_listed(one) for one in document.iterfind("{*}Contents")], text_of(document, "IsTruncated") == "true"

    async def head(self, key: str, etag: str = "", laid: Path | None = None) -> Headers | None:
        """None where there is no such object, or ``etag`` is given and it is another by now. Its content shall be
        ``laid`` there, in the tray; where ``is_laid`` says so it was."""
        asked = {**SHOWN, **(_matching(etag) if etag else {}), **({SPOOL: Tray.name(laid)} if laid else {})}
        try:
            told, _ = await self._asking.ask("HEAD", key, headers=asked)
        except Refused as refused:
            if refused.status in (404, 412):
                return None
            raise
        return told

    async def get(self, key: str, etag: str) -> ClientResponse:
        """With its head; the body is to be read, and released. Raises Refused (412 where it is another by now)."""
        headers = {**_matching(etag), **SHOWN}
        response = await self._asking.send("GET", key, "", None, b"", Headers.of(list(headers.items())))
        if response.status != 200:
            await self._asking.finish(response)
        return response

    async def many(self, wanted: Sequence[Asked]) -> dict[int, Given]:
        """What one answer has of them, by their numbers: a head and a body each, or why not. Raises Refused, also where
        whoever answers knows of no such request."""
        response = await self._asking.send("POST", "", manyobjects.QUERY, None, manyobjects.ask(wanted), Headers())
        known = response.headers.get("content-type") == manyobjects.TYPE
        try:
            async with response:
                body = await response.body.read(MOST_ANSWER)
            if response.status != 200 or not known:
                judged(response.status, response.headers, body)
                raise Refused(response.status, "NotKnown", "many objects at once")
            return {one.number: _given(one) for one in manyobjects.frames(body)}
        except (BodyError, Malformed) as problem:
            raise Unanswered(str(problem)) from problem

    async def stretch(self, key: str, etag: str, begin: int, size: int, sink: Sink) -> None:
        """From ``begin`` on so many bytes (> 0), into the sink, by a thread; it is its as long as this goes on. Raises
        as ``get``, and Unanswered where fewer came; what the sink does."""
        try:
            await self._stretch(key, etag, begin, size, sink, Unsealing)
        except Unanswered as problem:
            if not isinstance(problem.__cause__, NotOpened):
                raise
            await self._stretch(key, etag, begin, size, sink, None)  # whose disk it is on is to find that out

    async def _stretch(self, key: str, etag: str, begin: int, size: int, sink: Sink, opens: Opens | None) -> None:
        asked = Headers.of([*_matching(etag).items(), ("range", f"bytes={begin}-{begin + size - 1}")])
        status = await self._asking.receive(key, asked, sink, opens)
        if status != 206 or sink.left:
            raise Unanswered(f"{key}: of {size} bytes {sink.left} did not come, with {status}")


def is_laid(told: Headers, laid: Path) -> bool:
    return told.get(SPOOL) == Tray.name(laid)


def _given(one: Frame) -> Given:
    if one.status == 200:
        return one.headers, one.body
    try:
        judged(one.status, Headers(), one.body)
    except (Refused, Unwell) as refused:
        return refused
    return Refused(one.status, str(one.status), "no answer to a request for an object")


def _listed(element: ElementTree.Element) -> Listed:
    space = element.tag.removesuffix("Contents")  # its namespace, where it has one
    key, size, etag, modified = (element.findtext(space + name) or "" for name in LISTED)
    return Listed(unquote_plus(key), int(size), etag.strip('"'), modified)


def _etag(headers: Headers) -> str:
    return (headers.get("etag") or "").strip('"')


def _matching(etag: str) -> dict[str, str]:
    return {"if-match": f'"{etag}"'}


def _query(**members: object) -> str:
    return urlencode({name: str(value) for name, value in members.items()}, quote_via=quote)


async def pages(bucket: Bucket, prefix: str = "", after: str = "") -> AsyncIterator[list[Listed]]:
    more = True
    while more:
        found, more = await bucket.page(prefix=prefix, after=after)
        if found:
            after = found[-1].key
            yield found
