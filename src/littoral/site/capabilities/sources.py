"""Handed to functions: the event sources, which are data streams and the streams of tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from littoral.functions import SourceRecord
from littoral.store.contract import Message
from littoral.streams import StreamStore

if TYPE_CHECKING:  # a core has none, and loads none
    from littoral.tables import TableStore


class StreamSource:
    """For functions: data streams as an event source. The event is Kinesis' (Lambda developer guide)."""

    batch_info = "KinesisBatchInfo"

    def __init__(self, streams: StreamStore) -> None:
        self._streams = streams

    def identity(self, arn: str) -> str:
        return self._streams.identity(arn)

    def shards(self, arn: str) -> Sequence[str]:
        return self._streams.shards(arn)

    async def position(self, arn: str, shard: str, start: str, moment: float | None) -> int:
        return await self._streams.position(arn, shard, start, moment)

    async def read(self, arn: str, shard: str, after: int, limit: int, max_bytes: int) -> Sequence[SourceRecord]:
        found = await self._streams.read(arn, shard, after, limit, max_bytes)
        return [
            SourceRecord(
                message.sequence,
                message.headers["key"],
                message.published_at,
                self._streams.number(arn, shard, message.sequence),
                # base64 and the key; the rest has its fixed length
                (len(message.data) + 2) // 3 * 4 + len(json.dumps(message.headers["key"])) + 2 * len(arn) + 512,
                message.data,
            )
            for message in found
        ]

    async def arrived(self, arn: str, shard: str, after: int, wait: float) -> None:
        await self._streams.arrived(arn, shard, after, wait)

    def event(self, arn: str, shard: str, record: SourceRecord, role: str) -> dict[str, Any]:
        return {
            "kinesis": {**_facts(record), "data": base64.b64encode(record.body).decode()},
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{record.sequence}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role,
            "awsRegion": arn.split(":")[3],
            "eventSourceARN": arn,
        }

    def filterable(self, record: SourceRecord) -> dict[str, Any]:
        """``data`` is the JSON it holds, else its text; data that is neither has no ``data`` to match."""
        try:
            text = record.body.decode()
        except UnicodeDecodeError:
            return _facts(record)
        try:
            return {**_facts(record), "data": json.loads(text)}
        except (ValueError, RecursionError):
            return {**_facts(record), "data": text}


def _facts(record: SourceRecord) -> dict[str, Any]:
    return {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": record.key,
        "sequenceNumber": record.sequence,
        "approximateArrivalTimestamp": int(record.arrived * 1000) / 1000,
    }


class TableSource:
    """For functions: the streams of tables. The event is DynamoDB's (Lambda developer guide)."""

    batch_info = "DDBStreamBatchInfo"

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables

    def identity(self, arn: str) -> str:
        return self._tables.identity(arn)

    def shards(self, arn: str) -> Sequence[str]:
        return self._tables.shards(arn)

    async def position(self, arn: str, shard: str, start: str, moment: float | None) -> int:
        return self._tables.position(arn, start)

    async def read(self, arn: str, shard: str, after: int, limit: int, max_bytes: int) -> Sequence[SourceRecord]:
        return [self._record(message, size) for message, size in self._tables.records(arn, after, limit, max_bytes)]

    def _record(self, message: Message, size: int) -> SourceRecord:
        event = self._tables.event(message)
        key = json.dumps(event["dynamodb"]["Keys"], sort_keys=True)
        number = event["dynamodb"]["SequenceNumber"]
        return SourceRecord(message.sequence, key, message.published_at, number, size, event)

    async def arrived(self, arn: str, shard: str, after: int, wait: float) -> None:
        await self._tables.arrived(arn, after, wait)

    def event(self, arn: str, shard: str, record: SourceRecord, role: str) -> dict[str, Any]:
        return {**record.body, "eventSourceARN": arn}

    def filterable(self, record: SourceRecord) -> dict[str, Any]:
        found: dict[str, Any] = record.body
        return found
