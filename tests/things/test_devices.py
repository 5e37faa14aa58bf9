"""Real devices: paho over TLS with client certificates, policies, shadows and rules of a running place."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.things.place import Device, Place, allow, running

OWN = "${iot:Connection.Thing.ThingName}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="module")
def nurse(place: Place) -> Device:
    """May do everything."""
    return place.device("nurse", allow("iot:*"))


def with_id(identity: str) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = ("littoral-message-id", identity)
    return properties


# --------------------------------------------------------------------------------------------------- policies


@pytest.mark.parametrize("v5", [True, False])
def test_a_device_does_what_its_policy_allows_and_nothing_else(place: Place, nurse: Device, v5: bool) -> None:
    name = f"bed-{'five' if v5 else 'three'}"
    bed = place.device(
        name,
        allow("iot:Connect", f"client/{OWN}"),
        allow("iot:Publish", f"topic/ward/{OWN}/*"),
        allow("iot:Subscribe", f"topicfilter/orders/{OWN}"),
        allow("iot:Receive", f"topic/orders/{OWN}"),
    )
    with nurse.connect() as station, bed.connect(v5=v5) as monitor:
        station.subscribe(f"ward/{name}/#")
        assert monitor.subscribe(f"orders/{name}") == [1]
        assert monitor.subscribe("orders/another")[0] >= 0x80
        assert monitor.publish(f"ward/{name}/hr", {"hr": 71}) == 0
        assert station.next() == (f"ward/{name}/hr", {"hr": 71})
        station.publish(f"orders/{name}", {"do": "rest"})
        assert monitor.next() == (f"orders/{name}", {"do": "rest"})
        monitor.client.publish("ward/another/hr", b"1", 1)  # denied: AWS disconnects
        assert monitor.disconnected.get(timeout=10) != 0
        assert station.messages.empty()


def test_a_client_id_that_is_not_its_thing_is_not_let_in(place: Place) -> None:
    bed = place.device("bed-own", allow("iot:Connect", f"client/{OWN}"))
    assert bed.connect("somebody-else").connected.get(timeout=10) in (0x87, 5)
    stranger = place.device("bed-unattached", allow("iot:Connect", f"client/{OWN}"), attach=False)
    assert stranger.connect().connected.get(timeout=10) in (0x87, 5)


@pytest.mark.parametrize("how", ["deactivate", "revoke", "detach policy", "new version"])
def test_what_is_taken_away_disconnects_a_live_device(place: Place, how: str) -> None:
    iot = place.client("iot")
    name = "bed-" + how.replace(" ", "-")
    bed = place.device(name, allow("iot:*"))
    with bed.connect() as monitor:
        assert monitor.publish("x", {}) == 0
        if how in ("deactivate", "revoke"):
            status = "INACTIVE" if how == "deactivate" else "REVOKED"
            iot.update_certificate(certificateId=bed.certificate_id, newStatus=status)
        elif how == "detach policy":
            iot.detach_policy(policyName=f"{name}-policy", target=bed.arn)
        else:
            document = json.dumps({"Version": "2012-10-17", "Statement": allow("iot:Publish")})
            iot.create_policy_version(policyName=f"{name}-policy", policyDocument=document, setAsDefault=True)
        assert monitor.disconnected.get(timeout=10) != 0
    assert bed.connect().connected.get(timeout=10) in (0x87, 5)


def test_a_smaller_policy_is_felt_by_the_next_packet_on_a_topic_used_before(place: Place) -> None:
    bed = place.device("bed-smaller", allow("iot:*"))
    with bed.connect() as monitor:
        assert monitor.publish("a/b", {}) == 0
        document = {
            "Version": "2012-10-17",
            "Statement": [allow("iot:*"), allow("iot:Publish", "topic/a/*", effect="Deny")],
        }
        place.client("iot").create_policy_version(
            policyName="bed-smaller-policy", policyDocument=json.dumps(document), setAsDefault=True
        )
        assert monitor.publish("b/b", {}) == 0
        monitor.client.publish("a/b", b"{}", 1)
        assert monitor.disconnected.get(timeout=10) != 0


# ---------------------------------------------------------------------------------------------------- shadows


@pytest.mark.parametrize("name", ["", "AWSManagedGreengrassV2Deployment"])
def test_a_shadow_is_spoken_over_mqtt_and_https(place: Place, nurse: Device, name: str) -> None:
    thing = "pump" + ("-named" if name else "")
    start = f"$aws/things/{thing}/shadow" + (f"/name/{name}" if name else "")
    more: dict[str, Any] = {"shadowName": name} if name else {}
    data = place.client("iot-data")
    with nurse.connect() as app:
        app.subscribe(f"{start}/#")
        app.publish(f"{start}/get", "")
        topic, document = app.next()
        assert (topic, document["code"]) == (f"{start}/get/rejected", 404)

        data.update_thing_shadow(thingName=thing, payload=json.dumps({"state": {"desired": {"rate": 5}}}), **more)
        told = dict(app.next() for _ in range(3))
        assert set(told) == {f"{start}/update/{kind}" for kind in ("accepted", "delta", "documents")}
        assert told[f"{start}/update/delta"]["state"] == {"rate": 5}

        app.publish(f"{start}/update", {"state": {"reported": {"rate": 5}}, "clientToken": "t", "version": 1})
        told = dict(app.next() for _ in range(2))
        assert told[f"{start}/update/accepted"]["clientToken"] == "t"
        shown = json.loads(data.get_thing_shadow(thingName=thing, **more)["payload"].read())
        assert shown["state"] == {"desired": {"rate": 5}, "reported": {"rate": 5}} and shown["version"] == 2

        app.publish(f"{start}/update", {"state": {"reported": {"rate": 6}}, "version": 1})
        topic, document = app.next()
        assert (topic, document["code"]) == (f"{start}/update/rejected", 409)
        with pytest.raises(data.exceptions.ConflictException):
            data.update_thing_shadow(thingName=thing, payload=b'{"state": {}, "version": 1}', **more)
        data.delete_thing_shadow(thingName=thing, **more)
        assert app.next()[0] == f"{start}/delete/accepted"
        with pytest.raises(data.exceptions.ResourceNotFoundException):
            data.get_thing_shadow(thingName=thing, **more)


def test_named_shadows_are_listed_in_pages(place: Place) -> None:
    data = place.client("iot-data")
    for number in range(5):
        data.update_thing_shadow(
            thingName="many", shadowName=f"s{number}", payload=b'{"state": {"reported": {"a": 1}}}'
        )
    first = data.list_named_shadows_for_thing(thingName="many", pageSize=3)
    rest = data.list_named_shadows_for_thing(thingName="many", pageSize=3, nextToken=first["nextToken"])
    assert first["results"] + rest["results"] == [f"s{number}" for number in range(5)]


def test_bad_shadow_requests_get_their_modelled_errors(place: Place) -> None:
    data = place.client("iot-data")
    for payload, error in (
        (b"{", data.exceptions.InvalidRequestException),
        (b"\xff\xff", data.exceptions.UnsupportedDocumentEncodingException),
        (
            json.dumps({"state": {"desired": {"a": "x" * 9000}}}).encode(),
            data.exceptions.RequestEntityTooLargeException,
        ),
    ):
        with pytest.raises(error):
            data.update_thing_shadow(thingName="bad", payload=payload)


# ------------------------------------------------------------------------------------------------------ rules


def rule(place: Place, name: str, sql: str, *actions: dict[str, Any], **more: Any) -> None:
    payload = {"sql": sql, "actions": list(actions), "awsIotSqlVersion": "2016-03-23", **more}
    place.client("iot").create_topic_rule(ruleName=name, topicRulePayload=payload)


def s3(key: str, bucket: str = "b") -> dict[str, Any]:
    return {"s3": {"roleArn": "arn:aws:iam::000000000000:role/r", "bucketName": bucket, "key": key}}


def republish(topic: str, qos: int = 1) -> dict[str, Any]:
    return {"republish": {"roleArn": "arn:aws:iam::000000000000:role/r", "topic": topic, "qos": qos}}


def test_a_reading_becomes_an_object_and_an_alarm(place: Place, nurse: Device) -> None:
    rule(place, "readings", "SELECT *, topic(3) AS bed, clientid() AS by FROM 'r1/+/#' WHERE hr > 100", s3("r1/${hr}"))
    rule(place, "alarms", "SELECT hr FROM 'r1/+/#' WHERE hr > 150", republish("alarm/${topic(2)}"))
    with nurse.connect() as station:
        station.subscribe("alarm/#")
        for hr in (90, 120, 160):
            assert station.publish("r1/7/bed3", {"hr": hr}) == 0
        arrived = {place.sink.arrived.get(timeout=10)[0] for _ in range(2)}
        assert arrived == {"r1/120", "r1/160"}
        assert json.loads(place.sink.objects["r1/120"]) == {"hr": 120, "bed": "bed3", "by": "nurse"}
        assert station.next() == ("alarm/7", {"hr": 160})
    metrics = place.things.metrics()["readings"]
    assert (metrics.matched, metrics.success) == (2, 2)


def test_a_disabled_rule_rests_and_a_replaced_one_listens_elsewhere(place: Place) -> None:
    data, iot = place.client("iot-data"), place.client("iot")
    rule(place, "moving", "SELECT * FROM 'r2/a'", s3("r2/${n}"))
    data.publish(topic="r2/a", qos=1, payload=b'{"n": 1}')
    assert place.sink.arrived.get(timeout=10)[0] == "r2/1"
    iot.disable_topic_rule(ruleName="moving")
    data.publish(topic="r2/a", qos=1, payload=b'{"n": 2}')
    payload = {"sql": "SELECT * FROM 'r2/b/#'", "actions": [s3("r2/${n}")]}
    iot.replace_topic_rule(ruleName="moving", topicRulePayload=payload)
    for number, topic in ((3, "r2/a"), (4, "r2/b"), (5, "r2/b/c")):
        data.publish(topic=topic, qos=1, payload=json.dumps({"n": number}).encode())
    assert place.sink.arrived.get(timeout=10)[0] == "r2/5"
    iot.delete_topic_rule(ruleName="moving")
    data.publish(topic="r2/b/c", qos=1, payload=b'{"n": 6}')
    place.served.run(place.things.rules.settled())
    assert {key for key in place.sink.objects if key.startswith("r2/")} == {"r2/1", "r2/5"}


def test_basic_ingest_runs_one_rule_and_reaches_no_subscriber(place: Place, nurse: Device) -> None:
    rule(place, "direct", "SELECT *, topic() AS t", s3("direct/${n}"))
    with nurse.connect() as station:
        station.subscribe("#")
        assert station.subscribe("$aws/rules/direct/#")[0] >= 0x80
        assert station.publish("$aws/rules/direct/a/b", {"n": 1}) == 0
        assert place.sink.arrived.get(timeout=10) == ("direct/1", b'{"n":1,"t":"a/b"}')
        assert station.publish("$aws/rules/nosuch/a/b", {"n": 1}) == 0  # as AWS: acknowledged, logged, counted
        station.publish("last", {})
        assert station.next() == ("last", {})


def test_the_error_action_gets_the_report(place: Place) -> None:
    rule(place, "failing", "SELECT * FROM 'r3/x'", s3("k", "missing"), errorAction=s3("errors/${topic(2)}"))
    place.client("iot-data").publish(topic="r3/x", qos=1, payload=b"{}")
    key, data = place.sink.arrived.get(timeout=10)
    assert key == "errors/x" and json.loads(data)["failures"][0]["failedAction"] == "S3Action"


def test_a_message_sent_twice_is_delivered_and_acted_on_once(place: Place, nurse: Device) -> None:
    rule(place, "once", "SELECT * FROM 'once/#'", s3("once/${newuuid()}"))
    with nurse.connect() as station, nurse.connect("nurse-2") as spool:
        station.subscribe("once/#")
        for _ in range(3):
            for identity in ("a", "b"):
                assert spool.publish("once/x", {"id": identity}, properties=with_id(identity)) == 0
        assert spool.publish("once/end", {}) == 0
        assert [station.next()[1] for _ in range(3)] == [{"id": "a"}, {"id": "b"}, {}]
    place.served.run(place.things.rules.settled())
    assert len([key for key in place.sink.objects if key.startswith("once/")]) == 3
    while not place.sink.arrived.empty():
        place.sink.arrived.get()


def test_a_rule_reads_mqtt5_properties_and_sends_them_on(place: Place, nurse: Device) -> None:
    headers = {
        "contentType": "${get_mqtt_property('content_type')}",
        "userProperties": [{"key": "k", "value": "${bed}"}],
    }
    action = republish("r5out")
    action["republish"]["headers"] = headers
    found = "get_user_properties('ward') AS ward, get_mqtt_property('correlation_data') AS c, sourceip() AS ip"
    rule(place, "properties", f"SELECT {found} FROM 'r5/+'", action)
    sent = Properties(PacketTypes.PUBLISH)
    sent.UserProperty, sent.ContentType, sent.CorrelationData = ("ward", "7"), "a/b", b"c"
    with nurse.connect() as station:
        station.subscribe("r5out")
        station.publish("r5/x", {"bed": "3"}, properties=sent)
        message: mqtt.MQTTMessage = station.messages.get(timeout=10)
        assert json.loads(message.payload) == {"ward": ["7"], "c": "Yw==", "ip": "127.0.0.1"}
        assert message.properties is not None
        assert (message.properties.ContentType, message.properties.UserProperty) == ("a/b", [("k", "3")])


def test_a_rule_may_answer_to_a_shadow(place: Place) -> None:
    rule(
        place,
        "mirror",
        "SELECT {'reported': {'hr': hr}} AS state FROM 'r4/+'",
        republish("$$aws/things/${topic(2)}/shadow/update"),
    )
    place.client("iot-data").publish(topic="r4/bed9", qos=1, payload=b'{"hr": 70}')
    place.served.run(place.things.rules.settled())
    shown = json.loads(place.client("iot-data").get_thing_shadow(thingName="bed9")["payload"].read())
    assert shown["state"] == {"reported": {"hr": 70}}


# ------------------------------------------------------------------------------------------------- data plane


def test_https_publish_reaches_subscribers_with_its_properties(place: Place, nurse: Device) -> None:
    data = place.client("iot-data")
    with nurse.connect() as station:
        station.subscribe("https/#")
        data.publish(
            topic="https/x",
            qos=1,
            payload=b"{}",
            contentType="application/json",
            responseTopic="answers",
            correlationData="Yw==",
            messageExpiry=60,
            payloadFormatIndicator="UTF8_DATA",
            userProperties=json.dumps([{"k": "v"}]),
        )
        message: mqtt.MQTTMessage = station.messages.get(timeout=10)
        properties = message.properties
        assert properties is not None
        assert (properties.ContentType, properties.ResponseTopic) == ("application/json", "answers")
        assert (properties.CorrelationData, properties.UserProperty) == (b"c", [("k", "v")])
        assert properties.PayloadFormatIndicator == 1


def test_retained_messages_are_shown(place: Place) -> None:
    data = place.client("iot-data")
    for number in range(3):
        data.publish(topic=f"kept/{number}", qos=1, retain=True, payload=b"v%d" % number)
    found = data.get_retained_message(topic="kept/1")
    assert (found["payload"], found["qos"], found["topic"]) == (b"v1", 1, "kept/1")
    first = data.list_retained_messages(maxResults=2)
    rest = data.list_retained_messages(maxResults=2, nextToken=first["nextToken"])
    assert [one["topic"] for one in first["retainedTopics"] + rest["retainedTopics"]] == [f"kept/{n}" for n in range(3)]
    data.publish(topic="kept/1", qos=1, retain=True, payload=b"")
    with pytest.raises(data.exceptions.ResourceNotFoundException):
        data.get_retained_message(topic="kept/1")


@pytest.mark.parametrize(
    "arguments",
    [
        {"topic": "a/+"},
        {"topic": "a/#"},
        {"topic": "x" * 257},
        {"topic": "a/" * 9},
        {"topic": "$SYS/x"},
        {"topic": "$aws/nothing/here"},
        {"topic": "a", "payload": b"x" * (128 * 1024 + 1)},
        {"topic": "a", "userProperties": "no json"},
        {"topic": "a", "correlationData": "%"},
    ],
)
def test_a_bad_publish_is_refused(place: Place, arguments: dict[str, Any]) -> None:
    data = place.client("iot-data")
    with pytest.raises(data.exceptions.InvalidRequestException):
        data.publish(**{"qos": 1, "payload": b"", **arguments})
    assert queue.Queue.empty(place.sink.arrived)


def test_a_device_publishes_and_reads_shadows_by_https_with_its_certificate(place: Place, nurse: Device) -> None:
    bed = place.device(
        "bed-https",
        allow("iot:Publish", "topic/h/allowed"),
        allow(["iot:UpdateThingShadow", "iot:GetThingShadow"], "thing/bed-https", "thing/bed-https/named"),
    )
    with nurse.connect() as station:
        station.subscribe("h/#")
        assert bed.https("POST", "/topics/h%2Fallowed?qos=1", b'{"a": 1}')[0] == 200
        assert station.next() == ("h/allowed", {"a": 1})
        for path in (
            "/topics/h%2Fdenied?qos=1",
            "/topics/h%2Fallowed?qos=1&retain=true",
            "/topics/%24aws%2Frules%2Fr%2Fx?qos=1",
        ):
            assert bed.https("POST", path, b"{}")[0] == 403
        state = b'{"state": {"reported": {"a": 1}}}'
        assert bed.https("POST", "/things/bed-https/shadow", state)[1]["version"] == 1
        assert bed.https("POST", "/things/bed-https/shadow?name=named", state)[0] == 200
        assert bed.https("GET", "/things/bed-https/shadow")[1]["state"] == {"reported": {"a": 1}}
        for method, path in (("DELETE", "/things/bed-https/shadow"), ("GET", "/things/other/shadow")):
            assert bed.https(method, path)[0] == 403
        place.client("iot").update_certificate(certificateId=bed.certificate_id, newStatus="INACTIVE")
        assert bed.https("POST", "/topics/h%2Fallowed?qos=1", b"{}")[0] == 403
        assert station.messages.empty()


def test_presence_is_told_to_who_may_hear_it(place: Place, nurse: Device) -> None:
    bed = place.device("bed-present", allow("iot:*"))
    with nurse.connect() as station:
        station.subscribe("$aws/events/presence/+/bed-present")
        with bed.connect():
            topic, event = station.next()
            assert (topic, event["eventType"]) == ("$aws/events/presence/connected/bed-present", "connected")
            assert (event["principalIdentifier"], event["ipAddress"]) == (bed.certificate_id, "127.0.0.1")
        topic, gone = station.next()
        assert topic == "$aws/events/presence/disconnected/bed-present"
        assert gone["clientInitiatedDisconnect"] is True and gone["sessionIdentifier"] == event["sessionIdentifier"]
        with bed.connect():
            assert station.next()[1]["versionNumber"] == event["versionNumber"] + 1


def test_subscriptions_are_told_to_who_may_hear_it(place: Place, nurse: Device) -> None:
    device = place.device("bed-subscribing", allow("iot:*"))
    with nurse.connect("nurse-subscriptions") as station:
        station.subscribe("$aws/events/subscriptions/+/bed-subscribing")
        with device.connect() as bed:
            bed.subscribe("ward/7/orders")
            topic, event = station.next()
            bed.client.unsubscribe(["ward/7/orders", "never/there"])
            gone_topic, gone = station.next()
    assert topic == "$aws/events/subscriptions/subscribed/bed-subscribing"
    assert gone_topic == "$aws/events/subscriptions/unsubscribed/bed-subscribing"
    assert (event["eventType"], gone["eventType"]) == ("subscribed", "unsubscribed")
    for each in (event, gone):
        assert (each["clientId"], each["topics"]) == ("bed-subscribing", ["ward/7/orders"])
        assert each["principalIdentifier"] == device.certificate_id
        assert each["sessionIdentifier"] == event["sessionIdentifier"] and each["timestamp"] > 0


def test_the_endpoint_is_where_devices_connect(place: Place) -> None:
    address = place.client("iot").describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    assert address == f"127.0.0.1:{place.port}"


# ----------------------------------------------------------------------------------------------------- audit


def test_who_was_refused_is_counted_and_logged_with_the_reason(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    deny = allow("iot:Publish", "topic/secret/*", effect="Deny")
    device = place.device("audited", allow(["iot:Connect", "iot:Publish", "iot:Subscribe"]), deny)
    before = dict(place.things.refusals.counts)

    def more(action: str, reason: str) -> int:
        return place.things.refusals.counts[action, reason] - before.get((action, reason), 0)

    with device.connect() as client:
        client.client.publish("secret/x", b"1", 1)
        assert client.disconnected.get(timeout=10) != 0
    assert more("iot:Publish", "EXPLICIT_DENY") == 1
    assert device.https("GET", "/things/audited/shadow")[0] == 403
    assert more("iot:GetThingShadow", "IMPLICIT_DENY") == 1
    place.client("iot").update_certificate(certificateId=device.certificate_id, newStatus="REVOKED")
    assert device.connect().connected.get(timeout=10) in (0x87, 5)
    assert more("iot:Connect", "REVOKED") == 1
    lines = [record.getMessage() for record in caplog.records if record.name == "littoral.things.refusals"]
    assert any("'secret/x'" in line and device.certificate_id in line and "EXPLICIT_DENY" in line for line in lines)
