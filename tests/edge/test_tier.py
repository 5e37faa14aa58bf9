"""Origin Shield: an origin sees one request for all locations; what is invalidated does not come back from above."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.tier import HEADER, Asking, NotTrusted, Tier
from littoral.net.client import HttpClient
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from tests.edge.place import Origin, answer, behaving, listed
from tests.edge.test_accesslog import Kept, logging
from tests.edge.test_compressing import TEXT
from tests.edge.test_control import Location, Place, config, origin_of, region, until
from tests.edge.test_slicing import BODY, Ranged

SHIELD = "eu-west-1"
METHODS = listed(["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"])


@dataclass
class World:
    place: Place
    origin: Origin
    port: int
    shield: Location
    pops: list[Location]

    def distribution(self, **behaviour: Any) -> tuple[str, str]:
        """Id and host, deployed everywhere."""
        methods = METHODS | {"CachedMethods": listed(["GET", "HEAD"])}
        wanted = config(
            self.port,
            DefaultCacheBehavior=behaving(AllowedMethods=methods, **behaviour),
            CacheTagConfig={"HeaderName": "Cache-Tag"},
        )
        wanted["Origins"]["Items"][0]["OriginShield"] = {"Enabled": True, "OriginShieldRegion": SHIELD}
        made = self.place.cloudfront.create_distribution(DistributionConfig=wanted)["Distribution"]
        waiter = self.place.cloudfront.get_waiter("distribution_deployed")
        waiter.wait(Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
        return made["Id"], made["DomainName"]

    def invalidate(self, identifier: str, *paths: str) -> None:
        cf = self.place.cloudfront
        batch = {"CallerReference": str(paths), "Paths": listed(list(paths))}
        made = cf.create_invalidation(DistributionId=identifier, InvalidationBatch=batch)["Invalidation"]
        waiter = cf.get_waiter("invalidation_completed")
        waiter.wait(DistributionId=identifier, Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with region() as place, origin_of(place.place) as (origin, port):
        origin.respond = lambda _: answer(b"page", cache_control="max-age=600")
        shield = Location(place.place, tmp_path / SHIELD, SHIELD).start()
        pops = [Location(place.place, tmp_path / name, name).start() for name in ("pop1", "pop2", "pop3")]
        try:
            yield World(place, origin, port, shield, pops)
        finally:
            for each in (*pops, shield):
                each.stop()


def test_one_origin_request_for_all_locations(world: World) -> None:
    gate = asyncio.Event()

    async def slow(_: Request) -> Response:
        await gate.wait()
        return answer(b"page", cache_control="max-age=600")

    world.origin.respond = slow
    _, host = world.distribution()
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(pop.get, host, "/a") for pop in world.pops for _ in range(8)]
        world.place.place.loop.call_soon_threadsafe(gate.set)
        assert {each.result()[:2] for each in asked} == {(200, b"page")}
    assert [pop.get(host, "/a")[2] for pop in world.pops] == ["Hit"] * 3
    assert world.origin.targets == ["/a"]
    assert sum(pop.pipeline.tier.hits for pop in world.pops) <= 2


def test_a_location_that_comes_late_gets_it_from_the_shield_with_its_age(world: World) -> None:
    _, host = world.distribution()
    world.pops[0].get(host, "/a")
    status, body, headers = world.pops[1].ask(host, "/a")
    assert (status, body, headers["x-cache"]) == (200, b"page", "Miss from cloudfront")
    assert headers.get(HEADER) is None
    assert world.pops[1].pipeline.tier.hits == 1
    assert world.origin.targets == ["/a"]


def test_the_shield_looks_at_no_viewer_again(world: World) -> None:
    """Its firewall and its access logs are for viewers of its own."""
    seen: list[str] = []

    class Log:
        def of(self, request: Request, answered: Any) -> Any:
            seen.append(request.target)
            return answered

        def use(self, plans: Any) -> None:
            return None

    world.shield.pipeline.access = Log()  # type: ignore[assignment]
    _, host = world.distribution()
    assert world.pops[0].get(host, "/a")[:2] == (200, b"page")
    assert seen == []
    assert world.shield.get(host, "/a")[2] == "Hit"
    assert seen == ["/a"]


def test_changes_go_to_the_origin_at_once(world: World) -> None:
    import http.client

    _, host = world.distribution()
    before = world.shield.pipeline.results.copy()
    for method in ("PUT", "POST", "DELETE"):
        connection = http.client.HTTPConnection("127.0.0.1", world.pops[0].port, timeout=20)
        connection.request(method, "/a", body=b"x", headers={"Host": host})
        assert connection.getresponse().status == 200
        connection.close()
    assert [each.method for each in world.origin.asked] == ["PUT", "POST", "DELETE"]
    assert world.shield.pipeline.results == before


def test_ranges_and_compression_through_the_shield(world: World) -> None:
    origin = world.origin.respond = Ranged()
    _, host = world.distribution(Compress=True)
    for pop in world.pops:
        status, body, _ = pop.ask(host, "/film", Range="bytes=10-2000000")
        assert (status, body) == (206, BODY[10:2_000_001])
    assert len(origin.asked) == 2  # two blocks, once
    world.origin.respond = lambda _: answer(TEXT, content_type="text/plain", cache_control="max-age=60", etag='"1"')
    replies = [pop.ask(host, "/text", **{"Accept-Encoding": "gzip"}) for pop in world.pops]
    assert {(reply[0], reply[2]["content-encoding"], reply[2]["etag"]) for reply in replies} == {(200, "gzip", 'W/"1"')}
    assert len({reply[1] for reply in replies}) == 1
    assert world.origin.targets.count("/text") == 1


def test_what_is_invalidated_does_not_come_back_from_the_shield(world: World) -> None:
    identifier, host = world.distribution()
    for number in range(5):
        world.origin.respond = lambda _, number=number: answer(b"%d" % number, cache_control="max-age=600")
        if number:
            world.invalidate(identifier, f"/{number % 2}*" if number % 2 else "/*", f"/only-{number}")
        for pop in world.pops:
            assert pop.get(host, "/1")[1] == b"%d" % number
            world.place.place.run(asyncio.sleep(0))


def test_invalidation_by_tag(world: World) -> None:
    identifier, host = world.distribution()
    tags = {"/1": "Product:1, all", "/2": "product:2,all", "/3": ""}
    world.origin.respond = lambda request: answer(b"x", cache_control="max-age=600", cache_tag=tags[request.target])
    for path in tags:
        for pop in world.pops:
            pop.get(host, path)
    assert sorted(world.origin.targets) == ["/1", "/2", "/3"]
    world.invalidate(identifier, "#product:1")
    assert [[pop.get(host, path)[2] for path in tags] for pop in world.pops] == [["Miss", "Hit", "Hit"]] * 3
    world.invalidate(identifier, "#ALL", "/nothing")
    assert [[pop.get(host, path)[2] for path in tags] for pop in world.pops] == [["Miss", "Miss", "Hit"]] * 3
    assert sorted(world.origin.targets) == ["/1", "/1", "/1", "/2", "/2", "/3"]


def test_a_shield_that_is_away_or_behind_does_not_matter(world: World) -> None:
    _, host = world.distribution()
    world.shield.pipeline.tier.applied = -1  # it has not heard of the distribution yet
    assert world.pops[0].get(host, "/a")[:2] == (200, b"page")
    world.place.place.run(world.shield.listener.close(0))
    assert world.pops[1].get(host, "/a")[:2] == (200, b"page")
    assert world.origin.targets == ["/a", "/a"]


async def test_only_locations_are_believed() -> None:
    client = HttpClient()
    shield = Tier("s", client, lambda: 1000.0, secret=b"secret", applied=3)
    other = replace(shield, name="o", applied=5)
    asking = Asking(3, "/a b;*", "192.0.2.1", True)

    def request(signed: str, host: str = "h", target: str = "/a") -> Request:
        headers = Headers.of([("host", host), (HEADER, signed)])
        return Request("GET", target, headers, BytesBody(), Peer("127.0.0.1", 1))

    good = other._signed("h", "/a", asking)
    assert shield.asked(request(good)) == asking
    assert not shield.behind(asking) and shield.behind(replace(asking, revision=4))
    forged = [
        request(good, target="/b"),
        request(good, host="other"),
        request(good.replace("revision=3", "revision=2")),
        request(""),
        request(replace(other, secret=b"guess")._signed("h", "/a", asking)),
        request(replace(other, clock=lambda: 900.0)._signed("h", "/a", asking)),
    ]
    for each in forged:
        with pytest.raises(NotTrusted):
            shield.asked(each)
    with pytest.raises(NotTrusted):
        replace(shield, secret=b"").asked(request(replace(other, secret=b"")._signed("h", "/a", asking)))
    await client.close()


def test_a_hit_of_the_shield_says_so(world: World, tmp_path: Path) -> None:
    bucket, (first, second) = Kept(), world.pops[:2]
    access = AccessLogs(tmp_path / "logs", "POP2", bucket, 60.0)
    second.pipeline.access = access
    with_logs = world.distribution()[0]
    found = world.place.cloudfront.get_distribution_config(Id=with_logs)
    changed = found["DistributionConfig"] | {"Logging": logging()}
    world.place.cloudfront.update_distribution(Id=with_logs, DistributionConfig=changed, IfMatch=found["ETag"])
    revision = world.place.control.revision
    until(lambda: all(each.location.revision >= revision for each in (first, second, world.shield)))
    host = world.place.cloudfront.get_distribution(Id=with_logs)["Distribution"]["DomainName"]
    first.get(host, "/a")
    for path in ("/a", "/a", "/b"):
        second.get(host, path)
    world.place.place.run(access.flush_and_deliver())
    results = [(each["x-edge-result-type"], each["x-edge-detailed-result-type"]) for each in bucket.lines()]
    assert results == [("Hit", "OriginShieldHit"), ("Hit", "Hit"), ("Miss", "Miss")]
