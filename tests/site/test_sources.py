"""A whole place: a stream feeds a function, which feeds a stream; the place is killed and nothing is lost."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.site.conftest import ROLE, Running

COPY = """
import base64, os
import boto3

kinesis = boto3.client("kinesis")

def handler(event, context):
    records = [{"Data": base64.b64decode(r["kinesis"]["data"]), "PartitionKey": "k"} for r in event["Records"]]
    kinesis.put_records(StreamName="out", Records=records)
"""


def archive(source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("app.py", source)
    return buffer.getvalue()


def seen_in(place: Running, stream: str, at: str | None) -> tuple[list[str], str]:
    """What has come since, and the iterator to go on with."""
    kinesis = place.client("kinesis")
    at = (
        at
        or kinesis.get_shard_iterator(
            StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
    )
    found = kinesis.get_records(ShardIterator=at)
    return [record["Data"].decode() for record in found["Records"]], found["NextShardIterator"]


def test_no_record_is_lost_when_the_place_is_killed(start: Callable[..., Running]) -> None:
    place = start()
    kinesis, functions = place.client("kinesis"), place.client("lambda")
    for name in ("in", "out"):
        kinesis.create_stream(StreamName=name, ShardCount=1)
    functions.create_function(
        FunctionName="copy",
        Role=ROLE,
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": archive(COPY)},
        Timeout=30,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="copy")
    made = json.loads(
        place.aws(
            *("lambda", "create-event-source-mapping", "--function-name", "copy", "--batch-size", "5"),
            *("--event-source-arn", "arn:aws:kinesis:us-east-1:000000000000:stream/in"),
            *("--starting-position", "TRIM_HORIZON", "--output", "json"),
        )
    )
    assert made["State"] == "Creating"
    wanted = {str(number) for number in range(60)}
    for number in range(60):
        kinesis.put_record(StreamName="in", Data=str(number).encode(), PartitionKey=str(number))
    seen: list[str] = []
    at = None
    while not seen:
        seen, at = seen_in(place, "out", at)
    place.process._process.kill()
    place.process._process.wait()
    place = start()  # the same folder
    at = None
    gathered: set[str] = set()
    while gathered != wanted:
        more, at = seen_in(place, "out", at)
        gathered.update(more)
    mapping = place.client("lambda").get_event_source_mapping(UUID=made["UUID"])
    assert mapping["State"] == "Enabled"


def test_a_rule_and_a_notification_with_a_filter_reach_a_function(place: Running) -> None:
    kinesis, functions, events, s3 = (place.client(each) for each in ("kinesis", "lambda", "events", "s3"))
    kinesis.create_stream(StreamName="told", ShardCount=1)
    arn = functions.create_function(
        FunctionName="tell",
        Role=ROLE,
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": archive("def handler(event, context): return event")},
    )["FunctionArn"]
    functions.get_waiter("function_active_v2").wait(FunctionName="tell")
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/told"
    functions.put_function_event_invoke_config(
        FunctionName="tell", DestinationConfig={"OnSuccess": {"Destination": stream}}
    )
    for service in ("events", "s3"):
        functions.add_permission(
            FunctionName="tell",
            StatementId=service,
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
        )
    events.put_rule(Name="alarms", EventPattern=json.dumps({"detail": {"pulse": [{"numeric": [">", 120]}]}}))
    events.put_targets(Rule="alarms", Targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail"}])
    for pulse in (70, 130):
        entry = {"Source": "ward", "DetailType": "pulse", "Detail": json.dumps({"pulse": pulse})}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    s3.create_bucket(Bucket="filtered")
    rules = [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".csv"}]
    one = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
    s3.put_bucket_notification_configuration(
        Bucket="filtered",
        NotificationConfiguration={"LambdaFunctionConfigurations": [one], "EventBridgeConfiguration": {}},
    )
    pattern = {"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": "out/"}]}}}
    events.put_rule(Name="objects", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="objects", Targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail.object.key"}])
    for key in ("in/a.txt", "out/a.csv", "in/a.csv"):
        s3.put_object(Bucket="filtered", Key=key, Body=b"x")
    told: list[Any] = []
    at = None
    while len(told) < 3:
        more, at = seen_in(place, "told", at)
        told += [json.loads(each)["requestPayload"] for each in more]
    assert {"pulse": 130} in told and "out/a.csv" in told and len(told) == 3
    (notification,) = [each for each in told if isinstance(each, dict) and "Records" in each]
    assert [record["s3"]["object"]["key"] for record in notification["Records"]] == ["in/a.csv"]


def test_each_service_says_what_it_honours(tmp_path: Path) -> None:
    from littoral.aws.registry import operations
    from littoral.site.services import api_class

    for service, least in (("kinesis", 20), ("events", 15), ("scheduler", 12)):
        kind = api_class(service)
        assert len(operations(service, kind.__new__(kind))) >= least
