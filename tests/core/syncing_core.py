"""A core that changes a shadow all the time, to be killed: ``python -m tests.core.syncing_core FOLDER PORT THING``.

Prints the number of each change that is durable. ``show`` on its standard input ends the changes and prints the shadow.
Not a test; see test_shadowmanager.py.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from littoral.core.applying import ACTIVE
from littoral.core.shadowmanager.settings import NAME
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from tests.core.world import CorePlace


async def main(folder: Path, port: int, thing: str) -> None:
    identity = (folder / "cert").read_bytes(), (folder / "key").read_bytes()
    merge = json.dumps({"synchronize": {"shadowDocuments": [{"thingName": thing}]}})
    active = {"arn": "a", "components": {NAME: {"version": "2.3.9", "merge": merge}}, "recipes": {}}
    store = await EmbeddedStore.open(folder / "core" / "store")
    await Documents(store.records("core"), "deployment/").put(ACTIVE, active)
    await store.close()
    place = CorePlace(folder / "core", port, identity, (folder / "ca").read_bytes())
    await place.start()
    found = await place.shadows.get(thing)
    reported = found["state"].get("reported", {}) if found else {}
    number = max(reported.values(), default=0)
    asked = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    print(number, flush=True)
    while not asked.done():
        number += 1
        await place.shadows.update(thing, "", {"reported": {f"here{number % 3}": number}})
        print(number, flush=True)
        await asyncio.sleep(0.01)
    before = -1
    while True:
        found = await place.shadows.get(thing)
        assert found is not None
        print(json.dumps({"state": found["state"], "quiet": found["version"] == before}), flush=True)
        before = found["version"]
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
