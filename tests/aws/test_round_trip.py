"""Every operation of the services that we have: botocore serialises and we parse, we serialise and botocore parses."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.awsrequest import prepare_request_dict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from littoral.aws import models, routes
from littoral.aws.asked import Asked
from littoral.aws.errors import error_response
from littoral.aws.output import response_of
from littoral.aws.recognise import named_by_form, operation_of, read_form
from littoral.aws.service import ServiceError
from littoral.aws.wire.plan import plan_of
from littoral.net.message import BytesBody, Headers, Peer, Request, Response

from .shapes import MOMENT, example

SERVICES = ("s3", "lambda", "iot", "iot-data", "cloudfront", "greengrassv2", "sts", "wafv2")
# told apart by an endpoint of their own: directory buckets and object lambda
SAME_REQUEST = {("s3", "ListDirectoryBuckets"), ("s3", "WriteGetObjectResponse")}
OPERATIONS = [
    (service, operation)
    for service in SERVICES
    for operation in models.service_model(service).operation_names
    if not models.operation_model(service, operation).has_event_stream_output
    and not models.operation_model(service, operation).has_event_stream_input
    and not models.operation_model(service, operation).deprecated  # told as their successors
]


def wire_request(service: str, operation: str, given: dict[str, Any]) -> Request:
    """What botocore would send."""
    model = models.operation_model(service, operation)
    parts = create_serializer(models.protocol(service), include_validation=False).serialize_to_request(given, model)
    prepare_request_dict(parts, "http://127.0.0.1", context={"is_presign_request": False})
    body = parts["body"]
    if isinstance(body, dict):
        body = urlencode(body)
    target = parts["url"].removeprefix("http://127.0.0.1")
    data = body.encode() if isinstance(body, str) else bytes(body or b"")
    pairs = [(name, value if isinstance(value, str) else value.decode()) for name, value in parts["headers"].items()]
    return Request(
        parts["method"],
        target,
        Headers.of([("host", "127.0.0.1"), *pairs]),
        BytesBody(data),
        Peer("127.0.0.1", 1),
    )


async def read_back(service: str, request: Request) -> tuple[str, dict[str, Any]]:
    asked = Asked.of(request)
    if named_by_form(service):
        await read_form(asked)
    operation = operation_of(asked, service)
    plan = plan_of(service, operation)
    if plan.holds is None:
        asked.parts.body = request.body
    else:
        asked.parts.data = await request.body.read()
    given = plan.read(asked.parts)
    return operation, {name: await plain(value) for name, value in given.items()}


async def plain(value: Any) -> Any:
    return await value.read() if isinstance(value, BytesBody) else value


@pytest.mark.parametrize(("service", "operation"), [each for each in OPERATIONS if each not in SAME_REQUEST])
def test_input(service: str, operation: str) -> None:
    shape = models.operation_model(service, operation).input_shape
    given = example(shape) if shape is not None else {}
    if service == "s3":
        given.pop("ContentLength", None)  # the transport's, not the serializer's
    name, found = asyncio.run(read_back(service, wire_request(service, operation, given)))
    assert name == operation
    given.pop("ContentLength", None)
    found.pop("ContentLength", None)
    assert comparable(found) == comparable(given)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_output(service: str, operation: str) -> None:
    if operation == "GetBucketLocation":
        pytest.skip("its body is no document of the model: boto3 reads it in a handler; tested with boto3")
    model = models.operation_model(service, operation)
    shape = model.output_shape
    result = example(shape) if shape is not None else {}
    for name, member in (shape.members if shape else {}).items():
        if member.serialization.get("location") == "statusCode":
            result[name] = 200
    response = response_of(service, plan_of(service, operation), result, "request-1")
    parsed = client_parse(service, response, shape)
    parsed.pop("ResponseMetadata")
    assert comparable(parsed) == comparable(result)


@pytest.mark.parametrize("service", SERVICES)
def test_every_modelled_error(service: str) -> None:
    model = models.service_model(service)
    for shape in model.error_shapes:
        code = shape.metadata.get("error", {}).get("code", shape.name)
        error = ServiceError(code, 'it is <not> "there"')
        response = error_response(service, None, error, "request-1", "/x")
        modelled = shape.metadata.get("error", {}).get("httpStatusCode")
        assert response.status == (modelled or 400)
        parsed = client_parse(service, response, None)
        assert parsed["Error"]["Code"] == code
        assert parsed["Error"]["Message"] == 'it is <not> "there"'


def client_parse(service: str, response: Response, shape: Any) -> dict[str, Any]:
    """As a boto3 client would see it."""
    streaming = bool(
        shape is not None
        and shape.serialization.get("payload")
        and shape.members[shape.serialization["payload"]].type_name == "blob"
    )
    body: Any = response.body
    headers = {name.title(): value for name, value in response.headers.items()}
    seen = b"" if streaming else body
    parts: dict[str, Any] = {
        "headers": CaseInsensitive(headers),
        "status_code": response.status,
        "body": seen,
        "context": {},
    }
    parser = create_parser(models.protocol(service))
    parsed: dict[str, Any] = parser.parse(parts, shape)
    if streaming:
        parsed[shape.serialization["payload"]] = body
    return parsed


class CaseInsensitive(dict[str, str]):
    """Headers as HTTP libraries hand them to botocore."""

    def __init__(self, pairs: dict[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in pairs.items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def comparable(value: Any) -> Any:
    """Empty containers are not sent by XML and form encodings; times compare as moments."""
    if isinstance(value, dict):
        kept = {name: comparable(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, [], None)}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, str) and value.startswith("2026-03-05T07:08:09"):
        return MOMENT
    return value


def test_a_topic_with_raw_slashes_is_one_label() -> None:
    """As devices and curl send it; boto3 encodes them."""
    assert routes.match("iot-data", "POST", "/topics/ward/7/bed%2F1", {"qos": "1"}, set()) == (
        "Publish",
        {"topic": "ward/7/bed/1"},
    )
