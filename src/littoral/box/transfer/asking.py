"""Requests to a bucket at an S3 endpoint: signed, given the time that it takes, and judged by what it answers.

Raises Refused for an answer that says no, Unanswered where none came and it may be asked again.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote
from xml.etree import ElementTree

from littoral.aws.sign import sign
from littoral.box.transfer.sums import SHA256, Bytes, Sum
from littoral.net.bulk import Content
from littoral.net.client import ClientResponse, HttpClient, RequestFailed, Timeout
from littoral.net.message import BodyError, Headers
from littoral.net.receiving import Opens, Sink, receive

T = TypeVar("T")
MOST_ANSWER: Final = 16 * 1024 * 1024  # bytes of a document
MORE, LESS = 1.5, 0.9  # how patience changes where it met silence, and with each request that did not
MOST_PATIENCE: Final = 120.0  # seconds
AGAIN: Final = frozenset((408, 429, 500, 502, 503, 504))
SPOILED: Final = frozenset(("BadDigest", "XAmzContentSHA256Mismatch"))  # on its way
LARGE: Final = 256 * 1024  # bytes of a body beyond which a thread sends it


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


@dataclass(frozen=True, slots=True)
class Keys:
    access: str
    secret: str
    region: str = "us-east-1"


class Asking:
    """``base`` is the bucket's URL."""

    def __init__(
        self,
        client: HttpClient,
        base: str,
        keys: Keys,
        tls: ssl.SSLContext | None,
        bulk_tls: ssl.SSLContext | None,
        patience: float,
    ) -> None:
        """``bulk_tls`` is for large bodies; ``patience`` is seconds of silence, at least."""
        self._client, self._base, self._keys = client, base, keys
        self._tls, self._bulk_tls = tls, bulk_tls
        self._least = self._patience = patience

    async def ask(
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
            return judged(large.status, large.headers, large.body)
        return await self.finish(await self.send(method, key, query, known, data, asked))

    async def send(
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

    async def receive(self, key: str, asked: Headers, sink: Sink, opens: Opens | None) -> int:
        """The status; what the answer has is in the sink, by a thread. Raises what the sink does, too."""
        answer = await self._patiently(
            receive(
                self._client.bulk,
                self._signed("GET", key, "", None, b"", asked),
                asked,
                sink,
                tls=self._bulk_tls,
                connect_timeout=min(10.0, self._patience),
                read_timeout=self._patience,
                opens=opens,
            )
        )
        judged(answer.status, answer.headers, answer.body)
        return answer.status

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

    async def finish(self, response: ClientResponse) -> tuple[Headers, ElementTree.Element]:
        """Raises Refused, Unanswered."""
        try:
            async with response:
                body = await response.body.read(MOST_ANSWER)
        except BodyError as problem:
            raise Unanswered(str(problem)) from problem
        return judged(response.status, response.headers, body)


def judged(status: int, headers: T, body: bytes) -> tuple[T, ElementTree.Element]:
    """Raises Refused, Unanswered."""
    document = _read(body)
    if status in AGAIN:
        raise Unwell(f"{status} {text_of(document, 'Code')}: {text_of(document, 'Message')}")
    if not 200 <= status < 300:
        code = text_of(document, "Code") or str(status)
        if code in SPOILED:
            raise Spoiled(f"{code}: {text_of(document, 'Message')}")
        raise Refused(status, code, text_of(document, "Message"))
    return headers, document


def _read(body: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - of a place that we have the keys of
    except ElementTree.ParseError:
        return ElementTree.Element("nothing")


def text_of(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or element.findtext(name) or ""
