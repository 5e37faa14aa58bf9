"""Certificates of things, exclusive and not; what becomes of transfers where there is one account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.things.place import running
from tests.things.test_control_boto3 import refused


@pytest.fixture(scope="module")
def iot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made.client("iot")


@pytest.fixture
def arn(iot: Any) -> str:
    return str(iot.create_keys_and_certificate()["certificateArn"])


def types(iot: Any, **asked: Any) -> list[tuple[str, str]]:
    found = iot.list_principal_things_v2(**asked)["principalThingObjects"]
    return [(one["thingName"], one["thingPrincipalType"]) for one in found]


def test_an_exclusive_attachment_leaves_no_room_for_another(iot: Any, arn: str) -> None:
    for name in ("bed1", "bed2"):
        iot.create_thing(thingName=name)
    iot.attach_thing_principal(thingName="bed1", principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    assert types(iot, principal=arn) == [("bed1", "EXCLUSIVE_THING")]
    refused("InvalidRequestException", iot.attach_thing_principal, thingName="bed2", principal=arn)
    iot.attach_thing_principal(thingName="bed1", principal=arn)  # it becomes one of several
    iot.attach_thing_principal(thingName="bed2", principal=arn)
    assert types(iot, principal=arn) == [("bed1", "NON_EXCLUSIVE_THING"), ("bed2", "NON_EXCLUSIVE_THING")]
    exclusive = {"thingName": "bed2", "principal": arn, "thingPrincipalType": "EXCLUSIVE_THING"}
    refused("InvalidRequestException", iot.attach_thing_principal, **exclusive)
    iot.detach_thing_principal(thingName="bed1", principal=arn)
    iot.attach_thing_principal(**exclusive)
    shown = iot.list_thing_principals_v2(thingName="bed2")["thingPrincipalObjects"]
    assert shown == [{"principal": arn, "thingPrincipalType": "EXCLUSIVE_THING"}]
    assert types(iot, principal=arn, thingPrincipalType="NON_EXCLUSIVE_THING") == []
    iot.detach_thing_principal(thingName="bed2", principal=arn)
    assert types(iot, principal=arn) == []


def test_a_certificate_is_transferred_nowhere(iot: Any, arn: str) -> None:
    identifier = arn.rpartition("/")[2]
    to = {"certificateId": identifier, "targetAwsAccount": "111122223333"}
    iot.update_certificate(certificateId=identifier, newStatus="ACTIVE")
    refused("CertificateStateException", iot.transfer_certificate, **to)
    iot.update_certificate(certificateId=identifier, newStatus="INACTIVE")
    refused("InvalidRequestException", iot.transfer_certificate, **to)
    refused("InvalidRequestException", iot.transfer_certificate, **{**to, "targetAwsAccount": "000000000000"})
    for operation in ("accept", "reject", "cancel"):
        ask = getattr(iot, f"{operation}_certificate_transfer")
        refused("InvalidRequestException", ask, certificateId=identifier)
        refused("ResourceNotFoundException", ask, certificateId="0" * 64)
    assert iot.list_outgoing_certificates()["outgoingCertificates"] == []


def test_the_certificates_of_a_policy_by_the_older_name(iot: Any, arn: str) -> None:
    document = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}'
    iot.create_policy(policyName="older", policyDocument=document)
    iot.attach_principal_policy(policyName="older", principal=arn)
    assert iot.list_policy_principals(policyName="older")["principals"] == [arn]


def test_a_type_is_changed(iot: Any) -> None:
    iot.create_thing_type(thingTypeName="bed", thingTypeProperties={"thingTypeDescription": "old"})
    iot.update_thing_type(thingTypeName="bed", thingTypeProperties={"searchableAttributes": ["ward"]})
    shown = iot.describe_thing_type(thingTypeName="bed")["thingTypeProperties"]
    assert shown == {"thingTypeDescription": "old", "searchableAttributes": ["ward"]}


def test_a_template_takes_no_certificate_from_its_exclusive_thing(iot: Any, arn: str) -> None:
    iot.create_thing(thingName="owner")
    iot.attach_thing_principal(thingName="owner", principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    certificate = {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": arn.rpartition("/")[2]}}
    thing = {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "thief"}}
    body = json.dumps({"Resources": {"certificate": certificate, "thing": thing}})
    refused("ResourceRegistrationFailureException", iot.register_thing, templateBody=body)
    refused("ResourceNotFoundException", iot.describe_thing, thingName="thief")
    assert iot.register_thing(templateBody=body.replace("thief", "owner"))["resourceArns"]
