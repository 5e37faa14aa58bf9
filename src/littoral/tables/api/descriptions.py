"""Tables as DescribeTable shows them."""

from __future__ import annotations

import uuid
from typing import Any

from littoral.aws.service import Output
from littoral.protocols.dynamodb.keys import Schema
from littoral.tables.api.parts import Parts
from littoral.tables.table import Table, Throughput


def described(parts: Parts, table: Table, status: str = "ACTIVE") -> Output:
    """TableDescription."""
    count, size = parts.index.counts(table)
    shown: Output = {
        "TableName": table.name,
        "TableArn": parts.arn(table.name),
        "TableId": str(uuid.UUID(table.uid)),
        "TableStatus": status,
        "CreationDateTime": table.created,
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in table.types.items()],
        "KeySchema": key_schema(table.schema),
        "ItemCount": count,
        "TableSizeBytes": size,
        "ProvisionedThroughput": _shown_throughput(table.throughput),
        "DeletionProtectionEnabled": table.protected,
        "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
    }
    if table.billed_since is not None:
        shown["BillingModeSummary"] = {
            "BillingMode": table.billing,
            "LastUpdateToPayPerRequestDateTime": table.billed_since,
        }
    if table.table_class is not None:
        shown["TableClassSummary"] = {"TableClass": table.table_class}
    _show_indexes(parts, table, shown, status)
    streams = parts.streams_of(table)
    if streams:
        shown["LatestStreamLabel"] = streams[-1].label
        shown["LatestStreamArn"] = parts.stream_arn(table, streams[-1])
    if table.stream is not None:
        shown["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream.view}
    return shown


def _show_indexes(parts: Parts, table: Table, shown: Output, status: str) -> None:
    for index in table.indexes:
        member = "LocalSecondaryIndexes" if index.local else "GlobalSecondaryIndexes"
        rows = parts.index.read("SELECT count(*) FROM entries WHERE idx = ?", (index.id,))
        projection: dict[str, Any] = {"ProjectionType": index.projection}
        if index.included:
            projection["NonKeyAttributes"] = list(index.included)
        one: dict[str, Any] = {
            "IndexName": index.name,
            "IndexArn": f"{parts.arn(table.name)}/index/{index.name}",
            "KeySchema": key_schema(index.schema),
            "Projection": projection,
            "ItemCount": rows[0][0],
            "IndexSizeBytes": 0,
        }
        if not index.local:
            one["IndexStatus"] = "CREATING" if status == "CREATING" else "ACTIVE"
            one["ProvisionedThroughput"] = _shown_throughput(index.throughput)
        shown.setdefault(member, []).append(one)


def key_schema(schema: Schema) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE")
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(schema.names, kinds, strict=False)]


def _shown_throughput(given: Throughput) -> dict[str, Any]:
    return {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": given.read, "WriteCapacityUnits": given.write}


def mark_changing(shown: Output, updates: list[dict[str, Any]]) -> None:
    """The answer tells of an index as on its way, as AWS's does; the next DescribeTable has it done."""
    for each in updates:
        for what, wanted in each.items():
            for index in shown.get("GlobalSecondaryIndexes", []):
                if index["IndexName"] == wanted["IndexName"]:
                    index["IndexStatus"] = {"Create": "CREATING"}.get(what, "UPDATING")
                    if what == "Create":
                        index["Backfilling"] = True
