"""Authentication of a request by Signature Version 4 (and 4A), and the body that goes with it."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from littoral.aws.asked import Asked
from littoral.aws.bodies import STREAMING, ChunkSigner, hashed, unchunked
from littoral.aws.identity import Identity
from littoral.aws.recognise import virtual_path
from littoral.aws.refusals import refusal
from littoral.aws.service import Principal, ServiceError
from littoral.aws.sessions import Expired
from littoral.aws.wire.plan import most_of
from littoral.net.message import Body, BodyTooLarge, BytesBody
from littoral.protocols import sigv2, sigv4
from littoral.protocols.sigv4 import Signed

SKEW = 15 * 60  # seconds a client's clock may be off
WEBSOCKETS = "iotdevicegateway"  # the service that AWS IoT's MQTT over WebSocket is signed for
ANONYMOUS = Principal("anonymous", "")
TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")


@dataclass(slots=True)
class Authenticated:
    """Who calls, and the request's body with its checks."""

    principal: Principal
    body: Body
    trailers: dict[str, str]


async def authenticate(asked: Asked, service: str, identity: Identity, now: float) -> Authenticated:
    """Raises ServiceError in the words of S3 or of the other services."""
    found = authenticated(asked, service, identity, now)
    if found is None:
        request = asked.request
        try:
            request.body = BytesBody(await request.body.read(most_of(service)))
        except BodyTooLarge as problem:
            raise ServiceError("RequestEntityTooLargeException", str(problem), status=413) from problem
        found = authenticated(asked, service, identity, now)
        assert found is not None
    return found


def authenticated(asked: Asked, service: str, identity: Identity, now: float) -> Authenticated | None:
    """``authenticate`` without waiting: None where the signature covers the hash of a body that has yet to come."""
    if asked.malformed is not None:
        raise refusal(service, "malformed query" if asked.of_query else "malformed", asked.malformed)
    signed = asked.signed
    trailers: dict[str, str] = {}
    if signed is None:
        if service == "s3" and asked.second:
            principal = _second_version(asked, identity, now)
            return Authenticated(principal, unchunked(asked, None, service, trailers), trailers)
        return Authenticated(ANONYMOUS, unchunked(asked, None, service, trailers), trailers)
    if b"host" not in signed.claim.headers.names:
        raise refusal(service, "malformed", "'Host' must be a signed header.")
    access_key = signed.claim.credential.access_key
    if not identity.verify:
        return Authenticated(identity.principal(access_key), unchunked(asked, None, service, trailers), trailers)
    _check_time(signed, service, now)
    if service == "s3":
        _check_covered(asked, signed)
    secret = _secret(asked, signed, service, identity, now)
    declared = _declared(asked, signed, service)
    body, payload_hash = asked.request.body, declared
    if payload_hash is None:
        if not isinstance(body, BytesBody):
            return None
        payload_hash = hashlib.sha256(body.data).hexdigest()
    if not _genuine(asked, signed, secret, payload_hash):
        raise refusal(service, "wrong signature")
    if payload_hash.startswith(STREAMING):
        body = unchunked(asked, ChunkSigner(_key(signed, secret), signed), service, trailers)
    elif declared is not None and len(declared) == 64 and not (signed.presigned and service == "s3"):
        body = hashed(body, declared, service)
    return Authenticated(identity.principal(access_key), body, trailers)


def signer_of_form(fields: Mapping[str, str], identity: Identity, now: float) -> Principal:
    """Who signed the policy of a browser's form, by version 4 or 2; nobody where it has none. ``fields`` by lower-case
    name. Raises ServiceError."""
    policy = fields.get("policy")
    if policy is None:
        return ANONYMOUS
    name = "x-amz-signature" if "x-amz-algorithm" in fields else "signature"
    scope = fields.get("x-amz-credential", "")
    access_key = scope.partition("/")[0] if name == "x-amz-signature" else fields.get("awsaccesskeyid", "")
    if not access_key or name not in fields:
        message = "Bucket POST must contain a field named 'Signature'.  If it is specified, please check the order of"
        raise ServiceError("InvalidArgument", f"{message} the fields.", status=400)
    if not identity.verify:
        return identity.principal(access_key)
    secret = _known_secret(identity, access_key, fields.get("x-amz-security-token"), now)
    if name == "signature":
        expected = sigv2.signature(secret, policy)
    else:
        try:
            credential = sigv4.Credential.parse(scope)
        except sigv4.MalformedSignature as problem:
            raise refusal("s3", "malformed", str(problem)) from None
        key = sigv4.signing_key(secret, credential.date, credential.region, credential.service)
        expected = sigv4.signature(key, policy)
    if not sigv4.same(expected, fields[name]):
        raise refusal("s3", "wrong signature")
    return identity.principal(access_key)


def _second_version(asked: Asked, identity: Identity, now: float) -> Principal:
    """A URL that was signed by version 2: boto3's own choice for us-east-1."""
    try:
        claim = sigv2.parse_presigned(asked.parts.query)
    except sigv2.Malformed as problem:
        raise ServiceError("AccessDenied", f"{problem}", status=403) from problem
    if not identity.verify:
        return identity.principal(claim.access_key)
    if now > claim.expires:
        raise refusal("s3", "expired")
    request = asked.request
    fields = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in asked.parts.fields.items()}
    queried = {name.lower(): value for name, value in asked.parts.query}
    fields |= {name: value for name, value in queried.items() if name.startswith(("x-amz-", "content-"))}
    secret = _known_secret(identity, claim.access_key, fields.get("x-amz-security-token"), now)
    path = virtual_path(request)
    if path.count("/") == 1:
        path += "/"  # a bucket's, as it would be with the bucket in the host's name
    text = sigv2.string_to_sign(request.method, path, asked.parts.query, fields, str(claim.expires))
    if not sigv4.same(sigv2.signature(secret, text), claim.signature):
        raise refusal("s3", "wrong signature")
    return identity.principal(claim.access_key)


def _check_time(signed: Signed, service: str, now: float) -> None:
    stamp = moment_of(signed.timestamp)
    if stamp is None:
        raise refusal(service, "malformed", "X-Amz-Date must be in the form YYYYMMDD'T'HHMMSS'Z'")
    if signed.timestamp[:8] != signed.claim.credential.date:
        raise refusal(
            service, "malformed", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date"
        )
    if signed.presigned:
        if now > stamp + signed.expires:
            raise refusal(service, "expired")
        if stamp > now + SKEW:
            raise refusal(service, "not yet")
    elif abs(now - stamp) > SKEW:
        raise refusal(service, "skew")


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


def _check_covered(asked: Asked, signed: Signed) -> None:
    """S3 wants every x-amz-… header signed: whoever holds a presigned PUT must not make it a copy or another ACL by a
    header of their own. The payload's hash is part of what is signed wherever it stands."""
    names, beside = signed.claim.headers.names, asked.from_query | {b"x-amz-content-sha256"}
    for name in asked.parts.fields:
        if name.startswith(b"x-amz-") and name not in names and name not in beside:
            raise ServiceError(
                "AccessDenied",
                "There were headers present in the request which were not signed",
                status=403,
                fields={"HeadersNotSigned": name.decode("latin-1")},
            )


def _secret(asked: Asked, signed: Signed, service: str, identity: Identity, now: float) -> str:
    token = asked.field(b"x-amz-security-token") or signed.token
    return _known_secret(identity, signed.claim.credential.access_key, token, now, service)


def _known_secret(identity: Identity, access_key: str, token: str | None, now: float, service: str = "s3") -> str:
    """Raises ServiceError in the service's words."""
    try:
        secret = identity.secret_of(access_key, token, now)
    except Expired:
        raise refusal(service, "session over") from None
    if secret is None:
        raise refusal(service, "unknown key")
    return secret


def _declared(asked: Asked, signed: Signed, service: str) -> str | None:
    """The hash that the request says its payload has; None where it must be found."""
    declared = asked.field(b"x-amz-content-sha256")
    if signed.presigned and service == "s3":
        return declared or sigv4.UNSIGNED_PAYLOAD
    if declared is None:
        if service == "s3":
            raise ServiceError(
                "InvalidRequest", "Missing required header for this request: x-amz-content-sha256", status=400
            )
        return None
    if len(declared) != 64 and declared != sigv4.UNSIGNED_PAYLOAD and not declared.startswith(STREAMING):
        raise ServiceError(
            "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-… or a SHA-256", status=400
        )
    return declared


def _genuine(asked: Asked, signed: Signed, secret: str, payload_hash: str) -> bool:
    """Whether this secret's holder signed this request."""
    if signed.presigned and signed.token is not None and signed.claim.credential.service == WEBSOCKETS:
        # There the SDKs add the session token when they have signed; a signature may cover it all the same.
        without = [pair for pair in asked.parts.query if pair[0] != "X-Amz-Security-Token"]
        if _signs(asked, signed, secret, payload_hash, without):
            return True
    return _signs(asked, signed, secret, payload_hash, asked.parts.query)


def _signs(asked: Asked, signed: Signed, secret: str, payload_hash: str, query: Collection[tuple[str, str]]) -> bool:
    request, claim = asked.request, signed.claim
    canonical = sigv4.canonical_request(
        request.method,
        sigv4.canonical_path(request.raw_path, claim.credential.service),
        sigv4.canonical_query(query) if query else "",
        sigv4.canonical_headers(asked.parts.fields, claim.headers),
        claim.headers,
        payload_hash,
    )
    if signed.asymmetric:
        return _genuine_asymmetric(signed, secret, canonical)
    return sigv4.same(sigv4.signature_of(canonical, secret, claim.credential, signed.timestamp), signed.signature)


def _key(signed: Signed, secret: str) -> bytes:
    credential = signed.claim.credential
    return sigv4.signing_key(secret, credential.date, credential.region, credential.service)


def _genuine_asymmetric(signed: Signed, secret: str, canonical: str) -> bool:
    """Signature Version 4A, which covers any region: ECDSA with a key made of the secret."""
    text = sigv4.string_to_sign(signed.timestamp, signed.claim.scope, canonical, sigv4.ASYMMETRIC).encode()
    try:
        _public_key(signed.claim.credential.access_key, secret).verify(
            bytes.fromhex(signed.signature), text, ec.ECDSA(hashes.SHA256())
        )
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _public_key(access_key: str, secret: str) -> ec.EllipticCurvePublicKey:
    return ec.derive_private_key(sigv4.private_scalar(access_key, secret), ec.SECP256R1()).public_key()
