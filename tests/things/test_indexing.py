"""Fleet indexing through boto3: searches over registry, shadows and connections, numbers, dynamic groups."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.things.place import ARN, Place, allow, running
from tests.things.test_control_boto3 import refused
from tests.things.test_jobs import executions, until

ALL = {
    "thingIndexingMode": "REGISTRY_AND_SHADOW",
    "thingConnectivityIndexingMode": "STATUS",
    "namedShadowIndexingMode": "ON",
    "filter": {"namedShadowNames": ["config"]},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        iot = made.client("iot")
        for number in range(5):
            attributes = {"attributes": {"year": str(2020 + number)}}
            iot.create_thing(thingName=f"bed-{number}", attributePayload=attributes)
        yield made


@pytest.fixture(scope="module")
def iot(place: Place) -> Any:
    return place.client("iot")


@pytest.fixture(scope="module")
def indexed(place: Place, iot: Any) -> Any:
    """The API once everything is indexed; a shadow was there before."""
    place.client("iot-data").update_thing_shadow(thingName="bed-0", payload=b'{"state": {"reported": {"rate": 60}}}')
    refused("IndexNotReadyException", iot.search_index, queryString="*")
    refused("InvalidRequestException", iot.create_dynamic_thing_group, thingGroupName="x", queryString="*")
    iot.update_indexing_configuration(
        thingIndexingConfiguration=ALL, thingGroupIndexingConfiguration={"thingGroupIndexingMode": "ON"}
    )
    assert iot.get_indexing_configuration()["thingIndexingConfiguration"] == ALL
    return iot


@pytest.mark.parametrize(
    "more",
    [
        {"deviceDefenderIndexingMode": "VIOLATIONS"},
        {"filter": {"geoLocations": [{"name": "shadow.reported.place", "order": "LatLon"}]}},
        {"filter": {"connectivity": {"includeSocketInformation": ["GET_THING_CONNECTIVITY_DATA"]}}},
    ],
)
def test_what_the_index_has_not_is_refused(iot: Any, more: dict[str, Any]) -> None:
    before = iot.get_indexing_configuration()
    wanted = {"thingIndexingMode": "REGISTRY", **more}
    refused("NotImplemented", iot.update_indexing_configuration, thingIndexingConfiguration=wanted)
    after = iot.get_indexing_configuration()
    assert after["thingIndexingConfiguration"] == before["thingIndexingConfiguration"]


def names(iot: Any, query: str) -> list[str]:
    return [thing["thingName"] for thing in iot.search_index(queryString=query)["things"]]


def test_a_search_looks_at_registry_and_shadows(place: Place, indexed: Any) -> None:
    assert names(indexed, "thingName:bed* AND attributes.year>=2023") == ["bed-3", "bed-4"]
    assert names(indexed, "shadow.reported.rate:[50 TO 70]") == ["bed-0"]
    data = place.client("iot-data")
    data.update_thing_shadow(thingName="bed-1", payload=b'{"state": {"desired": {"rate": 90}}}')
    data.update_thing_shadow(thingName="bed-2", shadowName="config", payload=b'{"state": {"desired": {"v": 3}}}')
    data.update_thing_shadow(thingName="bed-2", shadowName="other", payload=b'{"state": {"desired": {"v": 3}}}')
    assert names(indexed, "shadow.hasDelta:true") == ["bed-1"]
    assert names(indexed, "shadow.name.config.desired.v>2") == ["bed-2"]
    assert names(indexed, "shadow.name.other.desired.v:3") == []
    (thing,) = indexed.search_index(queryString="thingName:bed-1")["things"]
    shadow = json.loads(thing["shadow"])
    assert (shadow["desired"], shadow["delta"], shadow["version"]) == ({"rate": 90}, {"rate": 90}, 1)
    data.delete_thing_shadow(thingName="bed-1")
    assert names(indexed, "shadow.hasDelta:true") == []


def test_a_search_comes_in_pages_and_knows_what_is_wrong(indexed: Any) -> None:
    first = indexed.search_index(queryString="thingName:bed*", maxResults=3)
    rest = indexed.search_index(queryString="thingName:bed*", nextToken=first["nextToken"])
    assert [thing["thingName"] for thing in first["things"] + rest["things"]] == [f"bed-{n}" for n in range(5)]
    refused("InvalidQueryException", indexed.search_index, queryString="thingName:[1 TO")
    refused("ResourceNotFoundException", indexed.search_index, queryString="*", indexName="other")
    assert indexed.describe_index(indexName="AWS_Things")["schema"] == "MULTI_INDEXING_MODE"
    assert indexed.list_indices()["indexNames"] == ["AWS_ThingGroups", "AWS_Things"]


def test_who_is_connected_is_found(place: Place, indexed: Any) -> None:
    device = place.device("connecting", allow("iot:*"))
    early = place.device("early", allow("iot:*"))
    off = {**ALL, "thingConnectivityIndexingMode": "OFF"}
    indexed.update_indexing_configuration(thingIndexingConfiguration=off)
    with early.connect():
        assert names(indexed, "connectivity.connected:true") == []
        refused("IndexNotReadyException", indexed.get_thing_connectivity_data, thingName="early")
        indexed.update_indexing_configuration(thingIndexingConfiguration=ALL)
        assert names(indexed, "connectivity.connected:true") == ["early"]
    until(lambda: names(indexed, "connectivity.connected:true") == [])
    assert names(indexed, "thingName:connecting AND connectivity.connected:false") == ["connecting"]
    with device.connect():
        until(lambda: names(indexed, "connectivity.connected:true") == ["connecting"])
    until(lambda: names(indexed, "connectivity.connected:true") == [])
    (thing,) = indexed.search_index(queryString="thingName:connecting")["things"]
    assert thing["connectivity"]["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT"
    data = indexed.get_thing_connectivity_data(thingName="connecting")
    assert (data["connected"], data["disconnectReason"]) == (False, "CLIENT_INITIATED_DISCONNECT")
    assert abs(data["timestamp"].timestamp() - time.time()) < 60
    refused("ResourceNotFoundException", indexed.get_thing_connectivity_data, thingName="none")
    asked = {"thingName": "connecting", "includeSocketInformation": True}
    refused("InvalidRequestException", indexed.get_thing_connectivity_data, **asked)


def test_numbers_about_a_field(indexed: Any) -> None:
    query = {"queryString": "thingName:bed*", "aggregationField": "registry.version"}
    found = indexed.get_statistics(**query)["statistics"]
    assert (found["count"], found["average"], found["maximum"], found["variance"]) == (5, 1.0, 1.0, 0.0)
    years = {"queryString": "thingName:bed*", "aggregationField": "attributes.year"}
    assert indexed.get_statistics(**years)["statistics"] == {"count": 5}
    assert indexed.get_cardinality(**years)["cardinality"] == 5
    half = indexed.get_percentiles(queryString="thingName:bed*", percents=[50.0])["percentiles"]
    assert half == [{"percent": 50.0, "value": 1.0}]
    refused("InvalidAggregationException", indexed.get_percentiles, **years)
    buckets = indexed.get_buckets_aggregation(
        queryString="*", aggregationField="registry.version", bucketsAggregationType={"termsAggregation": {}}
    )
    assert buckets["buckets"][0]["keyValue"] == "1" and buckets["totalCount"] >= 5


def test_a_custom_field_has_a_type(indexed: Any) -> None:
    """Attributes are text; what is no number is not among the numbers."""
    configuration = indexed.get_indexing_configuration()["thingIndexingConfiguration"]
    fields = [{"name": "attributes.size", "type": "Number"}, {"name": "attributes.on", "type": "Boolean"}]
    changed = {**configuration, "customFields": fields}
    changed.pop("managedFields", None)
    indexed.update_indexing_configuration(thingIndexingConfiguration=changed)
    for name, size, on in (("a", "1", "true"), ("b", "3.5", "false"), ("c", "large", "perhaps")):
        indexed.create_thing(thingName=f"custom-{name}", attributePayload={"attributes": {"size": size, "on": on}})
    query = {"queryString": "thingName:custom-*", "aggregationField": "attributes.size"}
    found = indexed.get_statistics(**query)["statistics"]
    assert (found["count"], found["sum"], found["maximum"]) == (2, 4.5, 3.5)
    assert indexed.get_percentiles(**query, percents=[50])["percentiles"] == [{"percent": 50.0, "value": 2.25}]
    assert indexed.get_cardinality(**query)["cardinality"] == 2
    terms = {"termsAggregation": {}}
    on = {"queryString": "thingName:custom-*", "aggregationField": "attributes.on"}
    assert indexed.get_buckets_aggregation(**on, bucketsAggregationType=terms)["totalCount"] == 2
    assert indexed.get_indexing_configuration()["thingIndexingConfiguration"]["customFields"] == fields
    indexed.update_indexing_configuration(thingIndexingConfiguration={**changed, "customFields": []})


def test_groups_have_an_index_of_their_own(indexed: Any) -> None:
    indexed.create_thing_group(
        thingGroupName="searched", thingGroupProperties={"attributePayload": {"attributes": {"floor": "2"}}}
    )
    found = indexed.search_index(indexName="AWS_ThingGroups", queryString="attributes.floor:2")["thingGroups"]
    assert [group["thingGroupName"] for group in found] == ["searched"]


def test_a_dynamic_group_follows_its_query(place: Place, indexed: Any) -> None:
    iot = indexed

    def members(group: str) -> list[str]:
        return list(iot.list_things_in_thing_group(thingGroupName=group)["things"])

    made = iot.create_dynamic_thing_group(thingGroupName="hot", queryString="shadow.reported.temperature>40")
    assert made["indexName"] == "AWS_Things" and members("hot") == []
    data = place.client("iot-data")
    data.update_thing_shadow(thingName="bed-3", payload=b'{"state": {"reported": {"temperature": 45}}}')
    until(lambda: members("hot") == ["bed-3"])
    group = ARN + "thinggroup/hot"
    iot.create_job(jobId="cool", targets=[group], document="{}", targetSelection="CONTINUOUS")
    data.update_thing_shadow(thingName="bed-4", payload=b'{"state": {"reported": {"temperature": 50}}}')
    until(lambda: executions(iot, "cool") == {"bed-3": "QUEUED", "bed-4": "QUEUED"})
    data.update_thing_shadow(thingName="bed-3", payload=b'{"state": {"reported": {"temperature": 20}}}')
    until(lambda: members("hot") == ["bed-4"])
    refused("InvalidRequestException", iot.add_thing_to_thing_group, thingGroupName="hot", thingName="bed-1")
    version = iot.update_dynamic_thing_group(
        thingGroupName="hot", thingGroupProperties={}, queryString="attributes.year:2020"
    )["version"]
    until(lambda: members("hot") == ["bed-0"])
    described = iot.describe_thing_group(thingGroupName="hot")
    assert (described["version"], described["queryString"], described["status"]) == (
        version,
        "attributes.year:2020",
        "ACTIVE",
    )
    refused("InvalidQueryException", iot.create_dynamic_thing_group, thingGroupName="bad", queryString="(")
    iot.cancel_job(jobId="cool", force=True)
    iot.delete_dynamic_thing_group(thingGroupName="hot")
    assert iot.list_thing_groups_for_thing(thingName="bed-0")["thingGroups"] == []


def test_a_dynamic_groups_policy_reaches_live_devices(place: Place, indexed: Any) -> None:
    iot = indexed
    device = place.device("quarantined", allow("iot:*"))
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("iot:*", effect="Deny")]})
    iot.create_policy(policyName="quarantine", policyDocument=document)
    iot.create_dynamic_thing_group(thingGroupName="infected", queryString="shadow.reported.infected:true")
    iot.attach_policy(policyName="quarantine", target=ARN + "thinggroup/infected")
    with device.connect() as client:
        assert client.publish("x", {}) == 0
        payload = b'{"state": {"reported": {"infected": true}}}'
        place.client("iot-data").update_thing_shadow(thingName="quarantined", payload=payload)
        assert client.disconnected.get(timeout=15) != 0
