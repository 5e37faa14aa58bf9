"""A device finds its core by AWS's DiscoveryClient, connects to it, and is judged by device groups, link or no link."""

from __future__ import annotations

import json
import ssl
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
from paho.mqtt.enums import CallbackAPIVersion

from littoral.tour.link import Link as Cable
from tests.site.conftest import Running, up

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


def connect(name: str, pair: tuple[Path, Path], ca: str, host: str, port: int) -> mqtt.Client | None:
    """None where it is not let in."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
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
            assert connect(STRANGER, pairs[STRANGER], ca, told.host_address, told.port) is None
            assert connect("bed2", pairs[BED], ca, told.host_address, told.port) is None  # not attached to it

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
            assert connect(BED, pairs[BED], ca, told.host_address, told.port) is None

        gone = greengrass.batch_disassociate_client_device_from_core_device(
            coreDeviceThingName=CORE, entries=[{"thingName": BED}, {"thingName": "nobody"}]
        )
        assert [each["thingName"] for each in gone["errorEntries"]] == ["nobody"]
        greengrass.update_connectivity_info(
            thingName=CORE, connectivityInfo=[{"id": "x", "hostAddress": "core.ward7", "portNumber": 8883}]
        )
        info = greengrass.get_connectivity_info(thingName=CORE)["connectivityInfo"]
        assert [(each["id"], each["hostAddress"], each["portNumber"]) for each in info] == [("x", "core.ward7", 8883)]
        with pytest.raises(ClientError, match="ValidationException"):
            greengrass.update_connectivity_info(thingName=CORE, connectivityInfo=[{"id": "x"}])
    finally:
        if core is not None:
            core.process.stop()
        region.process.stop()


def deployed(greengrass: Any, selected: str) -> None:
    own = "mqtt:topic:ward/${iot:Connection.Thing.ThingName}/*"
    policy = {
        "connect": {"operations": ["mqtt:connect"], "resources": ["*"]},
        "speak": {"operations": ["mqtt:publish"], "resources": [own]},
    }
    groups = {
        "formatVersion": "2021-03-05",
        "definitions": {"beds": {"selectionRule": f"thingName: {selected} OR thingName: bed*", "policyName": "ward"}},
        "policies": {"ward": policy},
    }
    components = {AUTH: {"deviceGroups": groups}, DETECTOR: {"includeIPv4LoopbackAddrs": True}}
    greengrass.create_deployment(
        targetArn=f"arn:aws:iot:us-east-1:000000000000:thing/{CORE}",
        components={
            name: {"componentVersion": "2.5.0", "configurationUpdate": {"merge": json.dumps(each)}}
            for name, each in components.items()
        },
    )

    def outcome() -> Any:
        (found,) = greengrass.list_effective_deployments(coreDeviceThingName=CORE)["effectiveDeployments"]
        assert found["coreDeviceExecutionStatus"] != "FAILED", found
        return found["coreDeviceExecutionStatus"] == "SUCCEEDED"

    until(outcome)


def ready(discovery: DiscoveryClient) -> Any:
    """Both are told: where the core is, and whom to trust there."""
    found = discovery.discover(BED).result(20)
    group = found.gg_groups[0]
    return found if group.cores[0].connectivity and group.certificate_authorities else None
