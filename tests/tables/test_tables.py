"""Tables and their indexes through boto3: made, changed, filled, read in pages, deleted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

THROUGHPUT = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    made = f"table-{uuid.uuid4().hex}"
    client.create_table(
        TableName=made,
        AttributeDefinitions=[
            {"AttributeName": n, "AttributeType": t} for n, t in (("p", "S"), ("c", "N"), ("l", "S"))
        ],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "c", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[
            {
                "IndexName": "local",
                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        ProvisionedThroughput=THROUGHPUT,
        Tags=[{"Key": "ward", "Value": "7"}],
        DeletionProtectionEnabled=True,
    )
    client.get_waiter("table_exists").wait(TableName=made)
    yield made
    client.update_table(TableName=made, DeletionProtectionEnabled=False)
    client.delete_table(TableName=made)
    client.get_waiter("table_not_exists").wait(TableName=made)


def test_a_table_is_as_it_was_asked_for(client: Any, name: str) -> None:
    shown = client.describe_table(TableName=name)["Table"]
    assert shown["TableStatus"] == "ACTIVE"
    assert shown["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    assert shown["LocalSecondaryIndexes"][0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert client.list_tags_of_resource(ResourceArn=shown["TableArn"])["Tags"] == [{"Key": "ward", "Value": "7"}]
    with pytest.raises(ClientError, match="protected against deletion"):
        client.delete_table(TableName=name)
    with pytest.raises(ClientError, match="ResourceInUseException"):
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )


def test_an_index_made_later_has_what_was_there_and_follows_what_comes(resource: Any, client: Any, name: str) -> None:
    table = resource.Table(name)
    for number in range(30):
        table.put_item(Item={"p": f"p{number % 3}", "c": number, "owner": "ann" if number % 2 else "bob", "n": number})
    table.put_item(Item={"p": "odd", "c": 1, "owner": 5})  # another type than the index's: it is not in it
    create = {
        "IndexName": "by-owner",
        "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["extra"]},
        "ProvisionedThroughput": THROUGHPUT,
    }
    types = [{"AttributeName": n, "AttributeType": t} for n, t in (("owner", "S"), ("n", "N"))]
    client.update_table(TableName=name, AttributeDefinitions=types, GlobalSecondaryIndexUpdates=[{"Create": create}])

    def owned(owner: str) -> list[int]:
        found: list[int] = []
        start: dict[str, Any] = {}
        while True:
            page = table.query(IndexName="by-owner", KeyConditionExpression=Key("owner").eq(owner), Limit=4, **start)
            found += [int(item["n"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    assert owned("ann") == list(range(1, 30, 2))
    bounded = {"MaxReadRequestUnits": 1}
    for update in (
        {"Create": {**create, "IndexName": "bounded", "OnDemandThroughput": bounded}},
        {"Update": {"IndexName": "by-owner", "OnDemandThroughput": bounded}},
    ):
        with pytest.raises(ClientError, match="OnDemandThroughput of index"):
            client.update_table(
                TableName=name,
                AttributeDefinitions=[
                    {"AttributeName": n, "AttributeType": t} for n, t in (("owner", "S"), ("n", "N"))
                ],
                GlobalSecondaryIndexUpdates=[update],
            )
    warm = {"IndexName": "by-owner", "WarmThroughput": {"ReadUnitsPerSecond": 12000}}
    client.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Update": warm}])
    (index,) = client.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]
    assert index["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    again = {"Create": {**create, "IndexName": "by-owner-too"}}
    with pytest.raises(ClientError, match="AttributeDefinitions"):  # also of what the table knows already
        client.update_table(TableName=name, GlobalSecondaryIndexUpdates=[again])
    table.update_item(
        Key={"p": "p1", "c": 1},
        UpdateExpression="SET #o = :b",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":b": "bob"},
    )
    table.delete_item(Key={"p": "p0", "c": 3})
    assert owned("ann") == list(range(5, 30, 2))
    assert owned("bob") == sorted([1, *range(0, 30, 2)])
    with pytest.raises(ClientError, match="Type mismatch for Index Key owner"):
        table.put_item(Item={"p": "x", "c": 1, "owner": 5})
    delete = {"Delete": {"IndexName": "by-owner"}}
    with pytest.raises(ClientError, match="LimitExceededException"):
        client.update_table(TableName=name, GlobalSecondaryIndexUpdates=[delete, delete])
    client.update_table(TableName=name, GlobalSecondaryIndexUpdates=[delete])
    with pytest.raises(ClientError, match="does not have the specified index"):
        table.query(IndexName="by-owner", KeyConditionExpression=Key("owner").eq("ann"))
    table.put_item(Item={"p": "x", "c": 1, "owner": 5})


def test_a_local_index_gives_what_it_does_not_project_from_the_table(resource: Any, name: str) -> None:
    table = resource.Table(name)
    for number, word in enumerate(("c", "a", "b")):
        table.put_item(Item={"p": "one", "c": number, "l": word, "more": number})
    keys = table.query(IndexName="local", KeyConditionExpression=Key("p").eq("one"))["Items"]
    assert [item["l"] for item in keys] == ["a", "b", "c"]
    assert all(set(item) == {"p", "c", "l"} for item in keys)
    whole = table.query(IndexName="local", KeyConditionExpression=Key("p").eq("one"), Select="ALL_ATTRIBUTES")["Items"]
    assert [item["more"] for item in whole] == [1, 2, 0]


def test_segments_of_a_scan_share_the_table_and_pages_end_at_one_megabyte(resource: Any, name: str) -> None:
    table = resource.Table(name)
    with table.batch_writer() as batch:
        for number in range(60):
            batch.put_item(Item={"p": f"s{number}", "c": number, "fill": "x" * 50_000, "even": number % 2 == 0})
    page = table.scan(FilterExpression=Attr("even").eq(True))
    assert page["ScannedCount"] == 21  # the one that makes it a megabyte is in it
    assert page["Count"] < 21
    assert "LastEvaluatedKey" in page
    seen: list[int] = []
    for segment in range(4):
        start: dict[str, Any] = {}
        while True:
            page = table.scan(TotalSegments=4, Segment=segment, ProjectionExpression="c", **start)
            seen += [int(item["c"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert sorted(seen) == list(range(60))


def test_a_transaction_is_whole_or_not_at_all_and_done_once(client: Any, name: str) -> None:
    key = {"p": {"S": "t"}, "c": {"N": "1"}}
    update = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    add = {"Update": {"TableName": name, "Key": key, **update}}
    put = {
        "Put": {"TableName": name, "Item": {**key, "c": {"N": "2"}}, "ConditionExpression": "attribute_not_exists(p)"}
    }
    for _ in range(2):
        client.transact_write_items(TransactItems=[add, put], ClientRequestToken="once")
    assert client.get_item(TableName=name, Key=key)["Item"]["n"] == {"N": "1"}
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        client.transact_write_items(TransactItems=[add], ClientRequestToken="once")
    with pytest.raises(ClientError) as cancelled:
        client.transact_write_items(TransactItems=[add, put])
    assert [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]] == [
        "None",
        "ConditionalCheckFailed",
    ]
    assert client.get_item(TableName=name, Key=key)["Item"]["n"] == {"N": "1"}


def test_what_is_not_there_is_refused_by_name(client: Any, name: str) -> None:
    for call in (
        lambda: client.execute_statement(Statement=f"SELECT * FROM {name}"),
        lambda: client.create_backup(TableName=name, BackupName="backup"),
        lambda: client.create_global_table(GlobalTableName=name, ReplicationGroup=[{"RegionName": "us-east-1"}]),
    ):
        with pytest.raises(ClientError, match="not implemented here"):
            call()


def test_an_item_that_would_grow_too_large_is_left_as_it_was(resource: Any, name: str) -> None:
    table = resource.Table(name)
    table.put_item(Item={"p": "big", "c": 1, "a": "x" * 200_000})
    with pytest.raises(ClientError, match="Item size"):
        table.update_item(Key={"p": "big", "c": 1}, UpdateExpression="SET b = a, d = a")
    assert set(table.get_item(Key={"p": "big", "c": 1})["Item"]) == {"p", "c", "a"}
