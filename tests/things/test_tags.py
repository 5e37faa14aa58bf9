"""Tags of things' resources, as Terraform's provider reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

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
