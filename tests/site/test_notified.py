"""What buckets tell queues and topics, in a whole place: read by Kinesis' API and by an MQTT client."""

from __future__ import annotations

import json
import queue
from typing import Any

import pytest
from botocore.exceptions import ClientError
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.site.conftest import Running

ACCOUNT = "us-east-1:000000000000"
TOPIC = "wards/7/files"


def listener(place: Running, told: queue.Queue[dict[str, Any]]) -> Client:
    def arrived(client: Client, userdata: Any, message: MQTTMessage) -> None:
        told.put(json.loads(message.payload))

    ready: queue.Queue[int] = queue.Queue()
    client = Client(CallbackAPIVersion.VERSION2, client_id="files")
    client.on_message = arrived
    client.on_connect = lambda client, *_: client.subscribe(TOPIC, 1)
    client.on_subscribe = lambda client, userdata, mid, *_: ready.put(mid)
    client.connect("127.0.0.1", place.port("mqtt"))
    client.loop_start()
    ready.get(timeout=20)
    return client


def told_in(place: Running, stream: str, count: int) -> list[dict[str, Any]]:
    kinesis = place.client("kinesis")
    at = kinesis.get_shard_iterator(
        StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    found: list[dict[str, Any]] = []
    while len(found) < count:
        answer = kinesis.get_records(ShardIterator=at)
        at = answer["NextShardIterator"]
        found += [json.loads(record["Data"]) for record in answer["Records"]]
    return found


def test_queues_and_topics_get_a_test_event_and_what_happens(place: Running) -> None:
    s3 = place.client("s3")
    s3.create_bucket(Bucket="files")
    wanted = {
        "QueueConfigurations": [{"QueueArn": f"arn:aws:sqs:{ACCOUNT}:files", "Events": ["s3:ObjectCreated:*"]}],
        "TopicConfigurations": [
            {"TopicArn": f"arn:aws:iot:{ACCOUNT}:topic/{TOPIC}", "Events": ["s3:ObjectRemoved:*"]},
            {"TopicArn": f"arn:aws:sns:{ACCOUNT}:files", "Events": ["s3:ObjectTagging:*"]},
        ],
    }
    put = s3.put_bucket_notification_configuration
    with pytest.raises(ClientError, match="Unable to validate the following destination configurations"):
        put(Bucket="files", NotificationConfiguration=wanted)
    place.client("kinesis").create_stream(StreamName="files", ShardCount=1)
    told: queue.Queue[dict[str, Any]] = queue.Queue()
    client = listener(place, told)
    try:
        put(Bucket="files", NotificationConfiguration=wanted)
        assert told.get(timeout=20)["Event"] == "s3:TestEvent"
        s3.put_object(Bucket="files", Key="wave ü", Body=b"1")
        s3.put_object_tagging(Bucket="files", Key="wave ü", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        s3.delete_object(Bucket="files", Key="wave ü")
        (removed,) = told.get(timeout=20)["Records"]
        assert (removed["eventName"], removed["s3"]["object"]["key"]) == ("ObjectRemoved:Delete", "wave+%C3%BC")
    finally:
        client.disconnect()
        client.loop_stop()
    came = told_in(place, "files", 4)
    assert [each.get("Event") for each in came[:2]] == ["s3:TestEvent"] * 2
    assert {each["Records"][0]["eventName"] for each in came[2:]} == {"ObjectCreated:Put", "ObjectTagging:Put"}
