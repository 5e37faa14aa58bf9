"""Origin groups: when the secondary is asked, and when not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.edge.place import Edge, Origin, answer, behaving, listed
from tests.edge.test_pipeline import label
from tests.support.clock import Clock

ALL = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]


@pytest_asyncio.fixture
async def second() -> AsyncIterator[Origin]:
    origin = Origin(Clock(), lambda _: answer(b"second", cache_control="max-age=60"))
    await origin.start()
    yield origin
    await origin.stop()


def group(place: Edge, second: Origin, *statuses: int, behaviour: dict[str, Any] | None = None, **more: Any) -> None:
    """Serve from a group of the place's origin and ``second``."""
    assert second.listener is not None
    plain = place.config(**more)["Origins"]["Items"][0]
    custom = plain["CustomOriginConfig"] | {"HTTPPort": second.listener.port}
    criteria = {"StatusCodes": listed(list(statuses))}
    members = listed([{"OriginId": "o"}, {"OriginId": "b"}])
    place.configure(
        behaviour={"TargetOriginId": "g", **(behaviour or {})},
        Origins=listed([plain, plain | {"Id": "b", "CustomOriginConfig": custom}]),
        OriginGroups=listed([{"Id": "g", "FailoverCriteria": criteria, "Members": members}]),
    )


async def test_a_status_of_the_criteria_sends_to_the_secondary(place: Edge, second: Origin) -> None:
    group(place, second, 404, 503)
    place.origin.respond = lambda request: answer(b"no", 503 if request.target == "/a" else 500)
    first = await place.get("/a")
    assert (first.status, first.body, label(first)) == (200, b"second", "Miss")
    assert (await place.get("/a")).headers["x-cache"] == "Hit from cloudfront"
    assert (await place.get("/b")).status == 500  # not among the criteria
    assert (place.origin.targets, second.targets) == (["/a", "/b"], ["/a"])


async def test_the_primary_is_always_asked_first(place: Edge, second: Origin) -> None:
    group(place, second, 503, behaviour={"CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"})
    place.origin.respond = lambda _: answer(b"no", 503)
    for _ in range(2):
        assert (await place.get("/a")).body == b"second"
    place.origin.respond = lambda _: answer(b"first")
    assert (await place.get("/a")).body == b"first"
    assert (len(place.origin.asked), len(second.asked)) == (3, 2)


async def test_no_connection_and_no_answer_in_time(place: Edge, second: Origin) -> None:
    group(place, second, 503)
    await place.origin.stop()
    assert (await place.get("/a")).body == b"second"
    silent = Origin(place.clock)

    async def never(_: Any) -> Any:
        import asyncio

        await asyncio.sleep(60)

    silent.respond = never
    await silent.start(place.origin_port)
    custom = {"HTTPPort": place.origin_port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    more = {"ConnectionAttempts": 2, "CustomOriginConfig": custom | {"OriginReadTimeout": 0.2}}
    group(place, second, 503, origin=more)
    try:
        assert (await place.get("/b")).body == b"second"
        assert len(silent.asked) == 2  # attempts count for answers, too
    finally:
        silent_listener = silent.listener
        assert silent_listener is not None
        await silent.stop()


async def test_both_fail(place: Edge, second: Origin) -> None:
    group(place, second, 503)
    place.origin.respond = lambda _: answer(b"no", 503)
    second.respond = lambda _: answer(b"neither", 503)
    reply = await place.get("/a")
    assert (reply.status, reply.body) == (503, b"neither")
    await second.stop()
    assert (await place.get("/b")).status == 502


async def test_a_stale_object_comes_after_the_secondary(place: Edge, second: Origin) -> None:
    place.policies["short"] = place.policies["658327ea-f89d-4fab-a63d-7e88639e58f6"] | {"MinTTL": 1}
    group(place, second, 503, behaviour={"CachePolicyId": "short"})
    place.origin.respond = lambda _: answer(b"first", cache_control="max-age=10")
    assert (await place.get("/a")).body == b"first"
    place.clock.ahead = 20
    place.origin.respond = lambda _: answer(b"no", 503)
    second.respond = lambda _: answer(b"no", 503)
    assert (await place.get("/a")).body == b"first"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("OPTIONS", 200), ("POST", 503), ("DELETE", 503)])
async def test_writing_methods_do_not_fail_over(place: Edge, second: Origin, method: str, status: int) -> None:
    group(place, second, 503, behaviour={"AllowedMethods": listed(ALL)})
    place.origin.respond = lambda _: answer(b"no", 503)
    assert (await place.get("/a", method)).status == status
    assert len(second.asked) == (status == 200)


async def test_origin_triggers_run_for_each_origin(place: Edge, second: Origin) -> None:
    ports = []

    def asks(cf: dict[str, Any]) -> Any:
        ports.append(cf["request"]["origin"]["custom"]["port"])
        return cf["request"]

    triggers = [place.trigger("origin-request", asks), place.trigger("origin-response", lambda cf: cf["response"])]
    group(place, second, 503, behaviour={"LambdaFunctionAssociations": listed(triggers)})
    place.origin.respond = lambda _: answer(b"no", 503)
    assert (await place.get("/a")).body == b"second"
    assert second.listener is not None
    assert ports == [place.origin_port, second.listener.port]
    assert place.invoker.kinds == ["origin-request", "origin-response"] * 2
    statuses = [each["Records"][0]["cf"].get("response", {}).get("status") for each in place.invoker.events]
    assert statuses == [None, "503", None, "200"]


async def test_other_behaviours_keep_their_origin(place: Edge, second: Origin) -> None:
    group(place, second, 503)
    config = place.config(CacheBehaviors=listed([behaving(PathPattern="/x")]))
    place.configure(CacheBehaviors=config["CacheBehaviors"])
    place.origin.respond = lambda _: answer(b"no", 503)
    assert (await place.get("/x")).status == 503
    assert second.asked == []
