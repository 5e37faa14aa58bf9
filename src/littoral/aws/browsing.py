"""What browsers send to S3 without AWS's tools: preflights, forms, and requests to a bucket's website.

The API that takes them has ``preflight``, ``post_object`` and ``website`` beside its operations; where one has none of
these, nothing is here. Who asks is known by the form's signature, or is nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from littoral.aws.auth import ANONYMOUS, signer_of_form
from littoral.aws.escaping import escape
from littoral.aws.identity import Identity
from littoral.aws.output import response_of
from littoral.aws.recognise import virtual_path
from littoral.aws.service import Call, Output, Principal, ServiceError, Signing
from littoral.aws.wire.plan import plan_of
from littoral.net.message import Answer, Handler, Headers, Request, Response

FORM = "multipart/form-data"
WEBSITE_HOST = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3-website[.-][a-z0-9.-]+(?::\d+)?$")


class Visited(Protocol):
    """S3's API, as far as browsers go."""

    def preflight(self, request: Request, path: str) -> None: ...

    async def post_object(
        self, request: Request, path: str, admitted: Callable[[Mapping[str, str]], Call]
    ) -> Response: ...

    async def website(self, call: Call, bucket: str, path: str) -> Output: ...


class Begun(Protocol):
    """A request that is counted, and answered in S3's words."""

    request_id: str

    def observed(self, response: Response) -> Response: ...

    def refused(self, problem: Exception) -> Response: ...


class Browsing:
    """``begin`` starts a request, ``call`` makes a call of it: (request, operation, principal, request id)."""

    def __init__(
        self,
        api: Visited,
        identity: Identity,
        begin: Callable[[Request], Begun],
        call: Callable[[Request, str, Principal, str], Call],
    ) -> None:
        self._api = api
        self._identity = identity
        self._begin = begin
        self._call = call

    def handler(self, request: Request) -> Handler | None:
        """For what a browser sends; None for a call by AWS's tools."""
        if request.method == "OPTIONS":
            return self._preflight
        if request.method == "POST":
            return self._form if (request.headers.get("content-type") or "").startswith(FORM) else None
        host = request.host
        return self._website if ".s3-website" in host and WEBSITE_HOST.match(host.lower()) else None

    def _preflight(self, request: Request) -> Response:
        """Whether a page of another origin may reach a bucket."""
        begun = self._begin(request)
        try:
            self._api.preflight(request, virtual_path(request))
        except ServiceError as problem:
            return begun.refused(problem)
        return begun.observed(Response(200))

    async def _form(self, request: Request) -> Answer:
        begun = self._begin(request)

        def admitted(fields: Mapping[str, str]) -> Call:
            call = self._call(request, "PostObject", ANONYMOUS, begun.request_id)
            call.signing = Signing("awsaccesskeyid" in fields and "x-amz-algorithm" not in fields, of_form=True)
            call.principal = signer_of_form(fields, self._identity, call.now)
            return call

        try:
            return begun.observed(await self._api.post_object(request, virtual_path(request), admitted))
        except Exception as problem:  # noqa: BLE001 - whatever it is, the caller gets the service's own error
            return begun.refused(problem)

    async def _website(self, request: Request) -> Answer:
        """Errors are pages, for people."""
        begun = self._begin(request)
        found = WEBSITE_HOST.match(request.host.lower())
        assert found is not None
        call = self._call(
            request, "HeadObject" if request.method == "HEAD" else "GetObject", ANONYMOUS, begun.request_id
        )
        try:
            if request.method not in ("GET", "HEAD"):
                raise ServiceError("MethodNotAllowed", "The specified method is not allowed here.", status=405)
            output = await self._api.website(call, found["bucket"], request.raw_path)
            return begun.observed(response_of("s3", plan_of("s3", call.operation), output, begun.request_id))
        except Exception as problem:  # noqa: BLE001 - as in ``_form``
            refused = begun.refused(problem)
            return _page(refused, problem) if isinstance(problem, ServiceError) and refused.status >= 400 else refused


def _page(response: Response, problem: ServiceError) -> Response:
    title = f"{response.status} {HTTPStatus(response.status).phrase}"
    told: dict[str, Any] = {"Code": problem.code, "Message": problem.message, **problem.fields}
    lines = "".join(f"<li>{escape(name)}: {escape(str(value))}</li>\n" for name, value in told.items())
    page = (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{lines}</ul>\n</body>\n</html>\n"
    )
    headers = Headers([pair for pair in response.headers.raw if pair[0] != b"content-type"])
    headers.set("content-type", "text/html; charset=utf-8")
    return Response(response.status, headers, page.encode())


def browsing(
    api: object,
    identity: Identity,
    begin: Callable[[Request], Begun],
    call: Callable[[Request, str, Principal, str], Call],
) -> Browsing | None:
    return Browsing(api, identity, begin, call) if hasattr(api, "post_object") else None  # type: ignore[arg-type]
