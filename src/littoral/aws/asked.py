"""A request as the steps of the wire look at it: its header fields, its query, and who it says has signed it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from littoral.aws.wire.parts import Parts
from littoral.net.message import Request
from littoral.protocols import sigv4
from littoral.protocols.sigv4 import MalformedSignature, Signed

_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_PRESIGNED = frozenset(("X-Amz-Signature", "X-Amz-Algorithm"))


@dataclass(slots=True)
class Asked:
    """Nothing of it is proven yet. ``malformed`` says what is wrong with a signature that cannot be read."""

    request: Request
    parts: Parts
    signed: Signed | None = None
    malformed: str | None = None
    of_query: bool = False  # the signature is a presigned URL's

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
        except MalformedSignature as problem:
            asked.malformed = str(problem)
        return asked

    def field(self, name: bytes) -> str | None:
        value = self.parts.fields.get(name)
        return None if value is None else value.decode("latin-1")

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
