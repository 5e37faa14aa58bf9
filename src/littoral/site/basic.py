"""Requests that are signed, or have an access key by HTTP's Basic scheme, for clients that sign nothing."""

from __future__ import annotations

import base64
import hmac

from littoral.aws.identity import Identity
from littoral.aws.service import Principal, ServiceError
from littoral.aws.signedonly import Authenticate
from littoral.net.message import Request


def signed_or_basic(identity: Identity, authenticate: Authenticate) -> Authenticate:
    async def decide(request: Request) -> Principal:
        scheme, _, given = (request.headers.get("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            principal = await authenticate(request)
            if principal.kind == "anonymous" and identity.verify:
                raise ServiceError("MissingAuthenticationToken", "a signature, or an access key is needed", status=401)
            return principal
        try:
            name, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            name, secret = "", ""
        known = identity.secret_of(name)
        if known is None or not hmac.compare_digest(known.encode(), secret.encode()):
            raise ServiceError(
                "UnrecognizedClientException", "the access key is not known or its secret another", status=401
            )
        principal = identity.principal(name)
        if principal.limited or principal.account != identity.account:
            raise ServiceError("AccessDeniedException", "this key may use S3, as bucket policies grant", status=403)
        return principal

    return decide
