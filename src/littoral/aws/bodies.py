"""Bodies that are checked while they are read: a declared hash, a declared MD5, the signatures of chunks.

A signature covers the payload's hash. Where the body is streamed the hash can only be known at its end, so the body
raises a ServiceError there, before the operation may commit.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from littoral.aws import models
from littoral.aws.asked import Asked
from littoral.aws.refusals import malformed_trailer, refusal
from littoral.aws.service import ServiceError
from littoral.net.incoming import IncomingBody
from littoral.net.lending import Fill
from littoral.net.message import Body, Request, gathered
from littoral.protocols import sigv4
from littoral.protocols.awschunked import BadChunkSignature, CutOff, Decoder, MalformedChunk, MalformedTrailer
from littoral.protocols.sigv4 import Signed

STREAMING = "STREAMING-"
CODED = 256 * 1024  # bytes of an aws-chunked body at once
_LENGTH = re.compile("[0-9]{1,18}")


class CheckedBody(ABC):
    """Implements ``message.Body``: whoever iterates to the end, or reads it whole, has what was checked."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def read(self, limit: int | None = None) -> bytes:
        return await gathered(self, limit)


class HashedBody(CheckedBody):
    """A body whose SHA-256 was declared and signed."""

    def __init__(self, body: Body, declared: str, service: str) -> None:
        self._body = body
        self._declared = declared
        self._service = service

    async def __aiter__(self) -> AsyncIterator[bytes]:
        found = hashlib.sha256()
        async for chunk in self._body:
            found.update(chunk)
            yield chunk
        self._check(found.hexdigest())

    def _check(self, found: str) -> None:
        if not sigv4.same(found, self._declared):
            raise refusal(self._service, "wrong hash")


class StraightHashedBody(HashedBody):
    """The same of a body that knows ``into``, hashed in a thread."""

    def __init__(self, body: IncomingBody, declared: str, service: str) -> None:
        super().__init__(body, declared, service)
        self._incoming = body
        self._found = hashlib.sha256()

    async def into(self, room: memoryview) -> int:
        """As ``IncomingBody.into``. Raises ServiceError at the end, where the hash is another."""
        count = await self._incoming.into(room)
        if count:
            await asyncio.to_thread(self._found.update, room[:count])
        if count < len(room):
            self._check(self._found.hexdigest())
        return count

    async def lend(self, work: Callable[[Fill], None]) -> bool:
        """As ``IncomingBody.lend``, hashed there; ``into`` finds the end, and whether it is the declared one."""

        def hashing(fill: Fill) -> None:
            def hashed(room: memoryview) -> int:
                count = fill(room)
                self._found.update(room[:count])
                return count

            work(hashed)

        return await self._incoming.lend(hashing)


def hashed(body: Body, declared: str, service: str) -> Body:
    """Of which the SHA-256 was declared."""
    if isinstance(body, IncomingBody):
        return StraightHashedBody(body, declared, service)
    return HashedBody(body, declared, service)


def with_digests(
    asked: Asked,
    body: Body,
    trailers: Mapping[str, str],
    operation: str,
    checksums: Callable[[Request], Sequence[Declared]],
) -> Body:
    """S3: a document's Content-MD5 (RFC 1864) and checksums are checked here; those of a streamed object by whoever
    stores the stream. ``checksums`` reads a request's."""
    declared = [*checksums(asked.request)] if _has_checksum(operation) else []
    md5 = asked.field(b"content-md5")
    if md5 is not None and not models.operation_model("s3", operation).has_streaming_input:
        declared.append(Declared(hashlib.md5(usedforsecurity=False), md5.strip(), "Content-MD5"))
    return DigestedBody(body, declared, trailers) if declared else body


@cache
def _has_checksum(operation: str) -> bool:
    """Whether checksums in its head are those of a document; CompleteMultipartUpload's are the object's."""
    model = models.operation_model("s3", operation)
    return "requestAlgorithmMember" in model.http_checksum and not model.has_streaming_input


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Declared:
    """``value`` is in base64; where it is None, ``trailer`` has it."""

    found: Hash
    value: str | None
    name: str
    trailer: str = ""

    def check(self, trailers: Mapping[str, str]) -> None:
        """Raises BadDigest, MalformedTrailerError."""
        value = self.value if self.value is not None else trailers.get(self.trailer)
        if value is None:
            raise malformed_trailer()
        if base64.b64encode(self.found.digest()).decode() != value:
            message = f"The {self.name} you specified did not match what we received."
            raise ServiceError("BadDigest", message, status=400)


class DigestedBody(CheckedBody):
    """``trailers`` are filled at the body's end."""

    def __init__(self, body: Body, declared: Sequence[Declared], trailers: Mapping[str, str]) -> None:
        self._body = body
        self._declared = declared
        self._trailers = trailers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            for each in self._declared:
                each.found.update(chunk)
            yield chunk
        for each in self._declared:
            each.check(self._trailers)


class ChunkSigner:
    """The chain of chunk signatures; each signs the one before, the first the request's own."""

    def __init__(self, key: bytes, signed: Signed) -> None:
        self._key = key
        self._signed = signed
        self._previous = signed.signature

    def chunk(self, chunk_hash: str, given: str) -> bool:
        return self._follow(sigv4.chunk_string_to_sign, chunk_hash, given)

    def trailer(self, text: bytes, given: str) -> bool:
        return self._follow(sigv4.trailer_string_to_sign, hashlib.sha256(text).hexdigest(), given)

    def _follow(self, string: Callable[[str, str, str, str], str], of: str, given: str) -> bool:
        text = string(self._signed.timestamp, self._signed.claim.scope, self._previous, of)
        self._previous = sigv4.signature(self._key, text)
        return sigv4.same(self._previous, given)


def unchunked(asked: Asked, signer: ChunkSigner | None, service: str, trailers: dict[str, str]) -> Body:
    """The body as it is, or the content of an ``aws-chunked`` one, whose trailers are filled in at its end."""
    declared = asked.field(b"x-amz-content-sha256")
    if declared is None or not declared.startswith(STREAMING):
        return asked.request.body
    unsigned = declared.startswith("STREAMING-UNSIGNED")
    if declared not in {
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    }:
        raise ServiceError("NotImplemented", f"{declared[:80]} is not supported.", status=501)
    length = asked.field(b"x-amz-decoded-content-length")
    if length is None or not _LENGTH.fullmatch(length):
        raise ServiceError("MissingContentLength", "You must provide the Content-Length HTTP header.", status=411)
    if unsigned or signer is None:
        decoder = Decoder(None)
    else:
        trailing = declared.endswith("-TRAILER")
        decoder = Decoder(signer.chunk, signer.trailer if trailing else None)
    body = asked.request.body
    if isinstance(body, IncomingBody):
        return StraightChunkedBody(body, decoder, int(length), service, trailers)
    return ChunkedBody(body, decoder, int(length), service, trailers)


class ChunkedBody(CheckedBody):
    """The content of an ``aws-chunked`` body. Trailers are filled in at its end."""

    def __init__(self, body: Body, decoder: Decoder, length: int, service: str, trailers: dict[str, str]) -> None:
        self._body = body
        self._decoder = decoder
        self._length = length
        self._service = service
        self._trailers = trailers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._body:
            for chunk in self._decoded(data):
                yield bytes(chunk)
        self._check()

    def _decoded(self, data: bytes | memoryview) -> list[memoryview]:
        with self._telling():
            return self._decoder.feed(data)

    def _check(self) -> None:
        """The stream has ended."""
        with self._telling():
            self._decoder.finish()
        if self._decoder.size != self._length:
            raise ServiceError(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the x-amz-decoded-content-length header",
                status=400,
            )
        self._trailers.update(self._decoder.trailers)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What is wrong with the coding, as a refusal."""
        try:
            yield
        except BadChunkSignature as problem:
            raise refusal(self._service, "wrong signature") from problem
        except CutOff as problem:
            raise ServiceError("IncompleteBody", "The request body terminated unexpectedly", status=400) from problem
        except MalformedTrailer as problem:
            raise malformed_trailer() from problem
        except MalformedChunk as problem:
            raise ServiceError(
                "InvalidRequest", f"The aws-chunked body is malformed: {problem}", status=400
            ) from problem


class StraightChunkedBody(ChunkedBody):
    """The same of a body that knows ``into``: it is received into memory of its own, and copied from there once."""

    def __init__(
        self, body: IncomingBody, decoder: Decoder, length: int, service: str, trailers: dict[str, str]
    ) -> None:
        super().__init__(body, decoder, length, service, trailers)
        self._incoming = body
        self._coded = memoryview(b"")
        self._content: deque[memoryview] = deque()  # parts of it

    async def into(self, room: memoryview) -> int:
        """As ``IncomingBody.into``. Raises ServiceError."""
        filled = self._copy(room)
        while filled < len(room):
            count = await self._incoming.into(self._coded_room())
            filled += self._decode(count, room[filled:])
            if count < len(self._coded):
                self._check()
                break
        return filled

    async def lend(self, work: Callable[[Fill], None]) -> bool:
        """As ``IncomingBody.lend``; ``into`` finds the end. Raises ServiceError, too."""

        def decoding(fill: Fill) -> None:
            def decoded(room: memoryview) -> int:
                filled, whole = self._copy(room), True
                while filled < len(room) and whole:
                    count = fill(self._coded_room())
                    whole = count == len(self._coded)
                    filled += self._decode(count, room[filled:])
                return filled

            work(decoded)

        return await self._incoming.lend(decoding)

    def _coded_room(self) -> memoryview:
        """All that was in it has been copied."""
        if not self._coded:
            self._coded = memoryview(bytearray(min(CODED, self._incoming.length or CODED)))
        return self._coded

    def _decode(self, count: int, room: memoryview) -> int:
        """How much of it there was room for; the rest is for the next."""
        self._content.extend(self._decoded(self._coded[:count]))
        return self._copy(room)

    def _copy(self, room: memoryview) -> int:
        filled = 0
        while self._content and filled < len(room):
            piece = self._content.popleft()
            size = min(len(piece), len(room) - filled)
            room[filled : filled + size] = piece[:size]
            filled += size
            if size < len(piece):
                self._content.appendleft(piece[size:])
        return filled
