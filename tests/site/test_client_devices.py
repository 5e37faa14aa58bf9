"""A device finds its core by AWS's DiscoveryClient, connects to it, and is judged by device groups, link or no link."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from awscrt.io import (
    ClientBootstrap,
    ClientTlsContext,
    DefaultHostResolver,
    EventLoopGroup,
    SocketOptions,
    TlsContextOptions,
)
from awsiot.greengrass_discovery import DiscoveryClient, DiscoveryException
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from littoral.tour.link import Link as Cable
from tests.site.conftest import Running, up
from tests.things import sdk_device

MQTTv311, MQTTv5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
CORE, BED, STRANGER = "ward7-core", "bed1", "visitor1"
AUTH, DETECTOR = "aws.greengrass.clientdevices.Auth", "aws.greengrass.clientdevices.IPDetector"


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "that did not come to pass"
        time.sleep(0.05)
    return found


def thing(region: Running, folder: Path, name: str) -> tuple[Path, Path]:
    """With a certificate of its own that may do everything by its IoT policy."""
    iot = region.client("iot")
    iot.create_thing(thingName=name)
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName="all", target=made["certificateArn"])
    iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_text(made["certificatePem"])
    files[1].write_text(made["keyPair"]["PrivateKey"])
    return files


def connect(
    name: str, pair: tuple[Path, Path], ca: str, host: str, port: int, protocol: MQTTProtocolVersion = MQTTv5
) -> mqtt.Client | None:
    """None where it is not let in."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=protocol, reconnect_on_failure=False)
    tls = ssl.create_default_context(cadata=ca)
    tls.load_cert_chain(*pair)
    client.tls_set_context(tls)
    said: list[Any] = []
    over = threading.Event()

    def told(*found: Any) -> None:
        said.append(found[3])
        over.set()

    client.on_connect = told
    client.connect(host, port)
    client.loop_start()
    assert over.wait(20)
    if said[0].is_failure:
        client.loop_stop()
        return None
    return client


def by_awscrt(pair: tuple[Path, Path], ca: Path, host: str, port: int) -> Any:
    """What AWS's device SDK sees of a shadow of the bed at its core, over MQTT 5."""
    asked = ["shadow", host, str(port), str(ca), *map(str, pair), BED, "dose"]
    command = [sys.executable, sdk_device.__file__, *asked]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout or "null"), done.stderr


def authority(folder: Path) -> tuple[dict[str, str], str]:
    """Of somebody's own, as an RSA key: where a deployment says that it is, and its certificate."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the hospital")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + datetime.timedelta(days=9))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier(b"by a rule of its own"), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    (folder / "own.pem").write_bytes(pem)
    (folder / "own.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {"certificateUri": f"file://{folder}/own.pem", "privateKeyUri": f"file://{folder}/own.key"}, pem.decode()


def shown(pair: tuple[Path, Path], ca: str, host: str, port: int, name: str) -> bool:
    """Whether the broker's certificate is of that authority and for that name."""
    tls = ssl.create_default_context(cadata=ca)
    tls.load_cert_chain(*pair)
    try:
        with socket.create_connection((host, port)) as plain, tls.wrap_socket(plain, server_hostname=name):
            return True
    except ssl.SSLCertVerificationError:
        return False


def ended(client: mqtt.Client) -> threading.Event:
    """Set when its connection is at its end."""
    gone = threading.Event()
    client.on_disconnect = lambda *_: gone.set()
    return gone


def published(client: mqtt.Client, topic: str) -> bool:
    answers: list[Any] = []
    client.on_publish = lambda _c, _u, _m, reason, _p: answers.append(reason)
    gone = ended(client)
    client.publish(topic, b"1", 1)
    until(lambda: answers or gone.is_set())
    return bool(answers) and not answers[0].is_failure


def discoverer(folder: Path, pair: tuple[Path, Path], port: int) -> DiscoveryClient:
    options = TlsContextOptions.create_client_with_mtls_from_path(*map(str, pair))
    options.override_default_trust_store_from_path(None, str(folder / "ca.pem"))
    loops = EventLoopGroup(1)
    bootstrap = ClientBootstrap(loops, DefaultHostResolver(loops))
    client = DiscoveryClient(bootstrap, SocketOptions(), ClientTlsContext(options), "us-east-1", "localhost")
    client.port = port
    return client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_a_device_finds_its_core_and_is_judged_by_groups(folder: Path) -> None:
    region = up(folder / "region", kind="region")
    core = None
    try:
        iot, greengrass = region.client("iot"), region.client("greengrassv2")
        statement = {"Effect": "Allow", "Action": ["iot:*", "greengrass:*"], "Resource": ["*"]}
        iot.create_policy(
            policyName="all", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )
        pairs = {name: thing(region, folder, name) for name in (CORE, BED, STRANGER)}
        discovery = discoverer(folder / "region", pairs[BED], region.port("mqtt-tls"))
        with pytest.raises(DiscoveryException) as refused:
            discovery.discover(BED).result(20)
        assert refused.value.http_response_code == 404
        with pytest.raises(DiscoveryException) as refused:
            discovery.discover(STRANGER).result(20)
        assert refused.value.http_response_code == 403

        with Cable("127.0.0.1", region.port("mqtt-tls")) as cable:
            certificate, key = pairs[CORE]
            options = ("--upstream", f"mqtts://localhost:{cable.port}", "--ca", str(folder / "region/ca.pem"))
            options += ("--certificate", str(certificate), "--private-key", str(key), "--name", CORE)
            core = up(folder / "core", *options, kind="core")
            associated = greengrass.batch_associate_client_device_with_core_device(
                coreDeviceThingName=CORE, entries=[{"thingName": BED}]
            )
            assert associated["errorEntries"] == []
            listed = greengrass.list_client_devices_associated_with_core_device(coreDeviceThingName=CORE)
            assert [each["thingName"] for each in listed["associatedClientDevices"]] == [BED]
            deployed(greengrass, BED)
            found = until(lambda: ready(discovery))
            (group,) = found.gg_groups
            (told,) = [each for each in group.cores[0].connectivity if each.host_address == "127.0.0.1"]
            assert told.port == core.port("mqtt-tls")
            ca = group.certificate_authorities[0]

            client = until(lambda: connect(BED, pairs[BED], ca, told.host_address, told.port))
            assert published(client, f"ward/{BED}/pulse")
            assert not published(client, "ward/bed2/pulse")
            client.loop_stop()
            client = connect(BED, pairs[BED], ca, told.host_address, told.port, MQTTv311)
            assert client is not None and published(client, f"ward/{BED}/pulse")
            client.loop_stop()
            (folder / "core.pem").write_text(ca)
            seen, trouble = by_awscrt(pairs[BED], folder / "core.pem", told.host_address, told.port)
            assert seen == {"version": 1, "delta": {"rate": 5}, "refused": 409, "desired": {"rate": 5}} | {
                "timed": True,
                "deleted": 1,
            }, trouble
            assert connect(STRANGER, pairs[STRANGER], ca, told.host_address, told.port) is None
            assert connect("bed2", pairs[BED], ca, told.host_address, told.port) is None  # not attached to it

            files, own = authority(folder)
            deployed(greengrass, BED, certificateAuthority=files)
            until(lambda: own in ready(discovery).gg_groups[0].certificate_authorities)
            assert not shown(pairs[BED], ca, told.host_address, told.port, "localhost")
            assert shown(pairs[BED], own, told.host_address, told.port, "localhost")
            ca, name = own, {"id": "x", "hostAddress": "core.ward7", "portNumber": told.port}
            assert not shown(pairs[BED], ca, told.host_address, told.port, "core.ward7")
            greengrass.update_connectivity_info(thingName=CORE, connectivityInfo=[name])

            cable.cut()
            client = connect(BED, pairs[BED], ca, told.host_address, told.port)
            assert client is not None, "offline it is let in as before"
            (principal,) = iot.list_thing_principals(thingName=BED)["principals"]
            iot.update_certificate(certificateId=principal.partition("cert/")[2], newStatus="REVOKED")
            assert published(client, f"ward/{BED}/pulse")
            gone = ended(client)
            cable.restore()
            assert gone.wait(30)
            client.loop_stop()
            until(lambda: shown(pairs[BED], ca, told.host_address, told.port, "core.ward7"))
            assert connect(BED, pairs[BED], ca, told.host_address, told.port) is None

        gone = greengrass.batch_disassociate_client_device_from_core_device(
            coreDeviceThingName=CORE, entries=[{"thingName": BED}, {"thingName": "nobody"}]
        )
        assert [each["thingName"] for each in gone["errorEntries"]] == ["nobody"]
        info = greengrass.get_connectivity_info(thingName=CORE)["connectivityInfo"]
        assert [(each["id"], each["hostAddress"], each["portNumber"]) for each in info] == [
            ("x", "core.ward7", told.port)
        ]
        with pytest.raises(ClientError, match="ValidationException"):
            greengrass.update_connectivity_info(thingName=CORE, connectivityInfo=[{"id": "x"}])
    finally:
        if core is not None:
            core.process.stop()
        region.process.stop()


def deployed(greengrass: Any, selected: str, **more: Any) -> None:
    own = "mqtt:topic:ward/${iot:Connection.Thing.ThingName}/*"
    shadow = "$aws/things/${iot:Connection.Thing.ThingName}/shadow/*"
    policy = {
        "connect": {"operations": ["mqtt:connect"], "resources": ["*"]},
        "speak": {"operations": ["mqtt:publish"], "resources": [own, f"mqtt:topic:{shadow}"]},
        "hear": {"operations": ["mqtt:subscribe"], "resources": [f"mqtt:topicfilter:{shadow}"]},
    }
    groups = {
        "formatVersion": "2021-03-05",
        "definitions": {"beds": {"selectionRule": f"thingName: {selected} OR thingName: bed*", "policyName": "ward"}},
        "policies": {"ward": policy},
    }
    components = {AUTH: {"deviceGroups": groups, **more}, DETECTOR: {"includeIPv4LoopbackAddrs": True}}
    made = greengrass.create_deployment(
        targetArn=f"arn:aws:iot:us-east-1:000000000000:thing/{CORE}",
        components={
            name: {"componentVersion": "2.5.0", "configurationUpdate": {"merge": json.dumps(each)}}
            for name, each in components.items()
        },
    )

    def outcome() -> Any:
        found = greengrass.list_effective_deployments(coreDeviceThingName=CORE)["effectiveDeployments"][0]
        if found["deploymentId"] != made["deploymentId"]:
            return False
        assert found["coreDeviceExecutionStatus"] != "FAILED", found
        return found["coreDeviceExecutionStatus"] == "SUCCEEDED"

    until(outcome)


def ready(discovery: DiscoveryClient) -> Any:
    """Both are told: where the core is, and whom to trust there."""
    found = discovery.discover(BED).result(20)
    group = found.gg_groups[0]
    return found if group.cores[0].connectivity and group.certificate_authorities else None
