"""Recipe variables in configurations: ``interpolateComponentConfiguration`` of aws.greengrass.Nucleus."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from littoral.core.bridge import BRIDGE
from littoral.core.nucleus.recipe import filled_in
from littoral.core.nucleusparts import NAME as NUCLEUS
from tests.core.programs import recipe
from tests.core.world import CORE, CorePlace, RegionPlace, until
from tests.support.notebook import NOTE

NAME = "com.example.Named"
PROGRAM = """
import sys, time
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import ConfigurationValidityReport, JsonMessage, PublishMessage
client = GreengrassCoreIPCClientV2()

def say(topic, what):
    client.publish_to_topic(topic=topic, publish_message=PublishMessage(json_message=JsonMessage(message=what)))

def judged(event):
    judge = event.validate_configuration_update_event
    say("said", {"judged": judge.configuration["topics"]})
    client.send_configuration_validity_report(
        configuration_validity_report=ConfigurationValidityReport(
            status="ACCEPTED", deployment_id=judge.deployment_id))
client.subscribe_to_validate_configuration_updates(on_stream_event=judged)
topics = client.get_configuration(key_path=["topics"]).value["topics"]
try:
    say("of/ward7-core/it", {})
    allowed = True
except Exception as problem:
    allowed = type(problem).__name__
say("said", {"topics": topics, "argument": sys.argv[1], "allowed": allowed})
time.sleep(1e6)
"""
ACCESS = {
    "aws.greengrass.ipc.pubsub": {
        "1": {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["said", "of/{iot:thingName}/*"]}
    }
}
TOPICS = {"topics": ["a/{iot:thingName}", {"work": "{work:path}"}, "{configuration:/x}", "{other:work:path}", 7]}


async def put(region: RegionPlace) -> None:
    run = f"cat > program.py <<'EOF'\n{PROGRAM}\nEOF\nexec {sys.executable} program.py '{{configuration:/topics/0}}'"
    made = recipe(NAME, defaults={"accessControl": ACCESS, "x": "y", **TOPICS}, run=run)
    await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(made).encode())


def update(version: str = "1.0.0", **merge: Any) -> dict[str, Any]:
    return {"componentVersion": version, "configurationUpdate": {"merge": json.dumps(merge)}}


async def deploy(region: RegionPlace, interpolate: bool, **merge: Any) -> str:
    named = {"com__example__Named": update(**merge)}
    nucleus = {NUCLEUS.replace(".", "__"): update("2.12.0", interpolateComponentConfiguration=interpolate)}
    return await region.outcome(await region.deploy(**named, **nucleus))


async def test_configurations_are_filled_in_where_the_deployment_says_so(region: RegionPlace, place: CorePlace) -> None:
    said: list[Any] = []
    place.broker.tap("said", lambda publication: said.append(json.loads(publication.payload)))
    await put(region)
    assert await deploy(region, interpolate=False) == "SUCCEEDED"
    await until(lambda: said)
    assert said.pop() == {**TOPICS, "argument": "a/{iot:thingName}", "allowed": "UnauthorizedError"}

    assert await deploy(region, interpolate=True, x="z") == "SUCCEEDED"
    work = str(place.folder / "components" / "work" / NAME)
    topics = [f"a/{CORE}", {"work": work}, "{configuration:/x}", "{other:work:path}", 7]
    await until(lambda: said)
    assert said.pop() == {"judged": topics}
    await place.core.deployments.restart(NAME)
    await until(lambda: said)
    assert said == [{"topics": topics, "argument": f"a/{CORE}", "allowed": True}]


async def test_the_bridge_and_functions_are_filled_in_too(
    region: RegionPlace, place: CorePlace, out: Path, port: int
) -> None:
    source = NOTE + "def handler(event, context):\n    note(context.client_context.custom['subject'])\n"
    await region.component(
        await region.function(source=source),
        environmentVariables={"OUT": str(port)},
        eventSources=[{"topic": "ask/{iot:thingName}", "type": "PUB_SUB"}],
    )
    up = {"topic": "up/#", "source": "LocalMqtt", "target": "IotCore", "targetTopicPrefix": "{iot:thingName}/"}
    components = {
        "ward__notes": {"componentVersion": "1.0.0"},
        BRIDGE.replace(".", "__"): update("2.3.0", mqttTopicMapping={"up": up}),
        NUCLEUS.replace(".", "__"): update("2.12.0", interpolateComponentConfiguration="true"),
    }
    assert await region.outcome(await region.deploy(**components)) == "SUCCEEDED"
    await place.publish(f"ask/{CORE}", 1)
    await place.publish("up/1", "it")
    await until(lambda: out.exists() and out.read_text() == f"ask/{CORE}\n")
    await until(lambda: (f"{CORE}/up/1", "it") in region.arrived)


def test_texts_are_filled_in_and_nothing_else() -> None:
    def known(component: str, kind: str, key: str) -> str | None:
        return f"<{component}{kind}{key}>" if key != "no" else None

    given = {"{iot:a}": ["{iot:a} {iot:no}", {"b": "{c:work:path}"}, None, 1.5, True, "{"]}
    assert filled_in(given, known) == {"{iot:a}": ["<iota> {iot:no}", {"b": "<cworkpath>"}, None, 1.5, True, "{"]}
