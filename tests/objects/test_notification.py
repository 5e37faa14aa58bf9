"""Notifications: what may be configured, and what a function gets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from littoral.aws.service import ServiceError
from littoral.objects import Objects
from littoral.objects.events import notifications_of
from littoral.objects.facts import Bucket
from littoral.objects.replication.rules import checked
from littoral.store.embedded import EmbeddedStore
from tests.objects.conftest import Recorder, S3Place
from tests.objects.pairs import ROLE, rule

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:chart"
Refusal = Callable[..., tuple[str, int]]


def configure(s3: Any, bucket: str, *configurations: dict[str, Any]) -> None:
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": list(configurations)}
    )


def wanting(*events: str, prefix: str = "", suffix: str = "", function: str = FUNCTION) -> dict[str, Any]:
    rules = [{"Name": n, "Value": v} for n, v in (("prefix", prefix), ("suffix", suffix)) if v]
    return {"LambdaFunctionArn": function, "Events": list(events), "Filter": {"Key": {"FilterRules": rules}}}


def received(place: S3Place, bucket: str, count: int) -> list[dict[str, Any]]:
    """The records of a bucket, once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        records = [json.loads(each.payload)["Records"][0] for each in list(place.recorder.events)]
        found = [record for record in records if record["s3"]["bucket"]["name"] == bucket]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def test_the_record(place: S3Place, s3: Any, bucket: str) -> None:
    configure(
        s3, bucket, {"Id": "render", **wanting("s3:ObjectCreated:*", "s3:ObjectRemoved:*", prefix="in/", suffix=".csv")}
    )
    put = s3.put_object(Bucket=bucket, Key="in/a b+ü.csv", Body=b"1,2")
    s3.put_object(Bucket=bucket, Key="out/a.csv", Body=b"")
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"")
    s3.copy_object(Bucket=bucket, Key="in/copy.csv", CopySource={"Bucket": bucket, "Key": "out/a.csv"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="in/parts.csv")["UploadId"]
    reference = {"Bucket": bucket, "Key": "in/parts.csv", "UploadId": upload}
    part = s3.upload_part(**reference, PartNumber=1, Body=b"x")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(**reference, MultipartUpload={"Parts": parts})
    s3.delete_object(Bucket=bucket, Key="in/a b+ü.csv")
    s3.delete_object(Bucket=bucket, Key="in/never there.csv")
    place.served.run(place.objects.put_bytes(bucket, "in/rule.csv", b"y"))
    records = received(place, bucket, 5)
    by_sequence = sorted(records, key=lambda record: record["s3"]["object"]["sequencer"])
    assert [(r["eventName"], unquote_plus(r["s3"]["object"]["key"])) for r in by_sequence] == [
        ("ObjectCreated:Put", "in/a b+ü.csv"),
        ("ObjectCreated:Copy", "in/copy.csv"),
        ("ObjectCreated:CompleteMultipartUpload", "in/parts.csv"),
        ("ObjectRemoved:Delete", "in/a b+ü.csv"),
        ("ObjectCreated:Put", "in/rule.csv"),
    ]
    first, removed = by_sequence[0], by_sequence[3]
    assert (first["eventVersion"], first["eventSource"], first["awsRegion"]) == ("2.1", "aws:s3", "us-east-1")
    assert first["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert first["responseElements"]["x-amz-request-id"] == put["ResponseMetadata"]["RequestId"]
    assert first["userIdentity"] == {"principalId": f"AWS:{place.served.access_key}"}
    assert first["s3"]["configurationId"] == "render"
    assert first["s3"]["s3SchemaVersion"] == "1.0"
    assert first["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    thing = first["s3"]["object"]
    assert (thing["key"], thing["size"], thing["eTag"]) == ("in/a+b%2B%C3%BC.csv", 3, put["ETag"].strip('"'))
    assert set(removed["s3"]["object"]) == {"key", "sequencer"}
    shown = s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    assert (shown[0]["Id"], shown[0]["LambdaFunctionArn"]) == ("render", FUNCTION)
    assert len(shown[0]["Filter"]["Key"]["FilterRules"]) == 2
    configure(s3, bucket)
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_a_throttled_function_gets_it_later(place: S3Place, s3: Any, bucket: str) -> None:
    configure(s3, bucket, wanting("s3:ObjectCreated:Put"))
    place.recorder.refusals = 2
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert len(received(place, bucket, 1)) == 1
    assert place.recorder.refusals == 0


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        (
            {"QueueConfigurations": [{"QueueArn": "arn:aws:sqs:us-east-1:0:q", "Events": ["s3:ObjectCreated:*"]}]},
            "InvalidArgument",
        ),
        ({"TopicConfigurations": [{"TopicArn": FUNCTION, "Events": ["s3:ObjectCreated:*"]}]}, "InvalidArgument"),
        ({"LambdaFunctionConfigurations": [wanting("s3:ObjectRestore:*")]}, "NotImplemented"),
        ({"LambdaFunctionConfigurations": [wanting("s3:ObjectCreated:*", function="chart")]}, "InvalidArgument"),
        (
            {
                "LambdaFunctionConfigurations": [
                    wanting("s3:ObjectCreated:*"),
                    wanting("s3:ObjectCreated:Put", prefix="x"),
                ]
            },
            "InvalidArgument",
        ),
    ],
)
def test_configurations_that_are_refused(
    s3: Any, bucket: str, configuration: dict[str, Any], code: str, refusal: Refusal
) -> None:
    refused = refusal(s3.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration=configuration)
    assert refused[0] == code


def test_a_function_that_has_not_permitted_s3_is_refused(
    place: S3Place, s3: Any, bucket: str, refusal: Refusal
) -> None:
    asked = []

    async def permits(function: str, source: str) -> bool:
        asked.append((function, source))
        return False

    place.objects.permits = permits
    try:
        wanted = {"LambdaFunctionConfigurations": [wanting("s3:ObjectCreated:*")]}
        put = s3.put_bucket_notification_configuration
        assert refusal(put, Bucket=bucket, NotificationConfiguration=wanted) == ("InvalidArgument", 400)
        assert asked == [(FUNCTION, f"arn:aws:s3:::{bucket}")]
        put(Bucket=bucket, NotificationConfiguration=wanted, SkipDestinationValidation=True)
    finally:
        place.objects.permits = None


class Posts:
    """Queues and topics that keep what they get; the first event for a topic is refused."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any], str]] = []
        self.refused = 0

    def refuses(self, arn: str) -> str | None:
        return "The destination does not exist" if "nowhere" in arn else None

    async def deliver(self, arn: str, event: dict[str, Any], key: str) -> None:
        if "Records" in event and ":iot:" in arn and not self.refused:
            self.refused += 1
            raise ServiceError("InternalError", "not now")
        self.got.append((arn, event, key))


def test_queues_and_topics_are_tried_and_then_told(place: S3Place, s3: Any, bucket: str, refusal: Refusal) -> None:
    posts = Posts()
    place.objects.post_to(posts)
    queue, topic = "arn:aws:sqs:us-east-1:000000000000:q", "arn:aws:iot:us-east-1:000000000000:topic/ward/7"
    wanted = {
        "QueueConfigurations": [{"Id": "q", "QueueArn": queue, "Events": ["s3:ObjectCreated:*"]}],
        "TopicConfigurations": [{"Id": "t", "TopicArn": topic, "Events": ["s3:ObjectRemoved:*"]}],
    }
    put = s3.put_bucket_notification_configuration
    nowhere = {"QueueConfigurations": [{"QueueArn": f"{queue}-nowhere", "Events": ["s3:ObjectCreated:*"]}]}
    assert refusal(put, Bucket=bucket, NotificationConfiguration=nowhere) == ("InvalidArgument", 400)
    put(Bucket=bucket, NotificationConfiguration=wanted)
    kept = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert {name: kept[name] for name in wanted} == wanted
    tests = [(arn, event["Event"], event["Bucket"]) for arn, event, _ in posts.got]
    assert tests == [(queue, "s3:TestEvent", bucket), (topic, "s3:TestEvent", bucket)]
    posts.got.clear()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="k")
    deadline = time.monotonic() + 20
    while len(posts.got) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    told = {(arn, event["Records"][0]["eventName"], key) for arn, event, key in posts.got}
    assert told == {(queue, "ObjectCreated:Put", "k"), (topic, "ObjectRemoved:Delete", "k")}
    assert posts.refused == 1


def test_changes_of_tags_and_lists_are_told(place: S3Place, s3: Any, bucket: str) -> None:
    heard: list[dict[str, Any]] = []

    async def bus(event: dict[str, Any]) -> None:
        heard.append(event)

    place.objects.send_to(bus)
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "EventBridgeConfiguration": {},
            "LambdaFunctionConfigurations": [wanting("s3:ObjectTagging:*", "s3:ObjectAcl:Put")],
        },
    )
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-read")
    records = received(place, bucket, 3)
    names = {"ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put"}
    assert {record["eventName"] for record in records} == names
    assert {record["eventVersion"] for record in records} == {"2.3"}
    assert all(set(record["s3"]["object"]) == {"key", "eTag"} for record in records)
    deadline = time.monotonic() + 20
    while len(heard) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    kinds = {event["detail-type"] for event in heard}
    assert kinds == {"Object Tags Added", "Object Tags Deleted", "Object ACL Updated"}
    assert all("reason" not in each["detail"] and set(each["detail"]["object"]) == {"key", "etag"} for each in heard)


async def test_what_waits_survives_a_restart_and_is_given_up_in_the_end(tmp_path: Path) -> None:
    now = [1_000_000.0]

    class Refusing(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.refusals = 1_000_000
            self.asked = asyncio.Event()

        async def invoke_async(self, invocation: Any) -> str:
            self.asked.set()
            return await super().invoke_async(invocation)

    store = await EmbeddedStore.open(tmp_path / "store")
    try:
        objects = await Objects.open(store, tmp_path / "objects", clock=lambda: now[0])
        await objects.start()
        await objects._index.create_bucket("wards", Bucket(now[0]))
        wanted = notifications_of({"LambdaFunctionConfigurations": [wanting("s3:ObjectCreated:*")]})
        await objects._index.set_bucket("wards", "notification", wanted.dump())
        await objects.put_bytes("wards", "k", b"x")
        await objects.close()

        refusing = Refusing()
        objects = await Objects.open(store, tmp_path / "objects", clock=lambda: now[0], invoker=refusing)
        await objects.start()
        await asyncio.wait_for(refusing.asked.wait(), 20)
        await objects.close()
        assert objects is not None

        now[0] += 6 * 3600 + 1
        objects = await Objects.open(store, tmp_path / "objects", clock=lambda: now[0], invoker=refusing)
        refusing.asked.clear()
        await objects.start()
        await asyncio.wait_for(refusing.asked.wait(), 20)
        while objects._index.next_due() is not None:
            await asyncio.sleep(0)
        assert refusing.events == []
        await objects.close()
    finally:
        await store.close()


async def test_what_waits_by_a_clock_that_ran_ahead_does_not_wait_for_it(tmp_path: Path) -> None:
    """As on a box whose clock is put right after it was opened: events and replicas."""
    now = [2_000_000.0]
    recorder = Recorder()
    store = await EmbeddedStore.open(tmp_path / "store")
    objects = await Objects.open(store, tmp_path / "objects", clock=lambda: now[0])
    try:
        for name in ("wards", "copies"):
            await objects._index.create_bucket(name, Bucket(now[0]))
            await objects._index.set_bucket(name, "versioning", "Enabled")
        wanted = notifications_of({"LambdaFunctionConfigurations": [wanting("s3:ObjectCreated:*")]})
        await objects._index.set_bucket("wards", "notification", wanted.dump())
        await objects._index.set_bucket("wards", "replication", checked({"Role": ROLE, "Rules": [rule("copies")]}))
        await objects.put_bytes("wards", "k", b"x")
        now[0] -= 86_400
        objects.invoker = recorder
        await objects.start()
        async with asyncio.timeout(20):
            while not recorder.events or objects._index.get("wards", "k").replication != "COMPLETED":
                await asyncio.sleep(0.02)
        assert objects._index.get("copies", "k").content.size == 1
    finally:
        await objects.close()
        await store.close()


def test_the_event_bus_hears_of_every_change(place: S3Place, s3: Any, bucket: str) -> None:
    heard: list[dict[str, Any]] = []

    async def bus(event: dict[str, Any]) -> None:
        if not heard and not refused:
            refused.append(event)
            raise ServiceError("InternalError", "not now")
        heard.append(event)

    refused: list[dict[str, Any]] = []
    place.objects.send_to(bus)
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "EventBridgeConfiguration": {},
            "LambdaFunctionConfigurations": [wanting("s3:ObjectCreated:*", prefix="only/")],
        },
    )
    kept = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert (kept["EventBridgeConfiguration"], len(kept["LambdaFunctionConfigurations"])) == ({}, 1)
    s3.put_object(Bucket=bucket, Key="a b", Body=b"wave")
    s3.delete_object(Bucket=bucket, Key="a b")
    deadline = time.monotonic() + 20
    while len(heard) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    created, deleted = sorted(heard, key=lambda event: event["detail"]["object"]["sequencer"])
    assert (created["detail-type"], created["detail"]["reason"]) == ("Object Created", "PutObject")
    assert (created["detail"]["object"]["key"], created["detail"]["object"]["size"]) == ("a b", 4)
    assert created["resources"] == [f"arn:aws:s3:::{bucket}"]
    assert (deleted["detail-type"], deleted["detail"]["deletion-type"]) == ("Object Deleted", "Permanently Deleted")
    assert refused[0]["id"] in {created["id"], deleted["id"]}  # sent again under its id
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(Bucket=bucket)
