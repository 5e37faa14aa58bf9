"""A core and its region, real on both sides: deployment, events in order, the link cut and restored."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from littoral.cli.core import linked
from littoral.core.bridge import BRIDGE
from littoral.core.rejected import STREAM as REJECTED
from littoral.core.spool import SpoolLimits
from littoral.core.waiting import PREFIX
from littoral.net.client import HttpClient
from littoral.things.broker import NotStored
from littoral.things.message import Publication
from littoral.tour.link import Link as Cable
from tests.core.world import CORE, CorePlace, RegionPlace, until
from tests.functions.deploy import zip_of
from tests.support.confined import FACTS, confined
from tests.support.notebook import NOTE, notebook

BRIDGE_KEY = BRIDGE.replace(".", "__")


def bridge(**table: Any) -> dict[str, Any]:
    return {
        BRIDGE_KEY: {
            "componentVersion": "2.3.2",
            "configurationUpdate": {"merge": json.dumps({"mqttTopicMapping": table})},
        }
    }


UP = {"up": {"topic": "ward/+/aggregate", "source": "LocalMqtt", "target": "IotCore"}}
DOWN = {"down": {"topic": "orders/#", "source": "IotCore", "target": "LocalMqtt", "targetTopicPrefix": "above/"}}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def port(out: Path) -> Iterator[int]:
    with notebook(out) as opened:
        yield opened


def notes(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def test_a_function_is_deployed_gets_its_events_in_order_and_survives_a_restart_with_no_link(
    region: RegionPlace, place: CorePlace, cable: Cable, out: Path, port: int
) -> None:
    arn = await region.function()
    await region.component(
        arn,
        eventSources=[{"topic": "ward/+/wave", "type": "PUB_SUB"}, {"topic": "orders/+", "type": "IOT_CORE"}],
        environmentVariables={"OUT": str(port), "GREETING": "component"},
    )
    merge = json.dumps({"lambdaExecutionParameters": {"EnvironmentVariables": {"GREETING": "deployment"}}})
    update = {"componentVersion": "1.0.0", "configurationUpdate": {"merge": merge}}
    deployment = await region.deploy(ward__notes=update, **bridge(**UP))
    assert await region.outcome(deployment) == "SUCCEEDED"
    installed = await region.call("greengrassv2", "list_installed_components", coreDeviceThingName=CORE)
    shown = {each["componentName"]: each["lifecycleState"] for each in installed["installedComponents"]}
    assert shown == {"ward.notes": "RUNNING", BRIDGE: "RUNNING"}
    found = await region.call("greengrassv2", "get_deployment", deploymentId=deployment)
    assert (found["deploymentStatus"], found["isLatestForTarget"]) == ("COMPLETED", True)
    core = await region.call("greengrassv2", "get_core_device", coreDeviceThingName=CORE)
    assert core["status"] == "HEALTHY"

    for number in range(50):
        await place.publish("ward/bed1/wave", number)
    await until(lambda: len(notes(out)) == 50)
    assert notes(out) == [["ward/bed1/wave", number, "deployment"] for number in range(50)]
    await region.things.broker.publish(Publication("orders/7", b'"from above"', 1))
    await until(lambda: notes(out)[-1][:2] == ["orders/7", "from above"])

    await place.stop()
    cable.cut()
    await place.start()
    await place.publish("ward/bed1/wave", "fail")
    await place.publish("ward/bed1/wave", "offline")
    await until(lambda: notes(out)[-1][1] == "offline")
    told = {"handled": 1, "failed": 1, "waiting": 0, "dropped": 0}
    await until(lambda: _components(place, {"ward.notes": told}))
    stats = await place.core.stats()
    assert stats["link"]["connected"] is False
    cable.restore()


async def test_a_clock_that_is_set_right_makes_nothing_last_longer(
    place: CorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time() + 25 * 365 * 86400
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: right)
        found = await place.core.operator.status()
        words = linked(found["link"])
    assert found["seconds"] < 3600
    assert words.startswith(("up for ", "down for ")) and " d" not in words.partition(":")[0].removeprefix("down")


CELL = NOTE + FACTS + "import json\ndef handler(event, context): note(json.dumps(facts(event)))\n"


async def test_a_function_of_a_core_is_in_a_cell(region: RegionPlace, place: CorePlace, out: Path, port: int) -> None:
    arn = await region.function("cell", CELL, MemorySize=256, EphemeralStorage={"Size": 600})
    sources = [{"topic": "look", "type": "PUB_SUB"}]
    await region.component(arn, "ward.cell", eventSources=sources, environmentVariables={"OUT": str(port)})
    assert await region.outcome(await region.deploy(ward__cell={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    await place.publish("look", str(place.folder))
    await until(lambda: notes(out))
    assert notes(out) == [confined(place.folder, memory=256, tmp=600)]


LAYERED = """
import json, os, socket, words
def handler(event, context):
    with socket.create_connection(("127.0.0.1", int(os.environ["OUT"]))) as out:
        out.sendall(json.dumps([words.LOW, words.HIGH]).encode() + b"\\n")
"""


async def test_layers_come_with_their_function(
    region: RegionPlace, place: CorePlace, out: Any, port: int, cable: Cable
) -> None:
    layers = []
    for name, text in (("low", "LOW, HIGH = 1, 1"), ("high", "LOW, HIGH = 1, 2")):
        content = {"ZipFile": zip_of(**{"python/words__py": text})}
        made = await region.call("lambda", "publish_layer_version", LayerName=name, Content=content)
        layers.append(made["LayerVersionArn"])
    arn = await region.function("layered", LAYERED, Layers=layers)
    await region.component(
        arn,
        "ward.layered",
        eventSources=[{"topic": "ward/#", "type": "PUB_SUB"}],
        environmentVariables={"OUT": str(port)},
    )
    for name in ("low", "high"):  # what a version of a function has, it keeps
        await region.call("lambda", "delete_layer_version", LayerName=name, VersionNumber=1)
    assert await region.outcome(await region.deploy(ward__layered={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    await place.stop()
    cable.cut()
    await place.start()
    await place.publish("ward/bed1", 1)
    await until(lambda: notes(out) == [[1, 2]])
    cable.restore()


async def test_what_the_link_could_not_carry_arrives_once_and_in_order(
    region: RegionPlace, place: CorePlace, cable: Cable
) -> None:
    assert await region.outcome(await region.deploy(**bridge(**UP))) == "SUCCEEDED"
    sent = 0
    for _ in range(6):
        for _ in range(40):
            await place.publish("ward/1/aggregate", sent)
            sent += 1
        cable.cut()
        for _ in range(40):
            await place.publish("ward/1/aggregate", sent)
            sent += 1
        assert await place.pending() >= 40
        cable.restore()
        await until(lambda: place.core.link.stats.connected)
    await until(lambda: len(region.arrived) >= sent)
    await until(lambda: _none(place))
    assert region.arrived == [("ward/1/aggregate", number) for number in range(sent)]
    assert place.core.link.stats.connects >= 7


async def _components(place: CorePlace, wanted: dict[str, Any]) -> bool:
    return bool((await place.core.stats())["components"] == wanted)


async def _none(place: CorePlace) -> bool:
    return await place.pending() == 0


async def test_a_core_that_restarts_while_the_region_is_away_loses_and_doubles_nothing(
    region: RegionPlace, place: CorePlace
) -> None:
    assert await region.outcome(await region.deploy(**bridge(**UP))) == "SUCCEEDED"
    for number in range(30):
        await place.publish("ward/1/aggregate", number)
    await region.stop()
    for number in range(30, 60):
        await place.publish("ward/1/aggregate", number)
    await place.stop()
    await place.start()
    for number in range(60, 90):
        await place.publish("ward/1/aggregate", number)
    await region.start()
    await until(lambda: len(region.arrived) >= 90)
    await until(lambda: _none(place))
    assert region.arrived == [("ward/1/aggregate", number) for number in range(90)]


async def test_the_bridge_brings_messages_down(region: RegionPlace, place: CorePlace) -> None:
    assert await region.outcome(await region.deploy(**bridge(**DOWN))) == "SUCCEEDED"
    got: list[tuple[str, bytes]] = []
    place.broker.tap("above/#", lambda publication: got.append((publication.topic, publication.payload)))
    await until(lambda: "orders/#" in {each.filter for each in place.core.link._subscriptions})
    await region.things.broker.publish(Publication("orders/1", b"1", 1))
    await until(lambda: got == [("above/orders/1", b"1")])


async def test_a_failed_deployment_says_why_and_leaves_the_one_before_running(
    region: RegionPlace, place: CorePlace, out: Path, port: int
) -> None:
    arn = await region.function()
    sources = [{"topic": "wave", "type": "PUB_SUB"}]
    await region.component(arn, eventSources=sources, environmentVariables={"OUT": str(port)})
    assert await region.outcome(await region.deploy(ward__notes={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    await region.component(arn, version="2.0.0", eventSources=sources)
    stored = await region.greengrass._state.components.get("ward.notes/2.0.0")
    assert stored is not None
    stored["recipe"]["Manifests"][0]["Artifacts"][0]["Digest"] = "bm90IHRoZSBkaWdlc3Q="
    await region.greengrass._state.components.put("ward.notes/2.0.0", stored)
    failed = await region.deploy(ward__notes={"componentVersion": "2.0.0"})
    assert "its SHA-256 differs" in await region.outcome(failed)
    await place.publish("wave", "still here")
    await until(lambda: [line[1] for line in notes(out)] == ["still here"])

    gone = await region.deploy()
    assert await region.outcome(gone) == "SUCCEEDED"
    await until(lambda: place.functions.installed("notes", "1") is None)  # it succeeded, then what it left goes
    assert await place.store.streams.names(PREFIX) == []
    await place.publish("wave", "nobody")
    assert [line[1] for line in notes(out)] == ["still here"]


async def test_a_deployment_made_while_the_link_is_down_is_found_and_a_canceled_one_is_not_begun(
    region: RegionPlace, place: CorePlace, cable: Cable
) -> None:
    cable.cut()
    first = await region.deploy(**bridge(**UP))
    await region.call("greengrassv2", "cancel_deployment", deploymentId=first)
    cable.restore()
    await until(lambda: place.core.deployments.status["desired"])
    assert place.core.deployments.status["active"] == ""
    assert (await region.effective())["coreDeviceExecutionStatus"] == "CANCELED"
    cable.cut()
    second = await region.deploy(**bridge(**UP))
    assert (await region.effective())["coreDeviceExecutionStatus"] == "QUEUED"
    cable.restore()
    assert await region.outcome(second) == "SUCCEEDED"


async def test_a_certificate_that_is_not_active_is_refused_until_it_is(region: RegionPlace, place: CorePlace) -> None:
    await place.core.link.connected()
    (certificate,) = (await region.call("iot", "list_certificates"))["certificates"]
    await region.call("iot", "update_certificate", certificateId=certificate["certificateId"], newStatus="INACTIVE")
    await until(lambda: "refused" in place.core.link.stats.last_problem)
    assert not place.core.link.stats.connected
    await region.call("iot", "update_certificate", certificateId=certificate["certificateId"], newStatus="ACTIVE")
    await place.core.link.connected()


async def test_a_device_may_ask_for_components_and_for_nothing_else(region: RegionPlace, place: CorePlace) -> None:
    client = HttpClient()
    base = f"https://127.0.0.1:{place.upstream.port}/greengrass/v2"
    for method, path, status in (
        ("POST", "/resolveComponentCandidates", 200),
        ("GET", "/components", 403),
        ("GET", "/deployments", 403),
        ("POST", "/deployments", 403),
        ("GET", f"/coreDevices/{CORE}", 403),
    ):
        body = json.dumps({"targetArn": f"arn:aws:iot:us-east-1:0:thing/{CORE}"}).encode() if "dep" in path else b"{}"
        async with await client.request(method, base + path, body=body, tls=place.tls) as answer:
            assert answer.status == status, (path, await answer.body.read())
            await answer.body.read()
    await client.close()


async def test_a_full_spool_refuses_and_what_is_too_large_for_the_region_holds_up_nothing(
    region: RegionPlace, place: CorePlace, cable: Cable
) -> None:
    assert await region.outcome(await region.deploy(**bridge(**UP))) == "SUCCEEDED"
    await place.publish("ward/1/aggregate", "x" * 200_000)
    await place.publish("ward/1/aggregate", "small")
    await until(lambda: region.arrived == [("ward/1/aggregate", "small")])
    await until(lambda: place.core.spool.rejected == 1)
    await until(lambda: _none(place))
    (rejected,) = await place.store.streams.read(REJECTED)
    assert rejected.headers["topic"] == "ward/1/aggregate"

    await place.stop()
    cable.cut()
    place.limits = SpoolLimits(max_messages=3)
    await place.start()
    for number in range(3):
        await place.publish("ward/1/aggregate", number)
    with pytest.raises(NotStored, match="more than the stream may keep"):
        await place.publish("ward/1/aggregate", 3)
    cable.restore()
    await until(lambda: _none(place))
    await place.publish("ward/1/aggregate", 4)
    await until(lambda: [each[1] for each in region.arrived] == ["small", 0, 1, 2, 4])


BUSY = (
    NOTE
    + """
import json, os, time
def handler(event, context):
    note(json.dumps(os.getpid()))
    time.sleep(1)
"""
)


@pytest.mark.parametrize(("pinned", "instances"), [(False, 2), (True, 1)])
async def test_a_function_on_demand_has_instances_that_go_and_a_pinned_one_stays(
    region: RegionPlace, place: CorePlace, out: Path, port: int, pinned: bool, instances: int
) -> None:
    arn = await region.function("busy", BUSY, Environment={"Variables": {"OUT": str(port)}})
    sources = [{"topic": "beds/#", "type": "PUB_SUB"}]
    await region.component(
        arn, "ward.busy", pinned=pinned, maxInstancesCount=2, maxIdleTimeInSeconds=100, eventSources=sources
    )
    assert await region.outcome(await region.deploy(ward__busy={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    await asyncio.gather(*(place.publish("beds/1", number) for number in range(4)))
    await until(lambda: place.functions.stats()["idle"] == instances and len(notes(out)) == 4)
    scheduler = place.functions._parts.scheduler
    scheduler.reap(time.monotonic() + 50)
    assert place.functions.stats()["idle"] == instances
    scheduler.reap(time.monotonic() + 150)  # the place's own time is 300
    assert place.functions.stats()["idle"] == (1 if pinned else 0)
