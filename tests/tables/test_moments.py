"""What is made of several reads is of one moment, and a table that memory still has is not taken for an empty one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.tables import TableStore
from tests.support.commits import HeldCommit, held

THROUGHPUT = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
CALL: Any = type("Call", (), {"now": 1e9})()
ATTRIBUTES = (("p", "S"), ("o", "S"), ("n", "N"))
ITEMS = 20  # more than a page reads at once


@pytest.fixture
async def tables(tmp_path: Path) -> AsyncIterator[TableStore]:
    """A table "ward" of items in a partition of the index "by-n"."""
    made = await TableStore.open(tmp_path, region="us-east-1", account="0" * 12)
    await made.api.create_table(
        CALL,
        table_name="ward",
        attribute_definitions=[
            {"AttributeName": n, "AttributeType": t} for n, t in (("p", "S"), ("o", "S"), ("n", "N"))
        ],
        key_schema=[{"AttributeName": "p", "KeyType": "HASH"}],
        global_secondary_indexes=[
            {
                "IndexName": "by-n",
                "KeySchema": [{"AttributeName": "o", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": THROUGHPUT,
            }
        ],
        provisioned_throughput=THROUGHPUT,
    )
    for number in range(ITEMS):
        await made.put("ward", {"p": {"S": f"p{number}"}, "o": {"S": "ann"}, "n": {"N": str(number)}})
    yield made
    await made.close()


@asynccontextmanager
async def under_way(tables: TableStore, write: Awaitable[Any]) -> AsyncIterator[HeldCommit]:
    with held(tables._parts.index._database) as commit:
        writing = asyncio.ensure_future(write)
        await asyncio.sleep(0)
        await asyncio.to_thread(commit.until_due)
        yield commit
        commit.happen()
        await writing


async def query(tables: TableStore) -> list[str]:
    found = await tables.api.query(
        CALL,
        table_name="ward",
        index_name="by-n",
        key_condition_expression="o = :o",
        expression_attribute_values={":o": {"S": "ann"}},
    )
    return [item["p"]["S"] for item in found["Items"]]


async def test_an_item_that_moves_within_an_index_is_in_a_page_once(tables: TableStore) -> None:
    move = tables.change("ward", {"p": {"S": "p0"}}, {"n": {"N": "99"}})
    async with under_way(tables, move) as commit:
        commit.after("FROM entries")
        found = await query(tables)
        assert commit.happened
    assert found == [f"p{number}" for number in range(ITEMS)]
    assert (await query(tables))[-1] == "p0"


async def test_a_table_that_has_just_been_deleted_is_not_an_empty_one(tables: TableStore) -> None:
    async with under_way(tables, tables.api.delete_table(CALL, table_name="ward")) as commit:
        commit.happen()
        with pytest.raises(ServiceError, match="Requested resource not found"):
            tables.get("ward", {"p": {"S": "p0"}})
        with pytest.raises(ServiceError, match="Requested resource not found"):
            await query(tables)
        with pytest.raises(ServiceError, match="Requested resource not found"):
            await tables.api.batch_get_item(CALL, request_items={"ward": {"Keys": [{"p": {"S": "p0"}}]}})


async def test_an_index_that_has_just_been_deleted_is_not_an_empty_one(tables: TableStore) -> None:
    updates = [{"Delete": {"IndexName": "by-n"}}]
    async with under_way(
        tables, tables.api.update_table(CALL, table_name="ward", global_secondary_index_updates=updates)
    ) as commit:
        commit.happen()
        with pytest.raises(ServiceError, match="does not have the specified index"):
            await query(tables)
    assert tables.get("ward", {"p": {"S": "p0"}}) is not None
    assert tables.get("ward", {"p": {"S": "not there"}}) is None
