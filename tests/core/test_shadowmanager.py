"""Shadows on both sides of a link that is cut: deployed and changed by boto3 above, by devices' updates on the core."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.core.recipe import BadComponent
from littoral.core.shadowmanager.pace import Pace
from littoral.core.shadowmanager.settings import NAME, settings_of
from littoral.protocols.shadow import SECTIONS
from littoral.tour.link import Link as Cable
from tests.core.world import CORE, CorePlace, RegionPlace, until

PUMP = "pump7"


def wants(**more: Any) -> dict[str, Any]:
    synchronize = {"coreThing": {}, "shadowDocuments": [{"thingName": PUMP, "namedShadows": ["dose"]}]} | more
    return {"componentVersion": "2.3.9", "configurationUpdate": {"merge": json.dumps({"synchronize": synchronize})}}


async def above(region: RegionPlace, name: str = "") -> Any:
    try:
        found = await region.call(
            "iot-data", "get_thing_shadow", thingName=PUMP, **({"shadowName": name} if name else {})
        )
    except ClientError as problem:
        assert problem.response["Error"]["Code"] == "ResourceNotFoundException"
        return None
    return sections(json.loads(found["payload"].read())["state"])


async def change_above(region: RegionPlace, state: Any, name: str = "") -> None:
    more = {"shadowName": name} if name else {}
    await region.call("iot-data", "update_thing_shadow", thingName=PUMP, payload=json.dumps({"state": state}), **more)


async def here(place: CorePlace, name: str = "") -> Any:
    found = await place.shadows.get(PUMP, name)
    return None if found is None else sections(found["state"])


def sections(state: Any) -> Any:
    return {name: state[name] for name in SECTIONS if name in state}


async def both_are(region: RegionPlace, place: CorePlace, wanted: Any, name: str = "") -> None:
    async def are() -> bool:
        return bool(await above(region, name) == wanted and await here(place, name) == wanted)

    await until(are)


async def deployed(region: RegionPlace, **more: Any) -> None:
    assert await region.outcome(await region.deploy(**{NAME.replace(".", "__"): wants(**more)})) == "SUCCEEDED"


async def test_changes_and_deletions_go_both_ways(region: RegionPlace, place: CorePlace) -> None:
    await deployed(region)
    await change_above(region, {"desired": {"rate": 5}}, "dose")
    await both_are(region, place, {"desired": {"rate": 5}}, "dose")
    await place.shadows.update(PUMP, "dose", {"reported": {"rate": 5, "left": {"ml": 40}}})
    await both_are(region, place, {"desired": {"rate": 5}, "reported": {"rate": 5, "left": {"ml": 40}}}, "dose")
    await place.shadows.update(PUMP, "dose", {"reported": {"left": None}})
    await both_are(region, place, {"desired": {"rate": 5}, "reported": {"rate": 5}}, "dose")
    await region.call("iot-data", "delete_thing_shadow", thingName=PUMP, shadowName="dose")
    await both_are(region, place, None, "dose")
    await place.shadows.update(PUMP, "dose", {"desired": {"again": True}})
    await both_are(region, place, {"desired": {"again": True}}, "dose")
    await place.shadows.delete_with(PUMP, "dose")
    await both_are(region, place, None, "dose")


async def test_a_change_is_carried_once(region: RegionPlace, place: CorePlace) -> None:
    await deployed(region)
    for number in range(5):
        await place.shadows.update(PUMP, "", {"reported": {"n": number}})
        await both_are(region, place, {"reported": {"n": number}})
    document = json.loads((await region.call("iot-data", "get_thing_shadow", thingName=PUMP))["payload"].read())
    local = await place.shadows.get(PUMP)
    assert local is not None
    assert (document["version"], local["version"]) == (5, 5)


@pytest.mark.parametrize(("rule", "desired", "reported"), [("aws", "up", "here"), ("device", "here", "here")])
async def test_conflicts_of_an_outage(
    region: RegionPlace, place: CorePlace, cable: Cable, rule: str, desired: str, reported: str
) -> None:
    await deployed(region, shadowDocuments=[{"thingName": PUMP, "conflictRule": rule}])
    await change_above(region, {"desired": {"k": 0}, "reported": {"k": 0}})
    await both_are(region, place, {"desired": {"k": 0}, "reported": {"k": 0}})
    cable.cut()
    await change_above(region, {"desired": {"k": "up", "up": 1}, "reported": {"k": "up"}})
    await place.shadows.update(PUMP, "", {"desired": {"k": "here"}, "reported": {"k": "here", "mine": 1}})
    cable.restore()
    wanted = {"desired": {"k": desired, "up": 1}, "reported": {"k": reported, "mine": 1}}
    await both_are(region, place, wanted)


async def test_one_direction_only(region: RegionPlace, place: CorePlace) -> None:
    await deployed(region, direction="deviceToCloud")
    await place.shadows.update(PUMP, "", {"reported": {"a": 1}})
    await both_are(region, place, {"reported": {"a": 1}})
    await change_above(region, {"desired": {"b": 2}})
    await place.shadows.update(PUMP, "", {"reported": {"a": 2}})
    await both_are(region, place, {"reported": {"a": 2}})

    await deployed(region, direction="cloudToDevice")
    await place.shadows.update(PUMP, "", {"reported": {"a": 3}})
    await change_above(region, {"desired": {"b": 3}})
    await both_are(region, place, {"desired": {"b": 3}, "reported": {"a": 2}})


async def test_what_is_not_configured_stays_where_it_is(region: RegionPlace, place: CorePlace) -> None:
    await deployed(region)
    await change_above(region, {"desired": {"x": 1}}, "other")
    await change_above(region, {"desired": {"x": 1}}, "dose")
    await both_are(region, place, {"desired": {"x": 1}}, "dose")
    assert await here(place, "other") is None


class Syncing:
    """A core in a process of its own, which is killed at the end."""

    def __init__(self, folder: Path, port: int) -> None:
        command = [sys.executable, "-m", "tests.core.syncing_core", str(folder), str(port), PUMP]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._said, self._asks = self._process.stdout, self._process.stdin

    def __enter__(self) -> Syncing:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            pass

    async def line(self) -> str:
        return await asyncio.to_thread(self._said.readline)

    async def show(self) -> Any:
        """The shadow; it is not changed any more."""
        self._asks.write("show\n")
        self._asks.flush()
        while not (said := await self.line()).startswith("{"):
            assert said, "it ended"
        return json.loads(said)


async def _agree(region: RegionPlace, core: Syncing) -> bool:
    found = await core.show()
    return bool(found["quiet"] and sections(found["state"]) == await above(region))


async def test_kill_9_at_any_moment(region: RegionPlace, cable: Cable, tmp_path: Path) -> None:
    """Each side has names that only it writes; none of its writings is lost, and both end the same."""
    certificate, key = await region.core_identity()
    files = {"cert": certificate, "key": key, "ca": region.authority.certificate_pem}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    chance, upward, last = random.Random(7), 0, 0
    for final in (False, False, False, True):
        with Syncing(tmp_path, cable.port) as core:
            assert int(await core.line()) >= last
            for _ in range(chance.randrange(2, 25)):
                upward += 1
                await change_above(region, {"desired": {f"up{upward % 3}": upward}})
                last = int(await core.line())
            if final:
                await until(lambda: _agree(region, core), 60)
    found = await above(region)
    assert found["desired"] == {f"up{number % 3}": number for number in range(upward - 2, upward + 1)}
    assert max(found["reported"].values()) >= last


@pytest.mark.parametrize(
    "configuration",
    [
        {"synchronize": {"direction": "sideways"}},
        {"synchronize": {"shadowDocuments": [{"classic": True}]}},
        {"synchronize": {"coreThing": {"conflictRule": "toss"}}},
        {"strategy": {"type": "never"}},
        {"rateLimits": {"maxOutboundSyncUpdatesPerSecond": 0}},
        {"shadowDocumentSizeLimitBytes": 30721},
        {"synchronise": {}},
    ],
)
def test_what_is_not_served_is_said(configuration: Any) -> None:
    with pytest.raises(BadComponent):
        settings_of(configuration)


def test_the_configuration_of_the_guide() -> None:
    configuration = {
        "strategy": {"type": "periodic", "delay": 30},
        "synchronize": {
            "coreThing": {"classic": True, "namedShadows": ["MyCoreShadow"]},
            "shadowDocuments": [{"thingName": "A", "classic": False, "namedShadows": ["x"]}, {"thingName": "B"}],
            "shadowDocumentsMap": {"C": {"conflictRule": "device"}},
        },
        "rateLimits": {"maxLocalRequestsPerSecondPerThing": 3},
    }
    made = settings_of(configuration, CORE)
    keys = {(CORE, ""), (CORE, "MyCoreShadow"), ("A", "x"), ("B", ""), ("C", "")}
    assert set(made.shadows) == keys
    assert made.shadows["C", ""] == "device"
    assert (made.delay, made.local_of_thing) == (30.0, 3)


def test_components_that_ask_too_often_are_told_so() -> None:
    now = 10.0
    pace = Pace(lambda: now)
    assert pace.admits("a")
    pace.most = (3, 2)
    assert [pace.admits(each) for each in "aaabbb"] == [True, True, False, True, False, False]
    now = 11.0
    assert pace.admits("a")
