"""A bucket at an S3 endpoint: what a transfer asks of one, as a source and as a destination. Each call is one request.

Raises Refused for an answer that says no, Unanswered where none came and it may be asked again.

What is written has a checksum that the other side holds against what it got: CRC64NVME, and the signature leaves the
body out, where nobody on the way can change it (TLS, or this very machine) and the endpoint knows of it, which its
answers show. Else SHA-256, which the signature is over, and which every S3 endpoint verifies.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote, unquote_plus, urlencode, urlsplit
from xml.etree import ElementTree

from littoral.aws.sign import sign
from littoral.box.transfer.sums import CRC64, SHA256, Bytes, Sum, stated, sum_of
from littoral.box.transfer.unsealing import NotOpened, Unsealing
from littoral.net.bulk import Content
from littoral.net.client import ClientResponse, HttpClient, RequestFailed, Timeout
from littoral.net.message import BodyError, Headers
from littoral.net.receiving import Opens, Sink, receive
from littoral.protocols import manyobjects
from littoral.protocols.manyobjects import Asked, Frame, Malformed
from littoral.store.spool import HEADER as SPOOL
from littoral.store.spool import Tray

T = TypeVar("T")
MOST_ANSWER: Final = 16 * 1024 * 1024  # bytes of a document
MORE, LESS = 1.5, 0.9  # how patience changes where it met silence, and with each request that did not
MOST_PATIENCE: Final = 120.0  # seconds
AGAIN: Final = frozenset((408, 429, 500, 502, 503, 504))
SPOILED: Final = frozenset(("BadDigest", "XAmzContentSHA256Mismatch"))  # on its way
LARGE: Final = 256 * 1024  # bytes of a body beyond which a thread sends it
UNKNOWN: Final = frozenset((400, 501))  # as those answer who do not know a checksum
SHOWN: Final = {"x-amz-checksum-mode": "ENABLED"}
NO_MD5: Final = {"x-littoral-etag": "checksum"}  # of a part with a CRC64NVME: a Littoral need not compute it, others do
LISTED: Final = ("Key", "Size", "ETag", "LastModified")
HERE: Final = frozenset(("localhost", "127.0.0.1", "::1"))


class Refused(Exception):
    """``status`` is HTTP's, 0 where nobody was asked: the endpoint's certificate is not one to be trusted."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code = status, code


class Unanswered(Exception):
    """The link is cut, or the other side is not well."""


class Unwell(Unanswered):
    """It answered, and could not, or what came is damaged. It may be so with this one alone."""


class Spoiled(Unwell):
    """What was sent did not arrive as it was stated."""


Given = tuple[Mapping[str, str], bytes] | Refused | Unwell  # of an object: its head and body, or why not


@dataclass(frozen=True, slots=True)
class Keys:
    access: str
    secret: str
    region: str = "us-east-1"


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
        self._client = client
        self._base = f"{url.rstrip('/')}/{name}"
        self._keys = keys
        self._tls = tls
        self._bulk_tls = bulk_tls or tls
        self._least = self._patience = patience  # seconds of silence
        self.tray = tray  # None once it has turned out to be another's
        self.tells = True  # what checksum a part has that states none, as far as is known
        self.name = name
        self.place = self._base
        parts = urlsplit(url)
        self.algorithm = CRC64 if parts.scheme == "https" or parts.hostname in HERE else SHA256

    # ------------------------------------------------------------------------------------------------ written

    async def make(self) -> None:
        """Where it is not there yet."""
        try:
            await self._ask("PUT", "")
        except Refused as refused:
            if refused.code != "BucketAlreadyOwnedByYou":
                raise

    async def put(self, key: str, data: Bytes, headers: Mapping[str, str]) -> tuple[str, Sum]:
        """The ETag, and the checksum that was verified."""
        if self.algorithm == CRC64:
            known = sum_of(CRC64, data)
            told = await self._unless_unknown(self._ask("PUT", key, data=data, known=known, headers=headers))
            if told is not None and told[0].get(known.header) == known.value:
                return _etag(told[0]), known
        known = sum_of(SHA256, data)
        etag = await self.put_signed(key, data, known, headers)
        self.algorithm = SHA256
        return etag, known

    async def put_signed(self, key: str, data: Bytes, known: Sum, headers: Mapping[str, str]) -> str:
        """The ETag. ``known`` is its SHA-256."""
        told, _ = await self._ask("PUT", key, data=data, known=known, headers=headers)
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
        told, document = await self._ask("POST", key, "uploads", headers=asked)
        return Upload(_text(document, "UploadId"), told.get("x-amz-checksum-algorithm") or "")

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
        told, _ = await self._ask(
            "PUT", key, query, data=data, known=known, stated=bool(upload.algorithm), headers=asked
        )
        return _etag(told)

    async def part_unstated(self, key: str, upload: Upload, number: int, content: Content) -> tuple[str, Sum] | None:
        """The ETag, and the checksum that the endpoint found, of an upload with CRC64NVME; None where it ``tells`` of
        none."""
        query = _query(partNumber=number, uploadId=upload.id)
        answer = await self._unless_unknown(self._ask("PUT", key, query, data=content, headers=NO_MD5))
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
            told, _ = await self._ask("PUT", key, query, data=sums, headers=headers)
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
            _, document = await self._ask("GET", key, asked)
            algorithm = _text(document, "ChecksumAlgorithm")
            for part in document.iterfind("{*}Part"):
                marker = int(_text(part, "PartNumber"))
                etag = _text(part, "ETag").strip('"')
                found[marker] = (int(_text(part, "Size")), etag, _text(part, f"Checksum{algorithm}"))
            if _text(document, "IsTruncated") != "true":
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
        _, document = await self._ask("POST", key, _query(uploadId=upload.id), data=body)
        if document.tag.endswith("Error"):
            raise Refused(200, _text(document, "Code"), _text(document, "Message"))
        return _text(document, "ETag").strip('"'), _text(document, member)

    async def abort(self, key: str, upload: str) -> None:
        await self._ask("DELETE", key, _query(uploadId=upload))

    async def delete(self, key: str) -> None:
        await self._ask("DELETE", key)

    # ------------------------------------------------------------------------------------------------ read

    async def beside(self) -> list[str]:
        """The endpoint's buckets, asked by one without a name. Raises Refused, Unanswered."""
        _, document = await self._ask("GET", "")
        if not document.tag.endswith("ListAllMyBucketsResult"):
            raise Unwell("what it answers is no list of buckets")
        return [one.text or "" for one in document.iterfind("{*}Buckets/{*}Bucket/{*}Name")]

    async def page(self, *, prefix: str = "", after: str = "") -> tuple[list[Listed], bool]:
        """Up to a thousand keys after ``after``, and whether there are more."""
        asked = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "start-after": after}
        _, document = await self._ask("GET", "", _query(**{name: value for name, value in asked.items() if value}))
        return [_listed(one) for one in document.iterfind("{*}Contents")], _text(document, "IsTruncated") == "true"

    async def head(self, key: str, etag: str = "", laid: Path | None = None) -> Headers | None:
        """None where there is no such object, or ``etag`` is given and it is another by now. Its content shall be
        ``laid`` there, in the tray; where ``is_laid`` says so it was."""
        asked = {**SHOWN, **(_matching(etag) if etag else {}), **({SPOOL: Tray.name(laid)} if laid else {})}
        try:
            told, _ = await self._ask("HEAD", key, headers=asked)
        except Refused as refused:
            if refused.status in (404, 412):
                return None
            raise
        return told

    async def get(self, key: str, etag: str) -> ClientResponse:
        """With its head; the body is to be read, and released. Raises Refused (412 where it is another by now)."""
        headers = {**_matching(etag), **SHOWN}
        response = await self._send("GET", key, "", None, b"", Headers.of(list(headers.items())))
        if response.status != 200:
            await self._finish(response)
        return response

    async def many(self, wanted: Sequence[Asked]) -> dict[int, Given]:
        """What one answer has of them, by their numbers: a head and a body each, or why not. Raises Refused, also where
        whoever answers knows of no such request."""
        response = await self._send("POST", "", manyobjects.QUERY, None, manyobjects.ask(wanted), Headers())
        known = response.headers.get("content-type") == manyobjects.TYPE
        try:
            async with response:
                body = await response.body.read(MOST_ANSWER)
            if response.status != 200 or not known:
                _judged(response.status, response.headers, body)
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
        url = self._signed("GET", key, "", None, b"", asked)
        answer = await self._patiently(
            receive(
                self._client.bulk,
                url,
                asked,
                sink,
                tls=self._bulk_tls,
                connect_timeout=min(10.0, self._patience),
                read_timeout=self._patience,
                opens=opens,
            )
        )
        _judged(answer.status, answer.headers, answer.body)
        if answer.status != 206 or sink.left:
            raise Unanswered(f"{key}: of {size} bytes {sink.left} did not come, with {answer.status}")

    # ------------------------------------------------------------------------------------------------ asked

    async def _ask(
        self,
        method: str,
        key: str,
        query: str = "",
        *,
        data: Bytes | Content = b"",
        known: Sum | None = None,
        stated: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Headers, ElementTree.Element]:
        """``known`` is of ``data``; ``stated``: it goes as a header, too, and not for the signature alone."""
        asked = Headers.of(list((headers or {}).items()))
        if known is not None and stated:
            asked.set(known.header, known.value)
        if isinstance(data, Content) or len(data) > LARGE:
            url = self._signed(method, key, query, known, data, asked)
            large = await self._patiently(
                self._client.bulk.request(
                    method,
                    url,
                    asked,
                    data if isinstance(data, Content) else memoryview(data),
                    tls=self._bulk_tls,
                    connect_timeout=min(10.0, self._patience),
                    read_timeout=self._patience,
                )
            )
            return _judged(large.status, large.headers, large.body)
        return await self._finish(await self._send(method, key, query, known, data, asked))

    async def _send(
        self, method: str, key: str, query: str, known: Sum | None, data: Bytes, asked: Headers
    ) -> ClientResponse:
        url = self._signed(method, key, query, known, data, asked)
        return await self._patiently(
            self._client.request(
                method,
                url,
                headers=asked,
                body=bytes(data) or None,
                tls=self._tls,
                connect_timeout=min(10.0, self._patience),
                read_timeout=self._patience,
            )
        )

    def _signed(
        self, method: str, key: str, query: str, known: Sum | None, data: Bytes | Content, asked: Headers
    ) -> str:
        """The URL; ``asked`` has the signature then."""
        url = self._base + (f"/{quote(key, safe='/~')}" if key else "") + (f"?{query}" if query else "")
        hashed = known.digest.hex() if known is not None and known.algorithm == SHA256 else ""
        sign(
            method,
            url,
            asked,
            payload=None if known is not None or isinstance(data, Content) else bytes(data),
            payload_hash=hashed,
            access_key=self._keys.access,
            secret=self._keys.secret,
            service="s3",
            region=self._keys.region,
            now=time.time(),
        )
        return url

    async def _patiently(self, asking: Awaitable[T]) -> T:
        """Raises Refused, Unanswered."""
        given = self._patience
        try:
            found = await asking
        except Timeout as problem:  # it may be dead, or have much to do: who asks again in haste gives it more
            more = min(given * MORE, max(self._least, MOST_PATIENCE))
            self._patience = max(self._patience, more)  # of those that met one silence together the first raises it
            raise Unanswered(str(problem)) from problem
        except RequestFailed as problem:
            if isinstance(problem.__cause__, ssl.SSLCertVerificationError):  # nor will it be another's later
                raise Refused(
                    0, "CertificateNotTrusted", f"{self._base}: {problem.__cause__.verify_message}"
                ) from problem
            raise Unanswered(str(problem)) from problem
        self._patience = max(self._least, self._patience * LESS)
        return found

    async def _finish(self, response: ClientResponse) -> tuple[Headers, ElementTree.Element]:
        """Raises Refused, Unanswered."""
        try:
            async with response:
                body = await response.body.read(MOST_ANSWER)
        except BodyError as problem:
            raise Unanswered(str(problem)) from problem
        return _judged(response.status, response.headers, body)


def is_laid(told: Headers, laid: Path) -> bool:
    return told.get(SPOOL) == Tray.name(laid)


def _judged(status: int, headers: T, body: bytes) -> tuple[T, ElementTree.Element]:
    """Raises Refused, Unanswered."""
    document = _document(body)
    if status in AGAIN:
        raise Unwell(f"{status} {_text(document, 'Code')}: {_text(document, 'Message')}")
    if not 200 <= status < 300:
        code = _text(document, "Code") or str(status)
        if code in SPOILED:
            raise Spoiled(f"{code}: {_text(document, 'Message')}")
        raise Refused(status, code, _text(document, "Message"))
    return headers, document


def _given(one: Frame) -> Given:
    if one.status == 200:
        return one.headers, one.body
    try:
        _judged(one.status, Headers(), one.body)
    except (Refused, Unwell) as refused:
        return refused
    return Refused(one.status, str(one.status), "no answer to a request for an object")


def _document(body: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - of a place that we have the keys of
    except ElementTree.ParseError:
        return ElementTree.Element("nothing")


def _listed(element: ElementTree.Element) -> Listed:
    space = element.tag.removesuffix("Contents")  # its namespace, where it has one
    key, size, etag, modified = (element.findtext(space + name) or "" for name in LISTED)
    return Listed(unquote_plus(key), int(size), etag.strip('"'), modified)


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or element.findtext(name) or ""


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
