"""The Kinesis API through boto3 and the AWS CLI: signed HTTP, real parsing, a real store."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.store.contract import Outgoing, StorageFailed, Streams
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore
from littoral.streams.shards import HASHES, iterator_from
from tests.support.clock import Clock
from tests.support.served import Served, served

ACCOUNT = "000000000000"


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def place(clock: Clock) -> Iterator[Served]:
    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        streams = await StreamStore.open(store, region="us-east-1", account=ACCOUNT, clock=clock)
        return {"kinesis": streams.api}

    with served(factory) as running:
        yield running


@pytest.fixture
def client(place: Served) -> Any:
    return boto3.client("kinesis", config=Config(retries={"max_attempts": 1}), **place.client_kwargs)


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    name = f"s-{uuid.uuid4().hex[:8]}"
    client.create_stream(StreamName=name, ShardCount=2)
    yield name
    client.delete_stream(StreamName=name)


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def read(client: Any, name: str, shard: str, **start: Any) -> list[dict[str, Any]]:
    start = start or {"ShardIteratorType": "TRIM_HORIZON"}
    at = client.get_shard_iterator(StreamName=name, ShardId=shard, **start)["ShardIterator"]
    records: list[dict[str, Any]] = client.get_records(ShardIterator=at)["Records"]
    return records


def test_a_stream_lives_from_create_to_delete_and_the_waiters_see_it(client: Any) -> None:
    client.create_stream(StreamName="life", ShardCount=3, Tags={"ward": "icu"})
    client.get_waiter("stream_exists").wait(StreamName="life")
    found = client.describe_stream(StreamName="life")["StreamDescription"]
    assert found["StreamARN"] == f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/life"
    assert (found["StreamStatus"], found["RetentionPeriodHours"], found["HasMoreShards"]) == ("ACTIVE", 24, False)
    shards = found["Shards"]
    assert [shard["ShardId"] for shard in shards] == [f"shardId-{index:012d}" for index in range(3)]
    assert shards[0]["HashKeyRange"]["StartingHashKey"] == "0"
    assert shards[2]["HashKeyRange"]["EndingHashKey"] == str(HASHES - 1)
    with pytest.raises(ClientError) as error:
        client.create_stream(StreamName="life", ShardCount=1)
    assert code(error) == "ResourceInUseException"
    assert "life" in client.list_streams()["StreamNames"]
    assert client.list_tags_for_stream(StreamName="life")["Tags"] == [{"Key": "ward", "Value": "icu"}]
    client.delete_stream(StreamName="life")
    client.get_waiter("stream_not_exists").wait(StreamName="life")
    with pytest.raises(ClientError) as error:
        client.put_record(StreamName="life", Data=b"x", PartitionKey="k")
    assert code(error) == "ResourceNotFoundException"


def test_on_demand_has_four_shards(client: Any) -> None:
    client.create_stream(StreamName="demand", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = client.describe_stream_summary(StreamName="demand")["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["StreamModeDetails"]) == (4, {"StreamMode": "ON_DEMAND"})
    assert client.describe_limits()["OnDemandStreamCount"] == 1
    client.update_stream_mode(StreamARN=summary["StreamARN"], StreamModeDetails={"StreamMode": "PROVISIONED"})
    assert client.describe_limits()["OnDemandStreamCount"] == 0
    client.delete_stream(StreamARN=summary["StreamARN"])


def test_records_come_back_in_order_from_the_shard_of_their_key(client: Any, name: str) -> None:
    put = [client.put_record(StreamName=name, Data=b"%d" % each, PartitionKey="bed-7") for each in range(3)]
    assert len({each["ShardId"] for each in put}) == 1
    numbers = [each["SequenceNumber"] for each in put]
    assert numbers == sorted(numbers, key=int) and len(set(numbers)) == 3
    records = read(client, name, put[0]["ShardId"])
    assert [(each["Data"], each["PartitionKey"]) for each in records] == [(b"%d" % each, "bed-7") for each in range(3)]
    assert [each["SequenceNumber"] for each in records] == numbers
    assert abs(records[0]["ApproximateArrivalTimestamp"].timestamp() - time.time()) < 3600


def test_an_explicit_hash_key_chooses_the_shard(client: Any, name: str) -> None:
    for index, hash_key in enumerate(("0", str(HASHES - 1))):
        put = client.put_record(StreamName=name, Data=b"x", PartitionKey="k", ExplicitHashKey=hash_key)
        assert put["ShardId"] == f"shardId-{index:012d}"


def test_every_type_of_iterator(client: Any, name: str) -> None:
    put = [client.put_record(StreamName=name, Data=b"%d" % each, PartitionKey="k") for each in range(4)]
    shard = put[0]["ShardId"]

    def datas(**start: Any) -> bytes:
        return b"".join(record["Data"] for record in read(client, name, shard, **start))

    number = put[1]["SequenceNumber"]
    assert datas(ShardIteratorType="TRIM_HORIZON") == b"0123"
    assert datas(ShardIteratorType="LATEST") == b""
    assert datas(ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=number) == b"123"
    assert datas(ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number) == b"23"
    arrivals = [record["ApproximateArrivalTimestamp"] for record in read(client, name, shard)]
    assert datas(ShardIteratorType="AT_TIMESTAMP", Timestamp=arrivals[2]).endswith(b"23")
    assert datas(ShardIteratorType="AT_TIMESTAMP", Timestamp=datetime(2020, 1, 1, tzinfo=UTC)) == b"0123"
    assert datas(ShardIteratorType="AT_TIMESTAMP", Timestamp=datetime(2099, 1, 1, tzinfo=UTC)) == b""


def test_an_iterator_goes_on_where_it_ended(client: Any, name: str) -> None:
    shard = client.put_record(StreamName=name, Data=b"0", PartitionKey="k")["ShardId"]
    latest = client.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
    for each in range(1, 4):
        client.put_record(StreamName=name, Data=b"%d" % each, PartitionKey="k")
    first = client.get_records(ShardIterator=latest, Limit=2)
    assert [record["Data"] for record in first["Records"]] == [b"1", b"2"]
    second = client.get_records(ShardIterator=first["NextShardIterator"])
    assert [record["Data"] for record in second["Records"]] == [b"3"]
    assert second["MillisBehindLatest"] == 0
    third = client.get_records(ShardIterator=second["NextShardIterator"])
    assert third["Records"] == [] and third["NextShardIterator"]


def test_put_records_keeps_order_and_answers_in_the_order_asked(client: Any, name: str) -> None:
    given = [{"Data": b"%03d" % each, "PartitionKey": f"key-{each % 7}"} for each in range(200)]
    answer = client.put_records(StreamName=name, Records=given)
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == 200
    for shard in {each["ShardId"] for each in answer["Records"]}:
        wanted = [g["Data"] for g, a in zip(given, answer["Records"], strict=True) if a["ShardId"] == shard]
        assert [record["Data"] for record in read(client, name, shard)] == wanted


@pytest.mark.parametrize(
    ("call", "given", "expected"),
    [
        ("create_stream", {"StreamName": "x"}, "InvalidArgumentException"),
        ("create_stream", {"StreamName": "x", "ShardCount": 501}, "LimitExceededException"),
        (
            "create_stream",
            {"StreamName": "x", "StreamModeDetails": {"StreamMode": "SOMETIMES"}, "ShardCount": 1},
            "ValidationException",
        ),
        ("put_record", {"Data": b"x" * (1024 * 1024), "PartitionKey": "k"}, "InvalidArgumentException"),
        (
            "put_record",
            {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": str(HASHES)},
            "InvalidArgumentException",
        ),
        (
            "get_shard_iterator",
            {"ShardId": "shardId-000000000009", "ShardIteratorType": "LATEST"},
            "ResourceNotFoundException",
        ),
        (
            "get_shard_iterator",
            {
                "ShardId": "shardId-000000000000",
                "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                "StartingSequenceNumber": "12",
            },
            "InvalidArgumentException",
        ),
        ("increase_stream_retention_period", {"RetentionPeriodHours": 8761}, "InvalidArgumentException"),
        ("decrease_stream_retention_period", {"RetentionPeriodHours": 23}, "InvalidArgumentException"),
        ("split_shard", {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "5"}, "NotImplemented"),
    ],
)
def test_what_cannot_be_has_the_modelled_error(
    client: Any, name: str, call: str, given: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(client, call)(**{"StreamName": name, **given})
    assert code(error) == expected


def test_iterators_that_are_strange_or_old(client: Any, name: str) -> None:
    shard = "shardId-000000000000"
    text = client.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
    at = iterator_from(text)
    assert at is not None
    old = type(at)(at.name, at.stream, at.shard, at.after, at.made - 301).text()
    for given, expected in (("nonsense", "InvalidArgumentException"), (old, "ExpiredIteratorException")):
        with pytest.raises(ClientError) as error:
            client.get_records(ShardIterator=given)
        assert code(error) == expected
    client.create_stream(StreamName="again", ShardCount=1)
    text = client.get_shard_iterator(StreamName="again", ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
    client.delete_stream(StreamName="again")
    client.create_stream(StreamName="again", ShardCount=1)
    with pytest.raises(ClientError) as error:
        client.get_records(ShardIterator=text)
    assert code(error) == "ResourceNotFoundException"
    client.delete_stream(StreamName="again")


def test_what_is_past_retention_is_gone(client: Any, name: str, clock: Clock) -> None:
    client.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    shard = client.put_record(StreamName=name, Data=b"old", PartitionKey="k")["ShardId"]
    try:
        clock.ahead = 47 * 3600.0
        assert [record["Data"] for record in read(client, name, shard)] == [b"old"]
        clock.ahead = 49 * 3600.0
        assert read(client, name, shard) == []
    finally:
        clock.ahead = 0.0


async def test_changes_at_once_are_made_one_after_the_other(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store")
    api = (await StreamStore.open(store, region="us-east-1", account=ACCOUNT)).api
    call: Any = type("Call", (), {"now": time.time()})()
    await api.create_stream(call, stream_name="s", shard_count=1)
    await asyncio.gather(*(api.add_tags_to_stream(call, stream_name="s", tags={tag: "1"}) for tag in "abc"))
    await asyncio.gather(*(api.remove_tags_from_stream(call, stream_name="s", tag_keys=[tag]) for tag in "ab"))
    assert [tag["Key"] for tag in (await api.list_tags_for_stream(call, stream_name="s"))["Tags"]] == ["c"]
    _, refusal = await asyncio.gather(
        *(
            api.increase_stream_retention_period(call, stream_name="s", retention_period_hours=hours)
            for hours in (72, 48)
        ),
        return_exceptions=True,
    )
    assert "the current one (72 hours)" in str(refusal)  # else records of two days would go
    await store.close()


def test_tags_by_resource_and_pages_of_lists(client: Any, name: str) -> None:
    arn = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    client.tag_resource(ResourceARN=arn, Tags={"a": "1", "b": "2"})
    client.add_tags_to_stream(StreamName=name, Tags={"c": "3"})
    page = client.list_tags_for_stream(StreamName=name, Limit=2)
    assert [tag["Key"] for tag in page["Tags"]] == ["a", "b"] and page["HasMoreTags"]
    client.remove_tags_from_stream(StreamName=name, TagKeys=["a"])
    client.untag_resource(ResourceARN=arn, TagKeys=["c"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    first = client.list_shards(StreamName=name, MaxResults=1)
    second = client.list_shards(NextToken=first["NextToken"])
    assert [shard["ShardId"] for page in (first, second) for shard in page["Shards"]] == [
        "shardId-000000000000",
        "shardId-000000000001",
    ]
    assert "NextToken" not in second


class OneShardFails:
    """The real streams of a store, but one shard's disk refuses: what PutRecords says then."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    async def publish(self, stream: str, messages: list[Outgoing]) -> Any:
        if stream.endswith("000000000001"):
            raise StorageFailed("no space left")
        return await self._streams.publish(stream, messages)


def test_a_shard_that_fails_fails_only_its_records() -> None:
    class Broken:
        def __init__(self, store: EmbeddedStore) -> None:
            self.streams = OneShardFails(store.streams)
            self.records = store.records

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        return {"kinesis": (await StreamStore.open(Broken(store), region="us-east-1", account=ACCOUNT)).api}

    with served(factory) as place:
        client = boto3.client("kinesis", config=Config(retries={"max_attempts": 0}), **place.client_kwargs)
        client.create_stream(StreamName="s", ShardCount=2)
        records = [
            {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": hash_key} for hash_key in (str(HASHES - 1), "0")
        ]
        answer = client.put_records(StreamName="s", Records=records)
        assert answer["FailedRecordCount"] == 1
        assert answer["Records"][0]["ErrorCode"] == "InternalFailure" and "SequenceNumber" not in answer["Records"][0]
        assert answer["Records"][1]["ShardId"] == "shardId-000000000000"
        with pytest.raises(ClientError) as error:
            client.put_record(StreamName="s", Data=b"x", PartitionKey="k", ExplicitHashKey=str(HASHES - 1))
        assert code(error) == "InternalFailureException"


def test_the_aws_cli_puts_and_gets(place: Served, name: str) -> None:
    def aws(*words: str) -> dict[str, Any]:
        cli = Path(sys.executable).with_name("aws")
        done = subprocess.run(
            [cli, "kinesis", *words, "--output", "json"],
            env={**os.environ, **place.env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    put = aws("put-record", "--stream-name", name, "--partition-key", "bed-7", "--data", '{"pulse": 71}')
    at = aws(
        "get-shard-iterator",
        *("--stream-name", name, "--shard-id", put["ShardId"], "--shard-iterator-type", "TRIM_HORIZON"),
    )
    got = aws("get-records", "--shard-iterator", at["ShardIterator"])
    assert base64.b64decode(got["Records"][0]["Data"]) == b'{"pulse": 71}'


async def test_streams_are_there_after_reopening_and_what_was_cut_off_is_finished(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path)
    streams = await StreamStore.open(store, region="us-east-1", account=ACCOUNT)
    arn = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/"
    for each in ("kept", "begun", "ending"):
        await streams._parts.catalog.create(
            each, ACCOUNT, shards=2, mode="PROVISIONED", tags={}, record_kib=1024, now=1.0
        )
    number = await streams.put(arn + "kept", b"x", "k")
    records = store.records("streams")
    for each, status, gone in (("begun", "CREATING", 1), ("ending", "DELETING", 0)):
        stream = streams._parts.catalog.get(each, ACCOUNT)
        document = json.loads((await records.get(f"stream/{each}")).value)  # type: ignore[union-attr]
        await records.put(f"stream/{each}", json.dumps({**document, "status": status}).encode())
        await store.streams.delete(stream.log(gone))  # as a crash between the two shards leaves it
    await store.close()
    store = await EmbeddedStore.open(tmp_path)
    try:
        streams = await StreamStore.open(store, region="us-east-1", account=ACCOUNT)
        assert [(each.name, each.status) for each in streams._parts.catalog.all()] == [
            ("begun", "ACTIVE"),
            ("kept", "ACTIVE"),
        ]
        assert len(await store.streams.names("kinesis/")) == 4
        shards = streams.shards(arn + "kept")
        found = [message.data for shard in shards for message in await streams.read(arn + "kept", shard, 0, 10, 1000)]
        assert found == [b"x"] and int(await streams.put(arn + "kept", b"y", "k")) > int(number)
    finally:
        await store.close()
