"""CloudFront functions at an edge location: before a real origin, the function's own code in the real engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from littoral.edge.cffunctions.functions import CloudFrontFunctions, Script
from littoral.net.message import Response
from tests.edge.place import Edge, answer, edge, listed

ARN = "arn:aws:cloudfront::000000000000:function/"


class Scripted:
    """A place whose one distribution has these functions."""

    def __init__(self, place: Edge) -> None:
        self.place = place
        self.lines: list[str] = []
        place.pipeline.functions.lines = lambda group, stream, *lines: self.lines.extend(
            f"{group} {line.decode()}" for line in lines
        )

    def use(self, request: str | None = None, response: str | None = None, **behaviour: Any) -> None:
        given = {"viewer-request": request, "viewer-response": response}
        codes = {kind: code for kind, code in given.items() if code is not None}
        self.place.pipeline.functions.use(
            {ARN + kind: Script(kind, _whole(code), "cloudfront-js-2.0") for kind, code in codes.items()}, {}
        )
        associations = [{"EventType": kind, "FunctionARN": ARN + kind} for kind in codes]
        self.place.configure(behaviour={"FunctionAssociations": listed(associations)} | behaviour)


def _whole(code: str) -> str:
    return code if "handler" in code else f"function handler(event) {{ var request = event.request; {code} }}"


@pytest_asyncio.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[Scripted]:
    async with edge(tmp_path) as made:
        yield Scripted(made)


async def test_a_rewritten_request_is_found_under_its_new_name(scripted: Scripted) -> None:
    scripted.use("if (request.uri.endsWith('/')) request.uri += 'index.html'; return request;")
    place = scripted.place
    labels = [(await place.get(path)).headers["x-cache"].split()[0] for path in ("/a/", "/a/index.html", "/a/", "/a/")]
    assert labels == ["Miss", "Hit", "Hit", "Hit"]
    assert place.origin.targets == ["/a/index.html"]
    head = await place.get("/a/", method="HEAD")
    assert (head.status, head.headers["x-cache"], head.body) == (200, "Hit from cloudfront", b"")
    assert (await place.get("/a/", range="bytes=1-2")).body == b"el"
    assert place.pipeline.functions.calls["ok"] == 6


async def test_what_is_generated_never_asks_the_origin(scripted: Scripted) -> None:
    scripted.use(
        "return {statusCode: 302, statusDescription: 'Found', headers: {location: {value: '/new'}},"
        " cookies: {a: {value: '1', attributes: 'Path=/'}}, body: {encoding: 'base64', data: 'aGk='}};"
    )
    reply = await scripted.place.get("/a")
    assert (reply.status, reply.body, reply.headers["location"]) == (302, b"hi", "/new")
    assert reply.headers["x-cache"] == "FunctionGeneratedResponse from cloudfront"
    assert reply.headers["set-cookie"] == "a=1; Path=/"
    assert scripted.place.origin.asked == []


async def test_the_event_is_as_documented(scripted: Scripted) -> None:
    scripted.use("return {statusCode: 200, body: JSON.stringify(event)};")
    raw = (
        b"GET /a%20b?x=1&y&x=2 HTTP/1.1\r\nHost: d111111abcdef8.cloudfront.net\r\nAccept: a\r\nAccept: b\r\n"
        b"Cookie: id=1; t=a=b\r\nConnection: keep-alive\r\n\r\n"
    )
    event = json.loads((await scripted.place.raw(raw)).body)
    context = event.pop("context")
    assert len(context.pop("requestId")) > 20
    assert context == {
        "distributionDomainName": "d111111abcdef8.cloudfront.net",
        "distributionId": "E1",
        "eventType": "viewer-request",
    }
    assert event == {
        "version": "1.0",
        "viewer": {"ip": "127.0.0.1"},
        "request": {
            "method": "GET",
            "uri": "/a%20b",
            "querystring": {"x": {"value": "1", "multiValue": [{"value": "1"}, {"value": "2"}]}, "y": {"value": ""}},
            "headers": {
                "host": {"value": "d111111abcdef8.cloudfront.net"},
                "accept": {"value": "a", "multiValue": [{"value": "a"}, {"value": "b"}]},
            },
            "cookies": {"id": {"value": "1"}, "t": {"value": "a=b"}},
        },
    }


async def test_what_a_function_leaves_alone_keeps_its_spelling(scripted: Scripted) -> None:
    scripted.use(
        "request.headers['x-new'] = {value: 'v'}; return request;", OriginRequestPolicyId=ALL, CachePolicyId=OFF
    )
    await scripted.place.get("/a?b&a=%7e&10=x&2=y", cookie="z=1;  a=2", x_old="o")
    asked = scripted.place.origin.asked[0]
    assert asked.target == "/a?b&a=%7e&10=x&2=y"
    assert asked.headers.get("cookie") == "z=1; a=2"
    assert (asked.headers.get("x-new"), asked.headers.get("x-old")) == ("v", "o")


async def test_query_and_cookies_are_written_anew_where_they_changed(scripted: Scripted) -> None:
    scripted.use(
        "request.querystring.b = {value: '2'}; request.querystring.a.multiValue = [{value: 'x y'}, {value: 'z'}];"
        "delete request.cookies.old; request.cookies.c = {value: '3'}; return request;",
        OriginRequestPolicyId=ALL,
        CachePolicyId=OFF,
    )
    await scripted.place.get("/a?a=1", cookie="old=1; kept=2")
    asked = scripted.place.origin.asked[0]
    assert (asked.target, asked.headers.get("cookie")) == ("/a?a=x%20y&a=z&b=2", "kept=2; c=3")
    scripted.use("request.querystring = 'q=é&r'; return request;", OriginRequestPolicyId=ALL, CachePolicyId=OFF)
    await scripted.place.get("/a?a=1")
    assert scripted.place.origin.targets[-1] == "/a?q=%C3%A9&r"


async def test_a_response_may_get_headers_cookies_status_and_body(scripted: Scripted) -> None:
    def respond(_: Any) -> Response:
        made = answer(b"page", content_type="text/html", cache_control="max-age=60", x_origin="1")
        made.headers.add("set-cookie", "s=1; Secure")
        return made

    scripted.place.origin.respond = respond
    scripted.use(response="const r = event.response; r.headers['x-new'] = {value: 'v'}; return r;")
    for label in ("Miss", "Hit", "Hit"):
        reply = await scripted.place.get("/a")
        assert (reply.status, reply.body, reply.headers["x-new"], reply.headers["x-origin"]) == (200, b"page", "v", "1")
        assert (reply.headers["set-cookie"], reply.headers["content-length"]) == ("s=1; Secure", "4")
        assert reply.headers["x-cache"] == f"{label} from cloudfront"
    body = "body: {encoding: 'text', data: 'é'}"
    scripted.use(response=f"return {{statusCode: 503, headers: {{}}, cookies: {{t: {{value: '1'}}}}, {body}}};")
    reply = await scripted.place.get("/a")
    assert (reply.status, reply.body, reply.headers["set-cookie"]) == (503, "é".encode(), "t=1")
    assert "x-origin" not in reply.headers
    assert reply.headers["x-cache"] == "Hit from cloudfront"


@pytest.mark.parametrize(
    "code",
    [
        "request.method = 'POST'; return request;",
        "request.uri = 'a'; return request;",
        "request.uri = '/a b'; return request;",
        "request.headers.host = {value: 'other'}; return request;",
        "request.headers.via = {value: 'x'}; return request;",
        "request.headers['X-Upper'] = {value: 'x'}; return request;",
        "request.headers['x-cache'] = {value: 'x'}; return request;",
        "request.headers.cookie = {value: 'x'}; return request;",
        "request.headers['x-a'] = {}; return request;",
        "request.headers['x-a'] = {value: 'a\\r\\nb: c'}; return request;",
        "request.cookies.a = {value: 'a\\r\\nb: c'}; return request;",
        "return {};",
        "return {statusCode: 99};",
        "return {statusCode: 200, headers: {'set-cookie': {value: 'a=1'}}};",
        "return {statusCode: 200, headers: {via: {value: 'a'}}};",
        "return {statusCode: 200, body: {encoding: 'base64', data: '!'}};",
        "return {statusCode: 200, body: 'x'.repeat(41000)};",
        "return {statusCode: 200, statusDescription: 'a\\nb'};",
    ],
)
async def test_answers_that_break_a_rule_are_502(scripted: Scripted, code: str) -> None:
    scripted.use(code)
    reply = await scripted.place.get("/a")
    assert (reply.status, reply.headers["x-cache"]) == (502, "FunctionValidationError from cloudfront")
    assert scripted.place.origin.asked == []


@pytest.mark.parametrize("kind", ["request", "response"])
async def test_failures_are_503(scripted: Scripted, kind: str) -> None:
    scripted.use(**{kind: "console.log('now'); throw new Error('no such ward');"})
    for _ in range(2):
        reply = await scripted.place.get("/a")
        assert (reply.status, reply.headers["x-cache"]) == (503, "FunctionExecutionError from cloudfront")
    group = f"/aws/cloudfront/function/viewer-{kind} "
    assert [line.removeprefix(group).partition(" ")[2] for line in scripted.lines[:4]] == [
        "START DistributionID: E1",
        "now",
        "ERROR: Error: no such ward",
        "END",
    ]
    scripted.place.pipeline.functions.use({}, {})
    assert (await scripted.place.get("/a")).status == 503


async def test_what_stands_before_the_function_stays_before_it(scripted: Scripted) -> None:
    scripted.use("return {statusCode: 200, body: 'seen'};", ViewerProtocolPolicy="redirect-to-https")
    assert (await scripted.place.get("/a")).status == 301
    scripted.use("return {statusCode: 200, body: 'seen'};", methods=["GET", "HEAD"])
    assert (await scripted.place.get("/a", method="DELETE")).status == 403


async def test_no_function_for_errors_of_the_origin(scripted: Scripted) -> None:
    scripted.place.origin.respond = lambda _: answer(b"gone", 410)
    scripted.use(response="return {statusCode: 200, body: 'seen'};")
    assert (await scripted.place.get("/a")).status == 410


async def test_an_origin_may_be_chosen_for_a_request(scripted: Scripted, tmp_path: Path) -> None:
    async with edge(tmp_path / "other") as other:
        other.origin.respond = lambda _: answer(b"other")
        port = other.origin_port
        changes = (
            "{domainName: 'localhost', originPath: '/p', customHeaders: {'x-c': '1'}, timeouts: {readTimeout: 5},"
            f" customOriginConfig: {{port: {port}, protocol: 'http', sslProtocols: ['TLSv1.2']}}}}"
        )
        scripted.use(CHOOSE.format(changes))
        assert (await scripted.place.get("/a")).body == b"other"
        assert scripted.place.origin.asked == []
        assert (other.origin.targets, other.origin.asked[0].headers.get("x-c")) == (["/p/a"], "1")
    for bad in ("{domainName: 'a/b'}", "{unknown: 1}", "{originShield: {enabled: true}}", "{originPath: 'x'}"):
        scripted.use(CHOOSE.format(bad))
        assert (await scripted.place.get("/b")).status == 502
    scripted.use(
        "import cf from 'cloudfront'; function handler(e) { cf.selectRequestOriginById('o'); return e.request }"
    )
    assert (await scripted.place.get("/b")).body == b"hello"


async def test_a_changed_function_counts_at_once(scripted: Scripted) -> None:
    for word in ("one", "two"):
        scripted.use(f"return {{statusCode: 200, body: '{word}'}};")
        assert (await scripted.place.get("/a")).body == word.encode()


def test_engines_of_what_did_not_change_are_kept() -> None:
    functions = CloudFrontFunctions("TST")
    script = Script("f", "function handler(e) { return e }", "cloudfront-js-2.0")
    functions.use({"f": script}, {})
    functions.call("f", '{"request": {}}', "", "r", "E")
    first = functions._engines["f"][1]
    functions.use({"f": Script(script.name, script.code, script.runtime), "g": script}, {})
    functions.call("f", '{"request": {}}', "", "r", "E")
    assert functions._engines["f"][1] is first


CHOOSE = "import cf from 'cloudfront'; function handler(e) {{ cf.updateRequestOrigin({}); return e.request }}"
ALL = "216adef6-5c7f-47e4-b989-5492eafa07d3"
OFF = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
