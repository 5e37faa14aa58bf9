"""The ``iot`` API through boto3: shapes, errors and paging as a real client sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.net.pki import Authority
from littoral.store.embedded import EmbeddedStore
from tests.support.served import Served, served
from tests.things.test_control import ARN, DOCUMENT, RULE, build


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    authority = Authority.load_or_create(tmp_path_factory.mktemp("ca"), "test devices")

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        return {"iot": await build(store, authority)}

    with served(factory) as running:
        yield running


@pytest.fixture(scope="module")
def iot(place: Served) -> Any:
    return boto3.client("iot", **place.client_kwargs)


def refused(code: str, operation: Any, **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as error:
        operation(**arguments)
    assert error.value.response["Error"]["Code"] == code
    return dict(error.value.response)


def test_a_device_from_thing_to_policy_and_away_again(iot: Any) -> None:
    iot.create_thing_type(thingTypeName="monitor", thingTypeProperties={"thingTypeDescription": "beside a bed"})
    attributes = {"attributes": {"ward": "7"}}
    made = iot.create_thing(thingName="bed3", thingTypeName="monitor", attributePayload=attributes)
    assert made["thingArn"] == ARN + "thing/bed3"
    certificate = iot.create_keys_and_certificate(setAsActive=True)
    arn, which = certificate["certificateArn"], certificate["certificateId"]
    assert set(certificate["keyPair"]) == {"PublicKey", "PrivateKey"}
    iot.create_policy(policyName="bed", policyDocument=DOCUMENT)
    iot.attach_thing_principal(thingName="bed3", principal=arn)
    iot.attach_policy(policyName="bed", target=arn)
    assert iot.list_thing_principals(thingName="bed3")["principals"] == [arn]
    assert iot.list_principal_things(principal=arn)["things"] == ["bed3"]
    of_thing = iot.list_thing_principals_v2(thingName="bed3")["thingPrincipalObjects"]
    assert of_thing == [{"principal": arn, "thingPrincipalType": "NON_EXCLUSIVE_THING"}]
    of_principal = iot.list_principal_things_v2(principal=arn)["principalThingObjects"]
    assert of_principal == [{"thingName": "bed3", "thingPrincipalType": "NON_EXCLUSIVE_THING"}]
    assert iot.list_attached_policies(target=arn)["policies"] == [
        {"policyName": "bed", "policyArn": ARN + "policy/bed"}
    ]
    assert iot.list_targets_for_policy(policyName="bed")["targets"] == [arn]
    described = iot.describe_certificate(certificateId=which)["certificateDescription"]
    assert described["status"] == "ACTIVE" and described["validity"]["notAfter"] > described["creationDate"]
    assert json.loads(iot.get_policy(policyName="bed")["policyDocument"]) == json.loads(DOCUMENT)

    error = refused("CertificateStateException", iot.delete_certificate, certificateId=which)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 406
    iot.update_certificate(certificateId=which, newStatus="INACTIVE")
    refused("DeleteConflictException", iot.delete_certificate, certificateId=which)
    iot.detach_thing_principal(thingName="bed3", principal=arn)
    iot.detach_policy(policyName="bed", target=arn)
    iot.delete_certificate(certificateId=which)
    iot.delete_policy(policyName="bed")
    iot.delete_thing(thingName="bed3")
    refused("ResourceNotFoundException", iot.describe_thing, thingName="bed3")


def test_errors_carry_their_fields_and_status(iot: Any) -> None:
    iot.create_thing(thingName="twice")
    error = refused(
        "ResourceAlreadyExistsException",
        iot.create_thing,
        thingName="twice",
        attributePayload={"attributes": {"a": "b"}},
    )
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert error["resourceArn"] == ARN + "thing/twice"
    refused("VersionConflictException", iot.update_thing, thingName="twice", expectedVersion=9)
    refused("MalformedPolicyException", iot.create_policy, policyName="bad", policyDocument="{}")


def test_what_is_not_honoured_is_refused_not_ignored(iot: Any) -> None:
    with pytest.raises(ClientError) as error:
        package = [ARN + "package/any/version/1"]
        iot.create_job(jobId="spaced", targets=[ARN + "thing/any"], document="{}", destinationPackageVersions=package)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    refused("ResourceNotFoundException", iot.describe_job, jobId="spaced")


def test_things_page_through_boto3s_own_paginator(iot: Any) -> None:
    names = [f"page-{number:03}" for number in range(30)]
    for name in names:
        iot.create_thing(thingName=name)
    pages = iot.get_paginator("list_things").paginate(PaginationConfig={"PageSize": 7})
    seen = [thing["thingName"] for page in pages for thing in page["things"]]
    assert [name for name in seen if name.startswith("page-")] == names


def test_policy_versions(iot: Any) -> None:
    iot.create_policy(policyName="versioned", policyDocument=DOCUMENT)
    second = iot.create_policy_version(policyName="versioned", policyDocument=DOCUMENT, setAsDefault=True)
    assert (second["policyVersionId"], second["isDefaultVersion"]) == ("2", True)
    listed = iot.list_policy_versions(policyName="versioned")["policyVersions"]
    assert [(version["versionId"], version["isDefaultVersion"]) for version in listed] == [("2", True), ("1", False)]
    iot.set_default_policy_version(policyName="versioned", policyVersionId="1")
    iot.delete_policy_version(policyName="versioned", policyVersionId="2")
    assert iot.get_policy_version(policyName="versioned", policyVersionId="1")["isDefaultVersion"] is True


def test_topic_rules(iot: Any) -> None:
    iot.create_topic_rule(ruleName="r1", topicRulePayload=RULE)
    shown = iot.get_topic_rule(ruleName="r1")["rule"]
    assert shown["actions"] == RULE["actions"] and shown["sql"] == RULE["sql"]
    assert iot.list_topic_rules(topic="a/x")["rules"][0]["ruleArn"] == ARN + "rule/r1"
    refused("SqlParseException", iot.create_topic_rule, ruleName="r2", topicRulePayload={**RULE, "sql": "SELECT"})
    iot.disable_topic_rule(ruleName="r1")
    assert iot.get_topic_rule(ruleName="r1")["rule"]["ruleDisabled"] is True
    iot.delete_topic_rule(ruleName="r1")
    error = refused("UnauthorizedException", iot.get_topic_rule, ruleName="r1")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 401


def test_the_endpoint(iot: Any) -> None:
    assert iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"] == "127.0.0.1:8883"
