"""Errors as each protocol spells them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from littoral.aws import dynamodbwire, models
from littoral.aws.output import set_ids
from littoral.aws.service import ServiceError
from littoral.aws.wire import jsonbody
from littoral.aws.wire.rest import header_value
from littoral.aws.wire.xmlbody import HEAD, xml_text
from littoral.net.message import Headers, Response

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import Shape

NO_BODY = frozenset((304,))


def error_response(
    service: str, operation: str | None, error: ServiceError, request_id: str, resource: str
) -> Response:
    """The modelled status and body of an error."""
    shape = _shape(service, operation, error.code)
    status = _status(shape, error)
    response = Response(status, Headers.of(error.headers.items()))
    set_ids(response.headers, service, request_id)
    if status not in NO_BODY:
        kind = models.protocol(service)
        if kind in {"rest-json", "json"}:
            _json(service, kind, shape, error, response)
        elif service == "s3":
            _s3(error, request_id, resource, response)
        else:
            _xml(service, kind, error, status, request_id, response)
    return response


def json_error(error: ServiceError, request_id: str) -> Response:
    """For a request of the JSON protocols (``X-Amz-Target``) whose service is not known here."""
    response = Response(error.status or 400, Headers.of([("content-type", "application/x-amz-json-1.0")]))
    response.headers.set("x-amzn-requestid", request_id)
    response.body = json.dumps({"__type": error.code, "message": error.message}).encode()
    return response


def _shape(service: str, operation: str | None, code: str) -> Shape | None:
    """The model's shape of that error: the operation's, else the service's."""
    model = models.service_model(service)
    if operation is not None:
        for shape in model.operation_model(operation).error_shapes:
            if code in {shape.name, shape.metadata.get("error", {}).get("code")}:
                return shape
    return next(
        (shape for shape in model.error_shapes if code in {shape.name, shape.metadata.get("error", {}).get("code")}),
        None,
    )


def _status(shape: Shape | None, error: ServiceError) -> int:
    if error.status is not None:
        return error.status
    modelled = shape.metadata.get("error", {}).get("httpStatusCode") if shape is not None else None
    return int(modelled or 400)


def _json(service: str, kind: str, shape: Shape | None, error: ServiceError, response: Response) -> None:
    body: dict[str, Any] = {}
    if kind == "json":
        namespaced = service in dynamodbwire.SERVICES
        body["__type"] = dynamodbwire.error_type(error.code, modelled=shape is not None) if namespaced else error.code
    else:
        response.headers.set("x-amzn-errortype", error.code)
    message = "message"
    if shape is not None:
        message = next((name for name in shape.members if name.lower() == "message"), "message")
        for name, value in error.fields.items():
            if name in shape.members:
                _field(shape.members[name], name, value, body, response)
        if "Type" in shape.members and "Type" not in body:
            body["Type"] = "User" if _status(shape, error) < 500 else "Service"
    body[message] = error.message
    version = models.service_model(service).metadata.get("jsonVersion", "1.1")
    response.headers.set(
        "content-type", "application/json" if kind == "rest-json" else f"application/x-amz-json-{version}"
    )
    response.body = json.dumps(body).encode()


def _field(member: Shape, name: str, value: Any, body: dict[str, Any], response: Response) -> None:
    wire = member.serialization.get("name", name)
    if member.serialization.get("location") == "header":
        response.headers.raw.append((wire.lower().encode(), header_value(str(value))))
    else:
        body[wire] = jsonbody.Writers().value(member)(value)


def _s3(error: ServiceError, request_id: str, resource: str, response: Response) -> None:
    fields = {"Code": error.code, "Message": error.message, **error.fields}
    fields.setdefault("Resource", resource)
    fields["RequestId"] = request_id
    inner = "".join(f"<{name}>{xml_text(str(value))}</{name}>" for name, value in fields.items())
    response.body = f"{HEAD}<Error>{inner}<HostId>{request_id}</HostId></Error>".encode()
    response.headers.set("content-type", "application/xml")


def _xml(service: str, kind: str, error: ServiceError, status: int, request_id: str, response: Response) -> None:
    fault = "Sender" if status < 500 else "Receiver"
    text = (
        f"<Error><Type>{fault}</Type><Code>{xml_text(error.code)}</Code>"
        f"<Message>{xml_text(error.message)}</Message></Error><RequestId>{request_id}</RequestId>"
    )
    response.body = f"{HEAD}<ErrorResponse>{text}</ErrorResponse>".encode()
    response.headers.set("content-type", "text/xml")
