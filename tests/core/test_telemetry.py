"""The nucleus's telemetry: by a real core and a component that awsiotsdk lets put metrics, to events of the region."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
import yaml

from littoral.core.public import PUBLIC
from littoral.core.recipe import BadComponent
from littoral.core.telemetry.configuration import NAME, settings_of
from littoral.core.telemetry.points import components, cpu_times, memory_used
from littoral.schedules import Schedules
from littoral.site.eventbus import CoreTelemetry
from littoral.store.embedded import EmbeddedStore
from tests.core.world import CORE, CorePlace, RegionPlace, until

METER = "com.example.Meter"
TOPIC = f"$aws/things/{CORE}/greengrass/health/json"
PROGRAM = """
import json, os, time
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import Metric
client = GreengrassCoreIPCClientV2()
said = []
wanted = (("beats", "COUNT", 2.0), ("beats", "COUNT", 3.0), ("other", "COUNT", 1.0), ("beats", "X", 1.0))
for name, unit, value in wanted:
    try:
        client.put_component_metric(metrics=[Metric(name=name, unit=unit, value=value)])
        said.append("")
    except Exception as problem:
        said.append(type(problem).__name__)
open("new", "w").write(json.dumps(said))
os.replace("new", "said")
client.close()
"""


async def test_telemetry_goes_up_with_what_components_put(region: RegionPlace, place: CorePlace) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []

    async def take(thing: str, payload: bytes) -> None:
        heard.append((thing, json.loads(payload)))

    region.telemetry = take
    policy = {"1": {"operations": ["aws.greengrass#PutComponentMetric"], "resources": ["beats"]}}
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": METER,
        "ComponentVersion": "1.0.0",
        "ComponentConfiguration": {
            "DefaultConfiguration": {"accessControl": {"aws.greengrass.ipc.componentmetric": policy}}
        },
        "Manifests": [
            {
                "Platform": {"os": "linux"},
                "Lifecycle": {"run": f"cat > program.py <<'EOF'\n{PROGRAM}\nEOF\nexec {sys.executable} program.py"},
            }
        ],
    }
    await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(recipe).encode())
    intervals = {"periodicAggregateMetricsIntervalSeconds": 0.2, "periodicPublishMetricsIntervalSeconds": 0.4}
    update = {"merge": json.dumps({"telemetry": intervals})}
    deployed = await region.deploy(
        aws__greengrass__Nucleus={"componentVersion": "2.12.0", "configurationUpdate": update},
        com__example__Meter={"componentVersion": "1.0.0"},
    )
    assert await region.outcome(deployed) == "SUCCEEDED"
    said = place.folder / "components" / "work" / METER / "said"
    told = json.loads(await until(lambda: said.exists() and said.read_text()))
    assert told == ["", "", "UnauthorizedError", "InvalidArgumentsError"]

    def sums() -> float:
        return sum(
            metric["Sum"]
            for _, payload in heard
            for point in payload["ADP"]
            for metric in point["M"]
            if (point["NS"], metric["N"], metric["U"]) == (METER, "beats", "Count")
        )

    await until(lambda: sums() == 5.0)
    thing, payload = heard[-1]
    assert thing == CORE and payload["Schema"] == "2020-07-30"
    assert {each["NS"] for each in payload["ADP"]} >= {"SystemMetrics", "GreengrassComponents"}
    metrics = [each for point in payload["ADP"] for each in point["M"]]
    assert {each["U"] for each in metrics if each["N"] == "SystemMemUsage" and each["Sum"] > 0} == {"Megabytes"}


async def test_telemetry_is_an_event_for_whoever_wants_it(tmp_path: Any) -> None:
    given: list[Any] = []

    class Targets:
        def check(self, *_: Any) -> None:
            """Any will do."""

    store = await EmbeddedStore.open(tmp_path)
    schedules = await Schedules.open(store, Targets(), region="us-east-1", account="000000000000")  # type: ignore[arg-type]
    publish = schedules._rules.publish

    async def noted(events: Any) -> None:
        given.extend(events)
        await publish(events)

    schedules._rules.publish = noted  # type: ignore[method-assign]
    await CoreTelemetry(schedules).take("core1", b'{"Schema": "2020-07-30", "ADP": [{"NS": "a"}]}')
    (event,) = given
    assert (event["source"], event["detail-type"]) == ("aws.greengrass", "Greengrass Telemetry Data")
    assert event["detail"] == {"ThingName": "core1", "Schema": "2020-07-30", "ADP": [{"NS": "a"}]}
    for broken in (b"{", b"[]", b'{"ADP": 1}'):
        with pytest.raises(ValueError, match=r".*"):
            await CoreTelemetry(schedules).take("core1", broken)
    await store.close()


@pytest.mark.parametrize(
    "configuration",
    [
        {"jvmOptions": "-Xmx64m"},
        {"iotRoleAlias": 1},
        {"telemetry": []},
        {"telemetry": {"enabled": "maybe"}},
        {"telemetry": {"periodicPublishMetricsIntervalSeconds": 0}},
    ],
)
def test_what_is_no_configuration(configuration: Any) -> None:
    with pytest.raises(BadComponent, match=NAME):
        settings_of(configuration)


def test_the_nucleus_has_settings_of_the_link_and_of_telemetry_in_one_configuration() -> None:
    both = {"mqtt": {"maxInFlightPublishes": 5}, "telemetry": {"enabled": False}}
    assert PUBLIC[NAME].configured(json.dumps(both)) == both
    for broken in ({**both, "jvmOptions": "x"}, {**both, "mqtt": []}, {**both, "telemetry": 1}):
        with pytest.raises(BadComponent, match=NAME):
            PUBLIC[NAME].configured(json.dumps(broken))


def test_points() -> None:
    assert cpu_times("cpu  10 20 30 40 50 60 70 80 9 9\ncpu0 1") == (270, 360)
    assert memory_used("MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 40 kB\n") == 60 * 1024
    counted = {each["N"]: each["Sum"] for each in components(1, ["RUNNING", "RUNNING", "BROKEN"])["M"]}
    assert (counted["NumberOfComponentsRunning"], counted["NumberOfComponentsBroken"]) == (2, 1)
    assert counted["NumberOfComponentsStopping"] == 0


async def test_a_core_that_may_not_tell_holds_nothing_else_up(
    region: RegionPlace, place: CorePlace, caplog: pytest.LogCaptureFixture
) -> None:
    resource = f"arn:aws:iot:us-east-1:000000000000:topic/{TOPIC}"
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": ["iot:Publish"], "Resource": [resource]}],
    }
    await region.call("iot", "create_policy", policyName="silent", policyDocument=json.dumps(document))
    (certificate,) = (await region.call("iot", "list_thing_principals", thingName=CORE))["principals"]
    await region.call("iot", "attach_policy", policyName="silent", target=certificate)
    intervals = {"periodicAggregateMetricsIntervalSeconds": 0.05, "periodicPublishMetricsIntervalSeconds": 0.05}
    update = {"merge": json.dumps({"telemetry": intervals})}
    nucleus = {"componentVersion": "2.12.0", "configurationUpdate": update}
    assert await region.outcome(await region.deploy(aws__greengrass__Nucleus=nucleus)) == "SUCCEEDED"
    connects = place.core.link.stats.connects
    with caplog.at_level(logging.INFO, "littoral.core.telemetry"):
        await until(lambda: caplog.text.count("telemetry waits") >= 2)
    await place.core.spool.put("readings", b"1")
    await until(lambda: ("readings", 1) in region.arrived)
    assert place.core.link.stats.connects == connects
