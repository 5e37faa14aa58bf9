"""A bucket at an S3 endpoint: what a transfer asks of one, as a source and as a destination. Each call is one request.

Raises Refused for an answer that says no, Unanswered where none came and it may be asked again.
"""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree

from littoral.aws.sign import sign
from littoral.net.client import ClientResponse, HttpClient, RequestFailed, Timeout
from littoral.net.message import BodyError, Headers

MOST_ANSWER: Final = 16 * 1024 * 1024  # bytes of a document
MORE, LESS = 1.5, 0.9  # how patience changes with each request that met silence, and each that did not
MOST_PATIENCE: Final = 120.0  # seconds
AGAIN: Final = frozenset((408, 429, 500, 502, 503, 504))


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code = status, code


class Unanswered(Exception):
    """The link is cut, or the other side is not well."""


class Unwell(Unanswered):
    """It answered, and could not, or what came is damaged. It may be so with this one alone."""


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
    ) -> None:
        self._client = client
        self._base = f"{url.rstrip('/')}/{name}"
        self._keys = keys
        self._tls = tls
        self._least = self._patience = patience  # seconds of silence
        self.name = name
        self.place = self._base

    # ------------------------------------------------------------------------------------------------ written

    async def make(self) -> None:
        """Where it is not there yet."""
        try:
            await self._ask("PUT", "")
        except Refused as refused:
            if refused.code != "BucketAlreadyOwnedByYou":
                raise

    async def put(self, key: str, data: bytes, sha256: bytes, headers: Mapping[str, str]) -> str:
        """The ETag."""
        told, _ = await self._ask("PUT", key, data=data, sha256=sha256, headers=headers)
        return _etag(told)

    async def begin(self, key: str, headers: Mapping[str, str]) -> str:
        """The upload's id."""
        asked = {**headers, "x-amz-checksum-algorithm": "SHA256"}
        _, document = await self._ask("POST", key, "uploads", headers=asked)
        return _text(document, "UploadId")

    async def part(self, key: str, upload: str, number: int, data: bytes, sha256: bytes) -> str:
        told, _ = await self._ask("PUT", key, _query(partNumber=number, uploadId=upload), data=data, sha256=sha256)
        return _etag(told)

    async def parts(self, key: str, upload: str) -> dict[int, tuple[int, str, str]]:
        """Size, ETag and checksum (base64) of those that are there, by number. Raises Refused: NoSuchUpload."""
        found: dict[int, tuple[int, str, str]] = {}
        marker = 0
        while True:
            asked = _query(**{"part-number-marker": marker, "uploadId": upload})
            _, document = await self._ask("GET", key, asked)
            for part in document.iterfind("{*}Part"):
                marker = int(_text(part, "PartNumber"))
                etag = _text(part, "ETag").strip('"')
                found[marker] = int(_text(part, "Size")), etag, _text(part, "ChecksumSHA256")
            if _text(document, "IsTruncated") != "true":
                return found

    async def complete(self, key: str, upload: str, parts: Sequence[tuple[str, str]]) -> tuple[str, str]:
        """ETag and checksum of the whole, from (ETag, checksum) of each part."""
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumSHA256>{checksum}</ChecksumSHA256></Part>"
            for number, (etag, checksum) in enumerate(parts, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        _, document = await self._ask("POST", key, _query(uploadId=upload), data=body)
        if document.tag.endswith("Error"):
            raise Refused(200, _text(document, "Code"), _text(document, "Message"))
        return _text(document, "ETag").strip('"'), _text(document, "ChecksumSHA256")

    async def abort(self, key: str, upload: str) -> None:
        await self._ask("DELETE", key, _query(uploadId=upload))

    async def delete(self, key: str) -> None:
        await self._ask("DELETE", key)

    # ------------------------------------------------------------------------------------------------ read

    async def page(self, *, prefix: str = "", after: str = "") -> tuple[list[Listed], bool]:
        """Up to a thousand keys after ``after``, and whether there are more."""
        asked = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "start-after": after}
        _, document = await self._ask("GET", "", _query(**{name: value for name, value in asked.items() if value}))
        return [_listed(one) for one in document.iterfind("{*}Contents")], _text(document, "IsTruncated") == "true"

    async def head(self, key: str) -> Headers | None:
        """None where there is no such object."""
        try:
            told, _ = await self._ask("HEAD", key, headers={"x-amz-checksum-mode": "ENABLED"})
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return told

    async def get(self, key: str, etag: str) -> ClientResponse:
        """With its head; the body is to be read, and released. Raises Refused (412 where it is another by now)."""
        headers = {"if-match": f'"{etag}"', "x-amz-checksum-mode": "ENABLED"}
        response = await self._send("GET", key, "", None, b"", headers)
        if response.status != 200:
            await self._finish(response)
        return response

    # ------------------------------------------------------------------------------------------------ asked

    async def _ask(
        self,
        method: str,
        key: str,
        query: str = "",
        *,
        data: bytes = b"",
        sha256: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Headers, ElementTree.Element]:
        response = await self._send(method, key, query, sha256, data, headers or {})
        return await self._finish(response)

    async def _send(
        self, method: str, key: str, query: str, sha256: bytes | None, data: bytes, headers: Mapping[str, str]
    ) -> ClientResponse:
        url = self._base + (f"/{quote(key, safe='/~')}" if key else "") + (f"?{query}" if query else "")
        asked = Headers.of(list(headers.items()))
        if sha256 is not None:
            asked.set("x-amz-checksum-sha256", base64.b64encode(sha256).decode())
        sign(
            method,
            url,
            asked,
            payload=data,
            payload_hash=sha256.hex() if sha256 is not None else "",
            access_key=self._keys.access,
            secret=self._keys.secret,
            service="s3",
            region=self._keys.region,
            now=time.time(),
        )
        try:
            response = await self._client.request(
                method,
                url,
                headers=asked,
                body=data or None,
                tls=self._tls,
                connect_timeout=min(10.0, self._patience),
                read_timeout=self._patience,
            )
        except Timeout as problem:  # it may be dead, or have much to do: who asks again in haste gives it more
            self._patience = min(self._patience * MORE, max(self._least, MOST_PATIENCE))
            raise Unanswered(str(problem)) from problem
        except RequestFailed as problem:
            raise Unanswered(str(problem)) from problem
        self._patience = max(self._least, self._patience * LESS)
        return response

    async def _finish(self, response: ClientResponse) -> tuple[Headers, ElementTree.Element]:
        """Raises Refused, Unanswered."""
        try:
            async with response:
                body = await response.body.read(MOST_ANSWER)
        except BodyError as problem:
            raise Unanswered(str(problem)) from problem
        document = _document(body)
        if response.status in AGAIN:
            raise Unwell(f"{response.status} {_text(document, 'Code')}: {_text(document, 'Message')}")
        if not 200 <= response.status < 300:
            code = _text(document, "Code") or str(response.status)
            raise Refused(response.status, code, _text(document, "Message"))
        return response.headers, document


def _document(body: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - of a place that we have the keys of
    except ElementTree.ParseError:
        return ElementTree.Element("nothing")


def _listed(element: ElementTree.Element) -> Listed:
    told = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
    return Listed(unquote_plus(told["Key"]), int(told["Size"]), told["ETag"].strip('"'), told["LastModified"])


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or element.findtext(name) or ""


def _etag(headers: Headers) -> str:
    return (headers.get("etag") or "").strip('"')


def _query(**members: object) -> str:
    return urlencode({name: str(value) for name, value in members.items()}, quote_via=quote)


async def pages(bucket: Bucket, prefix: str = "", after: str = "") -> AsyncIterator[list[Listed]]:
    more = True
    while more:
        found, more = await bucket.page(prefix=prefix, after=after)
        if found:
            after = found[-1].key
            yield found
