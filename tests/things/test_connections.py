"""Who is connected, what they subscribed to, a message to one of them: as boto3 and a device's HTTPS ask for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.things.place import Mqtt, Place, allow, running

EVERYTHING = allow(["iot:Connect", "iot:Subscribe", "iot:Publish", "iot:Receive"], "*")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


def refused(operation: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as error:
        operation(**arguments)
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def away(place: Place, client_id: str) -> dict[str, Any]:
    data = place.client("iot-data")
    deadline = time.monotonic() + 15
    while (found := data.get_connection(clientId=client_id))["connected"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return dict(found)


def test_a_connection_is_shown_while_it_is_there_and_after(place: Place) -> None:
    data = place.client("iot-data")
    assert refused(data.get_connection, clientId="nobody") == ("ResourceNotFoundException", 404)
    with place.device("shown", EVERYTHING).connect() as client:
        found = data.get_connection(clientId="shown")
        assert (found["connected"], found["thingName"], found["cleanSession"]) == (True, "shown", True)
        assert found["keepAliveDuration"] == 60 and found["connectedSince"] > 1e12 and "sourceIp" not in found
        socket = data.get_connection(clientId="shown", includeSocketInformation=True)
        assert (socket["sourceIp"], socket["targetPort"]) == ("127.0.0.1", place.port)
        assert socket["sourcePort"] == client.client.socket().getsockname()[1]
    left = away(place, "shown")
    assert (
        left["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT"
        and left["disconnectedSince"] >= found["connectedSince"]
    )
    assert "connectedSince" not in left


def test_subscriptions_are_listed_in_pages_also_of_who_is_away(place: Place) -> None:
    data = place.client("iot-data")
    with place.device("lists", EVERYTHING).connect(v5=False, clean=False) as client:
        client.subscribe("b/+", 1)
        client.subscribe("a/#", 0)
        first = data.list_subscriptions(clientId="lists", maxResults=1)
        assert first["subscriptions"] == [{"topicFilter": "a/#", "qos": 0}]
        rest = data.list_subscriptions(clientId="lists", nextToken=first["nextToken"])
        assert rest["subscriptions"] == [{"topicFilter": "b/+", "qos": 1}] and "nextToken" not in rest
    assert away(place, "lists")["cleanSession"] is False
    assert len(data.list_subscriptions(clientId="lists")["subscriptions"]) == 2
    data.delete_connection(clientId="lists", cleanSession=True)
    assert refused(data.list_subscriptions, clientId="lists") == ("ResourceNotFoundException", 404)
    assert refused(data.delete_connection, clientId="lists") == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize("prevented", [False, True])
def test_a_client_is_disconnected_and_its_will_published_or_not(place: Place, prevented: bool) -> None:
    data, name = place.client("iot-data"), f"cut-{prevented}"
    with place.device(f"watch-{name}", EVERYTHING).connect() as watcher:
        watcher.subscribe(f"wills/{name}")
        watcher.subscribe(f"$aws/events/presence/disconnected/{name}")
        client = Mqtt(place.device(name, EVERYTHING), name, v5=True, will=(f"wills/{name}", '"gone"'))
        with client:
            data.delete_connection(clientId=name, preventWillMessage=prevented)
            assert client.disconnected.get(timeout=10) == 0x98
        told = dict([watcher.next()] if prevented else [watcher.next(), watcher.next()])
    assert told[f"$aws/events/presence/disconnected/{name}"]["disconnectReason"] == "API_INITIATED_DISCONNECT"
    assert told.get(f"wills/{name}") == (None if prevented else "gone")
    assert away(place, name)["disconnectReason"] == "API_INITIATED_DISCONNECT"


def test_a_client_that_was_replaced_left_for_that_reason(place: Place) -> None:
    device = place.device("twice", EVERYTHING)
    with place.device("sees", EVERYTHING).connect() as watcher:
        watcher.subscribe("$aws/events/presence/disconnected/twice")
        with device.connect(), device.connect():
            assert watcher.next()[1]["disconnectReason"] == "DUPLICATE_CLIENTID"
            assert place.client("iot-data").get_connection(clientId="twice")["connected"] is True


def test_a_direct_message_needs_no_subscription_and_reaches_no_other(place: Place) -> None:
    data = place.client("iot-data")
    receiver = place.device("direct", allow("iot:Connect", "*"), allow("iot:Receive", "topic/orders/*"))
    with place.device("others", EVERYTHING).connect() as other, receiver.connect() as client:
        other.subscribe("#")
        answer = data.send_direct_message(
            clientId="direct",
            topic="orders/1",
            payload=b'{"n": 1}',
            contentType="application/json",
            userProperties=json.dumps([{"from": "desk"}]),
        )
        assert answer["message"] == "OK" and answer["traceId"]
        got = client.messages.get(timeout=10)
        assert (got.topic, got.payload, got.qos) == ("orders/1", b'{"n": 1}', 0)
        assert got.properties is not None and got.properties.UserProperty == [("from", "desk")]
        data.send_direct_message(clientId="direct", topic="orders/2", payload=b"2", confirmation=True)
        assert client.messages.get(timeout=10).qos == 1
        assert refused(data.send_direct_message, clientId="direct", topic="other") == ("ForbiddenException", 403)
        data.publish(topic="last", payload=b"3")
        assert other.next() == ("last", 3)  # and nothing before it
    away(place, "direct")
    gone = refused(data.send_direct_message, clientId="direct", topic="orders/3")
    assert gone == ("ResourceNotFoundException", 404)
    assert refused(data.send_direct_message, clientId="direct", topic="a/+") == ("InvalidRequestException", 400)
    long = refused(data.send_direct_message, clientId="direct", topic="a", payload=b"x" * (128 * 1024 + 1))
    assert long == ("RequestEntityTooLargeException", 413)


def test_a_direct_message_that_is_not_acknowledged_in_time_says_so(place: Place) -> None:
    device = place.device("mute", EVERYTHING)
    sender = place.device("asks", allow("iot:SendDirectMessage", "*"))
    with Mqtt(device, "mute", manual_ack=True) as client:
        status, answer = sender.https("POST", "/connections/mute/messages?topic=a&confirmation=true&timeout=1", b"1")
        assert (status, answer["message"]) == (504, "The client did not acknowledge the message in time")
        assert client.messages.get(timeout=10).qos == 1


def test_a_device_may_do_what_its_policies_say_and_a_topic_is_a_condition(place: Place) -> None:
    only = {"Condition": {"StringLike": {"iot:Topic": "orders/*"}}}
    sender = place.device(
        "desk", allow("iot:SendDirectMessage", "client/bed*", **only), allow("iot:GetConnection", "client/bed7")
    )
    with place.device("bed7", EVERYTHING).connect() as client:
        assert sender.https("POST", "/connections/bed7/messages?topic=orders/1", b'"hi"')[0] == 200
        assert client.next() == ("orders/1", "hi")
        assert sender.https("POST", "/connections/bed7/messages?topic=else", b'"hi"')[0] == 403
        assert sender.https("POST", "/connections/desk/messages?topic=orders/1", b'"hi"')[0] == 403
        assert sender.https("GET", "/connections/bed7")[1]["connected"] is True
        assert sender.https("GET", "/connections/desk")[0] == 403
        assert sender.https("GET", "/connections/bed7/subscriptions")[0] == 403
        assert sender.https("DELETE", "/connections/bed7")[0] == 403


def test_who_publishes_over_https_is_told_ok_and_a_trace_id(place: Place) -> None:
    status, answer = place.device("post", EVERYTHING).https("POST", "/topics/a/b?qos=1", b"1")
    assert (status, answer["message"]) == (200, "OK") and answer["traceId"]
    assert place.client("iot-data").publish(topic="a/b", payload=b"1")["ResponseMetadata"]["HTTPStatusCode"] == 200
