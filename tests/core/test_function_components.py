"""Lambda functions on a core as components of it: by AWS's greengrasssdk of V1, and by awsiotsdk's IPC client."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import io
import json
import socket as socket_module
import zipfile
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.invoke import Invocation
from littoral.core.lambdamanager.subscriptions import NAME as SUBSCRIPTIONS
from littoral.core.secretmanager import NAME as SECRETS
from littoral.protocols.mqtt.properties import PublishProperties
from littoral.things.message import Publication
from littoral.tour.link import Link as Cable
from tests.core.programs import merge
from tests.core.world import CorePlace, RegionPlace, until
from tests.functions.deploy import zip_of
from tests.support.notebook import NOTE, notes
from tests.support.npm import fetched

SHADOWS = "aws.greengrass.ShadowManager"
ANSWERING = (
    NOTE
    + """
import json
count = 0
def handler(event, context):
    global count
    count += 1
    custom = context.client_context.custom if context.client_context else None
    note(json.dumps({"at": "other", "event": event, "custom": custom, "count": count}))
    if event == "fail":
        raise ValueError("asked to")
    return {"heard": event}
"""
)
BY_SDK = (
    NOTE
    + """
import base64, json, greengrasssdk
data, functions = greengrasssdk.client("iot-data"), greengrasssdk.client("lambda")
secrets = greengrasssdk.client("secretsmanager")

def tried(act, **members):
    try:
        found = act(**members)
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"
    if isinstance(found, dict):
        found = {key: each.read() if hasattr(each, "read") else each for key, each in found.items()}
    return json.loads(json.dumps(found, default=lambda each: each.decode() if isinstance(each, bytes) else str(each)))

def handler(event, context):
    said = {}
    for name, (client, operation, members) in event.items():
        act = getattr({"data": data, "functions": functions, "secrets": secrets}[client], operation)
        for key in ("payload", "Payload"):
            if key in members:
                members[key] = members[key].encode()
        if "ClientContext" in members:
            members["ClientContext"] = base64.b64encode(json.dumps(members["ClientContext"]).encode())
        said[name] = tried(act, **members)
    note(json.dumps({"at": "sdk", **said}))
"""
)


def package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        pytest.skip(f"{name} is not installed (tests/core/sdk.lock)")
    origin = Path(found.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def zipped(source: str, *packages: Path, name: str = "app.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(name, source)
        for each in packages:
            files = each.rglob("*") if each.is_dir() else [each]
            for file in files:
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, file.relative_to(each.parent))
    return buffer.getvalue()


async def asked(place: CorePlace, out: Path, **calls: Any) -> dict[str, Any]:
    """What the function said to these calls of the SDK."""
    before = len(notes(out, "sdk"))
    await place.publish("ask", calls)
    found: dict[str, Any] = await until(lambda: notes(out, "sdk")[before:]) and notes(out, "sdk")[before]
    return found


def routes(*triples: tuple[str, str, str]) -> dict[str, Any]:
    table = {
        str(number): {"id": str(number), "source": source, "subject": subject, "target": target}
        for number, (source, subject, target) in enumerate(triples)
    }
    return {"componentVersion": "2.1.4", "configurationUpdate": {"merge": json.dumps({"subscriptions": table})}}


ALLOWED = {
    SHADOWS: {"1": {"operations": ["*"], "resources": ["$aws/things/bed1/shadow*"]}},
    SECRETS: {"1": {"operations": ["aws.greengrass#GetSecretValue"], "resources": ["*:secret:pump*"]}},
}


async def test_greengrasssdk_publishes_keeps_shadows_invokes_and_reads_secrets(
    region: RegionPlace, place: CorePlace, cable: Cable, out: Path, port: int
) -> None:
    await region.role_alias()
    made = [
        await region.call("secretsmanager", "create_secret", Name=name, SecretString="rare-word")
        for name in ("pump", "other")
    ]
    sdk = await region.function("sdk", zipped(BY_SDK, package("greengrasssdk")))
    other = await region.function("other", ANSWERING)
    variables = {"OUT": str(port)}
    events = [{"topic": "ask", "type": "PUB_SUB"}]
    await region.component(sdk, "ward.sdk", environmentVariables=variables, eventSources=events)
    await region.component(other, "ward.other", environmentVariables=variables)
    kept = [{"arn": each["ARN"]} for each in made]
    deployed = {
        "ward__sdk": merge(accessControl=ALLOWED),
        "ward__other": merge(),
        SUBSCRIPTIONS.replace(".", "__"): routes(
            ("component:ward.sdk", "up/#", "cloud"), (sdk, "+/both", other), ("component:ward.sdk", "up/both", "cloud")
        ),
        SECRETS.replace(".", "__"): {
            "componentVersion": "2.1.0",
            "configurationUpdate": {"merge": json.dumps({"cloudSecrets": kept})},
        },
    }
    assert await region.outcome(await region.deploy(**deployed)) == "SUCCEEDED"

    document = json.dumps({"state": {"reported": {"rate": 7}}})
    said = await asked(
        place,
        out,
        up=["data", "publish", {"topic": "up/alarm", "payload": '"rate"'}],
        both=["data", "publish", {"topic": "up/both", "payload": '"both"', "queueFullPolicy": "AllOrException"}],
        nowhere=["data", "publish", {"topic": "elsewhere", "payload": "1"}],
        update=["data", "update_thing_shadow", {"thingName": "bed1", "payload": document}],
        get=["data", "get_thing_shadow", {"thingName": "bed1"}],
        delete=["data", "delete_thing_shadow", {"thingName": "bed1"}],
        gone=["data", "get_thing_shadow", {"thingName": "bed1"}],
        foreign=["data", "get_thing_shadow", {"thingName": "bed2"}],
        invoke=["functions", "invoke", {"FunctionName": other, "Payload": '{"a": 1}', "ClientContext": {"custom": {}}}],
        unqualified=["functions", "invoke", {"FunctionName": other.removesuffix(":1"), "Payload": "2"}],
        fail=["functions", "invoke", {"FunctionName": other, "Payload": '"fail"'}],
        event=["functions", "invoke", {"FunctionName": other, "Payload": '"later"', "InvocationType": "Event"}],
        nobody=["functions", "invoke", {"FunctionName": f"{other}7"}],
        secret=["secrets", "get_secret_value", {"SecretId": "pump"}],
        hidden=["secrets", "get_secret_value", {"SecretId": "other"}],
    )
    assert (said["up"], said["both"], said["nowhere"]) == (None, None, None)
    await until(lambda: sorted(region.arrived) == [("up/alarm", "rate"), ("up/both", "both")])
    assert json.loads(said["update"]["payload"])["state"] == {"reported": {"rate": 7}}
    assert json.loads(said["get"]["payload"])["state"] == {"reported": {"rate": 7}}
    assert "payload" in said["delete"]
    assert said["gone"].startswith("ShadowError") and "404" in said["gone"]
    assert "403" in said["foreign"] and "not authorized" in said["foreign"]
    assert said["invoke"] == {"Payload": '{"heard": {"a": 1}}', "FunctionError": ""}
    assert said["unqualified"]["Payload"] == '{"heard": 2}'
    assert (said["fail"]["FunctionError"], json.loads(said["fail"]["Payload"])["errorType"]) == (
        "Unhandled",
        "ValueError",
    )
    assert said["event"] == {"Payload": "", "FunctionError": ""}
    assert said["nobody"].startswith("InvocationException") and "404" in said["nobody"]
    secret = await region.call("secretsmanager", "get_secret_value", SecretId="pump")
    assert (said["secret"]["SecretString"], said["secret"]["Name"]) == ("rare-word", "pump")
    assert (said["secret"]["ARN"], said["secret"]["VersionId"]) == (secret["ARN"], secret["VersionId"])
    assert said["secret"]["CreatedDate"][:16] == str(secret["CreatedDate"].replace(tzinfo=None))[:16]
    assert said["hidden"].startswith("SecretsManagerError") and "403" in said["hidden"]
    heard = await until(
        lambda: [each for each in notes(out, "other") if each["event"] in ("both", "later")][1:] and notes(out, "other")
    )
    assert {"subject": "up/both"} in [each["custom"] for each in heard if each["event"] == "both"]
    assert [each["count"] for each in heard] == list(range(1, len(heard) + 1)), "one instance, one event at a time"

    cable.cut()
    said = await asked(
        place,
        out,
        up=["data", "publish", {"topic": "up/alarm", "payload": '"offline"'}],
        secret=["secrets", "get_secret_value", {"SecretId": "pump"}],
    )
    assert (said["up"], said["secret"]["SecretString"]) == (None, "rare-word")
    cable.restore()
    await until(lambda: ("up/alarm", "offline") in region.arrived)


BY_IPC = (
    NOTE
    + """
import json, os
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import JsonMessage, PublishMessage
client = GreengrassCoreIPCClientV2()

def heard(event):
    note(json.dumps({"at": "ipc", "heard": event.json_message.message}))
    client.publish_to_iot_core(topic_name="up/ipc", qos="1", payload=json.dumps(event.json_message.message).encode())

client.subscribe_to_topic(topic="beds/+", on_stream_event=heard)
note(json.dumps({"at": "ipc", "began": os.environ["AWS_IOT_THING_NAME"]}))

def handler(event, context):
    said = {}
    for name, act in {
        "configuration": lambda: client.get_configuration(key_path=["limit"]).value,
        "update": lambda: client.update_configuration(key_path=["own"], value_to_merge={"seen": event}) and None,
        "refused": lambda: client.subscribe_to_topic(topic="other", on_stream_event=heard),
        "publish": lambda: client.publish_to_topic(
            topic="told", publish_message=PublishMessage(json_message=JsonMessage(message={"event": event}))) and None,
    }.items():
        try:
            said[name] = act()
        except Exception as problem:
            said[name] = type(problem).__name__
    note(json.dumps({"at": "ipc", **said}))
"""
)
IPC_ACCESS = {
    "aws.greengrass.ipc.pubsub": {
        "1": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": ["beds/+"]},
        "2": {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["told"]},
    },
    "aws.greengrass.ipc.mqttproxy": {"1": {"operations": ["aws.greengrass#PublishToIoTCore"], "resources": ["up/*"]}},
}


@pytest.mark.parametrize("pinned", [True, False])
async def test_a_function_uses_the_ipc_as_its_component(
    region: RegionPlace, place: CorePlace, out: Path, port: int, pinned: bool
) -> None:
    arn = await region.function("ipc", zipped(BY_IPC, *map(package, ("awsiot", "awscrt", "_awscrt"))))
    await region.component(
        arn,
        "ward.ipc",
        pinned=pinned,
        environmentVariables={"OUT": str(port)},
        eventSources=[{"topic": "ask", "type": "PUB_SUB"}],
    )
    deployment = await region.deploy(ward__ipc=merge(accessControl=IPC_ACCESS, limit=120))
    assert await region.outcome(deployment) == "SUCCEEDED"
    heard: list[Any] = []
    place.broker.tap("told", lambda publication: heard.append(json.loads(publication.payload)))
    if pinned:
        assert notes(out, "ipc") == [{"at": "ipc", "began": "ward7-core"}], "before its first event"
    await place.publish("ask", 1)
    said = await until(lambda: [each for each in notes(out, "ipc") if "configuration" in each])
    assert said == [
        {"at": "ipc", "configuration": {"limit": 120}, "update": None, "refused": "UnauthorizedError", "publish": None}
    ]
    assert heard == [{"event": 1}]
    own = place.core.ipc.components.configuration("ward.ipc")
    assert own is not None and own.value["own"] == {"seen": 1}
    told = PublishProperties(content_type="application/json")
    await place.broker.publish(Publication("beds/7", b'{"rate": 9}', 1, properties=told))
    await until(lambda: {"at": "ipc", "heard": {"rate": 9}} in notes(out, "ipc"))
    await until(lambda: region.arrived == [("up/ipc", {"rate": 9})])


LOOKING = (
    NOTE
    + """
import json, os, socket
def handler(event, context):
    seen = {each: sorted(os.listdir(each)) for each in ("/greengrass",)}
    hidden = {each: os.listdir(each) for each in ("/.nucleus", "/.code")}
    try:
        open("/greengrass/x", "w")
        written = True
    except OSError:
        written = False
    token = sorted(set(os.environ) & {"SVCUID", "LITTORAL_LAMBDA_SOCKET", "AWS_CONTAINER_AUTHORIZATION_TOKEN"})
    note(json.dumps({"at": "looking", "seen": seen, "hidden": hidden, "written": written, "token": token}))
"""
)


async def test_no_other_function_sees_the_core(region: RegionPlace, place: CorePlace, out: Path, port: int) -> None:
    """A component sees its sockets and nothing more of the core; a function of the core's own sees not even these."""
    arn = await region.function("looking", LOOKING)
    await region.component(
        arn, environmentVariables={"OUT": str(port)}, eventSources=[{"topic": "ask", "type": "PUB_SUB"}]
    )
    assert await region.outcome(await region.deploy(ward__notes=merge())) == "SUCCEEDED"
    await place.publish("ask", 1)
    (component,) = await until(lambda: notes(out, "looking"))
    assert component["seen"] == {"/greengrass": ["ipc.socket", "lambda.socket"]}
    assert component["hidden"] == {"/.nucleus": [], "/.code": []}
    assert (component["written"], len(component["token"])) == (False, 3)

    config = {"Runtime": "python3.11", "Handler": "app.handler", "Environment": {"Variables": {"OUT": str(port)}}}
    await place.functions.install("plain", "1", config, zip_of(app__py=LOOKING))
    result = await place.functions.invoke(Invocation("plain:1", b"1"))
    assert result.function_error is None, result.payload
    plain = notes(out, "looking")[1]
    assert plain == {**component, "seen": {"/greengrass": []}, "token": []}


async def test_the_lambda_manager_wants_a_function_s_token(region: RegionPlace, place: CorePlace) -> None:
    socket = place.core.ipc.path.parent / "shown" / "lambda.socket"

    def asked(path: str, token: str) -> int:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket_module.socket(socket_module.AF_UNIX)
        connection.sock.connect(str(socket))
        connection.request("POST", path, b"{}", {"Authorization": token})
        return connection.getresponse().status

    await region.component(await region.function())
    assert await region.outcome(await region.deploy(ward__notes=merge())) == "SUCCEEDED"
    token = place.core.ipc.components.functions.tokens["ward.notes"]
    path = "/2016-11-01/functions/arn:aws:lambda:::function:GGRouter"
    for path_, token_, status in (
        (path, "", 401),
        (path, "guessed", 401),
        (path, token, 400),  # without a topic
        ("/elsewhere", token, 404),
        ("/2016-11-01/functions/arn:aws:lambda:::function:GGShadowService", token, 400),
        ("/2016-11-01/functions/nonsense", token, 404),
    ):
        assert await asyncio.to_thread(asked, path_, token_) == status, path_


BINARY = {
    "python": """
import sys
def handler(event, context):
    return event[::-1] + b"|" + "|".join(sys.argv[1:]).encode()
""",
    "node": """
exports.handler = async (event) => Buffer.concat(
  [Buffer.from(event).reverse(), Buffer.from('|' + process.argv.slice(2).join('|'))]);
""",
}


@pytest.mark.parametrize("language", ["python", "node"])
async def test_payloads_are_bytes_where_the_component_says_so(
    region: RegionPlace, place: CorePlace, out: Path, port: int, language: str
) -> None:
    """And execArgs are the process's arguments."""
    runtime = {} if language == "python" else {"Runtime": "nodejs20.x"}
    file = "app.py" if language == "python" else "app.js"
    arn = await region.function("turn", zipped(BINARY[language], name=file), **runtime)
    await region.component(arn, "ward.turn", inputPayloadEncodingType="binary", execArgs=["-d", "x y"])
    assert await region.outcome(await region.deploy(ward__turn=merge())) == "SUCCEEDED"
    payload = bytes(range(256)) * 40
    for sent in (payload, b"", b"\xff"):
        result = await place.functions.invoke(Invocation("turn:1", sent, checked=True))
        assert (result.function_error, result.payload) == (None, sent[::-1] + b"|-d|x y")


BY_NODE = """
const gg = require('aws-greengrass-core-sdk');
const net = require('net');
const note = (line) => new Promise((resolve, reject) => {
  const socket = net.connect(Number(process.env.OUT), '127.0.0.1', () => socket.write(JSON.stringify(line) + '\\n'));
  socket.once('data', () => { socket.end(); resolve(); });
  socket.once('error', reject);
});
const [data, functions, secrets] = [new gg.IotData(), new gg.Lambda(), new gg.SecretsManager()];
const call = (client, name, members) => new Promise((resolve) =>
  client[name](members, (error, found) => {
    const answer = found && found.Payload !== undefined ? found.Payload : found;
    resolve(String(error || answer));
  }));
exports.handler = async (event) => {
  await note({
    at: 'node',
    published: await call(data, 'publish', { topic: 'up/node', payload: '"hello"', queueFullPolicy: 'AllOrError' }),
    update: await call(data, 'updateThingShadow', { thingName: 'bed1', payload: '{"state":{"desired":{"a":1}}}' }),
    get: await call(data, 'getThingShadow', { thingName: 'bed1' }),
    invoke: await call(functions, 'invoke', { FunctionName: event.other, Payload: '7' }),
    event: await call(functions, 'invoke', { FunctionName: event.other, Payload: '8', InvocationType: 'Event' }),
    nobody: await call(functions, 'invoke', { FunctionName: event.other + '9' }),
    secret: await call(secrets, 'getSecretValue', { SecretId: 'pump' }),
  });
};
"""


async def test_aws_greengrass_core_sdk_in_node_js(
    region: RegionPlace, place: CorePlace, out: Path, port: int, tmp_path: Path
) -> None:
    modules = fetched("aws-greengrass-core-sdk@1.7.0", tmp_path)
    await region.role_alias()
    secret = await region.call("secretsmanager", "create_secret", Name="pump", SecretString="rare-word")
    node = await region.function("node", zipped(BY_NODE, modules, name="app.js"), Runtime="nodejs20.x")
    other = await region.function("other", ANSWERING)
    variables = {"OUT": str(port)}
    events = [{"topic": "ask", "type": "PUB_SUB"}]
    await region.component(node, "ward.node", environmentVariables=variables, eventSources=events)
    await region.component(other, "ward.other", environmentVariables=variables, pinned=False)
    deployed = {
        "ward__node": merge(accessControl=ALLOWED),
        "ward__other": merge(),
        SUBSCRIPTIONS.replace(".", "__"): routes(("component:ward.node", "up/+", "cloud")),
        SECRETS.replace(".", "__"): {
            "componentVersion": "2.1.0",
            "configurationUpdate": {"merge": json.dumps({"cloudSecrets": [{"arn": secret["ARN"]}]})},
        },
    }
    assert await region.outcome(await region.deploy(**deployed)) == "SUCCEEDED"
    await place.publish("ask", {"other": other})
    (said,) = await until(lambda: notes(out, "node"))
    await until(lambda: region.arrived == [("up/node", "hello")])
    assert json.loads(said["get"])["state"]["desired"] == {"a": 1}
    assert said["invoke"] == '{"heard": 7}'
    assert "404" in said["nobody"]
    assert json.loads(said["secret"])["SecretString"] == "rare-word"
    await until(lambda: [each["event"] for each in notes(out, "other")] == [7, 8])
