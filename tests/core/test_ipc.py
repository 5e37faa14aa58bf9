"""Components that are programs, over Greengrass's IPC: deployed by boto3, written with AWS's own awsiotsdk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from littoral.things.message import Publication
from tests.core.world import CORE, CorePlace, RegionPlace, until

NAME = "com.example.Monitor"
PROGRAM = """
import json, os, sys, threading
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import (
    BinaryMessage, GetConfigurationRequest, JsonMessage, PublishMessage, UnauthorizedError, ResourceNotFoundError,
    UserProperty)
client = GreengrassCoreIPCClientV2()
ended = threading.Event()

def say(**what):
    client.publish_to_topic(topic="said", publish_message=PublishMessage(json_message=JsonMessage(message=what)))

def heard(event):
    json_message, binary = event.json_message, event.binary_message
    if json_message is not None:
        say(json=json_message.message, topic=json_message.context.topic)
    elif binary.message == b"end":
        ended.set()
    else:
        say(binary=binary.message.decode(), topic=binary.context.topic)
        payload = json.dumps(binary.message.decode()).encode()
        client.publish_to_iot_core(
            topic_name="up/" + binary.context.topic,
            qos="1",
            payload=payload,
            retain=True,
            user_properties=[UserProperty(key="ward", value="7")],
            message_expiry_interval_seconds=3600,
            correlation_data=b"c7",
            response_topic="down/answers",
            payload_format="1",
            content_type="application/json",
        )

def above(event):
    say(above=event.message.payload.decode(), topic=event.message.topic_name)

def changed(event):
    update = event.configuration_update_event
    say(changed=update.key_path, now=client.get_configuration(key_path=["rate"]).value)

client.subscribe_to_topic(topic="beds/+", on_stream_event=heard)
client.subscribe_to_iot_core(topic_name="down/#", qos="1", on_stream_event=above)
client.subscribe_to_configuration_update(key_path=[], on_stream_event=changed)
topics = set()
client.subscribe_to_topic(
    topic="$aws/things/bed1/shadow/#", on_stream_event=lambda event: topics.add(event.binary_message.context.topic))
refused = []
for act in (
    lambda: client.subscribe_to_topic(topic="other/+", on_stream_event=heard),
    lambda: client.publish_to_iot_core(topic_name="elsewhere", qos="0", payload=b"x"),
    lambda: client.list_components(),
    lambda: client.get_configuration(component_name="nobody"),
    lambda: client.get_configuration(key_path=["nothing"]),
):
    try:
        act()
        refused.append(None)
    except Exception as problem:
        refused.append(type(problem).__name__)
def shadow(operation, **members):
    try:
        found = getattr(client, operation)(**{"thing_name": "bed1", **members})
        return json.loads(found.payload or b"null") if hasattr(found, "payload") else found.results
    except Exception as problem:
        return type(problem).__name__

shadows = [
    shadow("update_thing_shadow", payload=b'{"state": {"desired": {"on": 1}}}')["version"],
    shadow("update_thing_shadow", payload=b'{"state": {"desired": {"on": 2}}, "version": 7}'),
    shadow("update_thing_shadow", payload=b"no"),
    shadow("get_thing_shadow", shadow_name="")["state"]["desired"],
    shadow("get_thing_shadow", thing_name="bed1/shadow", shadow_name="a"),
    shadow("get_thing_shadow", thing_name="b" * 129),
    shadow("update_thing_shadow", shadow_name="a", payload=b'{"state": {}}')["version"],
    shadow("list_named_shadows_for_thing"),
    shadow("delete_thing_shadow"),
    shadow("get_thing_shadow"),
    shadow("get_thing_shadow", shadow_name="other"),
    shadow("get_thing_shadow", shadow_name="a/b"),
    shadow("list_named_shadows_for_thing", page_size=0),
]
say(shadows=shadows)
whole = client.get_configuration().value
say(refused=refused, whole=whole, thing=os.environ["AWS_IOT_THING_NAME"], argument=sys.argv[1])
client.update_configuration(key_path=["rate"], value_to_merge={"high": 9})
ended.wait()
say(ended=sorted(each.removeprefix("$aws/things/bed1/shadow/") for each in topics))
client.close()
"""


def recipe(script: str | None = None, version: str = "1.0.0", name: str = NAME, **lifecycle: Any) -> bytes:
    folder = "{work:path}"
    run = f"cat > program.py <<'EOF'\n{PROGRAM}\nEOF\nexec {sys.executable} program.py '{{configuration:/greeting}}'"
    access = {
        "aws.greengrass.ipc.pubsub": {
            "1": {
                "operations": ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"],
                "resources": ["said", "beds/*", "$aws/things/bed1/*"],
            }
        },
        "aws.greengrass.ShadowManager": {
            "1": {
                "operations": ["*"],
                "resources": ["bed1", "$aws/things/bed1/shadow", "$aws/things/bed1/shadow/name/a"],
            }
        },
        "aws.greengrass.ipc.mqttproxy": {
            "1": {"operations": ["*"], "resources": ["up/#", "down/#"]},
        },
    }
    made = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "ComponentPublisher": "Ward 7",
        "ComponentConfiguration": {
            "DefaultConfiguration": {"accessControl": access, "greeting": "hello", "rate": {"low": 1}}
        },
        "Manifests": [
            {"Platform": {"os": "windows"}, "Lifecycle": {"run": "exit 1"}},
            {
                "Platform": {"os": "linux"},
                "Lifecycle": lifecycle
                or {
                    "install": f"mkdir -p {folder}/made && touch {folder}/made/it",
                    "run": {"Script": script or run, "Setenv": {"WARD": "7"}},
                },
            },
        ],
    }
    return yaml.safe_dump(made).encode()


async def deploy(region: RegionPlace, merge: dict[str, Any] | None = None, version: str = "1.0.0") -> str:
    wanted: dict[str, Any] = {"componentVersion": version}
    if merge is not None:
        wanted["configurationUpdate"] = {"merge": json.dumps(merge)}
    return await region.outcome(await region.deploy(com__example__Monitor=wanted))


def listen(core: CorePlace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    core.broker.tap("said", lambda publication: found.append(json.loads(publication.payload)))
    return found


async def test_a_program_talks_to_the_core_by_awsiotsdk(region: RegionPlace, place: CorePlace) -> None:
    core = place
    said = listen(core)
    made = await region.call("greengrassv2", "create_component_version", inlineRecipe=recipe())
    assert made["componentName"] == NAME
    assert await deploy(region, {"greeting": "good evening", "rate": {"middle": 5}}) == "SUCCEEDED"
    await until(lambda: len(said) >= 3)
    first = next(each for each in said if "refused" in each)
    assert first["refused"] == [*["UnauthorizedError"] * 2, "ServiceError", *["ResourceNotFoundError"] * 2]
    assert first["whole"]["rate"] == {"low": 1, "middle": 5}
    assert (first["thing"], first["argument"]) == (CORE, "good evening")
    changed = next(each for each in said if "changed" in each)
    assert (changed["changed"], changed["now"]) == (["rate", "high"], {"low": 1, "middle": 5, "high": 9})
    assert (core.folder / "components/work" / NAME / "made/it").exists()
    told = next(each["shadows"] for each in said if "shadows" in each)
    conflict, invalid, missing = "ConflictError", "InvalidArgumentsError", "ResourceNotFoundError"
    assert told[:6] == [1, conflict, invalid, {"on": 1}, invalid, invalid]
    assert told[6:] == [1, ["a"], None, missing, "UnauthorizedError", invalid, invalid]

    await core.broker.publish(Publication("beds/1", b"plain", 1))
    await until(lambda: {"binary": "plain", "topic": "beds/1"} in said)
    await until(lambda: ("up/beds/1", "plain") in region.arrived)
    kept = region.things.broker.retained("up/beds/1")
    assert kept is not None
    assert kept.properties is not None
    assert ("ward", "7") in kept.properties.user_properties
    assert kept.properties.message_expiry in range(3500, 3601)
    said_of_it = kept.properties.content_type, kept.properties.response_topic, kept.properties.payload_format
    assert said_of_it == ("application/json", "down/answers", 1)
    assert kept.properties.correlation_data == b"c7"
    core_devices = await region.call("greengrassv2", "list_installed_components", coreDeviceThingName=CORE)
    assert {each["componentName"]: each["lifecycleState"] for each in core_devices["installedComponents"]} == {
        NAME: "RUNNING"
    }
    await core.broker.publish(Publication("beds/1", b"end", 1))
    (topics,) = await until(lambda: [each["ended"] for each in said if "ended" in each])
    updates = ["update/accepted", "update/delta", "update/documents"]
    whole = ["delete/accepted", "get/accepted", "get/rejected", *updates, "update/rejected"]
    named = ["name/a/update/accepted", "name/a/update/documents", "name/other/get/rejected"]
    assert topics == sorted(whole + named)
    await until(lambda: core.core.deployments._nucleus.listed()[0].state == "FINISHED")


async def test_a_broken_deployment_goes_back_to_the_one_before(region: RegionPlace, place: CorePlace) -> None:
    core = place
    folder = core.folder / "components/work" / NAME
    good = {"install": "echo good >> ran", "run": "exec sleep 1000"}
    await region.call("greengrassv2", "create_component_version", inlineRecipe=recipe(**good))
    assert await deploy(region) == "SUCCEEDED"
    bad = {"install": "echo bad >> ran", "run": "exit 3", "recover": "echo recovered >> ran"}
    await region.call("greengrassv2", "create_component_version", inlineRecipe=recipe(version="1.0.1", **bad))
    outcome = await deploy(region, version="1.0.1")
    assert outcome.startswith("FAILED") and NAME in outcome
    assert (folder / "ran").read_text().split() == ["good", "bad", "recovered", "recovered", "good"]
    assert [(each.version, each.state) for each in core.core.deployments._nucleus.listed()] == [("1.0.0", "RUNNING")]


async def test_programs_end_with_the_core_and_start_with_it(region: RegionPlace, place: CorePlace) -> None:
    core = place
    folder = core.folder / "components/work" / NAME
    steps = {"run": "echo $$ > pid; exec sleep 1000", "shutdown": "echo shut > down"}
    await region.call("greengrassv2", "create_component_version", inlineRecipe=recipe(**steps))
    assert await deploy(region, {"rate": {"low": 2}}) == "SUCCEEDED"
    await until((folder / "pid").exists)
    process = Path("/proc") / (folder / "pid").read_text().strip()
    assert process.exists()
    await core.stop()
    assert not process.exists()
    assert (folder / "down").read_text() == "shut\n"
    (folder / "pid").unlink()
    await core.start()
    await until((folder / "pid").exists)
    configuration = core.core.deployments._nucleus.configuration(NAME)
    assert configuration is not None and configuration.get(["rate", "low"]) == 2


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (b"{", "neither"),
        (b"[]", "object"),
        (recipe(name="aws.Mine"), "AWS's own"),
        (recipe(version="1"), "semantic"),
        (recipe(run={"Script": "x", "RequiresPrivilege": 1}), "RequiresPrivilege"),
        (recipe(startup="x", run="y"), "not both"),
        (recipe(sing="x"), "sing"),
        (recipe().replace(b"2020-01-25", b"2021-01-25"), "2020-01-25"),
    ],
)
async def test_what_cannot_be_run_is_refused(region: RegionPlace, place: CorePlace, broken: bytes, word: str) -> None:
    with pytest.raises(ClientError) as refused:
        await region.call("greengrassv2", "create_component_version", inlineRecipe=broken)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert word in str(refused.value)
