"""A running place for tests with real clients: the gateway over HTTP, the device port over TLS, one Things behind."""

from __future__ import annotations

import http.client
import json
import queue
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.service import ServiceError
from littoral.net.listen import listen_http, listen_stream
from littoral.net.pki import Authority
from littoral.site.certificates import Certificates
from littoral.site.listening import device_context
from littoral.site.region import assume
from littoral.site.visitors import websocket_mqtt, without_certificate
from littoral.store.embedded import EmbeddedStore
from littoral.things.broker import PROFILES
from littoral.things.facade import Things
from littoral.things.outside import Outside
from littoral.things.rules import LogSink
from tests.support.served import Served, served

ARN = "arn:aws:iot:us-east-1:000000000000:"


class Sink:
    """Objects and functions at the far end of rules; a queue shows what arrived."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.arrived: queue.Queue[tuple[str, bytes]] = queue.Queue()

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None:
        if bucket == "missing":
            raise ServiceError("NoSuchBucket", "The specified bucket does not exist", status=404)
        self.objects[key] = data
        self.arrived.put((key, data))

    async def read(self, bucket: str, key: str, most: int | None = None) -> bytes:
        if bucket == "missing":
            raise ServiceError("NoSuchBucket", "The specified bucket does not exist", status=404)
        return self.objects[key]

    def presign(self, bucket: str, key: str, seconds: int) -> str:
        return f"https://objects.example/{bucket}/{key}?for={seconds}"

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        raise AssertionError("rules invoke asynchronously")

    async def invoke_async(self, invocation: Invocation) -> str:
        self.arrived.put((invocation.function, invocation.payload))
        return "id"


@dataclass
class Place:
    served: Served
    things: Things
    sink: Sink
    authority: Authority
    port: int
    https_port: int  # the real device port tells MQTT from HTTP by the first byte; here they are two
    folder: Path
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(service, **self.served.client_kwargs)
        return self._clients[service]

    def device(self, name: str, *statements: dict[str, Any], attach: bool = True) -> Device:
        """A thing of that name with its certificate and policy, all made through the API."""
        iot = self.client("iot")
        made = iot.create_keys_and_certificate(setAsActive=True)
        iot.create_thing(thingName=name)
        if attach:
            iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iot.create_policy(policyName=f"{name}-policy", policyDocument=document)
        iot.attach_policy(policyName=f"{name}-policy", target=made["certificateArn"])
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_text(made["certificatePem"])
        key.touch(mode=0o600)
        key.write_text(made["keyPair"]["PrivateKey"])
        return Device(self, name, made["certificateId"], made["certificateArn"], certificate, key)

    @property
    def ca(self) -> Path:
        file = self.folder / "ca.pem"
        file.write_bytes(self.authority.certificate_pem)
        return file


@dataclass
class Device:
    place: Place
    name: str
    certificate_id: str
    arn: str
    certificate: Path
    key: Path

    @property
    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.place.ca))
        context.load_cert_chain(self.certificate, self.key)
        return context

    def https(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """The status and JSON body of a request that shows the device's certificate."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.place.https_port, context=self.tls, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        finally:
            connection.close()

    def connect(
        self, client_id: str | None = None, *, v5: bool = True, clean: bool = True, timeout: float = 10
    ) -> Mqtt:
        return Mqtt(self, client_id or self.name, v5=v5, clean=clean, timeout=timeout)


@dataclass
class Visitor:
    """Who has no certificate, and shows what an authorizer may want to see."""

    place: Place
    username: str | None = None
    password: str | None = None

    @property
    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.place.ca))
        context.set_alpn_protocols(["mqtt"])
        return context

    def refused(self, client_id: str, *, v5: bool = True) -> int:
        """CONNACK's reason, which is no success."""
        client = Mqtt(self, client_id, v5=v5)
        try:
            code = client.connected.get(timeout=10)
        finally:
            client.client.loop_stop()
        assert code
        return code


class Mqtt:
    """A paho client whose callbacks fill queues; every wait has an end."""

    def __init__(
        self,
        device: Device | Visitor,
        client_id: str,
        *,
        v5: bool = True,
        clean: bool = True,
        timeout: float = 10,
        keepalive: int = 60,
        will: tuple[str, str] | None = None,
        manual_ack: bool = False,
    ) -> None:
        self.timeout = timeout
        self.messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.connected: queue.Queue[int] = queue.Queue()
        self.disconnected: queue.Queue[int] = queue.Queue()
        self._acks: queue.Queue[tuple[int, int]] = queue.Queue()
        self._grants: queue.Queue[tuple[int, list[int]]] = queue.Queue()
        protocol = mqtt.MQTTv5 if v5 else mqtt.MQTTv311
        more: dict[str, Any] = {} if v5 else {"clean_session": clean}
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=protocol,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
            **more,
        )
        if will is not None:
            self.client.will_set(*will)
        self.client.tls_set_context(device.tls)
        if isinstance(device, Visitor):
            self.client.username_pw_set(device.username, device.password)
        self.reason_string = ""
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda c, u, f, reason, p: self.disconnected.put(reason.value)
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        self.client.on_publish = lambda c, u, mid, reason, p: self._acks.put((mid, reason.value))
        self.client.on_subscribe = lambda c, u, mid, reasons, p: self._grants.put((mid, [r.value for r in reasons]))
        self.client.connect("127.0.0.1", device.place.port, keepalive=keepalive)
        self.client.loop_start()

    def __enter__(self) -> Mqtt:
        code = self.connected.get(timeout=self.timeout)
        assert code == 0, f"CONNACK {code}"
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, _c: Any, _u: Any, _flags: Any, reason: Any, properties: Any) -> None:
        self.reason_string = getattr(properties, "ReasonString", "")
        self.connected.put(reason.value)

    def publish(self, topic: str, payload: Any, qos: int = 1, **more: Any) -> int:
        """The reason code of PUBACK (0 for QoS 0)."""
        data = payload if isinstance(payload, bytes | str) else json.dumps(payload)
        mid = self.client.publish(topic, data, qos, **more).mid
        while True:
            acknowledged, code = self._acks.get(timeout=self.timeout)
            if acknowledged == mid:
                return code

    def subscribe(self, topic_filter: str, qos: int = 1) -> list[int]:
        _, mid = self.client.subscribe(topic_filter, qos)
        while True:
            granted, codes = self._grants.get(timeout=self.timeout)
            if granted == mid:
                return codes

    def next(self) -> tuple[str, Any]:
        message = self.messages.get(timeout=self.timeout)
        return message.topic, json.loads(message.payload)


@contextmanager
def running(folder: Path, logs: LogSink | None = None, clock: Callable[[], float] = time.time) -> Iterator[Place]:
    authority = Authority.load_or_create(folder / "authority", "test devices")
    sink, held = Sink(), {}

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        things = await Things.open(
            store,
            region="us-east-1",
            account="000000000000",
            authority=authority,
            endpoint=lambda: f"127.0.0.1:{held['port']}",
            outside=Outside(invoker=sink, objects=sink, job_objects=sink, logs=logs),
            clock=clock,
        )
        await things.start()
        own = authority.issue_server(["localhost", "127.0.0.1"]).pair
        certificates = Certificates(authority, [], folder / "certificates")
        tls = device_context(own, certificates, things, [authority.certificate_pem])
        listener = await listen_stream(things.broker.protocol_factory("tls"), "127.0.0.1", 0, tls)
        held["port"], held["things"], held["tls"] = listener.port, things, tls

        async def close() -> None:
            await listener.close(0.5)
            await things.close()

        return {"iot": things.iot, "iot-data": things.iot_data, "iot-jobs-data": things.iot_jobs_data, "close": close}

    with served(factory) as gateway:
        issue = partial(assume, gateway.gateway._identity)
        gateway.gateway.device_route("/role-aliases/", held["things"].credentials(issue).handle)
        websocket = websocket_mqtt(gateway.gateway, held["things"], PROFILES["aws"])
        gateway.gateway.visitors(without_certificate(gateway.gateway, held["things"], websocket))
        https = gateway.run(listen_http(gateway.gateway.handle_device, tls=held["tls"]))
        yield Place(gateway, held["things"], sink, authority, held["port"], https.port, folder)
        gateway.run(https.close(0.5))


def allow(action: str | list[str], *resources: str, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    """Resources without their ARN's beginning, such as "topic/ward/*"; none means all."""
    return {"Effect": effect, "Action": action, "Resource": [ARN + each for each in resources] or "*", **more}
