"""Components of every kind, looked at, paused, resumed and restarted by another one: AWS's own awsiotsdk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from littoral.protocols.mqtt.properties import PublishProperties
from littoral.things.message import Publication
from littoral.tour.link import Link as Cable
from tests.core.programs import create, recipe
from tests.core.test_ipc import listen
from tests.core.test_long_lived import LIVING
from tests.core.world import CorePlace, RegionPlace, until
from tests.support.notebook import notes

OTHER, FUNCTION = "com.example.Ticking", "ward.notes"
TICKS = "while true; do echo tick >> ticks; sleep 0.05; done"
PROGRAM = """
import json, time
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, JsonMessage, PublishMessage
client = GreengrassCoreIPCClientV2()

def say(what):
    client.publish_to_topic(topic="said", publish_message=PublishMessage(json_message=JsonMessage(message=what)))

def tried(operation, **members):
    try:
        return vars(getattr(client, operation)(**members))
    except Exception as problem:
        return {"error": type(problem).__name__, "message": getattr(problem, "message", str(problem))}

def asked(event):
    operation, members = json.loads(event.binary_message.message)
    found = tried(operation, **members)
    shown = {"asked": operation}
    for name, value in found.items():
        if name == "components":
            value = sorted([each.component_name, each.version, each.state] for each in value)
        if name == "component_details":
            value = [value.component_name, value.version, value.state, value.configuration]
        shown[name] = value
    say(shown)

def above(event):
    message = event.message
    say({"above": message.topic_name, "payload": message.payload.decode(), "type": message.content_type,
         "user": [[each.key, each.value] for each in message.user_properties or []],
         "correlation": (message.correlation_data or b"").decode(), "to": message.response_topic,
         "format": message.payload_format})

def status(event):
    say({"link": event.connection_status_event.status})

heard = {"all": [], "others": [], "none": [], "wild": []}
def hears(kind):
    return lambda event: heard[kind].append(event.binary_message.message.decode())

client.subscribe_to_topic(topic="do", on_stream_event=asked)
client.subscribe_to_iot_core(topic_name="down/#", qos="1", on_stream_event=above)
client.subscribe_to_iot_core_connection_status(on_stream_event=status)
client.subscribe_to_topic(topic="talk", receive_mode="RECEIVE_ALL_MESSAGES", on_stream_event=hears("all"))
client.subscribe_to_topic(topic="talk", receive_mode="RECEIVE_MESSAGES_FROM_OTHERS", on_stream_event=hears("others"))
client.subscribe_to_topic(topic="talk", on_stream_event=hears("none"))
client.subscribe_to_topic(topic="talk/#", on_stream_event=hears("wild"))
client.subscribe_to_topic(topic="talk/over", on_stream_event=lambda event: say({"heard": heard}))
client.publish_to_topic(topic="talk", publish_message=PublishMessage(binary_message=BinaryMessage(message=b"mine")))
say({"wrong": tried("subscribe_to_topic", topic="talk", receive_mode="SOME", on_stream_event=asked)["error"]})
time.sleep(1e6)
"""
ACCESS = {
    "aws.greengrass.ipc.pubsub": {"1": {"operations": ["*"], "resources": ["*"]}},
    "aws.greengrass.ipc.mqttproxy": {"1": {"operations": ["*"], "resources": ["down/#"]}},
    "aws.greengrass.Cli": {"1": {"operations": ["*"], "resources": ["*"]}},
    "aws.greengrass.ipc.lifecycle": {
        "1": {
            "operations": ["aws.greengrass#PauseComponent", "aws.greengrass#ResumeComponent"],
            "resources": ["com.example.*", "ward.*", "aws.*"],
        }
    },
}


async def deploy_asker(region: RegionPlace, **others: Any) -> None:
    run = f"cat > program.py <<'EOF'\n{PROGRAM}\nEOF\nexec {sys.executable} program.py"
    made = recipe("com.example.Asker", defaults={"accessControl": ACCESS}, run=run)
    await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(made).encode())
    version = {"componentVersion": "1.0.0"}
    assert await region.outcome(await region.deploy(com__example__Asker=version, **others)) == "SUCCEEDED"


class Asker:
    def __init__(self, place: CorePlace) -> None:
        self.place = place
        self.said = listen(place)

    async def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        before = len(self.said)
        await self.place.publish("do", [operation, members])

        def answered() -> dict[str, Any] | None:
            return next((each for each in self.said[before:] if each.get("asked") == operation), None)

        found: dict[str, Any] = await until(answered)
        return {name: value for name, value in found.items() if name != "asked" and value is not None}


SELF = """
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
client = GreengrassCoreIPCClientV2()
found = client.get_component_details(component_name="com.example.Self").component_details
listed = {each.component_name: each.version for each in client.list_components().components}
open("seen", "a").write(f"{found.version} {found.state} {listed[found.component_name]}\\n")
"""


async def test_a_component_sees_itself_while_its_deployment_goes_on(region: RegionPlace, place: CorePlace) -> None:
    cli = {"aws.greengrass.Cli": {"1": {"operations": ["*"], "resources": ["*"]}}}
    seen = place.folder / "components/work/com.example.Self/seen"
    startup = f"cat > program.py <<'EOF'\n{SELF}\nEOF\n{sys.executable} program.py"
    for version in ("1.0.0", "2.0.0"):
        await create(region, "com.example.Self", version, defaults={"accessControl": cli}, startup=startup)
        made = await region.deploy(com__example__Self={"componentVersion": version})
        assert await region.outcome(made) == "SUCCEEDED"
    assert seen.read_text() == "1.0.0 STARTING 1.0.0\n2.0.0 STARTING 2.0.0\n"


def ticks(place: CorePlace) -> int:
    file: Path = place.folder / "components/work" / OTHER / "ticks"
    return len(file.read_text().splitlines()) if file.exists() else 0


async def test_all_kinds_of_components_are_seen_and_changed(
    region: RegionPlace, place: CorePlace, port: int, out: Path
) -> None:
    ask = Asker(place)
    arn = await region.function(source=LIVING)
    await region.component(arn, environmentVariables={"OUT": str(port)}, pinned=True)
    await create(region, OTHER, run=TICKS)
    bridge = {"componentVersion": "2.3.0", "configurationUpdate": {"merge": json.dumps({"mqttTopicMapping": {}})}}
    await deploy_asker(
        region,
        com__example__Ticking={"componentVersion": "1.0.0"},
        ward__notes={"componentVersion": "1.0.0"},
        **{"aws__greengrass__clientdevices__mqtt__Bridge": bridge},
    )
    await until(lambda: any("wrong" in each for each in ask.said))
    assert (await ask("list_components"))["components"] == [
        ["aws.greengrass.clientdevices.mqtt.Bridge", "2.3.0", "RUNNING"],
        ["com.example.Asker", "1.0.0", "RUNNING"],
        [OTHER, "1.0.0", "RUNNING"],
        [FUNCTION, "1.0.0", "RUNNING"],
    ]
    details = (await ask("get_component_details", component_name=FUNCTION))["component_details"]
    assert details[:3] == [FUNCTION, "1.0.0", "RUNNING"]
    assert details[3]["timeoutInSeconds"] == 10
    bridged = (await ask("get_configuration", component_name="aws.greengrass.clientdevices.mqtt.Bridge"))["value"]
    assert bridged == {"mqttTopicMapping": {}}

    await until(lambda: ticks(place) > 3)
    assert await ask("pause_component", component_name=OTHER) == {}
    here = ticks(place)
    assert (await ask("get_component_details", component_name=OTHER))["component_details"][2] == "RUNNING"
    assert (await ask("pause_component", component_name=OTHER)) == {}
    assert ticks(place) <= here + 1
    assert await ask("resume_component", component_name=OTHER) == {}
    await until(lambda: ticks(place) > here + 3)
    again = await ask("resume_component", component_name=OTHER)
    assert again == {"error": "ServiceError", "message": f"{OTHER} is not paused"}

    assert len(notes(out, "began")) == 1
    assert (await ask("restart_component", component_name=FUNCTION))["restart_status"] == "SUCCEEDED"
    await until(lambda: len(notes(out, "began")) == 2)
    wrong = [
        ("pause_component", FUNCTION, "ServiceError"),
        ("stop_component", FUNCTION, "InvalidArgumentsError"),
        ("restart_component", "aws.greengrass.clientdevices.mqtt.Bridge", "InvalidArgumentsError"),
        ("pause_component", "com.example.None", "ResourceNotFoundError"),
        ("resume_component", "other", "UnauthorizedError"),
    ]
    for operation, name, code in wrong:
        assert (await ask(operation, component_name=name))["error"] == code
    assert (await ask("validate_authorization_token", token="x"))["error"] == "UnauthorizedError"


async def test_every_operation_that_awsiotsdk_knows_is_answered(place: CorePlace) -> None:
    from awsiot.greengrasscoreipc import model  # type: ignore[import-untyped]

    known = {name[1:].removesuffix("Operation") for name in vars(model) if name.startswith("_") and "Operation" in name}
    assert len(known) >= 35
    assert set(place.core.ipc.operations) == known


async def test_a_paused_component_can_be_stopped_and_runs_again_when_restarted(
    region: RegionPlace, place: CorePlace
) -> None:
    ask = Asker(place)
    await create(region, OTHER, run=TICKS, shutdown="echo down >> downs")
    await deploy_asker(region, com__example__Ticking={"componentVersion": "1.0.0"})
    await until(lambda: any("wrong" in each for each in ask.said))
    assert await ask("pause_component", component_name=OTHER) == {}
    assert (await ask("stop_component", component_name=OTHER))["stop_status"] == "SUCCEEDED"
    stopped = ticks(place)
    assert (await ask("pause_component", component_name=OTHER))["message"] == f"{OTHER} is not running"
    assert ticks(place) == stopped
    assert (await ask("restart_component", component_name=OTHER))["restart_status"] == "SUCCEEDED"
    await until(lambda: ticks(place) > stopped + 2)


async def test_messages_are_heard_as_asked_for_and_the_link_is_followed(
    region: RegionPlace, place: CorePlace, cable: Cable
) -> None:
    ask = Asker(place)
    await deploy_asker(region)
    await until(lambda: {"wrong": "InvalidArgumentsError"} in ask.said)
    await until(lambda: {"link": "CONNECTED"} in ask.said)
    await place.broker.publish(Publication("talk", b"theirs", 1))
    await place.broker.publish(Publication("talk/over", b"", 1))
    heard = (await until(lambda: [each for each in ask.said if "heard" in each]))[0]["heard"]
    both = ["mine", "theirs"]
    assert heard == {"all": both, "others": ["theirs"], "none": both, "wild": ["theirs", *heard["wild"][1:]]}
    assert set(heard["wild"][1:]) <= {""}, "the one that asks, which may come before or after"

    properties = PublishProperties(
        payload_format=1,
        content_type="text/plain",
        response_topic="answers",
        correlation_data=b"c7",
        user_properties=[("ward", "7")],
    )
    await region.things.broker.publish(Publication("down/1", b'"order"', 1, properties=properties))
    told = (await until(lambda: [each for each in ask.said if "above" in each]))[0]
    assert told == {
        "above": "down/1",
        "payload": '"order"',
        "type": "text/plain",
        "user": [["ward", "7"]],
        "correlation": "c7",
        "to": "answers",
        "format": "1",
    }
    cable.cut()
    await until(lambda: {"link": "DISCONNECTED"} in ask.said)
    cable.restore()
    await until(
        lambda: [each["link"] for each in ask.said if "link" in each] == ["CONNECTED", "DISCONNECTED", "CONNECTED"]
    )
