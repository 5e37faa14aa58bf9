"""Lambda@Edge: the event, what a function may change, and when each trigger fires."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.invoke import InvokeResult
from littoral.aws.service import ServiceError
from littoral.edge import triggers
from littoral.edge.cffunctions.functions import CloudFrontFunctions
from littoral.edge.edgeheaders import InvalidAnswer, headers_document
from littoral.edge.plan import Origin, Trigger
from littoral.edge.triggers import (
    About,
    EdgeRequest,
    EdgeResponse,
    apply_request,
    apply_response,
    event,
)
from littoral.net.message import Headers
from tests.edge.place import ALL_VIEWER, DISABLED, HOST, Edge, answer, cache_policy, edge, listed

ABOUT = About(HOST, "EDFDVBD6EXAMPLE", "id==")
TRIGGER = Trigger("arn:aws:lambda:us-east-1:000000000000:function:f:1")
CUSTOM = Origin("o", "origin.example.test", "/base", headers=(("x-secret", "s"),), read_timeout=20)
EVERYTHING = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
ALL = ("viewer-request", "origin-request", "origin-response", "viewer-response")


def request(**changes: Any) -> EdgeRequest:
    headers = Headers.of([("host", HOST), ("user-agent", "curl"), ("accept", "a"), ("accept", "b")])
    made = EdgeRequest("GET", "/a.html", "x=1", headers, "203.0.113.178", origin=CUSTOM)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def cf(payload: bytes) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(payload)["Records"][0]["cf"]
    return record


# ------------------------------------------------------------------------------------------------ the event


@given(st.lists(st.tuples(st.sampled_from(["accept", "x-a", "x-edge-b", "cookie"]), st.text('aä"\\\t', max_size=300))))
def test_the_written_event_is_what_its_document_says(pairs: list[tuple[str, str]]) -> None:
    headers = Headers.of(pairs)
    shown = cf(event(ABOUT, "viewer-request", TRIGGER, request(headers=headers, uri='/"ä\\')))["request"]
    assert shown["headers"] == headers_document(headers)
    assert list(shown["headers"]) == list(headers_document(headers))
    assert shown["uri"] == '/"ä\\'


def test_the_event_of_a_viewer_request() -> None:
    assert cf(event(ABOUT, "viewer-request", TRIGGER, request())) == {
        "config": {
            "distributionDomainName": HOST,
            "distributionId": "EDFDVBD6EXAMPLE",
            "eventType": "viewer-request",
            "requestId": "id==",
        },
        "request": {
            "clientIp": "203.0.113.178",
            "headers": {
                "host": [{"key": "Host", "value": HOST}],
                "user-agent": [{"key": "User-Agent", "value": "curl"}],
                "accept": [{"key": "Accept", "value": "a"}, {"key": "Accept", "value": "b"}],
            },
            "method": "GET",
            "querystring": "x=1",
            "uri": "/a.html",
        },
    }


def test_the_origin_stands_in_origin_events_only() -> None:
    origin = cf(event(ABOUT, "origin-request", TRIGGER, request()))["request"]["origin"]
    assert origin == {
        "custom": {
            "customHeaders": {"x-secret": [{"key": "X-Secret", "value": "s"}]},
            "domainName": "origin.example.test",
            "keepaliveTimeout": 5,
            "path": "/base",
            "port": 80,
            "protocol": "http",
            "readTimeout": 20,
            "sslProtocols": ["TLSv1.2"],
        }
    }
    bucket = Origin("o", "b.s3.us-east-1.amazonaws.com", bucket="b")
    shown = cf(event(ABOUT, "origin-response", TRIGGER, request(origin=bucket), EdgeResponse(200)))
    assert set(shown["request"]["origin"]["s3"]) == {"authMethod", "customHeaders", "domainName", "path", "region"}


def test_a_response_event_has_the_status_as_text() -> None:
    shown = cf(event(ABOUT, "viewer-response", TRIGGER, request(), EdgeResponse(404, Headers.of([("etag", "1")]))))
    assert (shown["response"]["status"], shown["response"]["statusDescription"]) == ("404", "Not Found")
    assert shown["response"]["headers"] == {"etag": [{"key": "Etag", "value": "1"}]}


@pytest.mark.parametrize(("kind", "limit"), [("viewer-request", 40 * 1024), ("origin-request", 1024 * 1024)])
@pytest.mark.parametrize("more", [0, 1])
def test_a_body_is_shown_up_to_its_limit(kind: str, limit: int, more: int) -> None:
    made = request(method="POST", body=b"x" * (limit + more))
    assert "body" not in cf(event(ABOUT, kind, TRIGGER, made))["request"]
    body = cf(event(ABOUT, kind, Trigger("arn", True), made))["request"]["body"]
    assert (body["action"], body["encoding"], body["inputTruncated"]) == ("read-only", "base64", bool(more))
    assert base64.b64decode(body["data"]) == b"x" * limit


# ------------------------------------------------------------------------------------- what may be changed


def changed_request(kind: str, change: Callable[[dict[str, Any]], None], before: EdgeRequest | None = None) -> Any:
    before = before or request()
    document = cf(event(ABOUT, kind, TRIGGER, before))["request"]
    change(document)
    return apply_request(kind, json.dumps(document).encode(), before)


def setting(name: str, value: str = "x") -> Callable[[dict[str, Any]], None]:
    return lambda document: document["headers"].update({name: [{"key": name, "value": value}]})


HEADERS = st.dictionaries(
    st.sampled_from(["x-a", "x-b", "host", "via", "accept", "connection", "cloudfront-viewer-country"]),
    st.lists(st.fixed_dictionaries({"value": st.text('ab]}"{[\\é\n', max_size=4)}), max_size=2) | st.just("none"),
    max_size=4,
)
AROUND = st.dictionaries(
    st.sampled_from(["status", "body", "clientIp", "x", "headers"]),
    st.sampled_from(
        ["200", '"headers":{"x-a":[]}', {"headers": {"x-b": [{"value": "inner"}]}}, {}, None, [{"value": "]}"}]]
    ),
    max_size=3,
)


@given(HEADERS, AROUND, AROUND, st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans())
def test_headers_that_came_before_are_read_as_if_they_had_not(
    headers: dict[str, Any], first: dict[str, Any], last: dict[str, Any], signs: tuple[str, str], ascii_only: bool
) -> None:
    before = request()
    document = {**first, "headers": headers, "method": "GET", "uri": "/a", "querystring": "", **last}
    payload = json.dumps(document, separators=signs, ensure_ascii=ascii_only).encode()
    for kind in ("viewer-request", "origin-request"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(triggers, "known_block", lambda kind, text: None)
            expected = outcome_of(kind, payload, before)
        assert outcome_of(kind, payload, before) == expected
        assert outcome_of(kind, payload, before) == expected


def outcome_of(kind: str, payload: bytes, before: EdgeRequest) -> Any:
    try:
        made = apply_request(kind, payload, before)
    except InvalidAnswer as problem:
        return str(problem)
    return (
        type(made),
        made.headers.raw,
        [getattr(made, each, None) for each in ("uri", "querystring", "status", "body")],
    )


def test_headers_that_came_before_are_nobodys() -> None:
    for _ in range(3):
        made = changed_request("viewer-request", setting("x-ward", "7"))
        assert made.headers.get("x-added") is None
        made.headers.set("x-added", "later")


DISALLOWED = (
    "connection expect keep-alive proxy-authenticate proxy-authorization proxy-connection trailer upgrade "
    "x-accel-buffering x-accel-charset x-accel-limit-rate x-accel-redirect x-amz-cf-id x-amzn-requestid x-cache "
    "x-edge-a x-forwarded-proto x-real-ip"
).split()


@pytest.mark.parametrize("kind", ["viewer-request", "origin-request"])
@pytest.mark.parametrize("name", DISALLOWED)
def test_disallowed_headers_of_requests(kind: str, name: str) -> None:
    with pytest.raises(InvalidAnswer, match=name):
        changed_request(kind, setting(name))


@pytest.mark.parametrize("kind", ["origin-response", "viewer-response"])
@pytest.mark.parametrize("name", DISALLOWED)
def test_disallowed_headers_of_responses(kind: str, name: str) -> None:
    with pytest.raises(InvalidAnswer, match=name):
        changed_response(kind, setting(name))


def test_disallowed_headers_are_not_shown_and_stay_as_they_were() -> None:
    before = request(headers=Headers.of([("host", HOST), ("x-forwarded-proto", "https")]))
    assert set(cf(event(ABOUT, "viewer-request", TRIGGER, before))["request"]["headers"]) == {"host"}
    after = changed_request("viewer-request", setting("x-mine"), before)
    assert sorted(after.headers.items()) == [("host", HOST), ("x-forwarded-proto", "https"), ("x-mine", "x")]


READ_ONLY = {
    "viewer-request": "content-length host transfer-encoding via",
    "origin-request": "accept-encoding content-length if-modified-since if-none-match if-range if-unmodified-since "
    "transfer-encoding via",
    "origin-response": "transfer-encoding via",
    "viewer-response": "content-length transfer-encoding warning via",
}
ROWS = [(kind, name) for kind, names in READ_ONLY.items() for name in names.split()]


@pytest.mark.parametrize(("kind", "name"), ROWS)
def test_read_only_headers(kind: str, name: str) -> None:
    change = changed_request if kind.endswith("request") else changed_response
    with pytest.raises(InvalidAnswer, match=name):
        change(kind, setting(name, "9"))


def changed_response(kind: str, change: Callable[[dict[str, Any]], None]) -> EdgeResponse:
    before = EdgeResponse(200, Headers.of([("content-type", "text/html")]))
    document = cf(event(ABOUT, kind, TRIGGER, request(), before))["response"]
    change(document)
    return apply_response(kind, json.dumps(document).encode(), before)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(method="POST"),
        lambda d: d.update(uri="a.html"),
        lambda d: d.update(uri=5),
        lambda d: d.update(uri="/a b"),
        lambda d: d.update(uri="/" + "a" * 8190),
        lambda d: d.update(querystring="a" * 8190),
        lambda d: d.update(querystring=None),
        lambda d: d.update(headers=[]),
        lambda d: d["headers"].update({"x": "y"}),
        lambda d: d["headers"].update({"x y": [{"value": "z"}]}),
        lambda d: d["headers"].update({"x y": []}),
        lambda d: d["headers"].update({"x\n": [{"value": "z"}]}),
        lambda d: d["headers"].update({"x": [{"value": 5}]}),
        lambda d: d["headers"].update({"x": [{"value": "a\r\nb: c"}]}),
        lambda d: d["headers"].update({"cloudfront-viewer-country": [{"value": "DE"}]}),
        lambda d: d.update(body={"action": "replace", "data": "!", "encoding": "base64"}),
        lambda d: d.update(body={"action": "replace", "data": "x" * (40 * 1024 + 1), "encoding": "text"}),
    ],
)
def test_answers_that_are_no_request(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(InvalidAnswer):
        changed_request("viewer-request", change)


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b'"x"', b"5", b"{", b"{}", b'{"status": "abc"}'])
@pytest.mark.parametrize("kind", ALL)
def test_answers_that_are_nothing(kind: str, payload: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        if kind.endswith("request"):
            apply_request(kind, payload, request())
        else:
            apply_response(kind, payload, EdgeResponse(200))


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"custom": {}},
        {"s3": {"domainName": "b.s3.amazonaws.com"}, "custom": {}},
        {"custom": {"domainName": "x", "protocol": "ftp"}},
        {"custom": {"domainName": "x", "protocol": "http", "port": "many"}},
        {"custom": {"domainName": "x", "protocol": "http", "readTimeout": "long"}},
        {"custom": {"domainName": "x", "protocol": "http", "path": 5}},
        {"custom": {"domainName": "x", "protocol": "http", "customHeaders": 5}},
        {"custom": {"domainName": "x", "protocol": "http", "customHeaders": {"connection": [{"value": "x"}]}}},
        {"custom": {"domainName": "x", "protocol": "http", "customHeaders": {"content-length": [{"value": "5"}]}}},
        {"custom": {"domainName": "x", "protocol": "http", "keepaliveTimeout": 121}},
        {"custom": {"domainName": "x", "protocol": "http", "sslProtocols": ["TLSv9"]}},
        {"custom": {"domainName": "x", "protocol": "http", "sslProtocols": "TLSv1.2"}},
        {"s3": {"domainName": "b.s3.amazonaws.com", "authMethod": "always"}},
        {"s3": {"domainName": "b.s3.amazonaws.com", "customHeaders": {"via": [{"value": "x"}]}}},
        5,
    ],
)
def test_origins_that_are_none(origin: Any) -> None:
    with pytest.raises(InvalidAnswer):
        changed_request("origin-request", lambda document: document.update(origin=origin))


def generated(kind: str, **response: Any) -> Any:
    return apply_request(kind, json.dumps(response).encode(), request())


def test_generated_responses() -> None:
    made = generated("viewer-request", status="302", headers={"location": [{"key": "Location", "value": "/b"}]})
    assert (made.status, made.headers.get("location"), made.body) == (302, "/b", b"")
    assert generated("viewer-request", status=200, body="aGk=", bodyEncoding="base64").body == b"hi"
    encoded = {"content-encoding": [{"value": "gzip"}], "content-length": [{"value": "999"}]}
    made = generated("viewer-request", status=200, body="aGk=", bodyEncoding="base64", headers=encoded)
    assert list(made.headers.items()) == [("content-encoding", "gzip")]
    for status in (199, 600, "x", None, ""):
        with pytest.raises(InvalidAnswer):
            generated("viewer-request", status=status)
    with pytest.raises(InvalidAnswer):
        generated("viewer-request", status="204", body="x")
    assert generated("origin-request", status="200", body="x" * 500_000).status == 200
    for kind, size in (("viewer-request", 40 * 1024), ("origin-request", 1024 * 1024)):
        with pytest.raises(InvalidAnswer):
            generated(kind, status="200", body="x" * (size + 1))


def test_encodings_that_are_none() -> None:
    with pytest.raises(InvalidAnswer):
        generated("viewer-request", status=200, body="a", bodyEncoding="zip")
    with pytest.raises(InvalidAnswer):
        changed_request(
            "viewer-request", lambda d: d.update(body={"action": "replace", "data": "a", "encoding": "zip"})
        )


def test_viewer_response_changes_neither_status_nor_body() -> None:
    for change in ({"status": "201"}, {"body": "x"}):
        with pytest.raises(InvalidAnswer):
            changed_response("viewer-response", lambda document, change=change: document.update(change))  # type: ignore[misc]
    assert changed_response("origin-response", lambda document: document.update(status="201", body="x")).body == b"x"


# ------------------------------------------------------------------------------------ through the pipeline


def passing(cf: dict[str, Any]) -> Any:
    return cf["response"] if "response" in cf else cf["request"]


async def test_a_miss_fires_four_triggers_and_a_hit_the_viewer_ones(place: Edge) -> None:
    place.configure(behaviour={"triggers": [place.trigger(kind, passing) for kind in ALL]})
    place.origin.respond = lambda _: answer(b"page", cache_control="max-age=60")
    assert (await place.get("/a")).body == b"page"
    assert place.invoker.kinds == list(ALL)
    place.invoker.events.clear()
    hit = await place.get("/a")
    assert (hit.headers["x-cache"], hit.body) == ("Hit from cloudfront", b"page")
    assert place.invoker.kinds == ["viewer-request", "viewer-response"]
    assert len({each["Records"][0]["cf"]["config"]["requestId"] for each in place.invoker.events}) == 1


async def test_security_headers_of_origin_response_are_cached(place: Edge) -> None:
    def add(cf: dict[str, Any]) -> Any:
        cf["response"]["headers"]["strict-transport-security"] = [{"value": "max-age=63072000"}]
        return cf["response"]

    place.configure(behaviour={"triggers": [place.trigger("origin-response", add)]})
    for _ in range(2):
        assert (await place.get("/a")).headers["strict-transport-security"] == "max-age=63072000"
    assert len(place.invoker.events) == 1


async def test_viewer_request_personalises_by_header_through_the_cache_key(place: Edge) -> None:
    def personalise(cf: dict[str, Any]) -> Any:
        cf["request"]["uri"] = "/ward-" + cf["request"]["headers"]["x-ward"][0]["value"]
        return cf["request"]

    place.configure(behaviour={"triggers": [place.trigger("viewer-request", personalise)]})
    place.origin.respond = lambda request: answer(request.target.encode())
    assert (await place.get("/", x_ward="7")).body == b"/ward-7"
    assert (await place.get("/", x_ward="8")).body == b"/ward-8"
    assert (await place.get("/", x_ward="7")).headers["x-cache"] == "Hit from cloudfront"
    assert place.origin.targets == ["/ward-7", "/ward-8"]


async def test_a_changed_uri_keeps_its_behaviour(place: Edge) -> None:
    def move(cf: dict[str, Any]) -> Any:
        cf["request"]["uri"] = "/api/x"
        return cf["request"]

    api = {
        "PathPattern": "/api/*",
        "TargetOriginId": "o",
        "ViewerProtocolPolicy": "https-only",
        "CachePolicyId": DISABLED,
    }
    place.configure(behaviour={"triggers": [place.trigger("viewer-request", move)]}, CacheBehaviors=listed([api]))
    assert [(await place.get("/a")).headers["x-cache"].partition(" ")[0] for _ in range(2)] == ["Miss", "Hit"]


async def test_generated_at_viewer_request_is_not_cached_and_ends_there(place: Edge) -> None:
    triggers = [place.trigger("viewer-request", lambda _: {"status": "401", "body": "who?"})]
    triggers.append(place.trigger("viewer-response", passing))
    place.configure(behaviour={"triggers": triggers})
    for _ in range(2):
        reply = await place.get("/a")
        assert (reply.status, reply.body) == (401, b"who?")
        assert reply.headers["x-cache"] == "LambdaGeneratedResponse from cloudfront"
    assert place.invoker.kinds == ["viewer-request"] * 2
    assert place.origin.asked == []


async def test_generated_at_origin_request_is_cached(place: Edge) -> None:
    page = {"status": "200", "body": "made", "headers": {"cache-control": [{"value": "max-age=60"}]}}
    place.configure(behaviour={"triggers": [place.trigger("origin-request", lambda _: page)]})
    assert (await place.get("/a")).headers["x-cache"] == "LambdaGeneratedResponse from cloudfront"
    hit = await place.get("/a")
    assert (hit.headers["x-cache"], hit.body) == ("Hit from cloudfront", b"made")
    assert (len(place.invoker.events), place.origin.asked) == (1, [])


async def test_origin_request_sees_and_changes_what_goes_to_the_origin(place: Edge) -> None:
    def change(cf: dict[str, Any]) -> Any:
        cf["request"]["headers"]["x-added"] = [{"key": "X-Added", "value": "1"}]
        cf["request"]["headers"]["user-agent"] = [{"key": "User-Agent", "value": "mine"}]
        cf["request"]["querystring"] = "made=1"
        return cf["request"]

    place.configure(behaviour={"triggers": [place.trigger("origin-request", change)]})
    await place.get("/a?dropped=1", cookie="a=1", user_agent="curl")
    seen = place.invoker.events[0]["Records"][0]["cf"]["request"]
    assert seen["headers"]["user-agent"] == [{"key": "User-Agent", "value": "Amazon CloudFront"}]
    assert seen["querystring"] == ""
    assert "cookie" not in seen["headers"]
    asked = place.origin.asked[0]
    assert (asked.target, asked.headers.get("x-added"), asked.headers.get("user-agent")) == ("/a?made=1", "1", "mine")


async def test_origin_request_switches_the_origin(place: Edge) -> None:
    def switch(cf: dict[str, Any]) -> Any:
        cf["request"]["origin"]["custom"] |= {"domainName": "localhost", "path": "/other"}
        cf["request"]["headers"]["host"] = [{"key": "host", "value": "elsewhere.example.test"}]
        return cf["request"]

    place.configure(behaviour={"triggers": [place.trigger("origin-request", switch)]})
    assert (await place.get("/a")).status == 200
    assert place.origin.targets == ["/other/a"]
    assert place.origin.asked[0].headers.get("host") == "elsewhere.example.test"


async def test_bodies_are_shown_and_replaced(place: Edge) -> None:
    def replace(cf: dict[str, Any]) -> Any:
        body = cf["request"]["body"]
        text = base64.b64decode(body["data"]).decode() + "!" * 100
        cf["request"]["body"] = {"action": "replace", "encoding": "text", "data": text}
        return cf["request"]

    both = [place.trigger(kind, replace, IncludeBody=True) for kind in ("viewer-request", "origin-request")]
    place.configure(
        behaviour={
            "methods": EVERYTHING,
            "triggers": both,
            "CachePolicyId": DISABLED,
            "OriginRequestPolicyId": ALL_VIEWER,
        }
    )
    assert (await place.get("/a", method="POST", body=b"hello")).status == 200
    assert place.origin.asked[0].body == b"hello" + b"!" * 200


async def test_a_large_body_is_truncated_for_the_function_only(place: Edge) -> None:
    triggers = [place.trigger("viewer-request", passing, IncludeBody=True)]
    place.configure(behaviour={"methods": EVERYTHING, "triggers": triggers})
    await place.get("/a", method="PUT", body=b"x" * 100_000)
    assert place.invoker.events[0]["Records"][0]["cf"]["request"]["body"]["inputTruncated"] is True
    assert place.origin.asked[0].body == b"x" * 100_000


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"status": "abc"}, 502),
        ("text", 502),
        (InvokeResult(b'{"errorMessage":"x"}', function_error="Unhandled"), 503),
        (ServiceError("TooManyRequestsException", "busy", status=429), 503),
        (ServiceError("ResourceNotFoundException", "gone", status=404), 503),
    ],
)
async def test_functions_that_fail(place: Edge, kind: str, result: Any, status: int) -> None:
    place.configure(behaviour={"triggers": [place.trigger(kind, lambda _: copy.copy(result))]})
    reply = await place.get("/a")
    assert reply.status == status
    assert "x-cache" in reply.headers
    assert b"Request ID" in reply.body


async def test_a_failed_function_may_be_500_as_it_was(tmp_path: Path) -> None:
    """The execution error is by the setting; a time-out is 503 all the same."""
    async with edge(tmp_path, execution_error=500) as place:
        for error, status in (("ValueError", 500), ("Sandbox.Timedout", 503)):
            failed = InvokeResult(b'{"errorType":"%b"}' % error.encode(), function_error="Unhandled")
            made = place.trigger("viewer-request", lambda _, failed=failed: failed)
            place.configure(behaviour={"triggers": [made]})
            assert (await place.get("/a")).status == status


@pytest.mark.parametrize("kind", ALL)
async def test_what_was_wrong_is_in_the_log_group_of_the_distribution(tmp_path: Path, kind: str) -> None:
    said: list[tuple[Any, ...]] = []
    async with edge(tmp_path, functions=CloudFrontFunctions("TST1", lambda *words: said.append(words))) as place:
        place.configure(behaviour={"triggers": [place.trigger(kind, lambda _: {"status": "abc"})]})
        reply = await place.get("/a")
    ((group, stream, line),) = said
    assert group == "/aws/cloudfront/LambdaEdge/E1"
    assert stream.endswith("/TST1")
    assert line.decode() == (
        f"{reply.headers['x-amz-cf-id']} ERROR Validation error: the {kind} function {kind}:1 returned an invalid "
        "result: status must be a number from 200 to 599"
    )


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (InvokeResult(b"oops"), "The Lambda function returned invalid JSON: The JSON output is not parsable."),
        ("text", "The Lambda function returned invalid JSON: The JSON output must be an object type."),
        (
            {"status": "200", "headers": {"a": "b"}},
            "The Lambda function returned an invalid entry in the headers object: ",
        ),
        ({"status": "200", "body": 5}, "The Lambda function result failed validation: "),
        (
            InvokeResult(b"{}", function_error="Unhandled"),
            "The Lambda function associated with the CloudFront distribution is invalid or doesn't have the required "
            "permissions.",
        ),
        (
            ServiceError("TooManyRequestsException", "busy", status=429),
            "The Lambda function associated with the CloudFront distribution was throttled.",
        ),
    ],
)
async def test_the_page_says_it_as_cloudfront_does(place: Edge, made: Any, said: str) -> None:
    place.configure(behaviour={"triggers": [place.trigger("viewer-request", lambda _: made)]})
    reply = await place.get("/a")
    text = reply.body.decode()
    assert f"<h1>{reply.status} ERROR</h1>" in text and "The request could not be satisfied." in text
    assert said in text
    assert f"Request ID: {reply.headers['x-amz-cf-id']}" in text


async def test_a_uri_and_a_query_have_less_than_8192_characters(place: Edge) -> None:
    for length, status in ((8191, 200), (8192, 502)):
        made = place.trigger("viewer-request", lambda cf, length=length: cf["request"] | {"uri": "/" * length})
        place.configure(behaviour={"triggers": [made]})
        assert (await place.get("/a")).status == status


async def test_viewer_response_does_not_fire_for_errors_and_their_pages(place: Edge) -> None:
    triggers = [place.trigger("viewer-response", passing), place.trigger("origin-response", passing)]
    page = {"ErrorCode": 404, "ResponsePagePath": "/sorry", "ResponseCode": "200", "ErrorCachingMinTTL": 10}
    place.origin.respond = lambda request: answer(b"sorry") if request.target == "/sorry" else answer(b"none", 404)
    place.configure(behaviour={"triggers": triggers})
    assert (await place.get("/a")).status == 404
    assert place.invoker.kinds == ["origin-response"]
    place.configure(behaviour={"triggers": triggers}, CustomErrorResponses=listed([page]))
    assert (await place.get("/a")).status == 200
    assert place.invoker.kinds == ["origin-response"] * 2


async def test_viewer_response_adds_headers_of_one_viewer(place: Edge) -> None:
    def add(cf: dict[str, Any]) -> Any:
        cf["response"]["headers"]["x-seen"] = [
            {"key": "X-Seen", "value": cf["request"]["headers"]["x-bed"][0]["value"]}
        ]
        return cf["response"]

    place.policies["own"] = cache_policy(600)
    place.configure(behaviour={"CachePolicyId": "own", "triggers": [place.trigger("viewer-response", add)]})
    assert (await place.get("/a", x_bed="1")).headers["x-seen"] == "1"
    assert (await place.get("/a", x_bed="2")).headers["x-seen"] == "2"
    assert len(place.origin.asked) == 1
