"""A whole place: functions in Python and Node.js let devices in, of AWS's SDK, paho-mqtt and curl."""

from __future__ import annotations

import base64
import http.client
import json
import queue
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from paho.mqtt.enums import CallbackAPIVersion

from tests.site.conftest import ROLE, Running, needs
from tests.site.test_clients import zipped

pytest.importorskip("awsiot", reason="awsiotsdk is not installed: make setup")
SCRIPT = Path(__file__).with_name("sdk_visitor.py")
KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
POLICY = """{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
  {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": "arn:aws:iot:*:topic/own/${iot:ClientId}"},
  {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:*:topicfilter/own/${iot:ClientId}"},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:topic/posted"}]}"""
PYTHON = f'''
import base64
POLICY = """{POLICY}"""
def handler(event, context):
    shown = event["protocolData"]
    if event.get("token") == "break":
        raise RuntimeError("broken")
    password = base64.b64decode(shown.get("mqtt", {{}}).get("password", ""))
    known = password == b"sesame" or event["signatureVerified"] and event["token"].startswith("device-")
    return {{"isAuthenticated": known, "principalId": "Python", "disconnectAfterInSeconds": 3600,
            "refreshAfterInSeconds": 600, "policyDocuments": [POLICY]}}
'''
NODE = f"""
exports.handler = async (event) => {{
  const shown = event.protocolData;
  const word = shown.http ? (shown.http.headers.word || new URLSearchParams(shown.http.queryString).get('word'))
    : Buffer.from(shown.mqtt.password || '', 'base64').toString();
  return {{isAuthenticated: word === 'sesame', principalId: 'Node', disconnectAfterInSeconds: 3600,
    refreshAfterInSeconds: 600, policyDocuments: [JSON.parse(`{POLICY.replace("$", chr(92) + "$")}`)]}};
}};
"""


@pytest.fixture(scope="module")
def guarded(place: Running) -> Iterator[Running]:
    """``python`` takes signed tokens, ``node`` and ``open`` passwords."""
    functions, iot = place.client("lambda"), place.client("iot")
    for name, runtime, files in (
        ("gate-python", "python3.11", {"app__py": PYTHON}),
        ("gate-node", "nodejs20.x", {"app__js": NODE}),
    ):
        made = functions.create_function(
            FunctionName=name, Role=ROLE, Runtime=runtime, Handler="app.handler", Code={"ZipFile": zipped(**files)}
        )
        functions.get_waiter("function_active_v2").wait(FunctionName=name)
        functions.add_permission(
            FunctionName=name,
            StatementId="iot",
            Action="lambda:InvokeFunction",
            Principal="iot.amazonaws.com",
            SourceArn=f"arn:aws:iot:us-east-1:000000000000:authorizer/{name.removeprefix('gate-')}",
        )
        more: dict[str, Any] = {"signingDisabled": True}
        if runtime.startswith("python"):
            more = {"tokenKeyName": "ticket", "tokenSigningPublicKeys": {"k": PUBLIC}}
        iot.create_authorizer(
            authorizerName=name.removeprefix("gate-"),
            authorizerFunctionArn=made["FunctionArn"],
            status="ACTIVE",
            **more,
        )
    iot.create_authorizer(
        authorizerName="open", authorizerFunctionArn=made["FunctionArn"], status="ACTIVE", signingDisabled=True
    )
    yield place


@pytest.fixture(scope="module")
def ca(place: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    with urllib.request.urlopen(f"{place.api}/_littoral/ca.pem", timeout=10) as response:
        file.write_bytes(response.read())
    return file


def sign(token: str) -> str:
    return base64.b64encode(KEY.sign(token.encode(), padding.PKCS1v15(), SHA256())).decode()


def sdk(place: Running, ca: Path, way: str, client: str, **credentials: str) -> dict[str, Any]:
    given = json.dumps({f"auth_{name}": value for name, value in credentials.items()})
    command = [sys.executable, str(SCRIPT), way, str(place.port("mqtt-tls")), str(ca), client, f"own/{client}", given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ticket(token: str, signature: str | None = None) -> dict[str, str]:
    return {
        "authorizer_name": "python",
        "token_key_name": "ticket",
        "token_value": token,
        "authorizer_signature": signature or sign(token),
    }


@pytest.mark.parametrize("way", ["direct", "websocket"])
def test_aws_sdk_comes_in_by_a_token_or_a_password(guarded: Running, ca: Path, way: str) -> None:
    assert sdk(guarded, ca, way, f"a-{way}", **ticket("device-1")) == {"reason": 0, "heard": "here"}
    assert sdk(guarded, ca, way, f"b-{way}", **ticket("device-2", sign("device-1"))) == {"reason": 0x87}


def test_aws_sdk_comes_in_by_a_password_that_a_node_function_knows(guarded: Running, ca: Path) -> None:
    known = sdk(guarded, ca, "direct", "c", authorizer_name="node", username="u", password="sesame")
    assert known == {"reason": 0, "heard": "here"}
    unknown = sdk(guarded, ca, "direct", "c", authorizer_name="node", username="u", password="barley")
    assert unknown == {"reason": 0x87}


def test_a_function_must_let_iot_ask_it_and_must_not_fail(guarded: Running, ca: Path) -> None:
    credentials = {"authorizer_name": "open", "username": "u", "password": "sesame"}
    assert sdk(guarded, ca, "direct", "d", **credentials) == {"reason": 0x87}  # the permission names another authorizer
    assert sdk(guarded, ca, "direct", "d", **ticket("break")) == {"reason": 0x87}
    with urllib.request.urlopen(f"{guarded.api}/metrics", timeout=10) as response:
        metrics = response.read().decode()
    for why in ("FUNCTION_NOT_PERMITTED", "FUNCTION_FAILED"):
        assert f'littoral_iot_refused_total{{action="iot:Connect",reason="{why}"}} 1.0' in metrics


@pytest.mark.parametrize("port", ["api", "mqtt-tls"])
@pytest.mark.parametrize("where", ["headers", "query"])
def test_a_web_socket_may_bring_the_credentials(guarded: Running, ca: Path, port: str, where: str) -> None:
    for word, code in (("sesame", 0), ("barley", 0x87)):
        shown = {"x-amz-customauthorizer-name": "node", "word": word}
        path = "/mqtt" + ("" if where == "headers" else "?" + "&".join(f"{k}={v}" for k, v in shown.items()))
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, f"ws-{port}-{where}", transport="websockets", protocol=mqtt.MQTTv5
        )
        client.ws_set_options(path, shown if where == "headers" else None)
        if port == "mqtt-tls":
            client.tls_set_context(ssl.create_default_context(cafile=str(ca)))
        connected: queue.Queue[int] = queue.Queue()
        client.on_connect = lambda c, u, f, reason, p, to=connected: to.put(reason.value)
        client.connect("localhost" if port == "mqtt-tls" else "127.0.0.1", guarded.port(port))
        client.loop_start()
        assert connected.get(timeout=20) == code
        client.disconnect()
        client.loop_stop()


def test_a_web_socket_that_cannot_come_in_is_refused_at_its_upgrade(guarded: Running) -> None:
    upgrade = {
        **{"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"},
        **{"sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==", "sec-websocket-protocol": "mqtt"},
    }

    def status(**shown: str) -> int:
        headers = {f"x-amz-customauthorizer-{name}" if name != "ticket" else name: shown[name] for name in shown}
        connection = http.client.HTTPConnection("127.0.0.1", guarded.port("api"), timeout=10)
        try:
            connection.request("GET", "/mqtt", headers={**upgrade, **headers})
            return connection.getresponse().status
        finally:
            connection.close()

    assert status(name="nosuch") == 403
    assert status(name="python", ticket="device-1", signature=sign("device-2")) == 401
    assert status(name="python", ticket="device-1", signature=sign("device-1")) == 101
    assert status(name="python") == 101  # CONNECT may bring the token
    assert status(name="node") == 101


def test_curl_publishes(guarded: Running, ca: Path) -> None:
    curl = needs("curl")
    url = f"https://localhost:{guarded.port('mqtt-tls')}/topics/posted?qos=1"
    shown = ["-H", "x-amz-customauthorizer-name: node"]
    for word, expected in (("sesame", "200"), ("barley", "403")):
        command = [curl, "-sS", "-w", "%{http_code}", "--cacert", ca, *shown, "-H", f"word: {word}", "-d", "{}", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout[-3:] == expected, done.stdout
