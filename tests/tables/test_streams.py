"""Streams of changes through boto3: what is told of a write, iterators, expiry."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.clock import Clock
from tests.support.served import Served
from tests.tables.conftest import client_of


@pytest.fixture
def streams(place: Served) -> Any:
    return client_of(place, "dynamodbstreams")


@pytest.fixture
def make(client: Any) -> Any:
    made: list[str] = []

    def create(view: str) -> tuple[str, str]:
        name = f"streamed-{uuid.uuid4().hex}"
        created = client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        )["TableDescription"]
        made.append(name)
        return name, created["LatestStreamArn"]

    yield create
    for name in made:
        client.delete_table(TableName=name)


def read(streams: Any, arn: str, kind: str = "TRIM_HORIZON", **more: str) -> list[dict[str, Any]]:
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **more)[
        "ShardIterator"
    ]
    found: list[dict[str, Any]] = streams.get_records(ShardIterator=iterator)["Records"]
    return found


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("KEYS_ONLY", set()),
        ("NEW_IMAGE", {"NewImage"}),
        ("OLD_IMAGE", {"OldImage"}),
        ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
    ],
)
def test_each_view_tells_what_it_is_named_for(
    client: Any, streams: Any, make: Callable[[str], tuple[str, str]], view: str, images: set[str]
) -> None:
    name, arn = make(view)
    key = {"id": {"S": "a"}}
    client.put_item(TableName=name, Item={**key, "b": {"B": b"\x00\xfe"}})
    client.put_item(TableName=name, Item={**key, "b": {"B": b"\x00\xfe"}})  # changes nothing: is not told
    client.update_item(
        TableName=name,
        Key=key,
        UpdateExpression="SET b = :b",
        ExpressionAttributeValues={":b": {"N": "1.50"}},
    )
    client.delete_item(TableName=name, Key=key)
    records = read(streams, arn)
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    modified = records[1]["dynamodb"]
    assert {member for member in modified if member.endswith("Image")} == images
    assert modified["Keys"] == key
    if "NewImage" in images:
        assert modified["NewImage"] == {**key, "b": {"N": "1.5"}}
    if "OldImage" in images:
        assert modified["OldImage"] == {**key, "b": {"B": b"\x00\xfe"}}
    second = modified["SequenceNumber"]
    assert read(streams, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=second) == records[1:]
    assert read(streams, arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=second) == records[2:]
    assert read(streams, arn, "LATEST") == []


def test_a_stream_that_ended_is_read_to_its_end(
    client: Any, streams: Any, make: Callable[[str], tuple[str, str]]
) -> None:
    name, arn = make("KEYS_ONLY")
    client.put_item(TableName=name, Item={"id": {"S": "a"}})
    client.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    client.put_item(TableName=name, Item={"id": {"S": "b"}})
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    (shard,) = described["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    found = streams.get_records(ShardIterator=iterator)
    assert [record["dynamodb"]["Keys"] for record in found["Records"]] == [{"id": {"S": "a"}}]
    assert "NextShardIterator" not in found
    again = client.update_table(
        TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )["TableDescription"]
    assert again["LatestStreamArn"] != arn
    listed = [each["StreamArn"] for each in streams.list_streams(TableName=name)["Streams"]]
    assert listed == [arn, again["LatestStreamArn"]]


def test_what_expires_is_deleted_and_told_as_the_services_own(
    client: Any, streams: Any, make: Callable[[str], tuple[str, str]], clock: Clock
) -> None:
    name, arn = make("OLD_IMAGE")
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"AttributeName": "t", "Enabled": True})
    assert client.describe_time_to_live(TableName=name)["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "t",
    }
    now = int(time.time() + clock.ahead)
    client.put_item(TableName=name, Item={"id": {"S": "stays"}, "t": {"N": str(now + 3600)}})
    client.put_item(TableName=name, Item={"id": {"S": "ancient"}, "t": {"N": "1"}})
    client.put_item(TableName=name, Item={"id": {"S": "goes"}, "t": {"N": str(now - 5)}})
    deadline = time.monotonic() + 30
    while "Item" in client.get_item(TableName=name, Key={"id": {"S": "goes"}}):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert {item["id"]["S"] for item in client.scan(TableName=name)["Items"]} == {"stays", "ancient"}
    told = read(streams, arn)[-1]
    assert told["eventName"] == "REMOVE"
    assert told["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


def test_iterators_that_are_none_and_streams_that_are_not_there(
    streams: Any, make: Callable[[str], tuple[str, str]]
) -> None:
    _, arn = make("NEW_IMAGE")
    with pytest.raises(ClientError, match="ValidationException"):
        streams.get_records(ShardIterator=f"{arn}|1|nonsense")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        streams.describe_stream(StreamArn=arn.replace("/stream/20", "/stream/19"))
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        streams.get_shard_iterator(
            StreamArn=arn, ShardId="shardId-00000000000000000000-00000000", ShardIteratorType="LATEST"
        )
