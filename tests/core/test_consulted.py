"""Components have a say in deployments, by AWS's own awsiotsdk: one judges its configuration and puts an update off."""

from __future__ import annotations

import json
import sys
from typing import Any

import yaml

from tests.core.world import CorePlace, RegionPlace, until

NAME = "com.example.Careful"
PROGRAM = """
import threading
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import (
    ConfigurationValidityReport, ConfigurationValidityStatus, JsonMessage, PublishMessage)
client = GreengrassCoreIPCClientV2()
put_off = []

def say(**what):
    client.publish_to_topic(topic="said", publish_message=PublishMessage(json_message=JsonMessage(message=what)))

def judge(event):
    asked = event.validate_configuration_update_event
    high = asked.configuration["limit"] > 200
    client.send_configuration_validity_report(configuration_validity_report=ConfigurationValidityReport(
        status=ConfigurationValidityStatus.REJECTED if high else ConfigurationValidityStatus.ACCEPTED,
        deployment_id=asked.deployment_id,
        message="the limit is too high" if high else None))

def updated(event):
    if event.pre_update_event is not None:
        wait = 0 if put_off else 100
        put_off.append(wait)
        client.defer_component_update(
            deployment_id=event.pre_update_event.deployment_id, recheck_after_ms=wait, message="in a moment")
    else:
        say(over=event.post_update_event.deployment_id, put_off=put_off)

client.subscribe_to_validate_configuration_updates(on_stream_event=judge)
client.subscribe_to_component_updates(on_stream_event=updated)
say(ready=client.get_configuration().value["limit"])
threading.Event().wait()
"""


def recipe() -> bytes:
    access = {"1": {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["said"]}}
    made = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": NAME,
        "ComponentVersion": "1.0.0",
        "ComponentConfiguration": {
            "DefaultConfiguration": {"accessControl": {"aws.greengrass.ipc.pubsub": access}, "limit": 1}
        },
        "Manifests": [
            {
                "Platform": {"os": "linux"},
                "Lifecycle": {
                    "run": f"cat > program.py <<'EOF'\n{PROGRAM}\nEOF\nexec {sys.executable} program.py",
                },
            }
        ],
    }
    return yaml.safe_dump(made).encode()


async def test_a_component_judges_and_puts_off(region: RegionPlace, place: CorePlace) -> None:
    said: list[dict[str, Any]] = []
    place.broker.tap("said", lambda publication: said.append(json.loads(publication.payload)))
    await region.call("greengrassv2", "create_component_version", inlineRecipe=recipe())

    async def deploy(limit: int) -> str:
        update = {"merge": json.dumps({"limit": limit})}
        wanted = {"componentVersion": "1.0.0", "configurationUpdate": update}
        return await region.outcome(await region.deploy(com__example__Careful=wanted))

    def limit() -> Any:
        configuration = place.core.deployments._nucleus.configuration(NAME)
        assert configuration is not None
        return configuration.get(["limit"])

    assert await deploy(120) == "SUCCEEDED"
    await until(lambda: {"ready": 120} in said)
    refused = await deploy(300)
    assert refused.startswith("FAILED") and "the limit is too high" in refused
    assert limit() == 120
    assert await deploy(150) == "SUCCEEDED"
    assert limit() == 150
    await until(lambda: any(each.get("put_off") == [100, 0] for each in said))
