"""Events of the registry, as a device that may hear them does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.things.place import ARN, Mqtt, Place, allow, running

KINDS = ("THING", "THING_TYPE", "THING_TYPE_ASSOCIATION", "THING_GROUP", "THING_GROUP_MEMBERSHIP")
ON = {kind: {"Enabled": True} for kind in (*KINDS, "THING_GROUP_HIERARCHY", "POLICY", "CERTIFICATE", "CA_CERTIFICATE")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="module")
def iot(place: Place) -> Any:
    return place.client("iot")


@pytest.fixture(scope="module")
def station(place: Place, iot: Any) -> Iterator[Mqtt]:
    """It hears everything that the registry tells, once that is turned on."""
    iot.create_thing(thingName="untold")
    listener = place.device("station", allow(["iot:Connect", "iot:Subscribe", "iot:Receive"]))
    iot.update_event_configurations(eventConfigurations=ON)
    shown = iot.describe_event_configurations()["eventConfigurations"]
    assert {kind for kind, state in shown.items() if state["Enabled"]} == set(ON)
    with listener.connect() as client:
        for subject in ("thing", "thingType", "thingTypeAssociation", "thingGroup", "thingGroupHierarchy"):
            client.subscribe(f"$aws/events/{subject}/#")
        client.subscribe("$aws/events/thingGroupMembership/#")
        yield client


def told(station: Mqtt) -> tuple[str, Any]:
    topic, event = station.next()
    assert uuid.UUID(event.pop("eventId")) and event.pop("timestamp") > 1_500_000_000_000
    assert event.pop("accountId") == "000000000000"
    return topic.removeprefix("$aws/events/"), event


def test_a_thing_is_made_changed_and_deleted(iot: Any, station: Mqtt) -> None:
    made = iot.create_thing(thingName="bed1", attributePayload={"attributes": {"ward": "7"}})
    about = {"thingId": made["thingId"], "thingName": "bed1", "thingTypeName": None, "attributes": {"ward": "7"}}
    head = {"eventType": "THING_EVENT", "versionNumber": 1}
    assert told(station) == ("thing/bed1/created", {**head, **about, "operation": "CREATED"})
    iot.update_thing(thingName="bed1", attributePayload={"attributes": {"ward": "8"}})
    _, event = told(station)
    assert (event["operation"], event["versionNumber"], event["attributes"]) == ("UPDATED", 2, {"ward": "8"})
    iot.delete_thing(thingName="bed1")
    topic, event = told(station)
    assert (topic, event["versionNumber"]) == ("thing/bed1/deleted", 2)


def test_a_type_and_the_things_that_have_it(iot: Any, station: Mqtt) -> None:
    properties = {"thingTypeDescription": "a bed", "searchableAttributes": ["ward"]}
    made = iot.create_thing_type(thingTypeName="bed", thingTypeProperties=properties)
    about = {"thingTypeId": made["thingTypeId"], "thingTypeName": "bed", "isDeprecated": False, "description": "a bed"}
    more = {"eventType": "THING_TYPE_EVENT", "deprecationDate": None, "searchableAttributes": ["ward"]}
    assert told(station) == ("thingType/bed/created", {**about, **more, "operation": "CREATED"})
    thing = iot.create_thing(thingName="bed2", thingTypeName="bed")
    assert told(station)[0] == "thing/bed2/created"
    topic, event = told(station)
    assert topic == "thingTypeAssociation/thing/bed2/thingType/bed/added"
    assert event["thingId"] == thing["thingId"] and event["eventType"] == "THING_TYPE_ASSOCIATION_EVENT"
    iot.update_thing(thingName="bed2", removeThingType=True)
    assert told(station)[0] == "thing/bed2/updated"
    assert told(station)[0] == "thingTypeAssociation/thing/bed2/thingType/bed/removed"
    iot.deprecate_thing_type(thingTypeName="bed")
    topic, event = told(station)
    assert (topic, event["isDeprecated"]) == ("thingType/bed/updated", True)
    assert event["deprecationDate"] > 1_500_000_000_000
    iot.delete_thing_type(thingTypeName="bed")
    assert told(station)[0] == "thingType/bed/deleted"


def test_groups_their_hierarchy_and_members(iot: Any, station: Mqtt) -> None:
    root = iot.create_thing_group(thingGroupName="hospital")
    topic, event = told(station)
    assert (topic, event["parentGroupId"], event["rootToParentThingGroups"]) == (
        "thingGroup/hospital/created",
        None,
        [],
    )
    child = iot.create_thing_group(thingGroupName="ward7", parentGroupName="hospital")
    topic, event = told(station)
    assert (topic, event["parentGroupName"]) == ("thingGroup/ward7/created", "hospital")
    assert event["rootToParentThingGroups"] == [
        {"groupArn": ARN + "thinggroup/hospital", "groupId": root["thingGroupId"]}
    ]
    topic, event = told(station)
    assert topic == "thingGroupHierarchy/thingGroup/hospital/childThingGroup/ward7/added"
    assert event == {
        **{"eventType": "THING_GROUP_HIERARCHY_EVENT", "operation": "ADDED"},
        **{"thingGroupId": root["thingGroupId"], "thingGroupName": "hospital"},
        **{"childGroupId": child["thingGroupId"], "childGroupName": "ward7"},
    }
    thing = iot.create_thing(thingName="bed3")
    assert told(station)[0] == "thing/bed3/created"
    iot.add_thing_to_thing_group(thingGroupName="ward7", thingName="bed3")
    topic, event = told(station)
    assert topic == "thingGroupMembership/thingGroup/ward7/thing/bed3/added"
    member = event.pop("membershipId")
    assert event == {
        **{"eventType": "THING_GROUP_MEMBERSHIP_EVENT", "operation": "ADDED"},
        **{"groupArn": ARN + "thinggroup/ward7", "groupId": child["thingGroupId"]},
        **{"thingArn": ARN + "thing/bed3", "thingId": thing["thingId"]},
    }
    iot.delete_thing(thingName="bed3")
    topic, event = told(station)
    assert (topic, event["membershipId"]) == ("thingGroupMembership/thingGroup/ward7/thing/bed3/removed", member)
    assert told(station)[0] == "thing/bed3/deleted"
    iot.delete_thing_group(thingGroupName="ward7")
    assert told(station)[0] == "thingGroup/ward7/deleted"
    assert told(station)[0] == "thingGroupHierarchy/thingGroup/hospital/childThingGroup/ward7/removed"


def test_what_is_turned_off_is_not_told(iot: Any, station: Mqtt) -> None:
    iot.update_event_configurations(eventConfigurations={"THING": {"Enabled": False}})
    iot.create_thing(thingName="bed4")
    iot.create_thing_group(thingGroupName="after")
    assert told(station)[0] == "thingGroup/after/created"
