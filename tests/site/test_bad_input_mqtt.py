"""Bad MQTT in a running place: packets, sizes, certificates, and WebSockets without a signature."""

from __future__ import annotations

import datetime
import queue
import socket
import ssl
import struct
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from .conftest import Running
from .test_bad_input import calm, exchange  # noqa: F401 - calm is a fixture of every test here
from .test_clients import thing

CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd"
PACKETS = {
    "reserved type 0": b"\x00\x00",
    "no connect first": b"\xc0\x00",
    "http": b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "long length": b"\x10\xff\xff\xff\xff\x7f",
    "bad name": b"\x10\x10\x00\x04MQXX\x04\x02\x00\x3c\x00\x04abcd",
    "bad version": b"\x10\x10\x00\x04MQTT\x09\x02\x00\x3c\x00\x04abcd",
    "reserved flag": b"\x10\x10\x00\x04MQTT\x04\x03\x00\x3c\x00\x04abcd",
    "will qos 3": b"\x10\x10\x00\x04MQTT\x04\x1e\x00\x3c\x00\x04abcd",
    "id is not text": b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04\xff\xfe\xfd\xfc",
    "cut id": b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x09a",
    "twice": CONNECT + CONNECT,
    "publish qos 3": CONNECT + b"\x36\x05\x00\x01a\x00\x01",
    "publish to a wildcard": CONNECT + b"\x30\x04\x00\x02a#",
    "publish with nul": CONNECT + b"\x30\x04\x00\x02a\x00",
    "publish without an id": CONNECT + b"\x32\x03\x00\x01a",
    "subscribe to nothing": CONNECT + b"\x82\x02\x00\x01",
    "subscribe flags": CONNECT + b"\x80\x06\x00\x01\x00\x01a\x00",
    "subscribe id 0": CONNECT + b"\x82\x06\x00\x00\x00\x01a\x00",
    "subscribe qos 3": CONNECT + b"\x82\x06\x00\x01\x00\x01a\x03",
    "server's packet": CONNECT + b"\x20\x02\x00\x00",
    "ping with a body": CONNECT + b"\xc0\x01x",
    "oversize": CONNECT + b"\x30" + b"\x80\x80\x80\x01" + b"\x00\x01a" + b"x" * 200_000,
}


def tls_socket(place: Running, context: ssl.SSLContext) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", place.port("mqtt-tls")), timeout=10)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


@pytest.fixture(scope="module")
def device(place: Running, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """The context of a registered thing named abcd."""
    return thing(place, tmp_path_factory.mktemp("device"), "abcd")


@pytest.mark.parametrize("listener", ["mqtt", "mqtt-tls"])
@pytest.mark.parametrize("name", PACKETS)
def test_a_malformed_packet_ends_the_connection(
    place: Running, device: ssl.SSLContext, name: str, listener: str
) -> None:
    if listener == "mqtt":
        raw: socket.socket = socket.create_connection(("127.0.0.1", place.port("mqtt")), timeout=10)
    else:
        raw = tls_socket(place, device)
    with raw:
        answer = b""
        try:
            raw.sendall(PACKETS[name])
            while chunk := raw.recv(4096):
                answer += chunk
        except (ConnectionError, ssl.SSLError):
            pass  # cut off while we were still sending; a time-out is a failure
    if not (name == "http" and listener == "mqtt-tls"):  # there it is the gateway's, and a plain 4xx
        assert answer in {b"", b"\x20\x02\x00\x00", b"\x20\x02\x00\x01", b"\x20\x02\x00\x02"}, answer
    else:
        assert answer.startswith(b"HTTP/1.1 4"), answer


def test_mqtt_5_says_why(place: Running) -> None:
    connect = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04five"
    for bad, reason in ((b"\x30\x05\x00\x02a#\x00", 0x90), (b"\x36\x06\x00\x01a\x00\x01\x00", 0x81)):
        with socket.create_connection(("127.0.0.1", place.port("mqtt")), timeout=10) as raw:
            raw.sendall(connect + bad)
            answer = b""
            while chunk := raw.recv(4096):
                answer += chunk
        tail = answer[2 + answer[1] :]
        assert tail[0] == 0xE0, answer
        assert tail[2] in {reason, 0x81, 0x82}, hex(tail[2])


# ----------------------------------------------------------------------------------------- certificates


def refused(place: Running, context: ssl.SSLContext) -> bool:
    """Whether a device with this context gets no CONNACK of success."""
    try:
        with tls_socket(place, context) as raw:
            raw.sendall(CONNECT)
            answer = raw.recv(4)
    except (ssl.SSLError, ConnectionError):
        return True
    return answer[3:4] != b"\x00"


def trust(place: Running) -> ssl.SSLContext:
    with urllib.request.urlopen(f"{place.api}/_littoral/ca.pem") as answer:
        return ssl.create_default_context(cadata=answer.read().decode())


def self_made(folder: Path, context: ssl.SSLContext, *, days: int = 1) -> ssl.SSLContext:
    """A certificate by a CA that nobody knows, valid until ``days`` from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "crt").write_bytes(made.public_bytes(pem))
    (folder / "key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context.load_cert_chain(folder / "crt", folder / "key")
    return context


@pytest.mark.parametrize("days", [1, -1])
def test_a_certificate_of_an_unknown_or_expired_ca(place: Running, tmp_path: Path, days: int) -> None:
    assert refused(place, self_made(tmp_path, trust(place), days=days))


def test_no_certificate_at_all(place: Running) -> None:
    assert refused(place, trust(place))


def test_a_revoked_or_deleted_certificate(place: Running, tmp_path: Path) -> None:
    iot = place.client("iot")
    context = trust(place)
    made = iot.create_keys_and_certificate(setAsActive=True)
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'
    iot.create_policy(policyName="all", policyDocument=document)
    iot.attach_policy(policyName="all", target=made["certificateArn"])
    (tmp_path / "crt").write_text(made["certificatePem"])
    (tmp_path / "key").write_text(made["keyPair"]["PrivateKey"])
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    assert not refused(place, context)
    identity = made["certificateId"]
    for status in ("INACTIVE", "REVOKED"):
        iot.update_certificate(certificateId=identity, newStatus=status)
        assert refused(place, context), status
    iot.update_certificate(certificateId=identity, newStatus="ACTIVE")
    with tls_socket(place, context) as raw:
        raw.sendall(CONNECT)
        assert raw.recv(4) == b"\x20\x02\x00\x00"
        iot.update_certificate(certificateId=identity, newStatus="REVOKED")
        assert raw.recv(1) == b""  # a live connection is cut off too
    iot.detach_policy(policyName="all", target=made["certificateArn"])
    iot.delete_certificate(certificateId=identity)
    assert refused(place, context)


def test_tls_rubbish(place: Running) -> None:
    for sent in (b"\x16\x03\x01\x00\x05hello", CONNECT, b"\x00" * 1000, b"\x16\x03\x01\xff\xff" + b"\x01" * 9000):
        assert b"\x20\x02\x00\x00" not in exchange(place.port("mqtt-tls"), sent)  # at most an alert, never a CONNACK


# ------------------------------------------------------------------------------------------- WebSockets


def websocket_path(place: Running, secret: str) -> str:
    request = AWSRequest("GET", f"{place.api}/mqtt")
    SigV4QueryAuth(Credentials(place.access_key, secret), "iotdevicegateway", "us-east-1", 300).add_auth(request)
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def websocket_client(place: Running, version: int, path: str) -> tuple[Any, queue.Queue[Any]]:
    seen: queue.Queue[Any] = queue.Queue()
    client: Any = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"ws{version}",
        protocol=version,  # type: ignore[arg-type]
        transport="websockets",
    )
    client.ws_set_options(path=path)
    client.on_connect = lambda *_: client.subscribe("ws/+", 1)
    client.on_subscribe = lambda *_: seen.put("subscribed")
    client.on_message = lambda _c, _d, message: seen.put((message.topic, message.payload))
    return client, seen


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
def test_mqtt_over_a_signed_websocket(place: Running, version: int) -> None:
    client, seen = websocket_client(place, version, websocket_path(place, place.secret_key))
    client.connect("127.0.0.1", place.port("api"))
    client.loop_start()
    try:
        assert seen.get(timeout=10) == "subscribed"
        client.publish("ws/a", b"over http", qos=1).wait_for_publish(10)
        assert seen.get(timeout=10) == ("ws/a", b"over http")
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
@pytest.mark.parametrize("case", ["unsigned", "wrong secret", "tampered"])
def test_a_websocket_without_a_good_signature_is_refused(place: Running, version: int, case: str) -> None:
    path = {
        "unsigned": "/mqtt",
        "wrong secret": websocket_path(place, "0" * 40),
        "tampered": websocket_path(place, place.secret_key) + "0",
    }[case]
    client, _ = websocket_client(place, version, path)
    with pytest.raises((paho.WebsocketConnectionError, ConnectionError)):
        client.connect("127.0.0.1", place.port("api"))


def test_frames_that_are_wrong(place: Running) -> None:
    head = (
        f"GET {websocket_path(place, place.secret_key)} HTTP/1.1\r\nhost: 127.0.0.1:{place.port('api')}\r\n"
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mqtt\r\n\r\n"
    ).encode()
    frames = (
        b"\x82\x05hello",  # not masked
        b"\x81\x85\x00\x00\x00\x00hello",  # text
        b"\xf2\x85\x00\x00\x00\x00hello",  # reserved bits
        b"\x82\xff" + struct.pack(">Q", 1 << 62) + b"\x00" * 4,
        b"\x89\xfe\x01\x00" + b"\x00" * 300,  # a ping that is too long
        b"\x82\x82\x00\x00\x00\x00\x00\x00",  # a good frame with a bad packet
    )
    for frame in frames:
        with socket.create_connection(("127.0.0.1", place.port("api")), timeout=10) as raw:
            raw.sendall(head + frame)
            answer = b""
            try:
                while chunk := raw.recv(4096):
                    answer += chunk
            except ConnectionResetError:
                continue
            assert answer.startswith(b"HTTP/1.1 101"), answer
