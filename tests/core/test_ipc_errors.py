"""Each operation of the IPC answers malformed requests by an error that its model names: AWS's own awsiotsdk asks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from littoral.core.ipc.calls import Fault, not_found
from littoral.core.ipc.errors import ERRORS, modelled
from tests.core.programs import recipe
from tests.core.world import CorePlace, RegionPlace, until

NAME = "com.example.Careless"
PROGRAM = """
import json, os, re, time
from awsiot import eventstreamrpc
from awsiot.greengrasscoreipc import client as operations, connect, model

WRONG = [7, "", "x" * 70000, ["a", 7], [[]], {"a": 7}, None]
RIGHT = {"topic": "t", "topicName": "t", "publishMessage": {"jsonMessage": {"message": 1}}, "componentName": "x",
         "thingName": "t", "payload": "e30=", "deploymentId": "d", "state": "RUNNING", "secretId": "s",
         "recipeDirectoryPath": "/none/such", "artifactsDirectoryPath": "/none/such",
         "valueToMerge": {"a": 1}, "qos": "0", "options": {"certificateType": "SERVER"},
         "configurationValidityReport": {"status": "ACCEPTED", "deploymentId": "d"}}

def camel(name):
    first, *others = name.split("_")
    return first + "".join(each.title() for each in others)

def documents(request):
    members = [camel(each) for each in vars(request)]
    right = {each: RIGHT[each] for each in members if each in RIGHT}
    yield [], "whole", []
    yield "text", "whole", "text"
    yield {"unheardOf": {"a": [1]}, **{each: 7 for each in right}}, "all", 7
    for member in members:
        kept = type(request) is model.PublishToIoTCoreRequest and member == "payload"  # the region hears JSON alone
        for wrong in [] if kept else WRONG:
            yield {**right, member: wrong}, member, wrong

connection = connect()
answers = []
for shown, kind in sorted(vars(operations).items()):
    if not shown.endswith("Operation"):
        continue
    operation = shown.removesuffix("Operation")
    request = getattr(model, operation + "Request")()
    new = getattr(connection, "new_" + re.sub("(?<=[a-z])([A-Z])", r"_\\1", operation.replace("IoT", "Iot")).lower())

    for document, member, wrong in list(documents(request)):
        request._to_payload = lambda: document
        asked = new(eventstreamrpc.StreamResponseHandler()) if operation.startswith("SubscribeTo") else new()
        asked.activate(request).result(20)
        try:
            asked.get_response().result(20)
            answer = ["", ""]
        except Exception as problem:
            answer = [type(problem).__name__, str(getattr(problem, "message", problem))[:300]]
        asked.close()
        answers.append([operation, member, repr(wrong)[:40], *answer])
with open("answers", "w") as file:
    json.dump(answers, file)
os.rename("answers", "answers.json")
time.sleep(1e6)
"""
ALL = {"1": {"operations": ["*"], "resources": ["*"]}}
SERVICES = (
    *("ipc.pubsub", "ipc.mqttproxy", "Cli", "ipc.lifecycle", "ShadowManager", "SecretManager"),
    *("clientdevices.Auth", "TelemetryAgent"),
)


async def test_what_is_malformed_is_answered_as_the_model_says(region: RegionPlace, place: CorePlace) -> None:
    access = {f"aws.greengrass.{service}": ALL for service in SERVICES}
    run = f"cat > program.py <<'EOF'\n{PROGRAM}\nEOF\nexec {sys.executable} program.py"
    made = recipe(NAME, defaults={"accessControl": access}, run=run)
    await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(made).encode())
    assert (
        await region.outcome(await region.deploy(com__example__Careless={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    )
    file: Path = place.folder / "components/work" / NAME / "answers.json"
    await until(file.exists, 60.0)
    answers: list[list[Any]] = json.loads(file.read_text())
    assert {each[0] for each in answers} == set(ERRORS)
    wrong = [each for each in answers if each[3] and (each[3] not in ERRORS[each[0]] or "internal error" in each[4])]
    assert wrong == []
    local = [each for each in answers if each[0] == "CreateLocalDeployment" and not each[3]]
    assert local == [], "one that is taken would change what runs"
    taken = [each[:3] for each in answers if not each[3] and each[2][0] in "[{"]
    assert taken == [["UpdateConfiguration", "valueToMerge", "{'a': 7}"]], "no member else may be a list or an object"


def test_every_error_is_a_shape_of_the_model() -> None:
    from awsiot.greengrasscoreipc import model  # type: ignore[import-untyped]

    for code in frozenset[str]().union(*ERRORS.values()):
        assert issubclass(getattr(model, code), model.GreengrassCoreIPCError)


def test_what_an_operation_has_no_error_for_is_told_by_the_nearest() -> None:
    gone = not_found("component", "ward")
    assert modelled("GetComponentDetails", gone) is gone
    assert modelled("StopComponent", gone).code == "ComponentNotFoundError"
    assert modelled("SendConfigurationValidityReport", gone).code == "InvalidArgumentsError"
    assert modelled("PublishToTopic", gone).code == "ServiceError"
    told = modelled("GetConfiguration", Fault("InvalidArgumentsError", "keyPath must be a list", more=1))
    assert (told.code, told.document) == ("ServiceError", {"message": "keyPath must be a list"})
    assert modelled("Unheard", Fault("UnauthorizedError", "no")).code == "ServiceError"
