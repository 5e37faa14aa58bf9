"""What a distribution did, counted."""

from __future__ import annotations

from littoral.edge.plan import compile_plan
from littoral.site.metrics import Reading
from littoral.site.readings import distribution_readings
from tests.edge.place import HOST, Edge, answer, behaving

ALL_METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]


async def test_each_distribution_is_counted_by_itself_over_changes(place: Edge) -> None:
    def respond(request: object) -> object:
        failed = "missing" in request.target  # type: ignore[attr-defined]
        return answer(b"no!" if failed else b"12345", 404 if failed else 200, cache_control="max-age=60")

    place.origin.respond = respond
    for _ in range(5):
        await place.get("/a")
    await place.get("/a", method="HEAD")
    await place.get("/missing")
    traffic = place.pipeline.traffic["E1"]
    assert traffic.requests == {"Miss": 1, "Hit": 5, "Error": 1}
    assert traffic.errors == {"4xx": 1}
    assert traffic.failures == {404: 1}
    assert 0.14 < traffic.error_ratio < 0.15
    assert traffic.bytes == 5 * 5 + 3
    assert traffic.origin_requests == 2
    assert traffic.origin_seconds > 0
    assert 0.7 < traffic.hit_ratio < 0.72
    other = compile_plan("E2", "other.cloudfront.net", place.config(), place.policies)
    place.pipeline.use({"E1": compile_plan("E1", HOST, place.config(), place.policies), "E2": other})
    await place.get("/a")
    await place.get("/a", host="other.cloudfront.net")
    assert place.pipeline.traffic["E1"].requests["Hit"] == 6
    assert place.pipeline.traffic["E2"].requests == {"Miss": 1, "Hit": 0}
    place.pipeline.use({})
    assert place.pipeline.traffic == {}


async def test_what_viewers_upload(place: Edge) -> None:
    place.configure(behaviour=behaving(methods=ALL_METHODS))
    await place.get("/form", method="POST", body=b"a=b")
    await place.get("/form", method="PUT", body=b"12345")
    assert place.pipeline.traffic["E1"].uploaded == 8


async def test_what_prometheus_reads(place: Edge) -> None:
    for _ in range(4):
        await place.get("/a")
    found = distribution_readings(place.pipeline.traffic["E1"], {"distribution": "E1", "location": "TST1"})
    shown = {(each.name, each.labels.get("result", "")): each.value for each in found if isinstance(each, Reading)}
    assert shown["littoral_distribution_requests_total", "Hit"] == 3
    assert shown["littoral_distribution_hit_ratio", ""] == 0.75
    assert shown["littoral_distribution_bytes_total", ""] == 20
    assert shown["littoral_distribution_error_ratio", ""] == 0
    assert shown["littoral_distribution_uploaded_bytes_total", ""] == 0
    assert shown["littoral_distribution_origin_requests_total", ""] == 1
