"""Device groups: whom a rule selects and what a policy allows; and what brokers of components may ask of the core."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from littoral.core.clientdevices import detector
from littoral.core.clientdevices.detector import Which, addresses, ipv6_of
from littoral.core.clientdevices.groups import NAME, Device, groups_of, selection
from littoral.core.clientdevices.settings import Own, settings_of
from littoral.core.recipe import BadComponent
from littoral.net.pki import Authority
from littoral.tour.link import Link as Cable
from tests.core.world import CORE, CorePlace, RegionPlace, until

AUTH = NAME.replace(".", "__")


def groups(rule: str = "thingName: bed*", **policy: Any) -> Any:
    statement = {"operations": ["mqtt:publish"], "resources": ["mqtt:topic:ward/*"]} | policy
    return {
        "formatVersion": "2021-03-05",
        "definitions": {"beds": {"selectionRule": rule, "policyName": "ward"}},
        "policies": {"ward": {"all": statement}},
    }


def allows(found: Any, thing: str, operation: str, resource: str, **attributes: str) -> bool:
    return groups_of(found).allow(Device(thing, attributes), operation, resource)


@pytest.mark.parametrize(
    ("rule", "thing", "selected"),
    [
        ("thingName: bed1", "bed1", True),
        ("thingName: bed1", "bed12", False),
        ("thingName: bed*", "bed12", True),
        ("thingName: *bed", "mybed", True),
        ("thingName: *", "anything", True),
        ("thingName: a OR thingName: b*", "b7", True),
        ("thingName: a OR thingName: b*", "c", False),
        ("thingName: b* AND thingName: *7", "b7", True),
        ("thingName: b* AND thingName: *7", "b8", False),
        ("thingName: a OR thingName: b* AND thingName: *7", "a", True),
        ("(thingName: a OR thingName: b*) AND thingName: *7", "a", False),
        ('thingName: "ward:bed"', "ward:bed", True),
        (r"thingName: ward\:bed", "ward:bed", True),
        ("thingName:x.y", "xzy", False),
    ],
)
def test_a_rule_selects(rule: str, thing: str, selected: bool) -> None:
    assert selection(rule)(thing) is selected


@pytest.mark.parametrize("rule", ["", "bed1", "thingName: a OR", "(thingName: a", "thingName: a thingName: b", 7])
def test_a_rule_that_cannot_be_read(rule: Any) -> None:
    with pytest.raises(BadComponent):
        selection(rule)


def test_only_what_a_statement_allows_is_allowed() -> None:
    assert allows(groups(), "bed1", "mqtt:publish", "mqtt:topic:ward/7")
    assert not allows(groups(), "nurse", "mqtt:publish", "mqtt:topic:ward/7")
    assert not allows(groups(), "bed1", "mqtt:publish", "mqtt:topic:icu/7")
    assert not allows(groups(), "bed1", "mqtt:subscribe", "mqtt:topicfilter:ward/7")
    assert allows(groups(operations=["mqtt:*"], resources=["*"]), "bed1", "mqtt:connect", "mqtt:clientId:bed1")
    assert not allows(groups(effect="DENY"), "bed1", "mqtt:publish", "mqtt:topic:ward/7")


def test_variables_are_the_devices_own() -> None:
    mine = groups(resources=["mqtt:topic:ward/${iot:Connection.Thing.ThingName}/#"])
    assert allows(mine, "bed1", "mqtt:publish", "mqtt:topic:ward/bed1/#")
    assert not allows(mine, "bed1", "mqtt:publish", "mqtt:topic:ward/bed2/#")
    room = groups(resources=["mqtt:topic:${iot:Connection.Thing.Attributes[room]}/${*}"])
    assert allows(room, "bed1", "mqtt:publish", "mqtt:topic:r7/*", room="r7")
    assert not allows(room, "bed1", "mqtt:publish", "mqtt:topic:r7/x", room="r7")
    assert not allows(room, "bed1", "mqtt:publish", "mqtt:topic:r7/*")


@pytest.mark.parametrize(
    "configuration",
    [
        {"deviceGroups": groups(operations=["mqtt:fly"])},
        {"deviceGroups": groups(effect="MAYBE")},
        {"deviceGroups": groups(resources=[])},
        {"deviceGroups": groups(resources=["mqtt:topic:${iot:ClientId}"])},
        {"deviceGroups": groups(resources=["mqtt:topic:${}"], effect="DENY")},
        {"deviceGroups": {"definitions": {"a": {"selectionRule": "thingName: a", "policyName": "none"}}}},
        {"deviceGroups": {"formatVersion": "2020"}},
        {"security": {"clientDeviceTrustDurationMinutes": -1}},
        {"certificateAuthority": {"certificateUri": "file:///x"}},
        {"certificateAuthority": {"certificateUri": "pkcs11:x", "privateKeyUri": "file:///x"}},
        {"certificates": {"serverCertificateValiditySeconds": 59}},
        {"certificates": {"disableCertificateRotation": 1}},
        {"metrics": {"disableMetrics": False}},
        {"performance": {"maxActiveAuthTokens": 0}},
        {"performance": {"threads": 1}},
    ],
)
def test_what_is_not_served_is_said(configuration: Any) -> None:
    with pytest.raises(BadComponent):
        settings_of(configuration)


def test_the_configuration_of_the_guide() -> None:
    made = settings_of(
        {
            "deviceGroups": groups(),
            "certificateAuthority": {"certificateUri": "file:///ca/a%20b.pem", "privateKeyUri": "file:///ca/key.pem"},
            "certificates": {"serverCertificateValiditySeconds": 86400, "disableCertificateRotation": "true"},
            "performance": {"cloudRequestQueueSize": 5, "maxConcurrentCloudRequests": 2, "maxActiveAuthTokens": 7},
            "security": {"clientDeviceTrustDurationMinutes": 3},
            "metrics": {"disableMetrics": True, "aggregatePeriodSeconds": 60},
            "startupTimeoutSeconds": 120,
        }
    )
    assert (made.trusted_for, made.most_tokens, made.lasts, made.rotates) == (180.0, 7, 86400.0, False)
    assert made.authority == Own(Path("/ca/a b.pem"), Path("/ca/key.pem"))


PROGRAM = """
import json
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import (
    CertificateOptions, ClientDeviceCredential, CredentialDocument, JsonMessage, MQTTCredential, PublishMessage)
client = GreengrassCoreIPCClientV2()

def say(**what):
    client.publish_to_topic(topic="said", publish_message=PublishMessage(json_message=JsonMessage(message=what)))

def refused(act):
    try:
        act()
    except Exception as problem:
        return type(problem).__name__

def token(name):
    shown = MQTTCredential(client_id=name, certificate_pem=certificate)
    credential = CredentialDocument(mqtt_credential=shown)
    return client.get_client_device_auth_token(credential=credential).client_device_auth_token

def may(token, operation, resource):
    asked = dict(client_device_auth_token=token, operation=operation, resource=resource)
    return client.authorize_client_device_action(**asked).is_authorized

def valid(pem):
    shown = ClientDeviceCredential(client_device_certificate=pem)
    return client.verify_client_device_identity(credential=shown).is_valid_client_device

def renewed(event):
    update = event.certificate_update
    say(update=[each.split("-----")[1] for each in (update.certificate, update.private_key, update.public_key)],
        authorities=len(update.ca_certificates), pem=update.certificate)

certificate, other, old = (open(name + ".pem").read() for name in ("device", "other", "old"))
mine = token("bed1")
say(valid=[valid(certificate), valid("".join(certificate.splitlines()[1:-1])), valid(other), valid(old), valid("no")],
    may=[may(mine, "mqtt:publish", "mqtt:topic:ward/7"), may(mine, "mqtt:publish", "mqtt:topic:icu/7"),
         may(mine, "mqtt:receive", "mqtt:topic:ward/7")],
    refused=[refused(lambda: token("bed2")), refused(lambda: may("no", "mqtt:connect", "mqtt:clientId:bed1")),
             refused(lambda: valid(""))])
client.subscribe_to_certificate_updates(
    certificate_options=CertificateOptions(certificate_type="SERVER"), on_stream_event=renewed)
import time
time.sleep(600)
"""


def names_of(pem: str) -> list[str]:
    found = x509.load_pem_x509_certificate(pem.encode()).extensions
    return found.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


async def test_a_broker_of_a_component_asks_by_awsiotsdk(region: RegionPlace, place: CorePlace, cable: Cable) -> None:
    said: list[dict[str, Any]] = []
    place.broker.tap("said", lambda publication: said.append(json.loads(publication.payload)))
    device, other = (place.clients.authority.issue_client(name) for name in ("bed1", "other"))
    old = place.clients.authority.issue_client("bed1", days=-1)
    place.clients.known |= {(each.certificate_id, "bed1") for each in (device, old)}
    access = {
        "aws.greengrass.ipc.pubsub": {"1": {"operations": ["*"], "resources": ["said"]}},
        NAME: {"1": {"operations": ["*"], "resources": ["*"]}},
    }
    issued = {"device.pem": device, "other.pem": other, "old.pem": old}
    files = {name: each.certificate.decode() for name, each in issued.items()} | {"broker.py": PROGRAM}
    written = "".join(f"cat > {name} <<'EOF'\n{content}\nEOF\n" for name, content in files.items())
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": "com.example.Broker",
        "ComponentVersion": "1.0.0",
        "ComponentConfiguration": {"DefaultConfiguration": {"accessControl": access}},
        "Manifests": [{"Lifecycle": {"run": f"{written}exec {sys.executable} broker.py"}}],
    }
    await region.call("greengrassv2", "create_component_version", inlineRecipe=json.dumps(recipe).encode())
    merge = {"configurationUpdate": {"merge": json.dumps({"deviceGroups": groups()})}}
    wanted = {"com__example__Broker": {"componentVersion": "1.0.0"}, AUTH: {"componentVersion": "2.5.0"} | merge}
    assert await region.outcome(await region.deploy(**wanted)) == "SUCCEEDED"
    await until(lambda: len(said) >= 2)
    first, second = said
    assert first == {
        "valid": [True, True, False, False, False],
        "may": [True, False, False],
        "refused": ["InvalidCredentialError", "InvalidClientDeviceAuthTokenError", "InvalidArgumentsError"],
    }
    assert second["authorities"] == 1
    assert second["update"][0] == "BEGIN CERTIFICATE"
    assert second["update"][1:] == ["BEGIN PRIVATE KEY", "BEGIN PUBLIC KEY"]
    assert names_of(second["pem"]) == ["localhost"]

    addresses = [{"id": each, "hostAddress": each, "portNumber": 8883} for each in ("core.ward7", "no host")]
    await region.call("greengrassv2", "update_connectivity_info", thingName=CORE, connectivityInfo=addresses)
    cable.cut()
    await until(lambda: not place.core.link.stats.connected)
    cable.restore()
    await until(lambda: len(said) >= 3)
    assert sorted(names_of(said[2]["pem"])) == ["core.ward7", "localhost"]
    hosts, lasts = place.clients.shown[-1]
    assert "core.ward7" in hosts and "no host" not in hosts and lasts is None


async def test_certificates_and_trust_last_as_long_as_it_is_said(
    region: RegionPlace, place: CorePlace, tmp_path: Path
) -> None:
    other = Authority.create("somebody's")
    (tmp_path / "ca.pem").write_bytes(other.certificate_pem)
    (tmp_path / "ca.key").write_bytes(other.private_pem)
    files = {"certificateUri": f"file://{tmp_path}/ca.pem", "privateKeyUri": f"file://{tmp_path}/ca.key"}
    configuration = {
        "certificateAuthority": files,
        "certificates": {"serverCertificateValiditySeconds": 600},
        "deviceGroups": groups(),
        "security": {"clientDeviceTrustDurationMinutes": 3},
    }

    async def deployed(merge: Any) -> str:
        update = {"merge": json.dumps(merge)}
        return await region.outcome(
            await region.deploy(**{AUTH: {"componentVersion": "2.5.0", "configurationUpdate": update}})
        )

    assert await deployed(configuration) == "SUCCEEDED"
    assert place.clients.signs == (other.certificate_pem, other.private_pem)
    auth: Any = place.core.deployments._applying._played[NAME]
    certificates = auth._certificates
    assert [lasts for _, lasts in place.clients.shown] == [600.0]
    certificates._clock = lambda: certificates._made + 399
    certificates._look()
    assert len(place.clients.shown) == 1
    certificates._clock = lambda: certificates._made + 401
    certificates._look()
    assert [lasts for _, lasts in place.clients.shown] == [600.0, 600.0]

    asked = Device("bed1", {}), "mqtt:publish", "mqtt:topic:ward/7"
    heard = auth._verified
    auth._clock = lambda: heard + 179
    assert auth.allows(*asked)
    auth._clock = lambda: heard + 181
    assert not auth.allows(*asked)
    auth.verified()  # the registry above was heard of
    assert auth.allows(*asked)

    (tmp_path / "ca.key").unlink()
    missing = {"certificateAuthority": files | {"privateKeyUri": f"file://{tmp_path}/none.key"}}
    assert "none.key" in await deployed(missing)
    assert place.clients.signs == (other.certificate_pem, other.private_pem)


def test_addresses_are_this_machines() -> None:
    assert "127.0.0.1" in addresses(Which(any=True, loopback=True))
    assert "127.0.0.1" not in addresses(Which(any=True))
    assert addresses(Which(any=False, loopback=True)) == []


def test_addresses_of_ipv6_are_those_that_can_be_used() -> None:
    table = (
        "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
        "fd000000000000000000000000000002 04 40 00 82     eth0\n"
        "fd000000000000000000000000000003 04 40 00 c0     eth0\n"  # tentative
        "00000000000000000000000000000001 01 80 10 80       lo\n"
    )
    found = list(ipv6_of(table))
    assert [str(each) for each in found] == ["fe80::fc:ff:fe00:1", "fd00::2", "::1"]
    wanted = detector.settings_of({"includeIPv6Addrs": "true", "includeIPv6LoopbackAddrs": True})
    assert [wanted.ipv6.has(each) for each in found] == [False, True, True]
    assert wanted.ipv4 == Which(any=True)


@pytest.mark.parametrize("configuration", [{"defaultPort": 0}, {"includeIPv6Addrs": 1}, {"includeIPv5Addrs": True}])
def test_what_is_no_configuration_of_the_detector(configuration: Any) -> None:
    with pytest.raises(BadComponent, match="IPDetector"):
        detector.settings_of(configuration)
