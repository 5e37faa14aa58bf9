"""Addresses of a place's own, beside its APIs: for requests that an access key signed, and no others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from littoral.aws.service import Principal, ServiceError
from littoral.net.message import Handler, Request, Response, json_response

Authenticate = Callable[[Request], Awaitable[Principal]]


def signed_only(authenticate: Authenticate, answer: Callable[[Request], Awaitable[Response]]) -> Handler:
    """``answer`` is asked for who signed well. Refusals are told in JSON."""

    async def handle(request: Request) -> Response:
        try:
            principal = await authenticate(request)
            if principal.kind != "key":
                raise ServiceError("AccessDenied", "This address is for signed requests.", status=403)
            return await answer(request)
        except ServiceError as refused:
            return json_response(refused.status or 403, {"code": refused.code, "message": refused.message})

    return handle
