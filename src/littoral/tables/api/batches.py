"""BatchGetItem and BatchWriteItem."""

from __future__ import annotations

from typing import Any

import apsw

from littoral.aws.service import Call, Output
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keys import Key
from littoral.protocols.dynamodb.values import LARGEST_ITEM, item_size
from littoral.tables import capacity, checks, reading
from littoral.tables.api.items import Prepared, delete, projected, put
from littoral.tables.api.parts import Operations
from littoral.tables.errors import answers
from littoral.tables.table import Table
from littoral.tables.writing import Written

MOST_READ, MOST_WRITTEN = 100, 25
MOST_BYTES = 16 * 1024 * 1024


class BatchOperations(Operations):
    @answers(notes="what does not fit into 16 MB is told as unprocessed")
    async def batch_get_item(
        self, call: Call, *, request_items: dict[str, Any], return_consumed_capacity: str | None = None
    ) -> Output:
        if not request_items:
            raise Invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: at least one table"
            )
        count = sum(len(each["Keys"]) for each in request_items.values())
        if count > MOST_READ or any(not each["Keys"] for each in request_items.values()):
            raise Invalid(f"Too many items requested for the BatchGetItem call: 1 to {MOST_READ}, not {count}")
        responses: Output = {}
        unprocessed: Output = {}
        consumed = []
        left = MOST_BYTES
        for name, wanted in request_items.items():
            table = self._parts.table(name)
            project = projected(
                wanted.get("AttributesToGet"),
                wanted.get("ProjectionExpression"),
                wanted.get("ExpressionAttributeNames"),
            )
            keys = _distinct(table, wanted["Keys"])
            found = responses.setdefault(table.name, [])
            units = 0.0
            for given, (item, size) in zip(
                wanted["Keys"], reading.items(self._index, [(table, key) for key in keys]), strict=True
            ):
                if size > left:
                    unprocessed.setdefault(name, {**wanted, "Keys": []})["Keys"].append(given)
                    continue
                left -= size
                units += capacity.read_units(size, consistent=bool(wanted.get("ConsistentRead")))
                if item is not None:
                    found.append(project(item))
            consumed.append(capacity.shown(return_consumed_capacity, table, units))
        output: Output = {"Responses": responses, "UnprocessedKeys": unprocessed}
        if return_consumed_capacity in {"TOTAL", "INDEXES"}:
            output["ConsumedCapacity"] = consumed
        return output

    @answers(notes="all of it is one transaction, so nothing is ever unprocessed")
    async def batch_write_item(
        self, call: Call, *, request_items: dict[str, Any], return_consumed_capacity: str | None = None
    ) -> Output:
        count = sum(len(each) for each in request_items.values())
        if not 1 <= count <= MOST_WRITTEN or any(not each for each in request_items.values()):
            raise Invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: "
                f"Too many items requested for the BatchWriteItem call: 1 to {MOST_WRITTEN}, not {count}"
            )
        writes: list[tuple[str, Prepared]] = []
        for name, requests in request_items.items():
            table = self._parts.table(name)
            prepared = [_prepared(table, each) for each in requests]
            _check_distinct([each.key for each in prepared])
            writes.extend((table.name, each) for each in prepared)

        def work(connection: apsw.Connection) -> list[tuple[str, Written]]:
            return [(name, each.run(connection, call.now)) for name, each in writes]

        done = await self._index.write(work, *{each.table.id: each.table for _, each in writes}.values())
        output: Output = {"UnprocessedItems": {}}
        if return_consumed_capacity in {"TOTAL", "INDEXES"}:
            by_table: dict[str, list[Written]] = {}
            for name, each in done:
                by_table.setdefault(name, []).append(each)
            output["ConsumedCapacity"] = [
                capacity.written(return_consumed_capacity, each) for each in by_table.values()
            ]
        return output


def _distinct(table: Table, keys: list[Any]) -> list[Key]:
    found = [checks.key(table, each) for each in keys]
    _check_distinct(found)
    return found


def _check_distinct(keys: list[Key]) -> None:
    if len(set(keys)) != len(keys):
        raise Invalid("Provided list of item keys contains duplicates")


def _prepared(table: Table, request: dict[str, Any]) -> Prepared:
    if len(request) != 1:
        raise Invalid("Supplied WriteRequest is to contain exactly one of PutRequest and DeleteRequest")
    if "PutRequest" in request:
        made = put(table, request["PutRequest"]["Item"], None, None)
        if item_size(request["PutRequest"]["Item"]) > LARGEST_ITEM:
            raise Invalid("Item size has exceeded the maximum allowed size")
        return made
    return delete(table, request["DeleteRequest"]["Key"], None, None)
