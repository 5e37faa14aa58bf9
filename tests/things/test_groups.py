"""Thing groups and billing groups through boto3, and what a group's policy gives to a live device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.things.place import ARN, Place, allow, running
from tests.things.test_control_boto3 import refused


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="module")
def iot(place: Place) -> Any:
    return place.client("iot")


def test_a_hierarchy_is_made_listed_and_taken_down_from_below(iot: Any) -> None:
    for name, parent in (("site", {}), ("ward", {"parentGroupName": "site"}), ("room", {"parentGroupName": "ward"})):
        iot.create_thing_group(thingGroupName=name, thingGroupProperties={"thingGroupDescription": name}, **parent)
    described = iot.describe_thing_group(thingGroupName="room")
    above = described["thingGroupMetadata"]["rootToParentThingGroups"]
    assert [group["groupName"] for group in above] == ["site", "ward"]
    assert described["version"] == 1 and described["thingGroupArn"] == ARN + "thinggroup/room"
    below = iot.list_thing_groups(parentGroup="site")["thingGroups"]
    assert [group["groupName"] for group in below] == ["room", "ward"]
    children = iot.list_thing_groups(parentGroup="site", recursive=False)["thingGroups"]
    assert [group["groupName"] for group in children] == ["ward"]
    payload = {"attributePayload": {"attributes": {"floor": "2"}}}
    assert iot.update_thing_group(thingGroupName="room", thingGroupProperties=payload)["version"] == 2
    refused(
        "VersionConflictException",
        iot.update_thing_group,
        thingGroupName="room",
        thingGroupProperties=payload,
        expectedVersion=1,
    )
    refused("InvalidRequestException", iot.delete_thing_group, thingGroupName="ward")
    refused("ResourceAlreadyExistsException", iot.create_thing_group, thingGroupName="room")
    for name in ("room", "ward", "site"):
        iot.delete_thing_group(thingGroupName=name)
    refused("ResourceNotFoundException", iot.describe_thing_group, thingGroupName="room")


def test_members_are_found_from_either_side(iot: Any) -> None:
    iot.create_thing_group(thingGroupName="house")
    iot.create_thing_group(thingGroupName="kitchen", parentGroupName="house")
    for name in ("oven", "lamp"):
        iot.create_thing(thingName=name)
    iot.add_thing_to_thing_group(thingGroupName="kitchen", thingName="oven")
    iot.update_thing_groups_for_thing(thingName="lamp", thingGroupsToAdd=["house"])
    assert iot.list_things_in_thing_group(thingGroupName="house")["things"] == ["lamp"]
    assert iot.list_things_in_thing_group(thingGroupName="house", recursive=True)["things"] == ["lamp", "oven"]
    groups = iot.list_thing_groups_for_thing(thingName="oven")["thingGroups"]
    assert groups == [{"groupName": "kitchen", "groupArn": ARN + "thinggroup/kitchen"}]
    iot.remove_thing_from_thing_group(thingGroupArn=ARN + "thinggroup/kitchen", thingArn=ARN + "thing/oven")
    assert iot.list_things_in_thing_group(thingGroupName="kitchen")["things"] == []
    iot.delete_thing(thingName="lamp")
    assert iot.list_things_in_thing_group(thingGroupName="house")["things"] == []
    refused("ResourceNotFoundException", iot.add_thing_to_thing_group, thingGroupName="none", thingName="oven")


def test_a_thing_is_in_one_group_of_a_hierarchy(iot: Any) -> None:
    for name, parent in (("tree", {}), ("left", {"parentGroupName": "tree"}), ("right", {"parentGroupName": "tree"})):
        iot.create_thing_group(thingGroupName=name, **parent)
    iot.create_thing(thingName="bird")
    iot.add_thing_to_thing_group(thingGroupName="left", thingName="bird")
    for other in ("right", "tree"):
        refused("InvalidRequestException", iot.add_thing_to_thing_group, thingGroupName=other, thingName="bird")
    iot.update_thing_groups_for_thing(thingName="bird", thingGroupsToAdd=["right"], thingGroupsToRemove=["left"])
    assert iot.list_things_in_thing_group(thingGroupName="tree", recursive=True)["things"] == ["bird"]


def test_billing_groups_are_accepted(iot: Any) -> None:
    made = iot.create_billing_group(
        billingGroupName="clinic", billingGroupProperties={"billingGroupDescription": "pays"}
    )
    iot.create_thing(thingName="billed", billingGroupName="clinic")
    assert iot.describe_thing(thingName="billed")["billingGroupName"] == "clinic"
    assert iot.list_things_in_billing_group(billingGroupName="clinic")["things"] == ["billed"]
    assert iot.list_billing_groups()["billingGroups"][0]["groupArn"] == made["billingGroupArn"]
    iot.create_billing_group(billingGroupName="other")
    iot.add_thing_to_billing_group(billingGroupName="other", thingName="billed")
    assert iot.describe_thing(thingName="billed")["billingGroupName"] == "other"
    iot.remove_thing_from_billing_group(billingGroupName="other", thingName="billed")
    assert "billingGroupName" not in iot.describe_thing(thingName="billed")
    description = {"billingGroupDescription": "b"}
    assert iot.update_billing_group(billingGroupName="other", billingGroupProperties=description)["version"] == 2
    iot.delete_billing_group(billingGroupName="other")
    refused("ResourceNotFoundException", iot.describe_billing_group, billingGroupName="other")
    refused("ResourceNotFoundException", iot.create_thing, thingName="x", billingGroupName="other")


def test_a_groups_policy_counts_for_its_things_and_those_below(place: Place, iot: Any) -> None:
    device = place.device("member", allow("iot:Publish", "topic/none"))
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("iot:*")]})
    iot.create_policy(policyName="for-group", policyDocument=document)
    iot.create_thing_group(thingGroupName="above")
    iot.create_thing_group(thingGroupName="below", parentGroupName="above")
    assert device.connect().connected.get(timeout=10) in (0x87, 5)
    iot.attach_policy(policyName="for-group", target=ARN + "thinggroup/above")
    iot.add_thing_to_thing_group(thingGroupName="below", thingName="member")
    assert iot.list_targets_for_policy(policyName="for-group")["targets"] == [ARN + "thinggroup/above"]
    effective = iot.get_effective_policies(principal=device.arn)["effectivePolicies"]
    assert {policy["policyName"] for policy in effective} == {"member-policy", "for-group"}
    inherited = iot.list_attached_policies(target=ARN + "thinggroup/below", recursive=True)["policies"]
    assert [policy["policyName"] for policy in inherited] == ["for-group"]
    with device.connect() as client:
        assert client.publish("x", {}) == 0
        iot.remove_thing_from_thing_group(thingGroupName="below", thingName="member")
        assert client.disconnected.get(timeout=10) != 0
    refused("DeleteConflictException", iot.delete_policy, policyName="for-group")
    iot.delete_thing_group(thingGroupName="below")
    iot.delete_thing_group(thingGroupName="above")
    iot.delete_policy(policyName="for-group")


def test_policies_are_tried_without_a_device(place: Place, iot: Any) -> None:
    own = "${iot:Connection.Thing.ThingName}"
    device = place.device(
        "tried",
        allow("iot:Publish", f"topic/beds/{own}/*"),
        allow("iot:Publish", "topic/beds/*/secret", effect="Deny"),
    )

    def decision(action: str, *topics: str, **more: Any) -> str:
        info = {"actionType": action, "resources": [ARN + "topic/" + topic for topic in topics]}
        answer = iot.test_authorization(principal=device.arn, clientId="tried", authInfos=[info], **more)
        return str(answer["authResults"][0]["authDecision"])

    assert decision("PUBLISH", "beds/tried/hr") == "ALLOWED"
    assert decision("PUBLISH", "beds/tried/hr", "beds/other/hr") == "IMPLICIT_DENY"
    assert decision("PUBLISH", "beds/tried/secret") == "EXPLICIT_DENY"
    assert decision("RECEIVE", "beds/tried/hr") == "IMPLICIT_DENY"
    assert decision("PUBLISH", "beds/tried/hr", policyNamesToSkip=["tried-policy"]) == "IMPLICIT_DENY"
    refused(
        "ResourceNotFoundException",
        iot.test_authorization,
        principal=device.arn,
        authInfos=[{"actionType": "CONNECT", "resources": ["*"]}],
        policyNamesToAdd=["none"],
    )
