"""An operation's input: read by its plan, held against the model; what is wrong is said as the service says it."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import ServiceError
from littoral.aws.wire.parts import Parts
from littoral.aws.wire.plan import Plan
from littoral.aws.wire.unreadable import Beyond, Unreadable
from littoral.aws.wire.xmlbody import BadDocument
from littoral.net.message import Body, BodyTooLarge

_UNREADABLE = {
    "s3": "InvalidArgument",
    "lambda": "InvalidRequestContentException",
    "cloudfront": "InvalidArgument",
    "iot": "InvalidRequestException",
    "iot-data": "InvalidRequestException",
    "greengrassv2": "ValidationException",
}
_INVALID = {
    "s3": "InvalidArgument",
    "cloudfront": "InvalidArgument",
    "iot": "InvalidRequestException",
    "iot-data": "InvalidRequestException",
    "iot-jobs-data": "InvalidRequestException",
    "logs": "InvalidParameterException",
    "sagemaker-runtime": "ValidationError",
    "shield": "InvalidParameterException",
}


async def read_body(service: str, plan: Plan, parts: Parts, body: Body) -> None:
    """A streaming member is not read: it is handed on as ``body``. Raises ServiceError."""
    if plan.holds is None:
        parts.body = body
        return
    try:
        parts.data = await body.read(plan.holds)
    except BodyTooLarge as problem:
        raise too_large(service, problem) from problem


def too_large(service: str, problem: BodyTooLarge) -> ServiceError:
    if service == "s3":
        return ServiceError("MaxMessageLengthExceeded", "Your request was too large.", status=400)
    return ServiceError("RequestTooLargeException", str(problem), status=413)


def input_of(service: str, plan: Plan, parts: Parts) -> dict[str, Any]:
    """In the model's names. Raises ServiceError."""
    try:
        given = plan.read(parts)
        problems = plan.check(given) if plan.check is not None else ()
    except Beyond as problem:
        if service == "s3":
            raise _malformed() from problem
        message = f"{plan.operation}: the field {problem.path} is not implemented here."
        raise ServiceError("NotImplemented", message, status=501) from problem
    except Unreadable as problem:
        raise _unreadable(service, problem) from problem
    except RecursionError as problem:
        raise ServiceError(_unreadable_code(service), "The body is nested too deeply", status=400) from problem
    if problems:
        if service == "s3" and any("." in problem.path for problem in problems):  # only documents have an inside
            raise _malformed()
        count = len(problems)
        text = f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(map(str, problems))}"
        raise ServiceError(_INVALID.get(service, "ValidationException"), text, status=400)
    return given


def _unreadable(service: str, problem: Unreadable) -> ServiceError:
    if service == "s3" and isinstance(problem, BadDocument):
        return _malformed()
    return ServiceError(_unreadable_code(service), str(problem), status=400)


def _malformed() -> ServiceError:
    return ServiceError("MalformedXML", "The XML you provided was not well-formed or did not validate.", status=400)


def _unreadable_code(service: str) -> str:
    return _UNREADABLE.get(service, "SerializationException")
