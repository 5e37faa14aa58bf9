"""Authentication of a request by Signature Version 4, and the body that goes with it.

A signature covers the payload's hash. Where the body is streamed the hash can only be known at its end, so the body
handed on raises a ServiceError there, before the operation may commit.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from littoral.aws import models
from littoral.aws.identity import Identity
from littoral.aws.service import Principal, ServiceError
from littoral.aws.sessions import Expired
from littoral.net.message import Body, BodyTooLarge, BytesBody, Request
from littoral.protocols import sigv4
from littoral.protocols.awschunked import BadChunkSignature, Decoder, MalformedChunk
from littoral.protocols.sigv4 import Signed

SKEW = 15 * 60  # seconds a client's clock may be off
MAX_SIGNED_BODY = 80 * 1024 * 1024  # bytes held to check a body whose hash is not declared
ANONYMOUS = Principal("anonymous", "")
STREAMING = "STREAMING-"
UNMODELLED = frozenset(("littoral",))  # our own addresses, signed like a service's
LENGTH = re.compile("[0-9]{1,18}")
TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")


@dataclass(slots=True)
class Authenticated:
    """Who calls, and the request's body with its checks."""

    principal: Principal
    body: Body
    trailers: dict[str, str]


async def authenticate(
    request: Request, query: list[tuple[str, str]], service: str, identity: Identity, now: float
) -> Authenticated:
    """Raises ServiceError in the words of S3 or of the other services."""
    signed = _signed(request, query, service)
    trailers: dict[str, str] = {}
    if signed is None:
        return Authenticated(ANONYMOUS, _unchunked(request, None, service, trailers), trailers)
    if not identity.verify:
        principal = identity.principal(signed.credential.access_key)
        return Authenticated(principal, _unchunked(request, None, service, trailers), trailers)
    _check_time(signed, service, now)
    if service == "s3":
        _check_covered(request, signed)
    token = request.headers.get("x-amz-security-token") or signed.token
    try:
        secret = identity.secret_of(signed.credential.access_key, token, now)
    except Expired:
        raise _error(service, "session over") from None
    if secret is None:
        raise _error(service, "unknown key")
    body, payload_hash = await _payload(request, signed, service)
    credential = signed.credential
    key = sigv4.signing_key(secret, credential.date, credential.region, credential.service)
    canonical = sigv4.canonical_request(
        request.method,
        sigv4.canonical_path(request.raw_path, credential.service),
        sigv4.canonical_query(query),
        sigv4.canonical_headers(request.headers.items(), signed.signed_headers),
        signed.signed_headers,
        payload_hash,
    )
    if signed.asymmetric:
        genuine = _genuine(signed, secret, canonical)
    else:
        expected = sigv4.signature(key, sigv4.string_to_sign(signed.timestamp, credential.scope, canonical))
        genuine = sigv4.same(expected, signed.signature)
    if not genuine:
        raise _error(service, "wrong signature")
    if payload_hash.startswith(STREAMING):
        body = _unchunked(request, _ChunkSigner(key, signed), service, trailers)
    return Authenticated(identity.principal(credential.access_key), body, trailers)


def _signed(request: Request, query: list[tuple[str, str]], service: str) -> Signed | None:
    header = request.headers.get("authorization")
    try:
        if header is not None:
            stamp = request.headers.get("x-amz-date") or ""
            signed = sigv4.parse_authorization(header, stamp)
        elif any(name in {"X-Amz-Signature", "X-Amz-Algorithm"} for name, _ in query):
            signed = sigv4.parse_presigned(query)
        else:
            return None
    except sigv4.MalformedSignature as problem:
        raise _error(service, "malformed", str(problem)) from problem
    if "host" not in signed.signed_headers:
        raise _error(service, "malformed", "'Host' must be a signed header.")
    return signed


def _genuine(signed: Signed, secret: str, canonical: str) -> bool:
    """Signature Version 4A, which covers any region: ECDSA with a key made of the secret."""
    scope = signed.credential.scope
    text = sigv4.string_to_sign(signed.timestamp, scope, canonical, sigv4.ASYMMETRIC).encode()
    try:
        _public_key(signed.credential.access_key, secret).verify(
            bytes.fromhex(signed.signature), text, ec.ECDSA(hashes.SHA256())
        )
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _public_key(access_key: str, secret: str) -> ec.EllipticCurvePublicKey:
    return ec.derive_private_key(sigv4.private_scalar(access_key, secret), ec.SECP256R1()).public_key()


def _check_time(signed: Signed, service: str, now: float) -> None:
    stamp = moment_of(signed.timestamp)
    if stamp is None:
        raise _error(service, "malformed", "X-Amz-Date must be in the form YYYYMMDD'T'HHMMSS'Z'")
    if signed.timestamp[:8] != signed.credential.date:
        raise _error(
            service, "malformed", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date"
        )
    if signed.presigned:
        if now > stamp + signed.expires:
            raise _error(service, "expired")
        if stamp > now + SKEW:
            raise _error(service, "not yet")
    elif abs(now - stamp) > SKEW:
        raise _error(service, "skew")


def _check_covered(request: Request, signed: Signed) -> None:
    """S3 wants every x-amz-… header signed: whoever holds a presigned PUT must not make it a copy or another ACL by a
    header of their own. The payload's hash is part of what is signed wherever it stands."""
    for name, _ in request.headers.items():
        if name.startswith("x-amz-") and name not in signed.signed_headers and name != "x-amz-content-sha256":
            raise ServiceError(
                "AccessDenied",
                "There were headers present in the request which were not signed",
                status=403,
                fields={"HeadersNotSigned": name},
            )


@lru_cache(maxsize=64)
def moment_of(timestamp: str) -> float | None:
    """Unix seconds of ``20260101T120000Z``, None where it is none. A client's many requests of one second share it;
    strptime took a tenth of a signed call."""
    if not TIMESTAMP.fullmatch(timestamp):
        return None
    try:
        return datetime.datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None


async def _payload(request: Request, signed: Signed, service: str) -> tuple[Body, str]:
    """The body with its check, and the hash that is signed for it."""
    if signed.presigned and service == "s3":
        return request.body, request.headers.get("x-amz-content-sha256") or sigv4.UNSIGNED_PAYLOAD
    declared = request.headers.get("x-amz-content-sha256")
    if declared is None:
        if service == "s3":
            raise ServiceError(
                "InvalidRequest", "Missing required header for this request: x-amz-content-sha256", status=400
            )
        try:
            data = await request.body.read(MAX_SIGNED_BODY)
        except BodyTooLarge as problem:
            raise ServiceError("RequestEntityTooLargeException", str(problem), status=413) from problem
        return BytesBody(data), hashlib.sha256(data).hexdigest()
    if declared == sigv4.UNSIGNED_PAYLOAD or declared.startswith(STREAMING):
        return request.body, declared
    if len(declared) != 64:
        raise ServiceError(
            "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-… or a SHA-256", status=400
        )
    return HashedBody(request.body, declared, service), declared


class HashedBody:
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
        if not sigv4.same(found.hexdigest(), self._declared):
            raise _error(self._service, "wrong hash")

    async def read(self, limit: int | None = None) -> bytes:
        return await _read(self, limit)


def with_md5(request: Request, body: Body, service: str, operation: str) -> Body:
    """A document's Content-MD5 is checked here; that of a streamed object by whoever stores the stream."""
    declared = request.headers.get("content-md5") if service == "s3" else None
    if declared is None or models.operation_model(service, operation).has_streaming_input:
        return body
    return Md5Body(body, declared)


class Md5Body:
    """A body whose MD5 was declared (RFC 1864)."""

    def __init__(self, body: Body, declared: str) -> None:
        self._body = body
        self._declared = declared

    async def __aiter__(self) -> AsyncIterator[bytes]:
        found = hashlib.md5(usedforsecurity=False)
        async for chunk in self._body:
            found.update(chunk)
            yield chunk
        if base64.b64encode(found.digest()).decode() != self._declared.strip():
            raise ServiceError("BadDigest", "The Content-MD5 you specified did not match what we received.", status=400)

    async def read(self, limit: int | None = None) -> bytes:
        return await _read(self, limit)


class _ChunkSigner:
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
        text = string(self._signed.timestamp, self._signed.credential.scope, self._previous, of)
        self._previous = sigv4.signature(self._key, text)
        return sigv4.same(self._previous, given)


def _unchunked(request: Request, signer: _ChunkSigner | None, service: str, trailers: dict[str, str]) -> Body:
    declared = request.headers.get("x-amz-content-sha256") or ""
    if not declared.startswith(STREAMING):
        return request.body
    unsigned = declared.startswith("STREAMING-UNSIGNED")
    if declared not in {
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    }:
        raise ServiceError("NotImplemented", f"{declared[:80]} is not supported.", status=501)
    length = request.headers.get("x-amz-decoded-content-length")
    if length is None or not LENGTH.fullmatch(length):
        raise ServiceError("MissingContentLength", "You must provide the Content-Length HTTP header.", status=411)
    if unsigned or signer is None:
        decoder = Decoder(None)
    else:
        trailing = declared.endswith("-TRAILER")
        decoder = Decoder(signer.chunk, signer.trailer if trailing else None)
    return ChunkedBody(request.body, decoder, int(length), service, trailers)


class ChunkedBody:
    """The content of an ``aws-chunked`` body. Trailers are filled in at its end."""

    def __init__(self, body: Body, decoder: Decoder, length: int, service: str, trailers: dict[str, str]) -> None:
        self._body = body
        self._decoder = decoder
        self._length = length
        self._service = service
        self._trailers = trailers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decoder = self._decoder
        try:
            async for data in self._body:
                for chunk in decoder.feed(data):
                    yield chunk
            decoder.finish()
        except BadChunkSignature as problem:
            raise _error(self._service, "wrong signature") from problem
        except MalformedChunk as problem:
            raise ServiceError(
                "InvalidRequest", f"The aws-chunked body is malformed: {problem}", status=400
            ) from problem
        if decoder.size != self._length:
            raise ServiceError(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the x-amz-decoded-content-length header",
                status=400,
            )
        self._trailers.update(decoder.trailers)

    async def read(self, limit: int | None = None) -> bytes:
        return await _read(self, limit)


async def _read(body: HashedBody | ChunkedBody | Md5Body, limit: int | None) -> bytes:
    parts, size = [], 0
    async for chunk in body:
        size += len(chunk)
        if limit is not None and size > limit:
            raise BodyTooLarge(f"more than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


# what went wrong: (code, message, status) for S3, and for every other service
_S3 = {
    "malformed": ("AuthorizationHeaderMalformed", "The authorization header is malformed", 400),
    "unknown key": ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403),
    "wrong signature": (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        403,
    ),
    "wrong hash": (
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        400,
    ),
    "skew": (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        403,
    ),
    "expired": ("AccessDenied", "Request has expired", 403),
    "not yet": ("AccessDenied", "Request is not valid yet", 403),
    "session over": ("ExpiredToken", "The provided token has expired.", 400),
}
_OTHERS = {
    "malformed": ("IncompleteSignatureException", "The request signature does not conform to AWS standards", 400),
    "unknown key": ("UnrecognizedClientException", "The security token included in the request is invalid.", 403),
    "wrong signature": (
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method.",
        403,
    ),
    "wrong hash": ("InvalidSignatureException", "The body does not match the signed hash.", 403),
    "skew": (
        "InvalidSignatureException",
        "Signature expired or not yet current: check the clock of this machine.",
        403,
    ),
    "expired": ("InvalidSignatureException", "Signature expired", 403),
    "not yet": ("InvalidSignatureException", "Signature not yet current", 403),
    "session over": ("ExpiredTokenException", "The security token included in the request is expired", 403),
}


# the query protocol's names for what the others call …Exception
_QUERY = {
    "IncompleteSignatureException": "IncompleteSignature",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "ExpiredTokenException": "ExpiredToken",
}


def _error(service: str, what: str, detail: str = "") -> ServiceError:
    code, message, status = (_S3 if service == "s3" else _OTHERS)[what]
    if service not in UNMODELLED and models.protocol(service) == "query":
        code = _QUERY[code]
    return ServiceError(code, f"{message}; {detail}" if detail else message, status=status)
