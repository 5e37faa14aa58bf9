"""An operation's result as a response: written by its plan, named by a request id."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from littoral.aws.wire.plan import Plan
from littoral.net.message import Headers, Response


def response_of(service: str, plan: Plan, result: Mapping[str, Any], request_id: str) -> Response:
    """Headers, status and body for a result in the model's names."""
    response = Response(plan.status, Headers([]))
    override = result.get("ResponseMetadata")
    if override is not None:
        response.status = override.get("HTTPStatusCode", plan.status)
    plan.write(result, response, request_id)
    if override is not None:
        response.body = override.get("HTTPBody", response.body)
        for name, value in override.get("HTTPHeaders", {}).items():
            response.headers.set(name, str(value))
    set_ids(response.headers, service, request_id)
    return response


def set_ids(headers: Headers, service: str, request_id: str) -> None:
    """The request id under the name that the service's clients read."""
    name = request_id.encode()
    if service == "s3":
        headers.raw += ((b"x-amz-request-id", name), (b"x-amz-id-2", base64.b64encode(name)))
    else:
        headers.raw.append((b"x-amzn-requestid", name))
