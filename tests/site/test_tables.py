"""A whole place: a table's stream feeds a function that writes a table; through the AWS CLI and boto3."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.site.conftest import ROLE, Running
from tests.site.test_sources import archive

COPY = """
import boto3

table = boto3.resource("dynamodb").Table("tables-out")

def handler(event, context):
    for record in event["Records"]:
        assert record["eventSource"] == "aws:dynamodb" and "/stream/" in record["eventSourceARN"]
        change = record["dynamodb"]
        image = change["NewImage"]
        table.put_item(Item={"id": image["id"]["S"], "what": record["eventName"], "n": int(image["n"]["N"])})
"""


def made(place: Running, name: str, *options: str) -> Any:
    return json.loads(
        place.aws(
            *("dynamodb", "create-table", "--table-name", name, "--billing-mode", "PAY_PER_REQUEST"),
            *("--attribute-definitions", "AttributeName=id,AttributeType=S"),
            *("--key-schema", "AttributeName=id,KeyType=HASH", "--output", "json", *options),
        )
    )["TableDescription"]


def test_changes_of_a_table_reach_a_function(place: Running) -> None:
    view = "StreamEnabled=true,StreamViewType=NEW_IMAGE"
    source = made(place, "tables-in", "--stream-specification", view)["LatestStreamArn"]
    made(place, "tables-out")
    dynamodb, functions = place.client("dynamodb"), place.client("lambda")
    functions.create_function(
        FunctionName="tables-copy",
        Role=ROLE,
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": archive(COPY)},
        Timeout=30,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="tables-copy")
    functions.create_event_source_mapping(
        FunctionName="tables-copy",
        EventSourceArn=source,
        StartingPosition="TRIM_HORIZON",
        FilterCriteria={"Filters": [{"Pattern": '{"dynamodb": {"NewImage": {"kind": {"S": ["wanted"]}}}}'}]},
    )
    for number in range(20):
        kind = "wanted" if number % 2 else "other"
        item = {"id": {"S": str(number)}, "n": {"N": str(number)}, "kind": {"S": kind}}
        dynamodb.put_item(TableName="tables-in", Item=item)
    deadline = time.monotonic() + 60
    while (found := dynamodb.scan(TableName="tables-out"))["Count"] < 10:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    assert sorted(int(item["n"]["N"]) for item in found["Items"]) == list(range(1, 20, 2))
    assert {item["what"]["S"] for item in found["Items"]} == {"INSERT"}
