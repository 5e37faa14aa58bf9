"""Function URLs: what a request becomes, what a result becomes, who is let in."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.service import Principal, ServiceError
from littoral.functions.urlevent import Asked, BadAnswer, cors_headers, event_of, response_of
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from tests.functions.deploy import Place, call

ASKED = Asked(
    "POST", "/a%20b", "x=1&y=2&x=3", "id.lambda-url.us-east-1.localhost", "127.0.0.9", "id", "r", "anonymous", 0.0
)
ECHO = "def handler(event, context): return event"


def event(body: bytes = b"", **headers: str) -> dict[str, Any]:
    return event_of(ASKED, Headers.of([(name.replace("_", "-"), text) for name, text in headers.items()]), body)


def test_the_event_is_payload_format_2() -> None:
    made = event(b'{"a": 1}', content_type="application/json", cookie="a=1; b=2", user_agent="t", x_own="é")
    context = made.pop("requestContext")
    assert made == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a%20b",
        "rawQueryString": "x=1&y=2&x=3",
        "headers": {
            "content-type": "application/json",
            "user-agent": "t",
            "x-own": "é",
            "x-forwarded-for": "127.0.0.9",
            "x-forwarded-proto": "http",
            "x-forwarded-port": "80",
        },
        "cookies": ["a=1", "b=2"],
        "queryStringParameters": {"x": "1,3", "y": "2"},
        "body": '{"a": 1}',
        "isBase64Encoded": False,
    }
    assert context["http"] == {
        "method": "POST",
        "path": "/a%20b",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.9",
        "userAgent": "t",
    }
    assert (context["time"], context["timeEpoch"], context["stage"]) == ("01/Jan/1970:00:00:00 +0000", 0, "$default")


@pytest.mark.parametrize(
    ("kind", "body", "encoded"),
    [
        ("text/plain; charset=utf-8", "é".encode(), False),
        ("application/geo+json", b"{}", False),
        ("application/octet-stream", b"ab", True),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("text/plain", b"\xff", True),
        ("", b"ab", True),
    ],
)
def test_bodies_are_text_or_base64(kind: str, body: bytes, encoded: bool) -> None:
    made = event(body, content_type=kind)
    assert made["isBase64Encoded"] is encoded
    assert (base64.b64decode(made["body"]) if encoded else made["body"].encode()) == body


@given(st.binary(max_size=100), st.sampled_from(("text/plain", "image/png")))
def test_no_body_is_lost(body: bytes, kind: str) -> None:
    made = json.loads(json.dumps(event(body, content_type=kind)))
    text = made.get("body", "")
    assert (base64.b64decode(text) if made["isBase64Encoded"] else text.encode()) == body


def answered(result: Any) -> Response:
    return response_of(json.dumps(result).encode())


def test_results_with_a_status_say_how_to_answer() -> None:
    made = answered(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/html", "X-Own": "1", "Content-Length": "999", "Date": "now"},
            "cookies": ["a=1; Secure", "b=2"],
            "body": "<p>",
        }
    )
    assert (made.status, made.body) == (201, b"<p>")
    assert made.headers.items() == [
        ("content-type", "text/html"),
        ("x-own", "1"),
        ("set-cookie", "a=1; Secure"),
        ("set-cookie", "b=2"),
    ]
    assert (
        answered({"statusCode": 200, "body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True}).body
        == b"\xff"
    )
    assert answered({"statusCode": 204}).body == b""


def test_other_results_are_the_body() -> None:
    for result, body in (({"a": 1}, b'{"a": 1}'), ("text", b"text"), ([1], b"[1]"), (None, b"null")):
        made = answered(result)
        assert (made.status, made.body, made.headers.get("content-type")) == (200, body, "application/json")


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": 99},
        {"statusCode": "abc"},
        {"statusCode": True},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a b": "1"}},
        {"statusCode": 200, "headers": {"a": "1\r\nb: 2"}},
        {"statusCode": 200, "headers": {"a": "\u0394"}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "cookies": ["a\nb"]},
        {"statusCode": 200, "cookies": ["a\rb"]},
        {"statusCode": 200, "cookies": ["\u0394"]},
        {"statusCode": 200, "body": "\u0394", "isBase64Encoded": True},
        {"statusCode": 200, "body": "*", "isBase64Encoded": True},
    ],
)
def test_what_is_no_response(result: Any) -> None:
    with pytest.raises(BadAnswer):
        answered(result)


def test_cors_lets_in_who_is_named() -> None:
    named = {"AllowOrigins": ["https://a.test"], "AllowCredentials": True, "ExposeHeaders": ["X-Own"]}
    assert dict(cors_headers(named, "https://a.test")) == {
        "access-control-allow-origin": "https://a.test",
        "vary": "Origin",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Own",
    }
    assert cors_headers(named, "https://b.test") == []
    assert cors_headers({"AllowOrigins": ["*"]}, "https://b.test") == [("access-control-allow-origin", "*")]


# ------------------------------------------------------------------------------------------ a function's own


async def url_of(place: Place, **given: Any) -> str:
    made = await place.api.create_function_url_config(call(), function_name="f", **{"auth_type": "NONE", **given})
    return str(made["FunctionUrl"]).split("/")[2]


async def let_in(place: Place, auth_type: str = "NONE") -> None:
    await place.api.add_permission(
        call(),
        function_name="f",
        statement_id="url",
        action="lambda:InvokeFunctionUrl",
        principal="*",
        function_url_auth_type=auth_type,
    )


async def send(place: Place, host: str, method: str = "GET", target: str = "/", **headers: str) -> Response:
    async def nobody(request: Request) -> Principal:
        return Principal("anonymous", "")

    handler = place.functions.by_host(nobody)(host)
    assert handler is not None
    pairs = [("host", host), *((name.replace("_", "-"), text) for name, text in headers.items())]
    made = handler(Request(method, target, Headers.of(pairs), BytesBody(), Peer("127.0.0.1", 1)))
    assert not isinstance(made, Response)
    found = await made
    assert isinstance(found, Response)
    return found


async def test_the_life_of_a_url(place: Place) -> None:
    await place.python(ECHO)
    host = await url_of(place)
    assert host.endswith(".lambda-url.us-east-1.localhost:4566") and len(host.split(".")[0]) == 32
    with pytest.raises(ServiceError, match="exists") as caught:
        await url_of(place)
    assert caught.value.code == "ResourceConflictException"
    assert (await send(place, host)).status == 403  # nobody was let in yet
    await let_in(place)
    answer = await send(place, host, target="/ward/7?bed=2")
    assert isinstance(answer.body, bytes)
    seen = json.loads(answer.body)
    assert (seen["rawPath"], seen["rawQueryString"]) == ("/ward/7", "bed=2")
    shown = await place.api.get_function_url_config(call(), function_name="f")
    assert shown["AuthType"] == "NONE" and shown["LastModifiedTime"] and host in shown["FunctionUrl"]
    listed = await place.api.list_function_url_configs(call(), function_name="f")
    assert [each["FunctionUrl"] for each in listed["FunctionUrlConfigs"]] == [shown["FunctionUrl"]]
    await place.api.update_function_url_config(call(), function_name="f", auth_type="AWS_IAM")
    assert (await send(place, host)).status == 403
    await place.api.delete_function_url_config(call(), function_name="f")
    assert (await send(place, host)).status == 403
    with pytest.raises(ServiceError) as caught:
        await place.api.get_function_url_config(call(), function_name="f")
    assert caught.value.code == "ResourceNotFoundException"


async def test_a_policy_for_another_kind_of_url_lets_nobody_in(place: Place) -> None:
    await place.python(ECHO)
    host = await url_of(place)
    await let_in(place, "AWS_IAM")
    assert (await send(place, host)).status == 403


async def test_the_second_statement_that_aws_asks_for_is_kept_and_lets_no_service_in(place: Place) -> None:
    await place.python(ECHO)
    host = await url_of(place)
    given = {"function_name": "f", "principal": "*", "invoked_via_function_url": True}
    added = await place.api.add_permission(call(), statement_id="via", action="lambda:InvokeFunction", **given)
    assert json.loads(added["Statement"])["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    assert not place.functions.may_invoke("f", service="s3.amazonaws.com", source_arn="arn:aws:s3:::b")
    assert (await send(place, host)).status == 403
    await let_in(place, "NONE")
    assert (await send(place, host)).status == 200
    with pytest.raises(ServiceError, match="InvokedViaFunctionUrl"):
        await place.api.add_permission(call(), statement_id="x", action="lambda:InvokeFunctionUrl", **given)


async def test_a_policy_for_a_source_lets_nobody_in(place: Place) -> None:
    await place.python(ECHO)
    host = await url_of(place)
    open_to = {"function_name": "f", "action": "lambda:InvokeFunctionUrl", "principal": "*"}
    await place.api.add_permission(call(), statement_id="a", source_account="000000000001", **open_to)
    await place.api.add_permission(call(), statement_id="b", source_arn="arn:aws:s3:::ward", **open_to)
    assert (await send(place, host)).status == 403


async def test_a_url_goes_with_its_alias(place: Place) -> None:
    await place.python(ECHO)
    await place.api.publish_version(call(), function_name="f")
    for _ in range(2):
        await place.api.create_alias(call(), function_name="f", name="live", function_version="1")
        await url_of(place, qualifier="live")  # a second one would be a conflict if the first were still there
        await place.api.delete_alias(call(), function_name="f", name="live")
    listed = await place.api.list_function_url_configs(call(), function_name="f")
    assert listed["FunctionUrlConfigs"] == []


def test_the_function_does_not_see_a_signature() -> None:
    signed = replace(ASKED, authorizer={"iam": {}})
    headers = Headers.of([("authorization", "AWS4-HMAC-SHA256 x"), ("x-own", "1")])
    seen = event_of(signed, headers, b"")["headers"]
    assert "authorization" not in seen and seen["x-own"] == "1"
    assert "authorization" in event_of(ASKED, headers, b"")["headers"]  # an open URL's own business


@pytest.mark.parametrize(
    "source", ["def handler(e, c): raise ValueError", "def handler(e, c): return {'statusCode': 1}"]
)
async def test_a_function_that_fails_is_a_502(place: Place, source: str) -> None:
    await place.python(source)
    host = await url_of(place)
    await let_in(place)
    answer = await send(place, host)
    assert (answer.status, answer.body) == (502, b'{"Message": "Internal Server Error"}')


async def test_cors_is_the_urls_own(place: Place) -> None:
    await place.python(
        "def handler(e, c): return {'statusCode': 200, 'headers': {'Access-Control-Allow-Origin': 'no'}}"
    )
    cors = {"AllowOrigins": ["https://a.test"], "AllowMethods": ["GET"], "AllowHeaders": ["x-a"], "MaxAge": 60}
    host = await url_of(place, cors=cors)
    await let_in(place)
    asked = await send(place, host, "OPTIONS", origin="https://a.test", access_control_request_method="GET")
    assert dict(asked.headers.items()) == {
        "access-control-allow-origin": "https://a.test",
        "vary": "Origin",
        "access-control-allow-methods": "GET",
        "access-control-allow-headers": "x-a",
        "access-control-max-age": "60",
    }
    answer = await send(place, host, origin="https://a.test")
    assert answer.headers.get_all("access-control-allow-origin") == ["https://a.test"]
    assert (await send(place, host, origin="https://b.test")).headers.get("access-control-allow-origin") is None


async def test_what_cannot_be_asked_for(place: Place) -> None:
    await place.python(ECHO)
    await place.api.publish_version(call(), function_name="f")
    for wrong in ({"invoke_mode": "TRICKLE"}, {"qualifier": "1"}, {"cors": {"AllowMethods": ["FLY"]}}):
        with pytest.raises(ServiceError) as caught:
            await url_of(place, **wrong)
        assert caught.value.code == "InvalidParameterValueException"
    with pytest.raises(ServiceError) as caught:
        await url_of(place, qualifier="none")
    assert caught.value.code == "ResourceNotFoundException"


async def test_an_alias_has_a_url_of_its_own(place: Place) -> None:
    await place.python("def handler(e, c): return c.function_version")
    await place.api.publish_version(call(), function_name="f")
    await place.api.create_alias(call(), function_name="f", name="live", function_version="1")
    host = await url_of(place, qualifier="live")
    await place.api.add_permission(
        call(),
        function_name="f",
        qualifier="live",
        statement_id="url",
        action="lambda:InvokeFunctionUrl",
        principal="*",
    )
    assert (await send(place, host)).body == b"1"
