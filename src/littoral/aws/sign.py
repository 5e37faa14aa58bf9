"""Signing for our own clients: the edge towards an S3 origin, a place towards the place above it."""

from __future__ import annotations

import datetime
import hashlib
from urllib.parse import urlencode, urlsplit

from littoral.net.message import Headers
from littoral.protocols import sigv4

UNSIGNED = frozenset((b"connection", b"user-agent", b"expect", b"transfer-encoding"))


def sign(
    method: str,
    url: str,
    headers: Headers,
    *,
    access_key: str,
    secret: str,
    service: str,
    region: str,
    now: float,
    payload: bytes | None = b"",
    payload_hash: str = "",
    token: str | None = None,
) -> None:
    """Add Host, X-Amz-Date, X-Amz-Content-Sha256 and Authorization to ``headers``.

    ``token`` is that of temporary credentials. ``payload`` None leaves the body unsigned (S3 only); ``payload_hash``
    stands for a body that was hashed elsewhere. Every header that is there is signed, hop-by-hop ones apart.
    """
    parts = urlsplit(url)
    stamp = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    if not payload_hash:
        payload_hash = sigv4.UNSIGNED_PAYLOAD if payload is None else hashlib.sha256(payload).hexdigest()
    headers.set("host", headers.get("host") or parts.netloc)
    headers.set("x-amz-date", stamp)
    if token:
        headers.set("x-amz-security-token", token)
    headers.set("x-amz-content-sha256", payload_hash)
    headers.remove("authorization")
    fields = sigv4.fields_of(headers.raw)
    signed = sigv4.SignedHeaders.of(sorted(fields.keys() - UNSIGNED))
    credential = sigv4.Credential(access_key, stamp[:8], region, service)
    canonical = sigv4.canonical_request(
        method,
        sigv4.canonical_path(parts.path, service),
        sigv4.canonical_query(sigv4.split_query(parts.query)),
        sigv4.canonical_headers(fields, signed),
        signed,
        payload_hash,
    )
    key = sigv4.signing_key(secret, credential.date, region, service)
    signature = sigv4.signature(key, sigv4.string_to_sign(stamp, credential.scope, canonical))
    headers.set(
        "authorization",
        f"{sigv4.ALGORITHM} Credential={access_key}/{credential.scope}, "
        f"SignedHeaders={signed.text}, Signature={signature}",
    )


def presign(url: str, *, access_key: str, secret: str, region: str, now: float, seconds: int) -> str:
    """The URL of an object by which anybody may get it for so long."""
    parts = urlsplit(url)
    stamp = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    credential = sigv4.Credential(access_key, stamp[:8], region, "s3")
    query = [
        ("X-Amz-Algorithm", sigv4.ALGORITHM),
        ("X-Amz-Credential", f"{access_key}/{credential.scope}"),
        ("X-Amz-Date", stamp),
        ("X-Amz-Expires", str(seconds)),
        ("X-Amz-SignedHeaders", "host"),
    ]
    signed = sigv4.SignedHeaders.of([b"host"])
    canonical = sigv4.canonical_request(
        "GET",
        sigv4.canonical_path(parts.path, "s3"),
        sigv4.canonical_query(query),
        sigv4.canonical_headers({b"host": parts.netloc.encode()}, signed),
        signed,
        sigv4.UNSIGNED_PAYLOAD,
    )
    key = sigv4.signing_key(secret, credential.date, region, "s3")
    signature = sigv4.signature(key, sigv4.string_to_sign(stamp, credential.scope, canonical))
    return f"{url}?{urlencode(query)}&X-Amz-Signature={signature}"
