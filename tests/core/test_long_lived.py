"""Long-lived functions of a core: they run from the deployment on, one version at a time, and one that cannot begin
fails its deployment."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from littoral.store.documents import Documents
from tests.core.programs import merge
from tests.core.world import ACCOUNT, CORE, REGION, CorePlace, RegionPlace, until
from tests.functions.deploy import zip_of
from tests.support.notebook import NOTE, notes

LIVING = (
    NOTE
    + """
import json, os
note(json.dumps({"at": "began", "greeting": os.environ.get("GREETING"), "pid": os.getpid()}))
def handler(event, context):
    note(json.dumps({"at": "event", "event": event, "greeting": os.environ.get("GREETING")}))
"""
)
DYING = "raise ValueError('at once')\n"


async def test_a_long_lived_function_runs_before_its_first_event_and_again_when_it_ends(
    region: RegionPlace, place: CorePlace, out: Path, port: int
) -> None:
    source = NOTE + "import json, os, threading\nnote(json.dumps({'at': 'began', 'pid': os.getpid()}))\n"
    source += "def handler(event, context):\n    if event == 'end':\n        os._exit(3)\n"
    await region.component(
        await region.function("long", source),
        "ward.long",
        environmentVariables={"OUT": str(port)},
        eventSources=[{"topic": "ask", "type": "PUB_SUB"}],
    )
    assert await region.outcome(await region.deploy(ward__long=merge())) == "SUCCEEDED"
    assert len(notes(out, "began")) == 1
    await place.stop()
    await place.start()
    await until(lambda: len(notes(out, "began")) == 2)
    await place.publish("ask", "end")
    await until(lambda: len(notes(out, "began")) == 3)
    await place.publish("ask", "go on")
    await until(lambda: place.core.deployments.listed()[0]["state"] == "RUNNING")
    assert len(notes(out, "began")) == 3, "the event went to the one that was there"


async def deployed(region: RegionPlace, components: dict[str, Any], **more: Any) -> str:
    made = await region.call(
        "greengrassv2",
        "create_deployment",
        targetArn=f"arn:aws:iot:{REGION}:{ACCOUNT}:thing/{CORE}",
        components=components,
        **more,
    )
    return await region.outcome(made["deploymentId"])


async def test_a_long_lived_function_that_cannot_begin_fails_its_deployment(
    region: RegionPlace, place: CorePlace
) -> None:
    await region.component(await region.function("bad", DYING), "ward.bad")
    assert await deployed(region, {"ward.bad": merge()}) == "FAILED: broken: ward.bad"
    assert place.core.deployments.listed() == []
    assert place.functions.installed("bad", "1") is None


async def test_what_ran_before_runs_again_where_a_long_lived_function_cannot_begin(
    region: RegionPlace, place: CorePlace, out: Path, port: int
) -> None:
    """With the configuration that it had; what came meanwhile is given to it; its successor is not there any more."""
    more = {"eventSources": [{"topic": "ask", "type": "PUB_SUB"}]}
    variables = {"OUT": str(port), "GREETING": "good morning"}
    await region.component(await region.function("long", LIVING), "ward.long", environmentVariables=variables, **more)
    assert await deployed(region, {"ward.long": merge(place="bed 7")}) == "SUCCEEDED"
    code = {"ZipFile": zip_of(app__py="import time\ntime.sleep(0.5)\n" + DYING)}
    await region.call("lambda", "update_function_code", FunctionName="long", Publish=True, **code)
    arn = (await region.call("lambda", "get_function", FunctionName="long", Qualifier="2"))["Configuration"]
    await region.component(arn["FunctionArn"], "ward.long", "2.0.0", environmentVariables=variables, **more)
    update = {"componentVersion": "2.0.0", "configurationUpdate": {"merge": json.dumps({"place": "bed 8"})}}
    under_way = asyncio.create_task(deployed(region, {"ward.long": update}))
    await until(lambda: place.functions.installed("long", "2"))
    await place.publish("ask", "meanwhile")
    assert await under_way == "FAILED: broken: ward.long"
    assert [(each["version"], each["state"]) for each in place.core.deployments.listed()] == [("1.0.0", "RUNNING")]
    configuration = place.core.ipc.components.configuration("ward.long")
    assert configuration is not None and configuration.value["place"] == "bed 7"
    assert (place.functions.installed("long", "1") is None, place.functions.installed("long", "2")) == (False, None)
    await place.publish("ask", "afterwards")
    await until(lambda: [each["event"] for each in notes(out, "event")] == ["meanwhile", "afterwards"])


async def test_of_two_versions_of_a_long_lived_function_one_runs(
    region: RegionPlace, place: CorePlace, out: Path, port: int
) -> None:
    variables = {"OUT": str(port), "GREETING": "good morning"}
    await region.component(await region.function("long", LIVING), "ward.long", environmentVariables=variables)
    assert await deployed(region, {"ward.long": merge()}) == "SUCCEEDED"
    await region.call(
        "lambda", "update_function_code", FunctionName="long", Publish=True, ZipFile=zip_of(app__py=LIVING + "\n")
    )
    arn = (await region.call("lambda", "get_function", FunctionName="long", Qualifier="2"))["Configuration"]
    await region.component(arn["FunctionArn"], "ward.long", "2.0.0", environmentVariables=variables)
    assert await deployed(region, {"ward.long": {"componentVersion": "2.0.0"}}) == "SUCCEEDED"
    assert len(notes(out, "began")) == 2
    await until(lambda: place.functions.stats()["idle"] == 1)
    assert place.functions.installed("long", "1") is None


async def test_a_broken_function_stays_where_the_deployment_is_not_to_be_rolled_back(
    region: RegionPlace, place: CorePlace
) -> None:
    """And is told as that, also by a core that ended before its outcome was kept."""
    await region.component(await region.function("bad", DYING), "ward.bad")
    policies = {"deploymentPolicies": {"failureHandlingPolicy": "DO_NOTHING"}}
    assert await deployed(region, {"ward.bad": merge()}, **policies) == "FAILED: broken: ward.bad"
    assert [each["state"] for each in place.core.deployments.listed()] == ["BROKEN"]
    await place.core.close()
    await Documents(place.store.records("core"), "deployment/").delete("outcome")
    await place.broker.close()
    await place.functions.close()
    await place.store.close()
    await place.start()
    await until(lambda: place.core.deployments.status["outcome"])
    outcome = place.core.deployments.status["outcome"]
    assert (outcome["status"], outcome["reason"]) == ("FAILED", "broken: ward.bad")
