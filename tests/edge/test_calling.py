"""A request that goes through its viewer-request function without a task gets what it gets on the long way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.service import ServiceError
from littoral.edge.accesslog.delivery import AccessLogs
from littoral.net.message import Request, Response
from tests.edge.place import HOST, Edge, answer, edge
from tests.edge.relays import long_way
from tests.edge.test_accesslog import Kept, logging

MIB = 1024 * 1024
Function = Callable[[dict[str, Any]], Any]


def passing(cf: dict[str, Any]) -> Any:
    return cf["request"]


def rewriting(cf: dict[str, Any]) -> Any:
    cf["request"]["uri"] = "/ward" + cf["request"]["uri"]
    cf["request"]["headers"]["x-ward"] = [{"key": "X-Ward", "value": "7"}]
    return cf["request"]


def rooting(cf: dict[str, Any]) -> Any:
    return {**cf["request"], "uri": "/", "querystring": ""}


def generating(_: dict[str, Any]) -> Any:
    return {"status": "302", "statusDescription": "Found", "headers": {"location": [{"value": "/b"}]}}


def breaking(cf: dict[str, Any]) -> Any:
    return {**cf["request"], "method": "POST"}


def refusing(_: dict[str, Any]) -> Any:
    return ServiceError("TooManyRequestsException", "too many", status=429)


def failing(_: dict[str, Any]) -> Any:
    return InvokeResult(b'{"errorMessage":"no"}', "Unhandled")


def nesting(_: dict[str, Any]) -> Any:
    return InvokeResult(b'{"uri":' + b"[" * 100_000)


FUNCTIONS = [passing, rewriting, rooting, generating, breaking, refusing, failing, nesting]


def respond(request: Request) -> Response:
    bodies = {"/large": b"x" * (2 * MIB), "/ward/large": b"x" * (2 * MIB), "/empty": b""}
    if request.target.endswith("missing"):
        return answer(b"no", 404)
    if request.target.endswith("private"):
        return answer(b"mine", cache_control="no-store")
    return answer(
        bodies.get(request.target, b"page of " + request.target.encode()), cache_control="max-age=60", etag='"1"'
    )


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/a", {}),
    ("/a?x=1", {"user_agent": "a", "cookie": "a=1"}),
    ("/", {}),
    ("/empty", {}),
    ("/large", {}),
    ("/missing", {}),
    ("/private", {}),
    ("/a", {"method": "HEAD"}),
    ("/a", {"range": "bytes=1-2"}),
    ("/a", {"if_none_match": '"1"'}),
    ("/a", {"via": "1.1 x"}),
    ("/a", {"x_own": "caf\\"}),
]


def plain(reply: Any) -> tuple[Any, ...]:
    headers = {name: value for name, value in reply.headers.items() if name not in {"x-amz-cf-id", "date", "age"}}
    return reply.status, headers, re.sub(rb"Request ID: [^<]*", b"", reply.body)


async def asked(place: Edge, function: Function, *, short: bool, folder: Path) -> tuple[list[Any], dict[str, int], Any]:
    """Replies, counts, and lines of the log without what differs."""
    if not short:
        long_way(place)
    place.keeps = True
    place.origin.respond = respond
    bucket = Kept()
    access = place.pipeline.access = AccessLogs(folder, "TST1", bucket, 60.0)
    triggers = [place.trigger("viewer-request", function)]
    place.configure(behaviour={"triggers": triggers}, DefaultRootObject="index.html", Logging=logging())
    replies = [await place.get(target, **more) for target, more in REQUESTS for _ in range(3)]
    assert len({reply.headers.get("x-amz-cf-id") for reply in replies}) == len(replies)
    assert [event["Records"][0]["cf"]["request"]["uri"] for event in place.invoker.events] == [
        target.partition("?")[0] for target, _ in REQUESTS for _ in range(3)
    ]
    await access.flush_and_deliver()
    lines = bucket.lines()
    assert [line["x-edge-request-id"] for line in lines] == [reply.headers["x-amz-cf-id"] for reply in replies]
    assert all(float(line["time-taken"]) < 60 for line in lines)
    differs = ("date", "time", "x-edge-request-id", "time-taken", "time-to-first-byte", "sc-bytes", "c-port")
    same = [{name: value for name, value in line.items() if name not in differs} for line in lines]
    traffic = place.pipeline.traffic["E1"]
    counts = {**place.pipeline.results, "failures": sum(traffic.failures.values()), "bytes": traffic.bytes}
    return [plain(reply) for reply in replies], counts | {"hits": traffic.hits + traffic.results["Hit"]}, same


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_as_on_the_long_way(tmp_path: Path, function: Function) -> None:
    found = []
    for short in (True, False):
        async with edge(tmp_path / f"edge-{short}") as place:
            found.append(await asked(place, function, short=short, folder=tmp_path / f"logs-{short}"))
    assert found[0] == found[1]


async def test_a_fresh_object_makes_no_task(tmp_path: Path) -> None:
    async with edge(tmp_path) as place:
        place.keeps = True
        place.configure(behaviour={"triggers": [place.trigger("viewer-request", rewriting)]})
        place.origin.respond = respond
        long: list[object] = []
        go_on = place.pipeline._calling.long

        def noticed(*call: Any) -> Any:
            long.append(call)
            return go_on(*call)

        place.pipeline._calling.long = noticed
        for _ in range(5):
            assert (await place.get("/a")).body == b"page of /ward/a"
        assert len(long) == 1  # the first, which was a miss
        place.clock.ahead = 61.0
        assert (await place.get("/a")).body == b"page of /ward/a"
        assert len(long) == 2
        assert len(place.origin.asked) == 2


async def test_a_function_may_change_its_mind(tmp_path: Path) -> None:
    """The same answer comes to the same, another one to another."""
    async with edge(tmp_path) as place:
        place.keeps = True
        place.origin.respond = respond
        turn = iter(["/a", "/b", "/a", "/c", "/b"])
        function = lambda cf: {**cf["request"], "uri": next(turn)}  # noqa: E731
        place.configure(behaviour={"triggers": [place.trigger("viewer-request", function)]})
        assert [(await place.get("/x")).body[-1:] for _ in range(5)] == [b"a", b"b", b"a", b"c", b"b"]
        assert place.origin.targets == ["/a", "/b", "/c"]


async def test_other_distributions_are_noticed(tmp_path: Path) -> None:
    async with edge(tmp_path) as place:
        place.keeps = True
        place.origin.respond = respond
        for function, expected in ((rewriting, b"page of /ward/a"), (passing, b"page of /a")):
            place.configure(behaviour={"triggers": [place.trigger("viewer-request", function)]})
            assert [(await place.get("/a")).body for _ in range(3)] == [expected] * 3


async def test_a_viewer_that_has_gone_is_counted(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        place.configure(behaviour={"triggers": [place.trigger("viewer-request", passing)]}, Logging=logging())
        place.origin.respond = respond
        bucket = Kept()
        access = place.pipeline.access = AccessLogs(tmp_path / "logs", "TST1", bucket, 60.0)
        place.configure(behaviour={"triggers": [place.trigger("viewer-request", passing)]}, Logging=logging())
        await place.get("/a")
        begun, go_on = asyncio.Event(), asyncio.Event()
        at_once = place.invoker.invoke

        async def slow(invocation: Invocation) -> InvokeResult:
            begun.set()
            await go_on.wait()
            return await at_once(invocation)

        place.invoker.invoke = slow  # type: ignore[method-assign]
        _, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(f"GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await begun.wait()
        writer.transport.abort()
        hits = place.pipeline.results["Hit"]
        await asyncio.sleep(0)
        go_on.set()
        async with asyncio.timeout(20):
            while place.pipeline.results["Hit"] == hits:
                await asyncio.sleep(0.01)
        await access.flush_and_deliver()
        assert [line["sc-status"] for line in bucket.lines()] == ["200"] * 2
