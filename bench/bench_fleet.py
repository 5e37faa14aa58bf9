"""What a fleet costs: one search over many things, and one job's way through its executions. CPU time of this process.

    python bench/bench_fleet.py [THINGS]

No peer: AWS's index is a service, and no other server known here speaks these APIs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from littoral.protocols.fleetquery import parse
from littoral.protocols.jobs.execution import Update
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.things.fleet import Fleet
from littoral.things.indexing.index import THINGS
from littoral.things.jobs import Job
from littoral.things.message import Publication
from littoral.things.names import Names
from littoral.things.registry import Registry, Thing
from littoral.things.shadows import Shadows

QUERIES = (
    "thingName:bed-77",
    "attributes.ward>90 AND thingName:bed*",
    "shadow.reported.rate:[70 TO 72] OR attributes.ward:3",
)
ON = {
    "thingIndexingConfiguration": {
        "thingIndexingMode": "REGISTRY_AND_SHADOW",
        "thingConnectivityIndexingMode": "STATUS",
    },
    "thingGroupIndexingConfiguration": {"thingGroupIndexingMode": "OFF"},
}


async def untold(_topic: str, _payload: bytes) -> None:
    """Nobody listens."""


class Silence:
    """Nobody comes and nobody goes."""

    def close(self) -> None:
        """There was nothing."""


def nobody(_take: Callable[[Publication], None]) -> tuple[Silence, tuple[str, ...]]:
    return Silence(), ()


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = await EmbeddedStore.open(Path(folder) / "store")
        records = store.records("things")
        registry = Registry(records)
        await registry.load()
        shadows = Shadows(Documents(records, "shadow/"), lambda messages: None, time.time)
        names = Names("us-east-1", "000000000000")
        fleet = Fleet(records, registry, names, untold, shadows, nobody, time.time)
        await fleet.open()
        things = [Thing(f"bed-{n}", str(n), None, {"ward": str(n % 100)}) for n in range(count)]
        await asyncio.gather(*(registry.things.put(thing.name, thing) for thing in things))
        reported = (json.dumps({"state": {"reported": {"rate": 50 + n % 60}}}).encode() for n in range(count))
        await asyncio.gather(*(shadows.update_with(t.name, "", r) for t, r in zip(things, reported, strict=True)))
        await fleet.index.configure(ON)
        for text in QUERIES:
            query, before = parse(text), time.process_time()
            found = len(await fleet.index.search(THINGS, query))
            spent = time.process_time() - before
            print(f"search {text!r}: {found} of {count} things in {spent * 1000:.0f} ms of CPU")
        await job(fleet, things, names)
        await store.close()


async def job(fleet: Fleet, things: list[Thing], names: Names) -> None:
    """Every thing is queued, begins and succeeds; every step is durable, and they share commits."""
    now, targets = time.time(), tuple(names.arn("thing", thing.name) for thing in things)
    made = Job("j", targets, "SNAPSHOT", "{}", now, now)
    before, wall = time.process_time(), time.perf_counter()
    await fleet.progress.remember(made)
    await fleet.progress.put(made)
    await fleet.progress.sweep()
    told = [thing for thing in things if fleet.jobs.executions.get(thing.name, "j") is not None]
    await asyncio.gather(*(fleet.jobs.start_next(thing.name, None, None) for thing in told))
    await asyncio.gather(*(fleet.jobs.update(thing.name, "j", Update("SUCCEEDED")) for thing in told))
    spent, passed = time.process_time() - before, time.perf_counter() - wall
    each = spent / len(told) * 1e6
    what = f"{len(told)} things (the first minute's) queued, begun and done"
    print(f"job: {what}: {each:.0f} µs of CPU each, {passed:.1f} s")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
