"""How a core fares, told as AWS's nucleus tells it: the messages, a real core's, and what the region makes of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from littoral.core.fleetstatus.message import Component, messages, parse
from littoral.core.nucleusparts import DAY, every
from littoral.core.recipe import BadComponent
from littoral.tour.link import Link as Cable
from tests.core.programs import create
from tests.core.world import ACCOUNT, CORE, REGION, CorePlace, RegionPlace, until

TOPIC = f"$aws/things/{CORE}/greengrassv2/health/json"
ONE = "com.example.One"

# A message of AWS's nucleus 2.13, as its FleetStatusServiceTest expects them to be.
OF_AWS: Mapping[str, Any] = {
    "ggcVersion": "2.13.0",
    "platform": "linux",
    "architecture": "aarch64",
    "thing": CORE,
    "sequenceNumber": 7,
    "timestamp": 1764374400000,
    "messageType": "COMPLETE",
    "trigger": "NUCLEUS_LAUNCH",
    "overallDeviceStatus": "HEALTHY",
    "components": [
        {
            "componentName": "com.example.Hello",
            "version": "1.2.0",
            "fleetConfigArns": [f"arn:aws:greengrass:{REGION}:{ACCOUNT}:configuration:thing/{CORE}:3"],
            "componentStatusDetails": None,
            "isRoot": True,
            "status": "RUNNING",
        },
        {
            "componentName": "TelemetryAgent",
            "version": None,
            "fleetConfigArns": [],
            "componentStatusDetails": None,
            "isRoot": False,
            "status": "RUNNING",
        },
    ],
}
HELLO = OF_AWS["components"][0]


@pytest.fixture
def heard(region: RegionPlace) -> list[dict[str, Any]]:
    """What cores tell, before the region has it."""
    found: list[dict[str, Any]] = []
    take = region.greengrass.fleet_status

    async def noted(thing: str, payload: bytes) -> None:
        found.append(json.loads(payload))
        await take(thing, payload)

    region.things.on_fleet_status(noted)
    return found


@pytest.fixture
async def place(
    region: RegionPlace, heard: list[dict[str, Any]], cable: Cable, tmp_path: Any
) -> AsyncIterator[CorePlace]:
    identity = await region.core_identity()
    made = CorePlace(tmp_path / "core", cable.port, identity, region.authority.certificate_pem)
    await made.start()
    yield made
    await made.stop()


async def installed(region: RegionPlace, **more: str) -> dict[str, dict[str, Any]]:
    found = await region.call("greengrassv2", "list_installed_components", coreDeviceThingName=CORE, **more)
    return {each["componentName"]: each for each in found["installedComponents"]}


async def test_a_core_tells_its_launch_its_deployments_and_its_components_in_aws_s_form(
    region: RegionPlace, place: CorePlace, heard: list[dict[str, Any]], cable: Cable
) -> None:
    await until(lambda: heard)
    launch = heard[0]
    assert launch.keys() == OF_AWS.keys()
    assert (launch["trigger"], launch["messageType"], launch["components"]) == ("NUCLEUS_LAUNCH", "COMPLETE", [])
    await create(region, ONE, run="test -e good || exit 1; exec sleep 1000", install="touch good")
    deployment = await region.deploy(com__example__One={"componentVersion": "1.0.0"})
    assert await region.outcome(deployment) == "SUCCEEDED"
    told = next(each for each in heard if each["trigger"] == "THING_DEPLOYMENT")
    arn = f"arn:aws:greengrass:{REGION}:{ACCOUNT}:configuration:thing/{CORE}:1"
    assert told["components"] == [{**HELLO, "componentName": ONE, "version": "1.0.0", "fleetConfigArns": [arn]}]
    assert told["deploymentInformation"] == {
        "status": "SUCCEEDED",
        "statusDetails": {
            "detailedStatus": "SUCCESSFUL",
            "failureCause": None,
            "errorStack": None,
            "errorTypes": None,
        },
        "fleetConfigurationArnForStatus": arn,
        "deploymentId": deployment,
        "unchangedRootComponents": [],
    }
    shown = (await installed(region))[ONE]
    assert (shown["lifecycleState"], shown["lastInstallationSource"]) == ("RUNNING", deployment)

    (place.folder / "components" / "work" / ONE / "good").unlink()
    place.core.ipc.components.report(ONE, "ERRORED")

    async def status() -> str:
        found = await region.call("greengrassv2", "get_core_device", coreDeviceThingName=CORE)
        return str(found["status"])

    async def unhealthy() -> bool:
        return await status() == "UNHEALTHY"

    await until(unhealthy)
    broken = (await installed(region))[ONE]
    assert (broken["lifecycleState"], broken["lifecycleStatusCodes"]) == ("BROKEN", ["RUN_ERROR"])
    assert broken["lifecycleStateDetails"] == "run ended with 1"
    details = {"statusCodes": ["RUN_ERROR"], "statusReason": "run ended with 1"}
    assert details in [each["componentStatusDetails"] for told in heard for each in told["components"]]
    numbers = [each["sequenceNumber"] for each in heard]
    assert numbers == sorted(set(numbers))

    count = len(heard)
    assert await region.outcome(await region.deploy()) == "SUCCEEDED"  # nothing is deployed any more
    assert await installed(region) == {}
    assert [each["fleetConfigArns"] for each in heard[count:][-1]["components"]] == [[]]
    assert await status() == "HEALTHY"


async def test_a_deployment_made_with_the_cable_out_is_told_when_it_is_in_again(
    region: RegionPlace, place: CorePlace, heard: list[dict[str, Any]], cable: Cable, tmp_path: Any
) -> None:
    await until(lambda: heard)
    cable.cut()
    await until(lambda: not place.core.link.stats.connected)
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": ONE,
        "ComponentVersion": "1.0.0",
        "Manifests": [{"Lifecycle": {"run": "exec sleep 1000"}}],
    }
    (recipes / "one.json").write_text(json.dumps(recipe))
    request = {"recipeDirectoryPath": str(recipes), "rootComponentVersionsToAdd": {ONE: "1.0.0"}}
    made = await place.core.deployments.local.create(request)
    await until(lambda: place.core.deployments.local.get(made).status == "SUCCEEDED")
    cable.restore()
    await until(lambda: any(each["trigger"] == "LOCAL_DEPLOYMENT" for each in heard))

    async def source() -> str:
        return str((await installed(region)).get(ONE, {}).get("lastInstallationSource"))

    async def local() -> bool:
        return await source() == "LOCAL"

    await until(local)


async def test_the_region_takes_what_aws_s_nucleus_tells(region: RegionPlace) -> None:
    async def tell(**changed: Any) -> None:
        await region.greengrass.fleet_status(CORE, json.dumps({**OF_AWS, **changed}).encode())

    await tell()
    core = await region.call("greengrassv2", "get_core_device", coreDeviceThingName=CORE)
    assert (core["coreVersion"], core["platform"], core["architecture"]) == ("2.13.0", "linux", "aarch64")
    assert core["status"] == "HEALTHY"
    assert set(await installed(region)) == {"com.example.Hello"}
    assert set(await installed(region, topologyFilter="ALL")) == {"com.example.Hello", "TelemetryAgent"}

    details = {"statusCodes": ["RUN_ERROR"], "statusReason": "The run script exited."}
    broken = {**HELLO, "status": "BROKEN", "componentStatusDetails": details}
    partial = {"messageType": "PARTIAL", "trigger": "COMPONENT_STATUS_CHANGE"}
    await tell(**partial, overallDeviceStatus="UNHEALTHY", components=[broken])
    shown = (await installed(region, topologyFilter="ALL"))["com.example.Hello"]
    assert (shown["lifecycleState"], shown["lifecycleStatusCodes"]) == ("BROKEN", ["RUN_ERROR"])
    assert shown["lifecycleStateDetails"] == "The run script exited."
    listed = await region.call("greengrassv2", "list_core_devices", status="UNHEALTHY")
    assert [each["coreDeviceThingName"] for each in listed["coreDevices"]] == [CORE]

    gone = {**HELLO, "fleetConfigArns": [], "isRoot": False}
    await tell(**partial, components=[gone])
    assert set(await installed(region, topologyFilter="ALL")) == {"TelemetryAgent"}

    for nonsense in (b"", b"[]", b'{"overallDeviceStatus": 7}'):
        with pytest.raises(ValueError, match=r".*"):
            await region.greengrass.fleet_status(CORE, nonsense)
    await tell(components=[7, {}, {"componentName": 1}, {**HELLO, "status": "WELL"}, {**HELLO, "version": 3}])
    assert set(await installed(region)) == {"com.example.Hello"}


async def test_a_list_that_is_too_long_for_one_message_comes_whole(region: RegionPlace) -> None:
    components = [Component(f"com.example.{number:04}", "1.0.0", "RUNNING", arns=("a",)) for number in range(1000)]
    head = {key: value for key, value in OF_AWS.items() if key != "components"}
    made = messages(head, components, 20_000)
    assert len(made) > 5 and all(len(each) <= 20_000 for each in made)
    assert [json.loads(each)["chunkInfo"]["chunkId"] for each in made] == [*range(1, len(made) + 1)]
    assert [parse(each).whole for each in made] == [True] + [False] * (len(made) - 1)
    for each in made:
        await region.greengrass.fleet_status(CORE, each)
    kept = await region.greengrass._state.cores.get(CORE)
    assert kept is not None and [each["name"] for each in kept["components"]] == [each.name for each in components]
    assert "chunkInfo" not in json.loads(messages(head, components[:2])[0])


def test_how_often_it_is_told() -> None:
    interval = "periodicStatusPublishIntervalSeconds"
    assert (every(None), every({interval: 60}), every({interval: 2 * DAY})) == (DAY, DAY, 2 * DAY)
    for broken in (7, {"x": 1}, {interval: 0}, {interval: "often"}, {interval: True}):
        with pytest.raises(BadComponent, match="fleetStatus"):
            every(broken)
