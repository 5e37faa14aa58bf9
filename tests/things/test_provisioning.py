"""Devices that become things by themselves: by a claim over MQTT, by an authority's template, by registration."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.net.pki import Authority
from tests.things.place import ARN, Device, Mqtt, Place, allow, running
from tests.things.test_control_boto3 import refused
from tests.things.test_jobs import until

ROLE = "arn:aws:iam::000000000000:role/provisioning"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [allow("iot:*")]})
BODY = json.dumps(
    {
        "Parameters": {"SerialNumber": {"Type": "String"}, "Ward": {"Type": "String", "Default": "none"}},
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": {"Fn::Join": ["", ["bed-", {"Ref": "SerialNumber"}]]},
                    "AttributePayload": {"ward": {"Ref": "Ward"}},
                    "ThingGroups": ["beds"],
                },
                "OverrideSettings": {"AttributePayload": "MERGE"},
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"},
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": POLICY}},
        },
        "DeviceConfiguration": {"url": {"Fn::Sub": "https://example.org/${Ward}"}},
    }
)
JITP = json.dumps(
    {
        "Parameters": {
            "AWS::IoT::Certificate::CommonName": {"Type": "String"},
            "AWS::IoT::Certificate::Id": {"Type": "String"},
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}},
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
                "OverrideSettings": {"Status": "DO_NOTHING"},
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": POLICY}},
        },
    }
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        made.client("iot").create_thing_group(thingGroupName="beds")
        yield made


@pytest.fixture(scope="module")
def iot(place: Place) -> Any:
    return place.client("iot")


@pytest.fixture(scope="module")
def claim(place: Place) -> Device:
    """A certificate that all devices of a kind leave the factory with: good for provisioning and nothing else."""
    return place.device(
        "claim",
        allow("iot:Connect", "client/*"),
        allow(["iot:Publish", "iot:Receive"], "topic/$aws/certificates/*", "topic/$aws/provisioning-templates/*"),
        allow("iot:Subscribe", "topicfilter/$aws/certificates/*", "topicfilter/$aws/provisioning-templates/*"),
    )


@pytest.fixture(scope="module")
def template(iot: Any) -> str:
    iot.create_provisioning_template(
        templateName="beds", templateBody=BODY, provisioningRoleArn=ROLE, enabled=True, description="by claim"
    )
    return "beds"


def ask(client: Mqtt, topic: str, payload: Any, form: str = "json") -> tuple[str, dict[str, Any]]:
    """Outcome and body of a request in one of the two forms."""
    whole = f"{topic}/{form}"
    client.subscribe(f"{whole}/+")
    client.publish(whole, json.dumps(payload) if form == "json" else cbor2.dumps(payload))
    message = client.messages.get(timeout=client.timeout)
    loads = json.loads if form == "json" else cbor2.loads
    return message.topic.removeprefix(f"{whole}/"), loads(message.payload)


def keep(place: Place, name: str, pem: str, key: str) -> Device:
    certificate, key_file = place.folder / f"{name}.crt", place.folder / f"{name}.key"
    certificate.write_text(pem)
    key_file.touch(mode=0o600)
    key_file.write_text(key)
    return Device(place, name, "", "", certificate, key_file)


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_a_claim_becomes_a_thing_with_a_certificate_of_its_own(
    place: Place, iot: Any, claim: Device, template: str, form: str
) -> None:
    with claim.connect(f"new-{form}") as client:
        outcome, made = ask(client, "$aws/certificates/create", {}, form)
        assert outcome == "accepted"
        found = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
        assert found["status"] == "PENDING_ACTIVATION"
        parameters = {"SerialNumber": form, "Ward": "7"}
        asked = {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": parameters}
        outcome, answer = ask(client, f"$aws/provisioning-templates/{template}/provision", asked, form)
        assert (outcome, answer) == (
            "accepted",
            {"thingName": f"bed-{form}", "deviceConfiguration": {"url": "https://example.org/7"}},
        )
    thing = iot.describe_thing(thingName=f"bed-{form}")
    assert thing["attributes"] == {"ward": "7"}
    groups = iot.list_thing_groups_for_thing(thingName=f"bed-{form}")["thingGroups"]
    assert [group["groupName"] for group in groups] == ["beds"]
    device = keep(place, f"bed-{form}", made["certificatePem"], made["privateKey"])
    with device.connect() as own:
        assert own.publish("ward/7/hello", {}) == 0


def test_a_signing_request_keeps_the_key_on_the_device(place: Place, iot: Any, claim: Device, template: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "csr")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    with claim.connect("with-csr") as client:
        _, made = ask(client, "$aws/certificates/create-from-csr", {"certificateSigningRequest": pem})
        assert "privateKey" not in made
        asked = {
            "certificateOwnershipToken": made["certificateOwnershipToken"],
            "parameters": {"SerialNumber": "csr"},
        }
        assert ask(client, f"$aws/provisioning-templates/{template}/provision", asked)[0] == "accepted"
        outcome, again = ask(client, f"$aws/provisioning-templates/{template}/provision", asked)
        assert (outcome, again["thingName"]) == ("accepted", "bed-csr")  # the first answer might have been lost
        iot.update_certificate(certificateId=made["certificateId"], newStatus="REVOKED")
        outcome, refusal = ask(client, f"$aws/provisioning-templates/{template}/provision", asked)
        assert (outcome, refusal["errorCode"]) == ("rejected", "AccessDenied")


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        ("$aws/certificates/create-from-csr", {}, "InvalidPayload"),
        ("$aws/certificates/create-from-csr", {"certificateSigningRequest": "x"}, "InvalidCSR"),
        ("$aws/provisioning-templates/beds/provision", {}, "InvalidPayload"),
        ("$aws/provisioning-templates/beds/provision", [], "InvalidPayload"),
        (
            "$aws/provisioning-templates/beds/provision",
            {"certificateOwnershipToken": "x"},
            "InvalidCertificateOwnershipToken",
        ),
        ("$aws/provisioning-templates/none/provision", {"certificateOwnershipToken": "x"}, "ResourceNotFound"),
    ],
)
def test_what_is_wrong_is_rejected(claim: Device, template: str, topic: str, payload: Any, code: str) -> None:
    with claim.connect("wrong") as client:
        outcome, body = ask(client, topic, payload)
        assert (outcome, body["errorCode"]) == ("rejected", code) and body["statusCode"] >= 400


def test_a_key_is_told_to_who_asked_alone(claim: Device) -> None:
    with claim.connect("spy") as spy, claim.connect("honest") as client:
        spy.subscribe("$aws/certificates/#")
        assert ask(client, "$aws/certificates/create", {})[0] == "accepted"
        assert ask(spy, "$aws/certificates/create-from-csr", {})[0] == "rejected"  # the first that the spy hears


def test_a_hook_decides_and_overrides(place: Place, iot: Any, claim: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[dict[str, Any]] = []

    async def invoke(invocation: Invocation) -> InvokeResult:
        event = json.loads(invocation.payload)
        events.append(event)
        allowed = event["parameters"]["SerialNumber"] != "bad"
        answer = {"allowProvisioning": allowed, "parameterOverrides": {"Ward": "from-hook"}}
        return InvokeResult(json.dumps(answer).encode())

    monkeypatch.setattr(place.sink, "invoke", invoke)
    hook = {"targetArn": "arn:aws:lambda:us-east-1:000000000000:function:hook"}
    iot.create_provisioning_template(
        templateName="hooked", templateBody=BODY, provisioningRoleArn=ROLE, enabled=True, preProvisioningHook=hook
    )
    with claim.connect("hooked") as client:
        _, made = ask(client, "$aws/certificates/create", {})
        asked = {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": {"SerialNumber": "bad"}}
        outcome, body = ask(client, "$aws/provisioning-templates/hooked/provision", asked)
        assert (outcome, body["errorCode"]) == ("rejected", "AccessDenied")
        asked["parameters"]["SerialNumber"] = "good"
        outcome, body = ask(client, "$aws/provisioning-templates/hooked/provision", asked)
        assert body["deviceConfiguration"]["url"].endswith("from-hook")
    assert events[0]["claimCertificateId"] == claim.certificate_id and events[0]["clientId"] == "hooked"
    assert events[0]["templateArn"] == ARN + "provisioningtemplate/hooked"


def test_a_hook_gets_the_one_payload_that_there_is(iot: Any) -> None:
    named = {"templateName": "payload", "templateBody": BODY, "provisioningRoleArn": ROLE}
    target = "arn:aws:lambda:us-east-1:000000000000:function:hook"
    older = {"targetArn": target, "payloadVersion": "2019-01-01"}
    refused("InvalidRequestException", iot.create_provisioning_template, **named, preProvisioningHook=older)
    known = {"targetArn": target, "payloadVersion": "2020-04-01"}
    iot.create_provisioning_template(**named, preProvisioningHook=known)
    wanted = {"templateName": "payload", "preProvisioningHook": older}
    refused("InvalidRequestException", iot.update_provisioning_template, **wanted)
    assert iot.describe_provisioning_template(templateName="payload")["preProvisioningHook"] == known


def test_a_jitp_template_gets_no_hook_later_either(iot: Any) -> None:
    named = {"templateBody": BODY, "provisioningRoleArn": ROLE, "type": "JITP"}
    iot.create_provisioning_template(templateName="hookless", **named)
    hook = {"targetArn": "arn:aws:lambda:us-east-1:000000000000:function:hook"}
    wanted = {"templateName": "hookless", "preProvisioningHook": hook}
    refused("InvalidRequestException", iot.update_provisioning_template, **wanted)


def test_templates_have_versions(iot: Any) -> None:
    iot.create_provisioning_template(templateName="versioned", templateBody=BODY, provisioningRoleArn=ROLE)
    second = iot.create_provisioning_template_version(templateName="versioned", templateBody=BODY, setAsDefault=True)
    assert (second["versionId"], second["isDefaultVersion"]) == (2, True)
    listed = iot.list_provisioning_template_versions(templateName="versioned")["versions"]
    assert [(one["versionId"], one["isDefaultVersion"]) for one in listed] == [(1, False), (2, True)]
    refused("DeleteConflictException", iot.delete_provisioning_template, templateName="versioned")
    iot.update_provisioning_template(templateName="versioned", defaultVersionId=1, enabled=True)
    iot.delete_provisioning_template_version(templateName="versioned", versionId=2)
    described = iot.describe_provisioning_template(templateName="versioned")
    assert (described["defaultVersionId"], described["enabled"], described["type"]) == (1, True, "FLEET_PROVISIONING")
    iot.delete_provisioning_template(templateName="versioned")
    refused("ResourceNotFoundException", iot.describe_provisioning_template, templateName="versioned")
    refused(
        "InvalidRequestException",
        iot.create_provisioning_template,
        templateName="bad",
        templateBody="{}",
        provisioningRoleArn=ROLE,
    )


def test_an_operator_registers_a_thing_at_once(iot: Any) -> None:
    made = iot.create_keys_and_certificate()
    parameters = {"SerialNumber": "op", "AWS::IoT::Certificate::Id": made["certificateId"]}
    answer = iot.register_thing(templateBody=BODY, parameters=parameters)
    assert answer["resourceArns"]["thing"] == ARN + "thing/bed-op"
    assert iot.list_thing_principals(thingName="bed-op")["principals"] == [made["certificateArn"]]
    refused("InvalidRequestException", iot.register_thing, templateBody=BODY, parameters={})
    bad = BODY.replace('"beds"', '"no such group"')
    refused("ResourceRegistrationFailureException", iot.register_thing, templateBody=bad, parameters=parameters)


# ------------------------------------------------------------------------------------- an authority of one's own


class OwnAuthority:
    """A manufacturer's certificate authority and its devices."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.authority = Authority.load_or_create(folder, "a manufacturer")
        self.pem = self.authority.certificate_pem.decode()

    def device(self, name: str) -> Device:
        issued = self.authority.issue_client(name)
        return keep(self.place, name, issued.certificate.decode(), issued.private_key.decode())

    def register(self, **more: Any) -> str:
        iot = self.place.client("iot")
        code = iot.get_registration_code()["registrationCode"]
        verification = self.authority.issue_client(code).certificate.decode()
        made = iot.register_ca_certificate(
            caCertificate=self.pem, verificationCertificate=verification, setAsActive=True, **more
        )
        return str(made["certificateId"])


def refused_connect(device: Device) -> bool:
    """Whether its connect is answered with a refusal."""
    client = device.connect()
    try:
        return client.connected.get(timeout=10) != 0
    finally:
        client.client.disconnect()
        client.client.loop_stop()


def test_just_in_time_provisioning_by_the_authoritys_template(place: Place, iot: Any, tmp_path: Path) -> None:
    maker = OwnAuthority(place, tmp_path)
    config = {"templateBody": JITP, "roleArn": ROLE}
    identifier = maker.register(allowAutoRegistration=True, registrationConfig=config)
    described = iot.describe_ca_certificate(certificateId=identifier)
    assert described["certificateDescription"]["autoRegistrationStatus"] == "ENABLE"
    assert described["registrationConfig"] == config
    device = maker.device("jitp-1")
    assert refused_connect(device)  # the first time, as in AWS
    until(lambda: not refused_connect(device))
    assert len(iot.list_thing_principals(thingName="jitp-1")["principals"]) == 1
    listed = iot.list_certificates_by_ca(caCertificateId=identifier)["certificates"]
    assert [one["status"] for one in listed] == ["ACTIVE"]
    iot.update_ca_certificate(certificateId=identifier, newStatus="INACTIVE")
    late = maker.device("jitp-2")
    assert refused_connect(late) and refused_connect(late)
    refused("ResourceNotFoundException", iot.describe_thing, thingName="jitp-2")
    iot.delete_ca_certificate(certificateId=identifier)
    with device.connect() as client:  # what was registered stays
        assert client.publish("x", {}) == 0


def test_just_in_time_registration_tells_of_the_newcomer(place: Place, iot: Any, tmp_path: Path) -> None:
    maker = OwnAuthority(place, tmp_path)
    identifier = maker.register(allowAutoRegistration=True)
    watcher = place.device("watcher", allow("iot:*"))
    device = maker.device("jitr-1")
    with watcher.connect() as client:
        client.subscribe(f"$aws/events/certificates/registered/{identifier}")
        assert refused_connect(device)
        _, event = client.next()
    assert event["certificateStatus"] == "PENDING_ACTIVATION" and event["caCertificateId"] == identifier
    found = event["certificateId"]
    iot.create_policy(policyName="jitr", policyDocument=POLICY)
    iot.attach_policy(policyName="jitr", target=ARN + "cert/" + found)
    iot.update_certificate(certificateId=found, newStatus="ACTIVE")
    with device.connect() as client:
        assert client.publish("x", {}) == 0


def test_an_authority_is_registered_by_who_holds_its_key(place: Place, iot: Any, tmp_path: Path) -> None:
    maker = OwnAuthority(place, tmp_path / "a")
    other = OwnAuthority(place, tmp_path / "b")
    code = iot.get_registration_code()["registrationCode"]
    assert iot.get_registration_code()["registrationCode"] == code
    foreign = other.authority.issue_client(code).certificate.decode()
    wrong = maker.authority.issue_client("not the code").certificate.decode()
    good = maker.authority.issue_client(code).certificate.decode()
    for pem, error in ((foreign, "CertificateValidationException"), (wrong, "RegistrationCodeValidationException")):
        refused(error, iot.register_ca_certificate, caCertificate=maker.pem, verificationCertificate=pem)
    refused("InvalidRequestException", iot.register_ca_certificate, caCertificate=maker.pem)
    refused(
        "CertificateValidationException", iot.register_ca_certificate, caCertificate=good, certificateMode="SNI_ONLY"
    )
    made = iot.register_ca_certificate(caCertificate=maker.pem, certificateMode="SNI_ONLY", setAsActive=True)
    refused("CertificateStateException", iot.delete_ca_certificate, certificateId=made["certificateId"])
    assert made["certificateId"] in [one["certificateId"] for one in iot.list_ca_certificates()["certificates"]]
    device = maker.device("by-hand")
    registered = iot.register_certificate(certificatePem=device.certificate.read_text(), setAsActive=True)
    described = iot.describe_certificate(certificateId=registered["certificateId"])["certificateDescription"]
    assert described["caCertificateId"] == made["certificateId"]
    stranger = other.device("stranger").certificate.read_text()
    refused("CertificateValidationException", iot.register_certificate, certificatePem=stranger)
    iot.delete_registration_code()
    assert iot.get_registration_code()["registrationCode"] != code


def test_a_certificate_registered_alone_connects(place: Place, iot: Any, tmp_path: Path) -> None:
    maker = OwnAuthority(place, tmp_path)
    device, sibling = maker.device("alone"), maker.device("sibling")
    pem = device.certificate.read_text()
    arn = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")["certificateArn"]
    iot.create_policy(policyName="alone", policyDocument=POLICY)
    iot.attach_policy(policyName="alone", target=arn)
    with device.connect() as client:
        assert client.publish("x", {}) == 0
    with pytest.raises((AssertionError, OSError, queue.Empty)), sibling.connect(timeout=2):
        pass  # its authority is not registered: TLS ends it


def test_a_claim_that_the_api_made_provisions_by_its_template_and_does_nothing_else(
    place: Place, iot: Any, template: str
) -> None:
    made = iot.create_provisioning_claim(templateName=template)
    assert 240 < made["expiration"].timestamp() - time.time() <= 300
    device = keep(place, "claimed", made["certificatePem"], made["keyPair"]["PrivateKey"])
    assert made["keyPair"]["PublicKey"].startswith("-----BEGIN PUBLIC KEY")
    refused("ResourceNotFoundException", iot.describe_certificate, certificateId=made["certificateId"])
    with device.connect("claimed") as client:
        outcome, own = ask(client, "$aws/certificates/create", {})
        assert outcome == "accepted"
        asked = {
            "certificateOwnershipToken": own["certificateOwnershipToken"],
            "parameters": {"SerialNumber": "claimed", "Ward": "7"},
        }
        assert ask(client, f"$aws/provisioning-templates/{template}/provision", asked)[0] == "accepted"
        assert client.subscribe("ward/#") != [1]
    assert iot.describe_thing(thingName="bed-claimed")["attributes"] == {"ward": "7"}
    refused("ResourceNotFoundException", iot.create_provisioning_claim, templateName="none")
