"""MQTT clients that people have, against a real place: paho-mqtt, mosquitto's, mqtt.js and AWS's device SDK.

The place's cleartext port follows MQTT's own rules, its device port and its WebSocket AWS's.
"""

from __future__ import annotations

import json
import queue
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.npm import fetched

from .conftest import Running, needs, up
from .test_bad_input_mqtt import websocket_path

HERE = Path(__file__).parent
VERSIONS = pytest.mark.parametrize("version", [4, 5])
WAIT = 20


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = up(tmp_path_factory.mktemp("site") / "place", "--mqtt-profile", "mqtt", "--mqtt-alpn-port", "0")
    yield running
    assert running.process.stop() == 0, running.process.log_end()


@dataclass(frozen=True)
class Device:
    name: str
    ca: str
    certificate: str
    key: str


@pytest.fixture(scope="module")
def device(place: Running, tmp_path_factory: pytest.TempPathFactory) -> Device:
    """Its policy allows everything: what is refused is the profile's doing."""
    folder, iot = tmp_path_factory.mktemp("device"), place.client("iot")
    made = iot.create_keys_and_certificate(setAsActive=True)
    statement = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iot.create_policy(policyName="everything", policyDocument=document)
    iot.attach_policy(policyName="everything", target=made["certificateArn"])
    with urllib.request.urlopen(f"{place.api}/_littoral/ca.pem") as answer:
        (folder / "ca").write_bytes(answer.read())
    (folder / "crt").write_text(made["certificatePem"])
    (folder / "key").write_text(made["keyPair"]["PrivateKey"])
    return Device("bed", str(folder / "ca"), str(folder / "crt"), str(folder / "key"))


# ------------------------------------------------------------------------------------------- two profiles


@VERSIONS
def test_a_place_whose_cleartext_port_follows_mqtt(place: Running, device: Device, version: int) -> None:
    """What paho-mqtt is told and given: QoS 2 and retained messages for a wildcard here, AWS's rules there."""
    assert told(place, None, version) == {
        "maximum": None,
        "granted": 2,
        "got": [("bed/kept", 2, True)],
        "after QoS 2": "acknowledged",
    }
    assert told(place, device, version) == {
        "maximum": 1 if version == 5 else None,
        "granted": 1,
        "got": [],
        "after QoS 2": (0x9B, "QoS 2") if version == 5 else "gone",
    }


def told(place: Running, device: Device | None, version: int) -> dict[str, Any]:
    seen: queue.Queue[tuple[str, Any]] = queue.Queue()
    client: Any = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id="bed",
        protocol=version,  # type: ignore[arg-type]
        reconnect_on_failure=False,
    )
    client.on_connect = lambda c, u, f, reason, properties: seen.put(("connected", properties))
    client.on_subscribe = lambda c, u, mid, reasons, p: seen.put(("granted", reasons[0].value))
    client.on_publish = lambda c, u, mid, reason, p: seen.put(("published", "acknowledged"))
    client.on_message = lambda c, u, m: seen.put(("message", (m.topic, m.qos, m.retain)))
    client.on_disconnect = lambda c, u, f, reason, p: seen.put(
        ("left", (reason.value, getattr(p, "ReasonString", None)) if version == 5 else "gone")
    )
    if device is not None:
        client.tls_set(device.ca, device.certificate, device.key)
    client.connect("127.0.0.1", place.port("mqtt" if device is None else "mqtt-tls"), keepalive=60)
    client.loop_start()

    def until(*kinds: str) -> tuple[str, Any]:
        while (found := seen.get(timeout=WAIT))[0] not in kinds:
            pass
        return found

    try:
        _, properties = until("connected")
        publisher = "bed/kept", b"x", 2 if device is None else 1, True
        client.publish(*publisher)
        until("published")
        client.subscribe("bed/#", 2)
        granted = until("granted")[1]
        got = []
        if device is None:
            got.append(until("message")[1])
        client.unsubscribe("bed/#")
        client.publish("bed/twice", b"x", 2)
        ended = until("published", "left")[1]
        return {
            "maximum": getattr(properties, "MaximumQoS", None),
            "granted": granted,
            "got": got + [each for kind, each in seen.queue if kind == "message"],
            "after QoS 2": ended,
        }
    finally:
        client.disconnect()
        client.loop_stop()


# --------------------------------------------------------------------------------------------- mosquitto


class Mosquitto:
    """``mosquitto_pub`` and ``mosquitto_sub`` of one version against one port."""

    def __init__(self, version: int, port: int, *more: str) -> None:
        self.pub, self.sub = needs("mosquitto_pub"), needs("mosquitto_sub")  # Debian: mosquitto-clients
        spoken = {4: "mqttv311", 5: "mqttv5"}[version]
        self._where = ["-h", "127.0.0.1", "-p", str(port), "-V", spoken, *more]

    def publish(self, topic: str, message: str, *more: str) -> None:
        command = [self.pub, *self._where, "-t", topic, "-m", message, *more]
        subprocess.run(command, check=True, timeout=WAIT, capture_output=True)

    def command(self, *more: str) -> list[str]:
        return [self.sub, *self._where, "-W", str(WAIT), *more]

    def subscribe(self, *more: str) -> list[str]:
        """The lines that it prints."""
        done = subprocess.run(self.command(*more), check=True, timeout=2 * WAIT, capture_output=True, text=True)
        return done.stdout.splitlines()

    def session(self, name: str, *more: str) -> None:
        """A persistent session with those subscriptions; it waits for messages when this returns."""
        self.subscribe("-i", name, "-c", "-E", *more)


@VERSIONS
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_mosquitto_at_each_qos(place: Running, version: int, qos: str) -> None:
    clients, topic = Mosquitto(version, place.port("mqtt")), f"m{version}/{qos}"
    clients.session(f"m{version}-{qos}", "-t", f"{topic}/#", "-q", "2")
    clients.publish(f"{topic}/kept", "retained", "-q", qos, "-r")
    clients.publish(f"{topic}/live", "first", "-q", qos)
    clients.publish(f"{topic}/live", "second", "-q", qos)
    waited = ["-i", f"m{version}-{qos}", "-c", "-t", f"{topic}/#", "-q", "2", "-F", "%t %q %r %p"]
    wanted = [f"{topic}/kept {qos} 0 retained", f"{topic}/live {qos} 0 first", f"{topic}/live {qos} 0 second"]
    again = f"{topic}/kept {qos} 1 retained"  # it subscribes once more
    if qos == "0":
        assert clients.subscribe(*waited, "-C", "1") == [again]
    else:
        assert clients.subscribe(*waited, "-C", "4") == [*wanted, again]


@VERSIONS
def test_mosquitto_will_and_shared_subscription(place: Running, version: int) -> None:
    clients, top = Mosquitto(version, place.port("mqtt")), f"w{version}"
    for name in ("one", "two"):
        clients.session(f"{top}-{name}", "-t", f"$share/{top}/{top}/work", "-q", "1")
    for number in range(4):
        clients.publish(f"{top}/work", str(number), "-q", "1")
    shares = [
        clients.subscribe("-i", f"{top}-{name}", "-c", "-t", f"$share/{top}/{top}/work", "-q", "1", "-C", "2")
        for name in ("one", "two")
    ]
    assert sorted(line for share in shares for line in share) == ["0", "1", "2", "3"]
    clients.session(f"{top}-watcher", "-t", f"{top}/gone", "-q", "1")
    clients.publish(f"{top}/here", "x", "-r")
    will = ["--will-topic", f"{top}/gone", "--will-payload", "bed 7", "--will-qos", "1"]
    with subprocess.Popen(clients.command("-t", f"{top}/here", *will), stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None and dying.stdout.readline() == "x\n"
        dying.kill()
    assert clients.subscribe("-i", f"{top}-watcher", "-c", "-t", f"{top}/gone", "-q", "1", "-C", "1") == ["bed 7"]


def test_mosquitto_sends_and_prints_properties(place: Running) -> None:
    clients = Mosquitto(5, place.port("mqtt"))
    clients.session("props", "-t", "props/+", "-q", "1")
    said = {
        "content-type": "text/plain",
        "response-topic": "props/answer",
        "correlation-data": "abc",
        "message-expiry-interval": "600",
    }
    flags = [word for name, value in said.items() for word in ("-D", "publish", name, value)]
    clients.publish("props/x", "v", "-q", "1", *flags, "-D", "publish", "user-property", "ward", "7")
    shown = ["-F", "%C|%R|%D|%P|%S", "-C", "1", "-D", "subscribe", "subscription-identifier", "9"]
    (line,) = clients.subscribe("-i", "props", "-c", "-t", "none/x", "-q", "1", *shown)
    assert line == "text/plain|props/answer|abc|ward:7|"
    clients.publish("none/x", "kept", "-r")
    (line,) = clients.subscribe("-t", "none/x", *shown)
    assert line.endswith("|9")


@VERSIONS
@pytest.mark.parametrize("alpn", ["x-amzn-mqtt-ca", "mqtt", ""])
def test_mosquitto_over_tls_with_a_certificate(place: Running, device: Device, version: int, alpn: str) -> None:
    more = ["--cafile", device.ca, "--cert", device.certificate, "--key", device.key]
    more += ["--tls-alpn", alpn] if alpn else []
    clients = Mosquitto(version, place.port("mqtt-tls"), *more, "-i", device.name)
    clients.publish("bed/tls", alpn or "none", "-q", "1", "-r")
    assert clients.subscribe("-t", "bed/tls", "-C", "1", "-q", "1") == [alpn or "none"]


# ----------------------------------------------------------------------------------------------- mqtt.js


@pytest.fixture(scope="module")
def mqtt_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of node_modules with mqtt.js."""
    return fetched("mqtt@5", tmp_path_factory.mktemp("npm"))


def by_node(modules: Path, **asked: Any) -> dict[str, Any]:
    """What the conversation in mqtt_js.cjs saw."""
    command = [needs("node"), str(HERE / "node" / "mqtt_js.cjs"), str(modules / "mqtt"), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


SEEN: dict[str, Any] = {
    "live": [["0", 0, False], ["1", 1, False], ["2", 2, False]],
    "kept": ["kept", True],
    "shared": 4,
    "resumed": [False, True],
    "waited": ["while away"],
    "will": "gone",
}
SEEN_5 = {
    "properties": ["a/b", "bed/answer", "abc", {"ward": "7"}, 9, True],
    "assigned": True,
    "aliased": ["first", "second", "third"],
    "large": ["fits"],
}


@VERSIONS
def test_mqtt_js_over_tcp(place: Running, mqtt_js: Path, version: int) -> None:
    found = by_node(mqtt_js, url=f"mqtt://127.0.0.1:{place.port('mqtt')}", version=version, qos=2, name="bed")
    assert found == {**SEEN, **(SEEN_5 if version == 5 else {})}


def by_aws_rules(version: int) -> dict[str, Any]:
    """There is no QoS 2; a keep-alive is 30 s at least."""
    told = {"keep_alive": 30} if version == 5 else {}
    return {"live": SEEN["live"][:2], "kept": SEEN["kept"], **told}


@VERSIONS
def test_mqtt_js_over_tls_with_a_certificate(place: Running, device: Device, mqtt_js: Path, version: int) -> None:
    url = f"mqtts://127.0.0.1:{place.port('mqtt-tls')}"
    files = {"ca": device.ca, "cert": device.certificate, "key": device.key}
    found = by_node(mqtt_js, url=url, version=version, qos=1, name="bed", files=files, alpn="x-amzn-mqtt-ca", one=True)
    assert found == by_aws_rules(version)


@VERSIONS
def test_mqtt_js_over_a_websocket_signed_with_sigv4(place: Running, mqtt_js: Path, version: int) -> None:
    url = f"ws://{urlsplit(place.api).netloc}{websocket_path(place, place.secret_key)}"
    found = by_node(mqtt_js, url=url, version=version, qos=1, name="bed", one=True)
    assert found == by_aws_rules(version)


# ------------------------------------------------------------------------------------------ AWS's own SDK


def temporary(place: Running, device: Device) -> list[str]:
    """Access key, secret key and session token, for the device's certificate."""
    place.client("iot").create_role_alias(roleAlias="sockets", roleArn="arn:aws:iam::000000000000:role/sockets")
    tls = ssl.create_default_context(cafile=device.ca)
    tls.load_cert_chain(device.certificate, device.key)
    url = f"https://localhost:{place.port('mqtt-tls')}/role-aliases/sockets/credentials"
    with urllib.request.urlopen(url, context=tls) as answer:
        found = json.load(answer)["credentials"]
    place.client("iot").delete_role_alias(roleAlias="sockets")
    return [found["accessKeyId"], found["secretAccessKey"], found["sessionToken"]]


WAYS = ["tls", "alpn", "websocket", "headers", "wss", "websocket, temporary", "headers, temporary", "wss, temporary"]


@pytest.mark.parametrize("way", WAYS)
def test_awsiotsdk(place: Running, device: Device, way: str) -> None:
    """Its MQTT 5 client: client certificates with and without ALPN as on port 443, and a WebSocket it signs itself, in
    the query or the headers, over TLS on that port, by the place's own keys and by those that its certificate is good
    for."""
    how, _, lent = way.partition(", ")
    ports = {"tls": "mqtt-tls", "alpn": "mqtt-alpn", "wss": "mqtt-alpn"}
    port = place.port(ports[how]) if how in ports else urlsplit(place.api).port
    keys = temporary(place, device) if lent else [place.access_key, place.secret_key]
    given = [how, port, device.ca, device.certificate, device.key, *keys]
    command = [sys.executable, str(HERE / "crt_device.py"), *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {
        "maximum_qos": 1,
        "keep_alive": 60,
        "identifiers": False,
        "granted": [1],
        "reason": 0,
        "payload": "v",
        "qos": 1,
        "content_type": "a/b",
        "response_topic": "bed/answer",
        "correlation": "abc",
        "user": [["ward", "7"]],
        "expires": True,
        "waited": ["while away"],
        "present": [False, True],
        "will": "gone",
    }


def test_without_certificate_and_signature_the_second_port_lets_nobody_in(place: Running, device: Device) -> None:
    tls = ssl.create_default_context(cafile=device.ca)
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id="bed", reconnect_on_failure=False)
    answers: queue.Queue[Any] = queue.Queue()
    client.tls_set_context(tls)
    client.on_connect = lambda c, u, f, reason, p: answers.put(reason)
    client.connect("localhost", place.port("mqtt-alpn"))
    client.loop_start()
    try:
        assert answers.get(timeout=WAIT) == "Not authorized"
    finally:
        client.loop_stop()
    for path, status in (("things/bed/shadow", 401), ("topics/bed", 403), ("mqtt", 403)):
        request = urllib.request.Request(f"https://localhost:{place.port('mqtt-alpn')}/{path}", b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, context=tls)
        with refusal.value as answer:  # whose connection stays open else, and the place's stop waits for that
            assert answer.code == status
