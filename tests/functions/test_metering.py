"""Usage and metrics: every execution counted once, by the billed time of its REPORT line; kept over stops and kills."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import Principal, ServiceError
from littoral.functions.metering import Meter, Usage
from littoral.functions.outcome import Outcome
from littoral.functions.tally import Tallies, Tally
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from littoral.site.metrics import Metrics
from littoral.site.readings import MOST_VERSIONS, version_readings
from littoral.store.contract import StorageFailed
from littoral.store.embedded import EmbeddedStore
from tests.functions.deploy import Place, place_in

DAY = 86400.0


class Version:
    """What a tally reads of a version."""

    def __init__(self, name: str, version: str = "1") -> None:
        self.name, self.version = name, version


def counted(tallies: Tallies, name: str, times: int = 1, *, billed: int = 10, memory: int = 512) -> None:
    for _ in range(times):
        tallies.of(Version(name)).concluded(Outcome("ok", b"", billed / 1000), billed, memory, None)  # type: ignore[arg-type]


def billed_of(report: str) -> int:
    found = re.search(r"Billed Duration: (\d+) ms", report)
    assert found is not None
    return int(found[1])


async def test_an_invocation_is_metered_as_its_report_says(place: Place) -> None:
    source = "import time\ntime.sleep(0.02)\ndef handler(e, c):\n    return e['x']\n"
    await place.python(source, memory_size=512)
    reports = [(await place.invoke({"x": 1})).report for _ in range(3)]
    failed = await place.invoke({})
    assert failed.error == "Unhandled" and "Init Duration" in reports[0]
    await place.python("import time\ntime.sleep(0.02)\nimport nothing_like_it", name="broken", memory_size=256)
    broken = (await place.invoke(name="broken")).report
    assert "Init Duration" in broken and billed_of(broken) >= 20
    usage = {each.function: each.usage for each in await place.functions._meter.read("2020-01-01", "2999-01-01")}
    billed = sum(map(billed_of, [*reports, failed.report]))
    assert billed >= 20
    assert usage == {
        "f": Usage(requests=4, errors=1, cold=1, billed_ms=billed, billed_mb_ms=billed * 512),
        "broken": Usage(1, 1, 0, 1, billed_of(broken), billed_of(broken) * 256),
    }
    assert usage["f"].gb_seconds == pytest.approx(billed / 1000 / 2)
    tally = next(each for each in place.functions.tallies() if each.function == "f")
    assert sum(tally.buckets) == tally.requests == 4 and tally.memory_kib > 0 and tally.init_seconds >= 0.02


async def test_usage_outlives_the_place(tmp_path: Path) -> None:
    for count in (1, 2):
        async with place_in(tmp_path) as place:
            if count == 1:
                await place.python("def handler(e, c): pass")
            await place.invoke()
            [used] = await place.functions._meter.read("2020-01-01", "2999-01-01")
            assert used.usage.requests == count


async def test_days_are_apart_and_end(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    store = await EmbeddedStore.open(tmp_path)
    tallies = Tallies()
    meter = Meter(store.records("usage"), tallies, lambda: now[0])
    counted(tallies, "a", 2)
    counted(tallies, "b")
    await meter.write()
    now[0] += DAY
    counted(tallies, "a", 3)
    found = {(each.day, each.function): each.usage.requests for each in await meter.read("2023-11-14", "2023-11-15")}
    assert found == {("2023-11-14", "a"): 2, ("2023-11-14", "b"): 1, ("2023-11-15", "a"): 3}
    assert [each.usage.requests for each in await meter.read("2023-11-15", "2023-11-15")] == [3]
    assert [each.function for each in await meter.read("2023-11-13", "2023-11-14")] == ["a", "b"]
    now[0] += 400 * DAY
    await meter.sweep()
    assert [each.day for each in await meter.read("2020-01-01", "2999-01-01")] == ["2023-11-15"]
    now[0] += DAY
    await meter.sweep()
    assert await meter.read("2020-01-01", "2999-01-01") == []
    await store.close()


async def test_what_the_disk_refuses_is_counted_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await EmbeddedStore.open(tmp_path)
    records, tallies = store.records("usage"), Tallies()
    meter = Meter(records, tallies, lambda: 1_700_000_000.0)
    counted(tallies, "a", 2)

    async def refuse(*_: Any, **__: Any) -> int:
        raise StorageFailed("full")

    with monkeypatch.context() as patched:
        patched.setattr(records, "put", refuse)
        with pytest.raises(StorageFailed):
            await meter.write()
    counted(tallies, "a")
    [used] = await meter.read("2020-01-01", "2999-01-01")
    assert used.usage.requests == 3
    await store.close()


async def test_the_address_is_for_signed_requests(place: Place) -> None:
    await place.python("def handler(e, c): pass")
    await place.invoke()
    principal = Principal("key", "AKID")

    async def authenticate(request: Request) -> Principal:
        if request.headers.get("authorization") is None:
            raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
        return principal

    [(path, handler)] = place.functions.signed_routes(authenticate).items()

    async def get(query: str = "", *, signed: bool = True, method: str = "GET") -> tuple[int, Any]:
        headers = Headers.of([("authorization", "x")] if signed else [])
        answer = handler(Request(method, path + query, headers, BytesBody(), Peer("127.0.0.1", 1)))
        response = answer if isinstance(answer, Response) else await answer  # type: ignore[misc]
        return response.status, json.loads(response.body)

    status, answer = await get()
    assert status == 200 and answer["total"]["requests"] == 1 and answer["days"][0]["function"] == "f"
    assert (await get(f"?since={answer['until']}"))[1]["total"] == answer["total"]
    assert (await get("?since=2020-01-01&until=2020-01-02"))[1]["total"]["requests"] == 0
    for query in ("?since=yesterday", "?until=2026-13-01", "?since=20261101", "?day=1"):
        assert (await get(query))[0] == 400, query
    assert (await get(signed=False))[0] == 403
    assert (await get(method="POST"))[0] == 404
    principal = Principal("anonymous", "")
    assert (await get())[0] == 403


async def test_prometheus_reads_each_version(place: Place) -> None:
    await place.python("def handler(e, c):\n    return 1 / e")
    for event in (1, 2, 0):
        await place.invoke(event)
    metrics = Metrics()
    metrics.add(lambda: version_readings(place.functions.tallies(), place.functions.running()))
    response = metrics.handle(Request("GET", "/metrics", Headers.of([]), BytesBody(), Peer("127.0.0.1", 1)))
    assert isinstance(response.body, bytes)
    lines = dict(line.rsplit(" ", 1) for line in response.body.decode().splitlines() if not line.startswith("#"))
    labels = 'function="f",version="$LATEST"'
    assert float(lines[f"littoral_function_invocations_total{{{labels}}}"]) == 3
    assert float(lines[f"littoral_function_errors_total{{{labels}}}"]) == 1
    assert float(lines[f"littoral_function_cold_starts_total{{{labels}}}"]) == 1
    assert float(lines[f"littoral_function_duration_seconds_count{{{labels}}}"]) == 3
    assert float(lines['littoral_function_duration_seconds_bucket{function="f",le="+Inf",version="$LATEST"}']) == 3
    assert float(lines[f"littoral_function_duration_seconds_sum{{{labels}}}"]) > 0
    assert float(lines[f"littoral_function_memory_size_bytes{{{labels}}}"]) == 128 * 1024 * 1024
    assert float(lines['littoral_function_concurrent{function="f"}']) == 0


def test_a_scrape_stays_bounded() -> None:
    tallies = [Tally(f"f{number}", "1", requests=1) for number in range(MOST_VERSIONS + 7)]
    found = [each for each in version_readings(tallies, {}) if each.name == "littoral_function_invocations_total"]
    assert len(found) == MOST_VERSIONS + 1
    assert found[-1].labels["function"] == "other" and sum(each.value for each in found) == MOST_VERSIONS + 7  # type: ignore[union-attr]
