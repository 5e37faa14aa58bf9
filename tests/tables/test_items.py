"""Items through boto3."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError


@pytest.fixture
def table(resource: Any) -> Any:
    made = resource.create_table(
        TableName=f"items-{uuid.uuid4().hex}",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("p", "S"), ("c", "N"))],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "c", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made.wait_until_exists()
    yield made
    made.delete()


def test_what_was_put_is_got_and_queried_in_the_order_of_numbers(table: Any) -> None:
    numbers = [-100, -11, -2, 0, 3, 20, 100]
    for number in reversed(numbers):
        table.put_item(Item={"p": "a", "c": number, "b": b"\x00\xff", "s": {"x", "y"}})
    found = table.query(KeyConditionExpression=Key("p").eq("a"))["Items"]
    assert [item["c"] for item in found] == numbers
    assert table.get_item(Key={"p": "a", "c": -2})["Item"]["b"].value == b"\x00\xff"
    few = table.query(KeyConditionExpression=Key("p").eq("a") & Key("c").between(-11, 3), ScanIndexForward=False)
    assert [item["c"] for item in few["Items"]] == [3, 0, -2, -11]


def test_what_is_refused_for_a_value_of_no_model_was_not_written(table: Any) -> None:
    with pytest.raises(ClientError) as refused:
        table.put_item(Item={"p": "a", "c": 1}, ReturnConsumedCapacity="SOME")
    assert refused.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "1 validation error detected: Value 'SOME' at 'returnConsumedCapacity' failed to satisfy "
        "constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]",
    }
    assert "Item" not in table.get_item(Key={"p": "a", "c": 1})
