"""Propagating attributes of thing types: what of a thing goes with all that it publishes, as MQTT 5 user properties."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.things.place import Device, Place, allow, running
from tests.things.test_control_boto3 import refused

WARD = {"userPropertyKey": "ward", "thingAttribute": "ward"}
WHO = {"userPropertyKey": "who", "connectionAttribute": "iot:ClientId"}
THING = {"userPropertyKey": "thing", "connectionAttribute": "iot:Thing.ThingName"}
MISSING = {"userPropertyKey": "floor", "thingAttribute": "floor"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="module")
def nurse(place: Place) -> Device:
    return place.device("nurse", allow("iot:*"))


def propagating(*attributes: dict[str, str]) -> dict[str, Any]:
    return {"mqtt5Configuration": {"propagatingAttributes": list(attributes)}}


def a_bed(place: Place, name: str, *attributes: dict[str, str]) -> Device:
    iot = place.client("iot")
    bed = place.device(name, allow("iot:*"))
    iot.create_thing_type(thingTypeName=f"{name}-type", thingTypeProperties=propagating(*attributes))
    iot.update_thing(thingName=name, thingTypeName=f"{name}-type", attributePayload={"attributes": {"ward": "7"}})
    return bed


def added(message: mqtt.MQTTMessage) -> list[tuple[str, str]]:
    return list(getattr(message.properties, "UserProperty", []))


@pytest.mark.parametrize("v5", [True, False])
@pytest.mark.parametrize("qos", [0, 1])
def test_what_a_thing_publishes_says_more(place: Place, nurse: Device, v5: bool, qos: int) -> None:
    """The publisher may speak 3.1.1. Each message is told apart from those that go on as they came."""
    name = f"bed-{v5:d}{qos}"
    bed = a_bed(place, name, WARD, WHO, THING, MISSING)
    expected = [("ward", "7"), ("who", name), ("thing", name)]
    with nurse.connect() as station, bed.connect(v5=v5) as monitor:
        station.subscribe(f"vitals/{name}/#")
        for number in range(3):
            monitor.publish(f"vitals/{name}/hr", {"n": number}, qos)
        found = [station.messages.get(timeout=10) for _ in range(3)]
        assert [json.loads(message.payload)["n"] for message in found] == [0, 1, 2]
        assert [added(message) for message in found] == [expected] * 3
        if v5:
            own = Properties(PacketTypes.PUBLISH)
            own.UserProperty, own.ContentType = ("ward", "8"), "a/b"
            monitor.publish(f"vitals/{name}/hr", {}, qos, properties=own)
            message = station.messages.get(timeout=10)
            assert (added(message), message.properties.ContentType) == ([("ward", "8"), *expected], "a/b")


def test_a_change_counts_from_the_next_message_on(place: Place, nurse: Device) -> None:
    iot, bed = place.client("iot"), a_bed(place, "bed-change", WARD)
    with nurse.connect() as station, bed.connect() as monitor:
        station.subscribe("change/#")

        def said() -> list[tuple[str, str]]:
            monitor.publish("change/x", {})
            return added(station.messages.get(timeout=10))

        assert said() == [("ward", "7")]
        iot.update_thing(thingName="bed-change", attributePayload={"attributes": {"ward": "9"}})
        assert said() == [("ward", "9")]
        iot.update_thing_type(thingTypeName="bed-change-type", thingTypeProperties=propagating(WHO))
        assert said() == [("who", "bed-change")]
        iot.update_thing(thingName="bed-change", removeThingType=True)
        assert said() == []
        station.publish("change/x", {})  # a thing without a type adds nothing
        assert added(station.messages.get(timeout=10)) == []


def test_a_rule_reads_it_also_by_basic_ingest(place: Place) -> None:
    bed = a_bed(place, "bed-rule", WARD)
    action = {"s3": {"roleArn": "arn:aws:iam::000000000000:role/any", "bucketName": "kept", "key": "ward.json"}}
    payload = {"sql": "SELECT get_user_properties('ward') AS ward FROM 'ruled/#'", "actions": [action]}
    place.client("iot").create_topic_rule(ruleName="propagated", topicRulePayload=payload)
    with bed.connect(v5=False) as monitor:
        monitor.publish("ruled/x", {})
        assert place.sink.arrived.get(timeout=10) == ("ward.json", b'{"ward":["7"]}')
        monitor.publish("$aws/rules/propagated/ruled/x", {})
        assert place.sink.arrived.get(timeout=10) == ("ward.json", b'{"ward":["7"]}')


def test_a_type_shows_what_it_propagates(place: Place) -> None:
    iot = place.client("iot")
    iot.create_thing_type(thingTypeName="shown", thingTypeProperties=propagating(WARD, WHO))
    iot.update_thing_type(thingTypeName="shown", thingTypeProperties={"searchableAttributes": ["ward"]})
    found = iot.describe_thing_type(thingTypeName="shown")["thingTypeProperties"]
    assert found == {"searchableAttributes": ["ward"], **propagating(WARD, WHO)}
    iot.update_thing_type(thingTypeName="shown", thingTypeProperties=propagating())
    assert "mqtt5Configuration" not in iot.describe_thing_type(thingTypeName="shown")["thingTypeProperties"]


@pytest.mark.parametrize(
    "attributes",
    [
        [{"userPropertyKey": "a"}],
        [{"thingAttribute": "a"}],
        [{**WARD, "connectionAttribute": "iot:ClientId"}],
        [{"userPropertyKey": "a", "connectionAttribute": "iot:Other"}],
        [WARD, WARD],
        [{"userPropertyKey": f"k{number}", "thingAttribute": "a"} for number in range(21)],
    ],
)
def test_what_means_nothing_is_refused(place: Place, attributes: list[dict[str, str]]) -> None:
    create = place.client("iot").create_thing_type
    refused("InvalidRequestException", create, thingTypeName="bad", thingTypeProperties=propagating(*attributes))


def test_a_core_below_knows_it_too(place: Place) -> None:
    """By the copy of the registry."""
    a_bed(place, "bed-below", WARD)
    snapshot = place.served.run(place.things.export_registry())
    kind = next(one for one in snapshot["types"] if one["name"] == "bed-below-type")
    assert json.loads(json.dumps(kind))["propagating"] == [{"key": "ward", "attribute": "ward", "connection": None}]
