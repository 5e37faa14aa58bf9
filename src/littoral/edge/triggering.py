"""Functions at their four events: what each is shown, and what becomes of a request or a response by its answer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from littoral.aws.invoke import Invocation, Invoker, InvokeResult
from littoral.aws.service import ServiceError
from littoral.edge import answer
from littoral.edge.cffunctions import viewer as scripts
from littoral.edge.cffunctions.functions import CloudFrontFunctions
from littoral.edge.edgeheaders import InvalidAnswer
from littoral.edge.plan import Trigger
from littoral.edge.triggers import EdgeRequest, EdgeResponse, apply_request, apply_response, event
from littoral.edge.validationlog import ValidationLog
from littoral.edge.visit import EdgeFailure, Visit
from littoral.net.message import BytesBody, Response

log = logging.getLogger("littoral.edge")

T = TypeVar("T")
# What viewers are told, in CloudFront's words
_FUNCTION = "The Lambda function associated with the CloudFront distribution"
FAILED = f"{_FUNCTION} is invalid or doesn't have the required permissions."
THROTTLED = f"{_FUNCTION} was throttled."
REGION = "us-east-1"  # of every Lambda@Edge function


class Triggering:
    """Lambda@Edge by an invoker, CloudFront functions in this process."""

    def __init__(
        self,
        pop: str,
        invoker: Invoker | None,
        functions: CloudFrontFunctions,
        validation: ValidationLog,
        results: Counter[str],
        execution_error: int,
    ) -> None:
        self._pop = pop
        self.invoker = invoker
        self._functions = functions
        self._validation = validation
        self._results = results
        self._execution_error = execution_error  # status for a Lambda@Edge function that failed

    def call(self, function: str, payload: bytes) -> Awaitable[InvokeResult]:
        """Runs at once. Raises ServiceError. The payload is an event, written here."""
        assert self.invoker is not None
        return self.invoker.invoke(Invocation(function, payload, checked=True, replica_of=REGION))

    async def at_request(self, visit: Visit, called: Awaitable[InvokeResult] | None = None) -> Response | None:
        """The request goes on changed, or a generated response ends it. ``called``: its function is called already."""
        if "viewer-request" in visit.behaviour.functions:
            return self.scripted_request(visit)
        trigger = visit.behaviour.triggers.get("viewer-request")
        if trigger is None:
            return None
        payload = b"" if called is not None else event(visit.about, "viewer-request", trigger, visit.request)
        result = await self._run(visit, "viewer-request", trigger.function, payload, called)
        changed = self._checked(
            visit, "viewer-request", trigger, lambda: apply_request("viewer-request", result, visit.request)
        )
        if isinstance(changed, EdgeResponse):
            return self._generated(visit, changed, "LambdaGeneratedResponse from cloudfront")
        visit.request = changed
        if changed.body is not None:
            visit.viewer.body = BytesBody(changed.body)
        return None

    async def at_response(self, visit: Visit, response: Response) -> Response:
        """viewer-response."""
        if "viewer-response" in visit.behaviour.functions:
            return self.scripted_response(visit, response)
        trigger = visit.behaviour.triggers.get("viewer-response")
        if trigger is None:
            return response
        before = EdgeResponse(response.status, response.headers)
        payload = event(visit.about, "viewer-response", trigger, visit.request, before)
        result = await self._run(visit, "viewer-response", trigger.function, payload)
        after = self._checked(
            visit, "viewer-response", trigger, lambda: apply_response("viewer-response", result, before)
        )
        response.headers = after.headers
        return response

    def scripted_request(self, visit: Visit) -> Response | None:
        """The same with a CloudFront function."""
        arn, origins = visit.behaviour.functions["viewer-request"], visit.plan.origins
        try:
            going = scripts.at_request(
                self._functions, arn, visit.about, visit.request, visit.behaviour.origin, origins
            )
        except scripts.Failed as failed:
            raise _failure(failed, visit.about.request_id) from failed
        if isinstance(going, EdgeResponse):
            return self._generated(visit, going, "FunctionGeneratedResponse from cloudfront")
        visit.request, visit.origin = going.request, going.origin
        return None

    def scripted_response(self, visit: Visit, response: Response) -> Response:
        before = EdgeResponse(response.status, response.headers)
        try:
            after = scripts.at_response(
                self._functions, visit.behaviour.functions["viewer-response"], visit.about, visit.request, before
            )
        except scripts.Failed as failed:
            raise _failure(failed, visit.about.request_id) from failed
        response.status, response.headers = after.status, after.headers
        if after.body is not None:
            response.body = after.body
        return response

    async def at_origin(
        self, kind: str, visit: Visit, request: EdgeRequest, response: EdgeResponse | None
    ) -> EdgeRequest | EdgeResponse | None:
        """What origin-request or origin-response make of it; None where there is no such trigger."""
        trigger = visit.behaviour.triggers.get(kind)
        if trigger is None:
            return None
        result = await self._run(visit, kind, trigger.function, event(visit.about, kind, trigger, request, response))
        if response is None:
            return self._checked(visit, kind, trigger, lambda: apply_request(kind, result, request))
        return self._checked(visit, kind, trigger, lambda: apply_response(kind, result, response))

    async def _run(
        self,
        visit: Visit,
        kind: str,
        function: str,
        payload: bytes,
        called: Awaitable[InvokeResult] | None = None,
    ) -> bytes:
        """Invoke. Throttles and time-outs are 503, execution errors by a setting (502 where the answer is wrong)."""
        if self.invoker is None:
            raise EdgeFailure(
                503, "Service Unavailable", "This edge location runs no functions.", "LambdaExecutionError"
            )
        try:
            result = await (called or self.call(function, payload))
        except ServiceError as error:
            log.warning("%s of %s: %s", kind, visit.plan.id, error)
            throttled = error.code == "TooManyRequestsException"
            label, reason = ("LambdaLimitExceeded", THROTTLED) if throttled else ("LambdaExecutionError", FAILED)
            raise EdgeFailure(
                503, "Service Unavailable", reason, f"{label} from cloudfront", identifier=visit.about.request_id
            ) from error
        if result.function_error is not None:
            log.warning("%s of %s failed: %s", kind, visit.plan.id, result.payload[:500].decode(errors="replace"))
            status = 503 if b"Sandbox.Timedout" in result.payload else self._execution_error
            title = "Service Unavailable" if status == 503 else "Internal Server Error"
            label = "LambdaExecutionError from cloudfront"
            raise EdgeFailure(status, title, FAILED, label, identifier=visit.about.request_id)
        return result.payload

    def _checked(self, visit: Visit, kind: str, trigger: Trigger, apply: Callable[[], T]) -> T:
        try:
            return apply()
        except InvalidAnswer as problem:
            log.warning("a function's answer is not valid: %s", problem)
            self._validation.say(visit.plan.id, visit.about.request_id, kind, trigger.function, str(problem))
            reason = f"{problem.page}: {problem}."
            label, identifier = "LambdaValidationError from cloudfront", visit.about.request_id
            raise EdgeFailure(502, "Bad Gateway", reason, label, identifier=identifier) from problem

    def _generated(self, visit: Visit, made: EdgeResponse, label: str) -> Response:
        answer.mark(made.headers, label, self._pop, visit.about.request_id)
        self._results[label.partition(" ")[0]] += 1
        return Response(made.status, made.headers, made.body or b"")


def _failure(failed: scripts.Failed, identifier: str) -> EdgeFailure:
    title = "Service Unavailable" if failed.status == 503 else "Bad Gateway"
    reason = "The CloudFront function associated with the CloudFront distribution is invalid or could not run."
    return EdgeFailure(failed.status, title, reason, f"{failed.kind} from cloudfront", identifier=identifier)
