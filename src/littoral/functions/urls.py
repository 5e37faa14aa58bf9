"""Function URLs: which function a host name stands for, who may call it, and one call from request to response.

Owns: ``http://<url-id>.lambda-url.<region>.localhost:<port>/``; names under ``localhost`` lead to loopback in curl and
in browsers. What an event and an answer look like is the matter of ``urlevent``.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from littoral.aws.invoke import InvokeResult
from littoral.aws.service import Principal, ServiceError
from littoral.functions.catalog import Catalog
from littoral.functions.lineage import trace_of
from littoral.functions.names import Reference, new_request_id
from littoral.functions.payload import MAX_SYNC
from littoral.functions.permissions import allows_url
from littoral.functions.readiness import Readiness
from littoral.functions.runner import Runner
from littoral.functions.urlevent import Asked, BadAnswer, cors_headers, event_of, preflight, response_of
from littoral.functions.urlstream import streamed
from littoral.net.message import BodyError, BodyTooLarge, Handler, Headers, Request, Response

log = logging.getLogger(__name__)

ID = 32  # characters of a URL's
HOST = r"([a-z0-9]{32})\.lambda-url\.%s\.(localhost|on\.aws)(:\d{1,5})?"
Authenticate = Callable[[Request], Awaitable[Principal]]


class FunctionUrls:
    """``authenticate`` says who signed a request for Lambda, raising ServiceError; the site hands it in."""

    def __init__(self, catalog: Catalog, runner: Runner, readiness: Readiness, clock: Callable[[], float]) -> None:
        self._host = re.compile(HOST % re.escape(catalog.home.region), re.IGNORECASE)
        self._catalog = catalog
        self._readiness = readiness
        self._runner = runner
        self._clock = clock
        self.authenticate: Authenticate | None = None

    def handler(self, host: str) -> Handler | None:
        """For a host of this form; None for all others."""
        return self._handle if host[ID : ID + 1] == "." and self._host.fullmatch(host) else None

    async def _handle(self, request: Request) -> Response:
        host = request.headers.get("host") or ""
        match = self._host.fullmatch(host)
        found = self._catalog.url(match[1].lower()) if match is not None else None
        if found is None:
            return message(403, "Forbidden")
        reference, config = found
        cors: Mapping[str, Any] = config.get("cors") or {}
        origin = request.headers.get("origin")
        if cors and origin and request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            return preflight(cors, origin, request.headers)
        response = await self._answer(request, reference, config, host)
        if cors:  # the URL's settings go before what the function says
            for name in [name for name, _ in response.headers.items() if name.startswith("access-control-")]:
                response.headers.remove(name)
        if cors and origin:
            for name, value in cors_headers(cors, origin):
                response.headers.set(name, value)
        return response

    async def _answer(self, request: Request, reference: Reference, config: dict[str, Any], host: str) -> Response:
        try:
            principal = await self._caller(request, reference, config["auth"])
            body = await request.body.read(MAX_SYNC)
            self._readiness.check_invocable(reference.name)
            asked = self._asked(request, config["id"], host, principal)
            event = json.dumps(event_of(asked, request.headers, body)).encode()
            if len(event) > MAX_SYNC:
                return message(413, "Request Too Long")
            target = self._catalog.resolve(reference)
            trace = trace_of(request.headers.get("x-amzn-trace-id"))
            if config["mode"] == "RESPONSE_STREAM":
                response = await streamed(await self._runner.stream(target, asked.request_id, event, trace=trace))
            else:
                response = buffered(await self._runner.run(target, asked.request_id, event, trace=trace))
        except BodyTooLarge:
            return message(413, "Request Too Long")
        except BodyError:
            return message(400, "Bad Request")
        except BadAnswer as problem:
            log.warning("the URL of %s: %s", reference.name, problem)
            return message(502, "Internal Server Error")
        except ServiceError as error:
            return _refused(error)
        response.headers.set("x-amzn-requestid", asked.request_id)
        return response

    def _asked(self, request: Request, url_id: str, host: str, principal: Principal | None) -> Asked:
        path, _, query = request.target.partition("?")
        name, _, port = host.partition(":")
        return Asked(
            request.method,
            path,
            query,
            name,
            request.peer.host,
            url_id,
            new_request_id(),
            "anonymous" if principal is None else self._catalog.home.account,
            self._clock(),
            None if principal is None else {"iam": {"accessKey": principal.name, "userArn": principal.arn}},
            request.peer.tls,
            int(port or (443 if request.peer.tls else 80)),
        )

    async def _caller(self, request: Request, reference: Reference, auth: str) -> Principal | None:
        """None for a URL that is open to all. Raises ServiceError (403)."""
        if auth == "AWS_IAM":
            if self.authenticate is None:
                raise ServiceError("AccessDeniedException", "Forbidden", status=403)
            principal = await self.authenticate(request)
            if principal.kind == "anonymous":
                raise ServiceError("AccessDeniedException", "Forbidden", status=403)
            return principal
        statements = self._catalog.get(reference.name).policies.get(reference.qualifier or "", [])
        if not allows_url(statements, auth):
            raise ServiceError("AccessDeniedException", "Forbidden", status=403)
        return None


def buffered(result: InvokeResult) -> Response:
    """Raises BadAnswer."""
    return message(502, "Internal Server Error") if result.function_error is not None else response_of(result.payload)


def message(status: int, text: str) -> Response:
    return Response(status, Headers.of([("content-type", "application/json")]), json.dumps({"Message": text}).encode())


def _refused(error: ServiceError) -> Response:
    if error.status in (401, 403):
        return message(403, "Forbidden")
    if error.status == 429:
        response = message(429, "Rate Exceeded.")
        response.headers.set("retry-after", "1")
        return response
    if error.status in (404, 409, 413):
        return message(error.status, error.message)
    return message(502, "Internal Server Error")
