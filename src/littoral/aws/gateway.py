"""The way of one API call, from a parsed HTTP request to its response. Read ``_call`` as the list of its steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from littoral.aws import dynamodbwire, subresources
from littoral.aws.asked import Asked
from littoral.aws.auth import Authenticated, authenticate, authenticated
from littoral.aws.bodies import with_digests
from littoral.aws.browsing import browsing
from littoral.aws.errors import error_response, json_error
from littoral.aws.identity import Identity, Sts
from littoral.aws.input import input_of, read_body, too_large
from littoral.aws.output import response_of
from littoral.aws.recognise import VIRTUAL_HOST, Services, named_by_form, operation_of, read_form, virtual_path
from littoral.aws.registry import Operation, arguments, operations
from littoral.aws.requestid import new_request_id
from littoral.aws.service import Answered, Call, Later, Output, Principal, ServiceError
from littoral.aws.underway import Underway, without_waiting
from littoral.aws.wire.plan import Plan, plan_of
from littoral.net.message import Answer, BodyError, BodyTooLarge, BytesBody, Handler, Headers, Request, Response
from littoral.net.pki import certificate_id
from littoral.store.contract import StorageFailed

log = logging.getLogger("littoral.aws")

DEVICE_SERVICES = frozenset(("iot-data", "iot-jobs-data", "greengrassv2", "s3"))
VISITORS_SERVICES = frozenset(("iot-data",))

Observer = Callable[[str, str, int, float], None]


class Asking:
    """One call, and what is known of it so far."""

    __slots__ = (
        *("asked", "began", "error", "operation", "plan", "principal", "recognised", "request", "request_id"),
        "service",
    )

    def __init__(self, request: Request, service: str) -> None:
        self.request = request
        self.request_id = new_request_id()
        self.began = time.perf_counter()
        self.service = service  # until it is recognised, in whose words it is refused
        self.asked: Asked | None = None
        self.operation: str | None = None
        self.plan: Plan | None = None
        self.recognised = False
        self.principal: Principal | None = None
        self.error = ""


class Visit(Asking):
    """A browser's request to S3, counted and answered like a call."""

    __slots__ = ("_gateway",)

    def __init__(self, gateway: Gateway, request: Request) -> None:
        super().__init__(request, "s3")
        self._gateway = gateway

    def observed(self, response: Response) -> Response:
        return self._gateway._observed(self, response)

    def refused(self, problem: Exception) -> Response:
        return self._gateway._refused(self, problem)


class Gateway:
    """Every AWS API of a place on one address.

    ``services`` maps botocore's service name to an API object, or to a tuple of those that share it, which are no more
    than operations; ``routes`` a path prefix to a handler of its own (``/_littoral/…``, ``/metrics``). The model
    of a service is loaded at its first call: of twenty most places are asked for a few. That each agrees with it is
    what `littoral coverage` and its test see.
    """

    def __init__(
        self,
        services: Mapping[str, object],
        identity: Identity,
        *,
        region: str,
        account: str,
        routes: Mapping[str, Handler] | None = None,
        clock: Callable[[], float] = time.time,
        observe: Observer | None = None,
    ) -> None:
        self._apis: dict[str, object] = {"sts": Sts(), **services}
        self._checksums = getattr(self._apis.get("s3"), "document_checksums", lambda _: ())
        self._admits = {name: getattr(api, "admit", None) for name, api in self._apis.items()}
        self._tells = {name: getattr(api, "answered", None) for name, api in self._apis.items()}
        self._shares = {name: getattr(api, "share", None) for name, api in self._apis.items()}
        self._own = (f"arn:aws:iam::{account}:", f"arn:aws:sts::{account}:")
        self._operations: dict[str, dict[str, Operation]] = {}
        self._services = Services(self._apis)
        self._devices_services = Services(DEVICE_SERVICES & self._apis.keys())
        self._visitors_services = Services(VISITORS_SERVICES & self._apis.keys())
        self._identity = identity
        self._region = region
        self._account = account
        self._routes = dict(routes or {})
        self._exact: dict[str, Handler] = {}
        self._unsigned_routes: dict[str, Handler] = {}
        self._device_routes: dict[str, Callable[[Request], Answer | Awaitable[Answer] | None]] = {}
        self._visitors: Handler = _certificate_required
        self._by_host: Callable[[str], Handler | None] | None = None
        self._clock = clock
        self._observe = observe
        self._browsing = browsing(self._apis.get("s3"), identity, partial(Visit, self), self._as_call)

    def route(self, prefix: str, handler: Handler) -> None:
        """Another path prefix on the API's listener."""
        self._routes[prefix] = handler

    def exact_route(self, target: str, handler: Handler) -> None:
        """One more address on the API's listener, and none beneath it."""
        self._exact[target] = handler

    def unsigned_route(self, prefix: str, handler: Handler) -> None:
        """A path prefix that people open in a browser; a signed request on it is the API's."""
        self._unsigned_routes[prefix] = handler

    def host_route(self, choose: Callable[[str], Handler | None]) -> None:
        """Hosts on the API's listener that are no AWS API: ``choose`` gives the handler of a Host header."""
        self._by_host = choose

    def device_route(self, prefix: str, handler: Callable[[Request], Answer | Awaitable[Answer] | None]) -> None:
        """Another path prefix on the device port; the handler decides by the peer's certificate. What it answers with
        None is the API's after all."""
        self._device_routes[prefix] = handler

    def visitors(self, handler: Handler) -> None:
        """For requests on the device port without a certificate, which are refused as long as there is none."""
        self._visitors = handler

    @property
    def verifies(self) -> bool:
        """Whether unsigned requests are refused."""
        return self._identity.verify

    def handle(self, request: Request) -> Answer | Awaitable[Answer]:
        """For the API's listener: callers are known by their signature."""
        if self._by_host is not None:  # first: a page of such a host must not reach the place's own addresses
            special = self._by_host(request.headers.get("host") or "")
            if special is not None:
                return special(request)
        exact = self._exact.get(request.target)
        if exact is not None:
            return exact(request)
        for prefix, handler in self._routes.items():
            if request.target.startswith(prefix):
                return handler(request)
        for prefix, handler in self._unsigned_routes.items():
            if request.target.startswith(prefix) and not _signed(request):
                return handler(request)
        if request.method == "OPTIONS" and self._identity.verify and "dynamodb" in self._apis:
            answer = dynamodbwire.preflight(request) if not VIRTUAL_HOST.match(request.host.lower()) else None
            if answer is not None:
                return answer
        browsed = self._browsing.handler(request) if self._browsing is not None else None
        if browsed is not None:
            return browsed(request)
        return self._respond(request, self._services, None)

    def handle_device(self, request: Request) -> Answer | Awaitable[Answer]:
        """For the device port: callers are known by their certificate, and only devices' services are there. Who signs
        is known by the signature, has every service, and gets nothing by the certificate: it may be a core's, that
        passes on what its components ask."""
        certificate = request.peer.certificate
        signed = (request.headers.get("authorization") or "").startswith("AWS4-") and "upgrade" not in request.headers
        if signed and (certificate is not None or self._identity.verify):
            return self._respond(request, self._services, None)
        if certificate is None:
            return self._visitors(request)
        for prefix, handler in self._device_routes.items():
            if request.target.startswith(prefix) and (answer := handler(request)) is not None:
                return answer
        identifier = certificate_id(certificate)
        arn = f"arn:aws:iot:{self._region}:{self._account}:cert/{identifier}"
        return self._respond(request, self._devices_services, Principal("certificate", identifier, arn))

    async def answer_visitor(self, request: Request, principal: Principal) -> Answer:
        """A request without a certificate whose principal ``visitors`` found out: of the services that they have."""
        answer = self._respond(request, self._visitors_services, principal)
        return await answer if isinstance(answer, Awaitable) else answer

    async def authenticate(self, request: Request, *, scopes: frozenset[str] = frozenset()) -> Principal:
        """For handlers beside the services: who signed this request, and for one of these signing names where there
        are any. Raises ServiceError."""
        asked = Asked.of(request)
        scope = asked.scope
        if scopes and scope is not None and scope not in scopes:
            message = f"Credential should be scoped to {' or '.join(sorted(scopes))}."
            raise ServiceError("InvalidSignatureException", message, status=403)
        found = await authenticate(asked, "littoral", self._identity, self._clock())
        if found.principal.kind == "key" and not self._whole(found.principal):
            raise _not_whole(found.principal, "AccessDeniedException")
        request.body = found.body
        return found.principal

    def _as_call(self, request: Request, operation: str, principal: Principal, request_id: str) -> Call:
        now = request.received_at or self._clock()
        return Call("s3", operation, self._region, self._account, principal, request_id, request, now)

    def _respond(self, request: Request, served: Services, device: Principal | None) -> Answer | Awaitable[Answer]:
        """Where the body is here nothing waits before the operation, and no task is made unless that needs one."""
        asking = Asking(request, "s3" if "s3" in self._apis else "sts")
        call = self._call(asking, served, device)
        if not isinstance(request.body, BytesBody):
            return self._finish(asking, call)
        try:
            result = without_waiting(call)
            if isinstance(result, dict):
                return self._made(asking, result)
        except Exception as problem:  # noqa: BLE001 - as in ``_finish``
            return self._refused(asking, problem)
        if isinstance(result, Later):
            return Underway(request, result.future, lambda: self._concluded(asking, result))
        return self._finish(asking, result)

    async def _finish(self, asking: Asking, pending: Awaitable[Output | Awaitable[Output]]) -> Answer:
        try:
            result = await pending
            return self._made(asking, result if isinstance(result, dict) else await result)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the caller gets the service's own error
            return self._refused(asking, problem)

    def _concluded(self, asking: Asking, result: Later[Any]) -> Response:
        try:
            return self._made(asking, result.output())
        except Exception as problem:  # noqa: BLE001 - as in ``_finish``
            return self._refused(asking, problem)

    def _made(self, asking: Asking, result: Output) -> Response:
        service, plan, asked = asking.service, asking.plan, asking.asked
        assert plan is not None and asked is not None
        response = response_of(service, plan, result, asking.request_id)
        if service in dynamodbwire.SERVICES:
            dynamodbwire.deflated(asked, response)
        return self._observed(asking, response)

    def _refused(self, asking: Asking, problem: Exception) -> Response:
        error = self._as_error(problem, asking.service, asking.operation, asking.request_id)
        asking.error = error.code
        request = asking.request
        if asking.recognised or "x-amz-target" not in request.headers:
            response = error_response(asking.service, asking.operation, error, asking.request_id, request.raw_path)
        else:
            response = json_error(error, asking.request_id)
        response.close = isinstance(problem, BodyError)
        return self._observed(asking, response)

    def _observed(self, asking: Asking, response: Response) -> Response:
        if asking.service in dynamodbwire.SERVICES and self._identity.verify:
            dynamodbwire.open_to_all(asking.request, response)
        share = self._shares.get(asking.service)
        if share is not None and "origin" in asking.request.headers:
            share(asking.request, virtual_path(asking.request), response)
        tell = self._tells.get(asking.service)
        if tell is not None:
            took, now = time.perf_counter() - asking.began, self._clock()
            tell(Answered(asking.request, asking.principal, asking.request_id, asking.error, took, now), response)
        if self._observe is not None:
            took = time.perf_counter() - asking.began
            self._observe(asking.service, asking.operation or "unknown", response.status, took)
        return response

    def _as_error(self, problem: Exception, service: str, operation: str | None, request_id: str) -> ServiceError:
        """The caller's fault as it is; the disk's and ours are logged under the request's id."""
        if isinstance(problem, ServiceError):
            return problem
        if isinstance(problem, BodyTooLarge):
            return too_large(service, problem)
        if isinstance(problem, BodyError):
            return ServiceError("IncompleteBody", str(problem), status=400)
        log.error("%s:%s failed, request %s", service, operation, request_id, exc_info=problem)
        if isinstance(problem, StorageFailed):
            return ServiceError("ServiceUnavailable", f"The storage of this place failed: {problem}", status=503)
        code = "InternalError" if service == "s3" else "InternalFailure"
        return ServiceError(code, "We encountered an internal error. Please try again.", status=500)

    async def _call(self, asking: Asking, served: Services, device: Principal | None) -> Output | Awaitable[Output]:
        """As far as the operation has begun. Only the body is awaited."""
        request = asking.request
        asked = asking.asked = Asked.of(request)
        asking.service = service = served.of(asked)
        asking.recognised = True
        if named_by_form(service):
            await read_form(asked)
        elif service == "s3":
            asked.take_fields_of_query()
        asking.operation = name = operation_of(asked, service)
        found = authenticated(asked, service, self._identity, self._clock())
        if found is None:
            found = await authenticate(asked, service, self._identity, self._clock())
        caller = self._who(found, service, device)
        asking.principal = caller.principal
        if service == "s3" and asked.parts.query:
            subresources.check(request.method, name, asked.parts)
        operation = self._operations_of(service).get(name)
        if operation is None:
            retired = getattr(self._apis[service], "retired", {}).get(name, "")
            message = f"The operation {name} of {service} is not implemented here. {retired}".rstrip()
            raise ServiceError("NotImplemented", message, status=501)
        plan = asking.plan = plan_of(service, name)
        body = (
            caller.body if service != "s3" else with_digests(asked, caller.body, caller.trailers, name, self._checksums)
        )
        if service in dynamodbwire.SERVICES:
            body = dynamodbwire.inflated(asked, body)
        if plan.holds is not None and isinstance(body, BytesBody) and len(body.data) <= plan.holds:
            asked.parts.data = body.data
        else:
            await read_body(service, plan, asked.parts, body)
        given = input_of(service, plan, asked.parts)
        context = Call(
            service,
            name,
            self._region,
            self._account,
            caller.principal,
            asking.request_id,
            request,
            request.received_at or self._clock(),
            asked.signing,
            caller.trailers,
        )
        admit = self._admits[service]
        if admit is not None:
            admit(context, given)
        return operation.method(context, **arguments(operation, given))

    def _operations_of(self, service: str) -> Mapping[str, Operation]:
        found = self._operations.get(service)
        if found is None:
            found = self._operations[service] = operations(service, self._apis[service])
        return found

    def _who(self, found: Authenticated, service: str, device: Principal | None) -> Authenticated:
        """An API that decides by the principal, whoever it is, has ``admit``, which is asked before its operations."""
        decides = self._admits[service] is not None
        if found.principal.kind == "anonymous":
            if device is not None and service != "s3":
                return Authenticated(device, found.body, found.trailers)
            if self._identity.verify and not decides:
                if service == "s3":
                    raise ServiceError("AccessDenied", "Access Denied", status=403)
                raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
        elif not decides and service != "sts" and not self._whole(found.principal):
            raise _not_whole(found.principal, "AccessDenied" if named_by_form(service) else "AccessDeniedException")
        return found

    def _whole(self, principal: Principal) -> bool:
        """Whether it may do all that the place's account may."""
        return not principal.limited and principal.arn.startswith(self._own)


def _not_whole(principal: Principal, code: str) -> ServiceError:
    message = f"User: {principal.arn} is not authorized: this key may use S3, as bucket policies grant"
    return ServiceError(code, message, status=403)


def _signed(request: Request) -> bool:
    return "authorization" in request.headers or "X-Amz-Credential=" in request.query_string


def _certificate_required(_request: Request) -> Response:
    return Response(401, Headers.of([("content-type", "text/plain")]), b"a client certificate is required\n")
