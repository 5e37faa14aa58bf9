"""Tags of things' resources, as Terraform's provider reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from littoral.net.pki import Authority
from tests.things.place import ARN, Place, running
from tests.things.test_control_boto3 import RULE, refused


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


def tags(iot: Any, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in iot.list_tags_for_resource(resourceArn=arn)["tags"]}


def test_a_resource_is_tagged_and_untagged_and_begins_anew_without(place: Place) -> None:
    iot = place.client("iot")
    arn = iot.create_thing_group(thingGroupName="tagged")["thingGroupArn"]
    assert tags(iot, arn) == {}
    iot.tag_resource(resourceArn=arn, tags=[{"Key": "ward", "Value": "7"}, {"Key": "kind", "Value": "a"}])
    iot.untag_resource(resourceArn=arn, tagKeys=["kind", "other"])
    assert tags(iot, arn) == {"ward": "7"}
    iot.delete_thing_group(thingGroupName="tagged")
    refused("ResourceNotFoundException", iot.list_tags_for_resource, resourceArn=arn)
    iot.create_thing_group(thingGroupName="tagged")
    assert tags(iot, arn) == {}


def test_rules_keep_their_own_and_other_things_have_none(place: Place) -> None:
    iot = place.client("iot")
    iot.create_topic_rule(ruleName="tagged", topicRulePayload=RULE)
    rule = ARN + "rule/tagged"
    iot.tag_resource(resourceArn=rule, tags=[{"Key": "a", "Value": "b"}])
    assert tags(iot, rule) == {"a": "b"}
    refused("InvalidRequestException", iot.list_tags_for_resource, resourceArn=ARN + "thing/x")
    refused("InvalidRequestException", iot.tag_resource, resourceArn="arn:aws:s3:::b", tags=[{"Key": "a", "Value": ""}])
    refused("InvalidRequestException", iot.tag_resource, resourceArn=rule, tags=[{"Key": "aws:x", "Value": ""}])


TAGS = [{"Key": "ward", "Value": "7"}]
DOCUMENT = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}'
TEMPLATE = '{"Resources": {"c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": "x"}}}}'
MAKING: dict[str, tuple[str, dict[str, Any], str]] = {
    "billinggroup": ("create_billing_group", {"billingGroupName": "made"}, "billingGroupArn"),
    "policy": ("create_policy", {"policyName": "made", "policyDocument": DOCUMENT}, "policyArn"),
    "thinggroup": ("create_thing_group", {"thingGroupName": "made"}, "thingGroupArn"),
    "thingtype": ("create_thing_type", {"thingTypeName": "made"}, "thingTypeArn"),
    "rolealias": ("create_role_alias", {"roleAlias": "made", "roleArn": "arn:aws:iam::1:role/r"}, "roleAliasArn"),
    "template": (
        "create_provisioning_template",
        {"templateName": "made", "templateBody": TEMPLATE, "provisioningRoleArn": "arn:aws:iam::000000000000:role/r"},
        "templateArn",
    ),
    "job": ("create_job", {"jobId": "made", "targets": [ARN + "thing/tagged"], "document": "{}"}, "jobArn"),
    "jobtemplate": (
        "create_job_template",
        {"jobTemplateId": "made", "description": "d", "document": "{}"},
        "jobTemplateArn",
    ),
}


@pytest.mark.parametrize("kind", MAKING)
def test_a_resource_is_made_with_its_tags(place: Place, kind: str) -> None:
    iot = place.client("iot")
    iot.create_thing(thingName="tagged")
    operation, given, arn = MAKING[kind]
    refused("InvalidRequestException", getattr(iot, operation), **given, tags=[{"Key": "aws:x", "Value": ""}])
    assert tags(iot, getattr(iot, operation)(**given, tags=TAGS)[arn]) == {"ward": "7"}


def test_an_authority_and_a_dynamic_group_are_made_with_their_tags(place: Place, tmp_path: Path) -> None:
    iot = place.client("iot")
    pem = Authority.load_or_create(tmp_path, "tagged authority").certificate_pem.decode()
    made = iot.register_ca_certificate(caCertificate=pem, certificateMode="SNI_ONLY", tags=TAGS)
    assert tags(iot, made["certificateArn"]) == {"ward": "7"}
    iot.update_indexing_configuration(thingIndexingConfiguration={"thingIndexingMode": "REGISTRY"})
    group = iot.create_dynamic_thing_group(thingGroupName="made-dynamic", queryString="thingName:x*", tags=TAGS)
    assert tags(iot, group["thingGroupArn"]) == {"ward": "7"}
