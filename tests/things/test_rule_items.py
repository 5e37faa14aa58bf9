"""Rules and tables: what becomes of JSON there, what the two actions put, what a statement gets back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.aws.service import ServiceError
from littoral.protocols.iotsql import Context, Question, Selected
from littoral.protocols.iotsql.values import UNDEFINED
from littoral.things.rules import Sinks
from littoral.things.rules.actions import ActionFailed, parse_action
from littoral.things.rules.enrichment import answer
from littoral.things.rules.items import Item, attribute, parsed, plain
from tests.things.test_control import nowhere

ROLE = "arn:aws:iam::000000000000:role/r"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


class Tables:
    def __init__(self) -> None:
        self.items: list[tuple[str, Any]] = []

    async def put(self, table: str, item: Item) -> None:
        if table == "missing":
            raise ServiceError("ResourceNotFoundException", "Requested resource not found", status=400)
        self.items.append((table, item))

    async def change(self, table: str, key: Item, columns: Item | None) -> None:
        self.items.append((table, (key, columns)))

    async def get(self, table: str, key: Item) -> Item | None:
        return next((item for name, item in self.items if name == table and key.items() <= item.items()), None)


@settings(deadline=None)
@given(JSON)
def test_json_comes_back_as_it_went(value: Any) -> None:
    assert plain(attribute(parsed(json.dumps(value).encode()))) == value


def test_numbers_keep_their_digits_and_other_kinds_are_json() -> None:
    assert attribute(parsed(b'{"n": 0.12345678901234567890123}')) == {"M": {"n": {"N": "0.12345678901234567890123"}}}
    assert plain({"NS": ["1", "2.5"]}) == [1, 2.5]
    assert plain({"SS": ["a"]}) == ["a"]
    assert plain({"L": [{"B": b"hi"}, {"BS": [b"hi"]}]}) == ["aGk=", ["aGk="]]


async def put(action: dict[str, Any], payload: bytes, *, is_json: bool = True) -> list[tuple[str, Any]]:
    tables = Tables()
    context = Context(topic="ward/7", payload=payload, timestamp=1_000, account="000000000000")
    await parse_action(action, {}).run(Selected(payload, is_json), context, Sinks(nowhere, tables=tables), "rule")
    return tables.items


async def test_a_payload_is_one_column_beside_the_keys() -> None:
    action = {"roleArn": ROLE, "tableName": "${topic(1)}", "hashKeyField": "topic", "hashKeyValue": "${topic()}"}
    assert await put({"dynamoDB": action}, b'{"rate": 80}') == [
        ("ward", {"topic": {"S": "ward/7"}, "payload": {"M": {"rate": {"N": "80"}}}})
    ]
    more = {"rangeKeyField": "at", "rangeKeyValue": "${timestamp()}", "rangeKeyType": "NUMBER", "payloadField": "raw"}
    ((_, item),) = await put({"dynamoDB": {**action, **more, "operation": "INSERT"}}, b"\xff", is_json=False)
    assert item == {"topic": {"S": "ward/7"}, "at": {"N": "1000"}, "raw": {"B": b"\xff"}}
    with pytest.raises(ActionFailed, match="not 'BINARY'"):
        await put({"dynamoDB": {**action, "hashKeyType": "${'BINARY'}"}}, b"{}")
    with pytest.raises(ActionFailed, match="'UPSERT' is none of"):
        await put({"dynamoDB": {**action, "operation": "${'UPSERT'}"}}, b"{}")
    changed = {"topic": {"S": "ward/7"}}, {"payload": {"N": "1"}}
    assert await put({"dynamoDB": {**action, "operation": "${'UPDATE'}"}}, b"1") == [("ward", changed)]
    assert await put({"dynamoDB": {**action, "operation": "DELETE"}}, b"1") == [("ward", (changed[0], None))]


async def test_each_attribute_is_a_column() -> None:
    action = {"dynamoDBv2": {"roleArn": ROLE, "putItem": {"tableName": "beds"}}}
    payload = b'{"bed": "7", "seen": [1, null], "on": true}'
    ((table, item),) = await put(action, payload)
    assert (table, item["bed"], item["on"]) == ("beds", {"S": "7"}, {"BOOL": True})
    assert item["seen"] == {"L": [{"N": "1"}, {"NULL": True}]}
    for bad, is_json in ((b"[1]", True), (b"\xff", False)):
        with pytest.raises(ActionFailed, match="JSON object"):
            await put(action, bad, is_json=is_json)
    with pytest.raises(ActionFailed, match="ResourceNotFoundException") as refused:
        await put({"dynamoDBv2": {"roleArn": ROLE, "putItem": {"tableName": "missing"}}}, payload)
    assert not refused.value.passing


async def test_a_statement_gets_an_item_or_nothing() -> None:
    tables = Tables()
    await tables.put("beds", {"bed": {"S": "7"}, "n": {"N": "1"}, "ward": {"M": {"name": {"S": "west"}}}})
    sinks = Sinks(nowhere, tables=tables)
    found = await answer(Question("get_dynamodb", '["beds", "bed", "7", "n", 1]'), sinks, "rule")
    assert found == {"bed": "7", "n": 1, "ward": {"name": "west"}}
    assert await answer(Question("get_dynamodb", '["beds", "bed", "8"]'), sinks, "rule") is UNDEFINED
    with pytest.raises(ActionFailed, match="no tables"):
        await answer(Question("get_dynamodb", '["beds", "bed", "8"]'), Sinks(nowhere), "rule")
