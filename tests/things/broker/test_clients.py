"""paho-mqtt as a client, both versions: over TCP, over TLS with a client certificate, and over WebSocket."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from littoral.net.listen import listen_http, listen_stream
from littoral.net.message import Request, WebSocketUpgrade
from littoral.net.pki import Authority
from littoral.net.tls import server_context
from littoral.things.access import Client, OpenAccess, Refusal
from littoral.things.broker import Broker


class Certified(OpenAccess):
    """Only clients with a certificate, which it remembers."""

    def __init__(self) -> None:
        self.principals: list[str] = []

    def connect(self, who: Client) -> Refusal | None:
        self.principals.append(who.principal)
        return None if who.certificate else Refusal(message="no certificate")


@dataclass
class Doors:
    broker: Broker
    access: Certified
    authority: Authority
    folder: Path
    tcp: int = 0
    tls: int = 0
    websocket: int = 0


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    authority = Authority.load_or_create(tmp_path / "ca", "test")
    server = authority.issue_server(["localhost", "127.0.0.1"])
    context = server_context(
        (server.certificate, server.private_key), client_cas=[authority.certificate_pem], clients="required"
    )
    broker, access = Broker(access=OpenAccess()), Certified()
    await broker.start()
    factory = broker.protocol_factory("websocket")

    def upgrade(request: Request) -> WebSocketUpgrade:
        return WebSocketUpgrade(factory, subprotocol="mqtt")

    made = Doors(broker, access, authority, tmp_path)
    listeners = [
        await listen_stream(broker.protocol_factory("tcp")),
        await listen_stream(broker.protocol_factory("tls", access), tls=context),
        await listen_http(upgrade),
    ]
    made.tcp, made.tls, made.websocket = (each.port for each in listeners)
    yield made
    await broker.close(grace=2.0)
    for listener in listeners:
        await listener.close()


def converse(make: Callable[[str], mqtt.Client], port: int) -> list[tuple[str, bytes, int]]:
    """One client subscribes, another publishes; what the first got."""
    got: queue.Queue[tuple[str, bytes, int]] = queue.Queue()
    sub, pub = make("sub"), make("pub")
    sub.on_message = lambda client, data, message: got.put((message.topic, message.payload, message.qos))
    subscribed = threading.Event()
    sub.on_connect = lambda client, *rest: client.subscribe([("ward/+/ppg", 1), ("ward/+/log", 0), ("ward/+/dose", 2)])
    sub.on_subscribe = lambda *rest: subscribed.set()
    try:
        for client in (sub, pub):
            client.connect("127.0.0.1", port, keepalive=30)
            client.loop_start()
        assert subscribed.wait(10)
        for number in range(50):
            pub.publish("ward/7/ppg", b"%d" % number, qos=1).wait_for_publish(10)
        pub.publish("ward/7/log", b"z" * 200_000, qos=0).wait_for_publish(10)
        for number in range(3):
            pub.publish("ward/7/dose", b"%d" % number, qos=2).wait_for_publish(10)
        return [got.get(timeout=10) for _ in range(54)]
    finally:
        for client in (sub, pub):
            client.disconnect()
            client.loop_stop()


WANTED = [("ward/7/ppg", b"%d" % number, 1) for number in range(50)] + [("ward/7/log", b"z" * 200_000, 0)]
WANTED += [("ward/7/dose", b"%d" % number, 2) for number in range(3)]
VERSIONS = pytest.mark.parametrize("version", [mqtt.MQTTv311, mqtt.MQTTv5], ids=["3.1.1", "5"])


def maker(version: int, transport: Any = "tcp") -> Callable[[str], mqtt.Client]:
    return lambda name: mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=name,
        protocol=mqtt.MQTTProtocolVersion(version),
        transport=transport,
    )


@VERSIONS
async def test_tcp(doors: Doors, version: int) -> None:
    assert await asyncio.to_thread(converse, maker(version), doors.tcp) == WANTED


@VERSIONS
async def test_websocket(doors: Doors, version: int) -> None:
    assert await asyncio.to_thread(converse, maker(version, "websockets"), doors.websocket) == WANTED


@VERSIONS
async def test_tls_with_client_certificates(doors: Doors, version: int) -> None:
    device = doors.authority.issue_client("bed 7")
    files = {name: doors.folder / f"{name}.pem" for name in ("ca", "certificate", "key")}
    files["ca"].write_bytes(doors.authority.certificate_pem)
    files["certificate"].write_bytes(device.certificate)
    files["key"].write_bytes(device.private_key)

    def make(name: str) -> mqtt.Client:
        client = maker(version)(name)
        client.tls_set(str(files["ca"]), str(files["certificate"]), str(files["key"]))
        return client

    assert await asyncio.to_thread(converse, make, doors.tls) == WANTED
    assert set(doors.access.principals) == {device.certificate_id}
    assert doors.broker.disconnect(principal="of nobody") == 0
