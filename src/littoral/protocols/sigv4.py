"""Signature Version 4: what is signed, and with which key. Pure functions over text and bytes.

Source: "Create a signed AWS API request" and "Authenticating Requests (AWS Signature Version 4)" of the S3 API
reference. S3 differs in two ways: the path is signed as it stands on the wire (not encoded a second time, not
normalised), and the payload's hash is a header of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_plus

ALGORITHM = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"  # Signature Version 4A: no region in the scope, a key pair made of the secret
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SAFE = "-_.~"
EXPIRES = re.compile("[0-9]{1,9}")
# an Authorization header as nearly all clients write it, up to its signature
_USUAL = re.compile(ALGORITHM + r" Credential=([^,=\s]+), ?SignedHeaders=([^,=\s]+), ?", re.ASCII)


_TAB, _BLANK = b"\t "  # to be looked for as numbers: bytes within bytes cost ten times as much
_LOOSE = re.compile(rb"[: ] | \n")  # a value may begin or end with a blank, or have two in a row
_new = tuple.__new__  # of a named tuple, without its own function


class MalformedSignature(ValueError):
    """The Authorization header or the query parameters are not of the form; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Credential:
    """``AKID/20260101/us-east-1/s3/aws4_request``; without a region where the signature is asymmetric."""

    access_key: str
    date: str
    region: str
    service: str

    @classmethod
    def parse(cls, text: str) -> Credential:
        """Raises MalformedSignature."""
        parts = text.rsplit("/", 4)
        if len(parts) != 5 or parts[4] != "aws4_request" or len(parts[1]) != 8 or not parts[1].isdigit():
            raise MalformedSignature("Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request")
        return cls(*parts[:4])

    @classmethod
    def parse_asymmetric(cls, text: str) -> Credential:
        """Raises MalformedSignature."""
        parts = text.rsplit("/", 3)
        if len(parts) != 4 or parts[3] != "aws4_request" or len(parts[1]) != 8 or not parts[1].isdigit():
            raise MalformedSignature("Credential must be KEY/YYYYMMDD/SERVICE/aws4_request")
        return cls(parts[0], parts[1], "", parts[2])

    @property
    def scope(self) -> str:
        return "/".join(part for part in (self.date, self.region, self.service, "aws4_request") if part)


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """The headers that a signature covers, in its order."""

    names: tuple[bytes, ...]
    text: str  # as it is signed: "host;x-amz-date"
    values: Callable[[Mapping[bytes, bytes]], Any]  # of them, to be put into ``lines``; KeyError where one is not there
    lines: bytes  # b"host:%b\nx-amz-date:%b\n"

    @classmethod
    def of(cls, names: Iterable[bytes]) -> SignedHeaders:
        found = tuple(names)
        lines = b"".join([name.replace(b"%", b"%%") + b":%b\n" for name in found])
        return cls(found, b";".join(found).decode(), itemgetter(*found), lines)


@dataclass(frozen=True, slots=True)
class Claim:
    """What all requests of one client say alike for a day: who signs, and which headers."""

    credential: Credential
    headers: SignedHeaders
    scope: str

    @classmethod
    def of(cls, credential: Credential, signed_headers: str) -> Claim:
        return cls(credential, SignedHeaders.of(signed_headers.encode().split(b";")), credential.scope)


class Signed(NamedTuple):
    """What a request says of its own signature. Made for every call, and a tuple is made quickest."""

    claim: Claim
    signature: str
    timestamp: str  # 20260101T120000Z
    presigned: bool = False
    expires: int = 0  # seconds, of a presigned URL
    token: str | None = None
    asymmetric: bool = False


def parse_authorization(header: str, timestamp: str) -> Signed:
    """An Authorization header. Raises MalformedSignature."""
    start, _, signature = header.rpartition("Signature=")
    if len(signature) == 64:
        claim = _usual_claim(start)
        if claim is not None:
            return _new(Signed, (claim, signature, timestamp, False, 0, None, False))
    algorithm, _, rest = header.partition(" ")
    if algorithm not in {ALGORITHM, ASYMMETRIC}:
        raise MalformedSignature(f"Unsupported algorithm {algorithm[:40]!r}")
    fields = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if equals:
            fields[name] = value
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not fields.get(name)]
    if missing:
        raise MalformedSignature(f"Authorization header requires {' and '.join(map(repr, missing))} parameter.")
    asymmetric = algorithm == ASYMMETRIC
    credential = (Credential.parse_asymmetric if asymmetric else Credential.parse)(fields["Credential"])
    claim = Claim.of(credential, fields["SignedHeaders"])
    return Signed(claim, fields["Signature"], timestamp, asymmetric=asymmetric)


@lru_cache(maxsize=256)
def _usual_claim(start: str) -> Claim | None:
    """A client writes the same one all day."""
    usual = _USUAL.fullmatch(start)
    return None if usual is None else Claim.of(Credential.parse(usual[1]), usual[2])


def parse_presigned(query: Sequence[tuple[str, str]]) -> Signed:
    """The parameters of a presigned URL. Raises MalformedSignature."""
    fields = dict(query)
    names = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Date", "X-Amz-Signature")
    missing = [name for name in names if not fields.get(name)]
    if missing:
        raise MalformedSignature(f"Query-string authentication requires {', '.join(missing)}")
    if fields["X-Amz-Algorithm"] != ALGORITHM:
        raise MalformedSignature("X-Amz-Algorithm only supports AWS4-HMAC-SHA256")
    expires = fields.get("X-Amz-Expires", "604800")
    if not EXPIRES.fullmatch(expires) or int(expires) > 604800:
        raise MalformedSignature("X-Amz-Expires must be a number of seconds from 0 to 604800")
    return Signed(
        Claim.of(Credential.parse(fields["X-Amz-Credential"]), fields["X-Amz-SignedHeaders"]),
        fields["X-Amz-Signature"],
        fields["X-Amz-Date"],
        presigned=True,
        expires=int(expires),
        token=fields.get("X-Amz-Security-Token"),
    )


def split_query(query_string: str) -> list[tuple[str, str]]:
    """Name and value pairs, decoded. "+" is a space: AWS's SDK for Java and Rust's object_store write one so, and sign
    ``%20``, which is what AWS makes of it (mhart/aws4fetch #83, ceph/ceph #35551)."""
    pairs = []
    for part in query_string.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def canonical_query(pairs: Collection[tuple[str, str]]) -> str:
    encoded = sorted(
        (quote(name, safe=SAFE), quote(value, safe=SAFE)) for name, value in pairs if name != "X-Amz-Signature"
    )
    return "&".join([f"{name}={value}" for name, value in encoded])


@lru_cache(maxsize=1024)
def canonical_path(raw_path: str, service: str) -> str:
    if service in {"s3", "s3-object-lambda"}:
        return raw_path or "/"
    path = posixpath.normpath(raw_path) if raw_path else "/"
    if path.startswith("//"):
        path = path[1:]
    if raw_path.endswith("/") and not path.endswith("/"):
        path += "/"
    return quote(path, safe="/" + SAFE)


def fields_of(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; the values of one that comes more than once are one, as they are signed."""
    found = dict(headers)
    if len(found) != len(headers):
        found.clear()
        for name, value in headers:
            found[name] = b"%b,%b" % (found[name], value.strip()) if name in found else value.strip()
    return found


def canonical_headers(fields: Mapping[bytes, bytes], signed: SignedHeaders) -> str:
    """The block of signed headers; a header that is signed but not there is signed as empty, and white space of a value
    as one blank."""
    try:
        text: bytes = signed.lines % signed.values(fields)
    except KeyError:
        text = b"\t"
    if _TAB not in text and text.isascii() and not (_BLANK in text and _LOOSE.search(text)):
        return text.decode()
    values = [" ".join(fields.get(name, b"").decode("latin-1").split()) for name in signed.names]
    return "".join([f"{name}:{value}\n" for name, value in zip(signed.text.split(";"), values, strict=True)])


def canonical_request(
    method: str, path: str, query: str, headers: str, signed: SignedHeaders, payload_hash: str
) -> str:
    return f"{method}\n{path}\n{query}\n{headers}\n{signed.text}\n{payload_hash}"


def string_to_sign(timestamp: str, scope: str, canonical: str, algorithm: str = ALGORITHM) -> str:
    return f"{algorithm}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


@lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = _hmac(b"AWS4" + secret.encode(), date)
    for part in (region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


@lru_cache(maxsize=256)
def private_scalar(access_key: str, secret: str) -> int:
    """Signature Version 4A: the private key on P-256 that a secret stands for (NIST SP 800-108, counter mode)."""
    for counter in range(1, 255):
        context = access_key.encode() + bytes([counter])
        fixed = (1).to_bytes(4, "big") + ASYMMETRIC.encode() + b"\0" + context + (256).to_bytes(4, "big")
        found = int.from_bytes(hmac.digest(b"AWS4A" + secret.encode(), fixed, "sha256"), "big")
        if found <= P256_ORDER - 2:
            return found + 1
    raise MalformedSignature("no key can be made of this secret")


def signature(key: bytes, text: str) -> str:
    """HMAC-SHA-256 as RFC 2104 writes it, from hashes that have the key already: a third of ``hmac.digest``, for one
    key signs a client's whole day."""
    inner, outer = _keyed(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(text.encode())
    outer.update(inner.digest())
    return outer.hexdigest()


def signature_of(canonical: str, secret: str, credential: Credential, timestamp: str) -> str:
    """What ``signature`` gives for the string to sign, of which all requests of one client in one second have all but
    the last line: that part is hashed once."""
    inner, outer = _begun(secret, credential.date, credential.region, credential.service, timestamp)
    inner, outer = inner.copy(), outer.copy()
    inner.update(hashlib.sha256(canonical.encode()).hexdigest().encode())
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=256)
def _begun(secret: str, date: str, region: str, service: str, timestamp: str) -> tuple[hashlib._Hash, hashlib._Hash]:
    inner, outer = _keyed(signing_key(secret, date, region, service))
    inner = inner.copy()
    scope = Credential("", date, region, service).scope
    inner.update(f"{ALGORITHM}\n{timestamp}\n{scope}\n".encode())
    return inner, outer


@lru_cache(maxsize=256)
def _keyed(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    padded = (key if len(key) <= 64 else hashlib.sha256(key).digest()).ljust(64, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in padded)), hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))


def chunk_string_to_sign(timestamp: str, scope: str, previous: str, chunk_hash: str) -> str:
    """STREAMING-AWS4-HMAC-SHA256-PAYLOAD: each chunk signs the one before."""
    return f"AWS4-HMAC-SHA256-PAYLOAD\n{timestamp}\n{scope}\n{previous}\n{EMPTY_SHA256}\n{chunk_hash}"


def trailer_string_to_sign(timestamp: str, scope: str, previous: str, trailer_hash: str) -> str:
    return f"AWS4-HMAC-SHA256-TRAILER\n{timestamp}\n{scope}\n{previous}\n{trailer_hash}"


def same(one: str, other: str) -> bool:
    """Comparison in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
