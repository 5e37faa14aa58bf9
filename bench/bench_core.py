"""A core's figures: publish to acknowledgement and to handled, and records a second up the spool.

Everything is real but the way up of the first part, which leads nowhere: broker, stream, function process; then region
and core over TLS, with 20000 records that waited while the link was cut. No peer: AWS's core needs the cloud.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.core.test_core import UP, bridge
from tests.core.world import CorePlace, RegionPlace, until

from littoral.core.link import Backoff
from littoral.core.runtime import Core
from littoral.things.message import Publication
from littoral.tour.link import Link as Cable

EVENTS = 2000
RECORDS = 20_000
SOURCE = "def handler(event, context):\n    return event\n"


class Timed:
    """Notes when each invocation was over."""

    def __init__(self, functions: Any) -> None:
        self._functions = functions
        self.over: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._functions, name)

    async def invoke(self, invocation: Any) -> Any:
        result = await self._functions.invoke(invocation)
        self.over.append(time.perf_counter())
        return result


def figures(name: str, seconds: list[float]) -> None:
    ordered = sorted(each * 1000 for each in seconds)
    print(f"{name}: median {statistics.median(ordered):.2f} ms, p99 {ordered[len(ordered) * 99 // 100]:.2f} ms")


async def latency(place: CorePlace, timed: Timed) -> None:
    acknowledged: list[float] = []
    handled: list[float] = []
    for number in range(EVENTS):
        before = time.perf_counter()
        await place.broker.publish(Publication("bench/1", b"%d" % number, 1))
        acknowledged.append(time.perf_counter() - before)
        while len(timed.over) <= number:
            await asyncio.sleep(0.0002)
        handled.append(timed.over[-1] - before)
        await asyncio.sleep(0.002)
    figures("one at a time, publish to PUBACK ", acknowledged)
    figures("one at a time, publish to handled", handled)
    timed.over.clear()
    begun = time.perf_counter()
    for _ in range(0, EVENTS * 2, 100):
        await asyncio.gather(*(place.broker.publish(Publication("bench/1", b"%d" % n, 1)) for n in range(100)))

    await until(lambda: len(timed.over) == EVENTS * 2)
    print(f"100 publishers at once: {EVENTS * 2 / (time.perf_counter() - begun):.0f} events/s handled")


async def drain(place: CorePlace, cable: Cable, region: RegionPlace) -> None:
    cable.cut()
    for _ in range(0, RECORDS, 500):
        await asyncio.gather(*(place.publish("ward/1/aggregate", "x" * 200) for _ in range(500)))
    assert await place.pending() == RECORDS
    connected = asyncio.create_task(place.core.link.connected())
    cable.restore()
    await connected
    begun = time.perf_counter()
    await until(lambda: len(region.arrived) == RECORDS)
    arrived = time.perf_counter() - begun
    print(f"spool: {RECORDS} records of 200 bytes in {arrived:.2f} s, {RECORDS / arrived:.0f} records/s")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        region = RegionPlace(Path(folder) / "region")
        await region.start()
        identity = await region.core_identity()
        with Cable("127.0.0.1", region.device_port) as cable:
            place = CorePlace(Path(folder) / "core", cable.port, identity, region.authority.certificate_pem)
            place.backoff = Backoff()
            made: list[Timed] = []
            opened = Core.open

            async def open_timed(settings: Any, records: Any, streams: Any, functions: Any, *others: Any) -> Core:
                made.append(Timed(functions))
                return await opened(settings, records, streams, made[0], *others)

            Core.open = open_timed  # type: ignore[method-assign, assignment]
            await place.start()
            await region.component(
                await region.function(source=SOURCE), eventSources=[{"topic": "bench/+", "type": "PUB_SUB"}]
            )
            deployment = await region.deploy(ward__notes={"componentVersion": "1.0.0"}, **bridge(**UP))
            assert await region.outcome(deployment) == "SUCCEEDED"
            await latency(place, made[0])
            await drain(place, cable, region)
            await place.stop()
        await region.stop()


if __name__ == "__main__":
    asyncio.run(main())
