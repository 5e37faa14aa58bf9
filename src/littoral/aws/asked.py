"""A request as the steps of the wire look at it: its header fields, its query, and who it says has signed it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from littoral.aws.service import BY_HEADER, ServiceError, Signing
from littoral.aws.wire.parts import Parts
from littoral.net.message import Headers, Request
from littoral.protocols import sigv2, sigv4
from littoral.protocols.sigv4 import MalformedSignature, Signed

_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_PRESIGNED = frozenset(("X-Amz-Signature", "X-Amz-Algorithm"))
_OF_SIGNATURES = frozenset(
    f"x-amz-{name}"
    for name in "algorithm credential date expires signedheaders signature security-token content-sha256".split()
)
_OF_SECOND_VERSION = frozenset(("content-type", "content-md5"))
_CHECKSUM = re.compile(r"x-amz-sdk-checksum-|x-amz-checksum-(?!mode|algorithm|type)")
_FIELD = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(slots=True)
class Asked:
    """Nothing of it is proven yet. ``malformed`` says what is wrong with a signature that cannot be read."""

    request: Request
    parts: Parts
    signed: Signed | None = None
    malformed: str | None = None
    of_query: bool = False  # the signature is a presigned URL's
    second: bool = False  # it is of version 2, which only S3's URLs have
    from_query: frozenset[bytes] = frozenset()  # the fields that the URL brought, which its signature covers

    @classmethod
    def of(cls, request: Request) -> Asked:
        query = sigv4.split_query(request.query_string) if "?" in request.target else []
        fields = sigv4.fields_of(request.headers.raw)
        asked = cls(request, Parts(fields, query, {}, {}))
        header = fields.get(b"authorization")
        try:
            if header is not None:
                date = fields.get(b"x-amz-date", b"")
                asked.signed = sigv4.parse_authorization(header.decode("latin-1"), date.decode("latin-1"))
            elif query and any(name in _PRESIGNED for name, _ in query):
                asked.of_query = True
                asked.signed = sigv4.parse_presigned(query)
            elif query:
                asked.second = sigv2.is_claimed(query)
        except MalformedSignature as problem:
            asked.malformed = str(problem)
        return asked

    def field(self, name: bytes) -> str | None:
        value = self.parts.fields.get(name)
        return None if value is None else value.decode("latin-1")

    def take_fields_of_query(self) -> None:
        """A URL that is signed ahead for S3 may have header fields in its query: boto3's of version 2 has all that S3
        asks for, those of AWS's other SDKs what they can spare their users. They stand for those of the request,
        checksums of the content apart, as at AWS: its SDK for JavaScript states that of no bytes, whoever uploads.
        Raises ServiceError for what could not have come in a header."""
        if not (self.second or self.of_query):
            return
        found: dict[bytes, bytes] = {}
        for name, value in self.parts.query:
            field = name.lower()
            meant = field.startswith("x-amz-") and field not in _OF_SIGNATURES and not _CHECKSUM.match(field)
            if not meant and not (self.second and field in _OF_SECOND_VERSION):
                continue
            if not _FIELD.fullmatch(field) or _UNSENDABLE.search(value):
                raise ServiceError("InvalidArgument", f"{name[:100]!a} is not a header field of this value", status=400)
            found[field.encode()] = value.strip().encode()
        if found:
            own = [pair for pair in self.request.headers.raw if pair[0] not in found]
            self.request.headers = Headers([*own, *found.items()])
            self.parts.fields = sigv4.fields_of(self.request.headers.raw)
            self.from_query = frozenset(found)

    @property
    def signing(self) -> Signing:
        return Signing(self.second, of_query=True) if self.second or self.of_query else BY_HEADER

    @property
    def scope(self) -> str | None:
        """The signing name of the request's credential, None where it is not signed. A signature that cannot be read
        may still say which service is to refuse it."""
        if self.signed is not None:
            return self.signed.claim.credential.service
        header = self.field(b"authorization") or ""
        found = _CREDENTIAL.search(header)
        text = found[1] if found else dict(self.parts.query).get("X-Amz-Credential", "")
        length = 4 if header.startswith(sigv4.ASYMMETRIC) else 5  # without a region
        parts = text.rsplit("/", length - 1)
        return parts[-2] if len(parts) == length else None
