"""The API of Amazon DynamoDB Streams (2012-08-10)."""

from __future__ import annotations

import base64
import binascii
import json

from littoral.aws.service import Call, Output, ServiceError
from littoral.protocols.dynamodb.errors import Invalid
from littoral.tables import changes
from littoral.tables.api.items import check_choice
from littoral.tables.api.parts import Operations
from littoral.tables.errors import answers
from littoral.tables.table import Stream

MOST_RECORDS = 1000
MOST_BYTES = 1024 * 1024
FIFTEEN_MINUTES = 900.0  # seconds that an iterator serves
TYPES = ("TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")


class DynamoDBStreams(Operations):
    @answers()
    async def list_streams(
        self,
        call: Call,
        *,
        table_name: str | None = None,
        limit: int = 100,
        exclusive_start_stream_arn: str | None = None,
    ) -> Output:
        if table_name is not None:
            name = self._parts.name_of(table_name)
            tables = [table for table in self._index.tables() if table.name == name]
        else:
            tables = self._index.tables()
        found = [(table, stream) for table in tables for stream in self._parts.streams_of(table)]
        found.sort(key=lambda each: self._parts.stream_arn(*each))
        if exclusive_start_stream_arn is not None:
            if not self._parts.is_stream(exclusive_start_stream_arn):
                raise Invalid(f"Invalid StreamArn: {exclusive_start_stream_arn[:300]}")
            found = [each for each in found if self._parts.stream_arn(*each) > exclusive_start_stream_arn]
        shown = [
            {
                "StreamArn": self._parts.stream_arn(table, stream),
                "TableName": table.name,
                "StreamLabel": stream.label,
            }
            for table, stream in found[:limit]
        ]
        more = {"LastEvaluatedStreamArn": shown[-1]["StreamArn"]} if len(found) > limit else {}
        return {"Streams": shown, **more}

    @answers(notes="a stream has one shard, which has no children")
    async def describe_stream(
        self,
        call: Call,
        *,
        stream_arn: str,
        limit: int = 100,
        exclusive_start_shard_id: str | None = None,
        shard_filter: dict[str, str] | None = None,
    ) -> Output:
        table, stream = self._parts.stream(stream_arn)
        shard = self._parts.shard(stream)
        shards = [] if exclusive_start_shard_id is not None and exclusive_start_shard_id >= shard else [shard]
        if shard_filter is not None:
            if shard_filter.get("Type") != "CHILD_SHARDS" or not shard_filter.get("ShardId"):
                raise Invalid("A ShardFilter has the Type CHILD_SHARDS and a ShardId")
            shards = []
        return {
            "StreamDescription": {
                "StreamArn": stream_arn,
                "StreamLabel": stream.label,
                "StreamStatus": "ENABLED" if stream.ended is None else "DISABLED",
                "StreamViewType": stream.view,
                "CreationRequestDateTime": stream.began,
                "TableName": table.name,
                "KeySchema": [
                    {"AttributeName": name, "KeyType": kind}
                    for name, kind in zip(table.schema.names, ("HASH", "RANGE"), strict=False)
                ],
                "Shards": [{"ShardId": each, "SequenceNumberRange": self._range(stream)} for each in shards],
            }
        }

    @answers()
    async def get_shard_iterator(
        self,
        call: Call,
        *,
        stream_arn: str,
        shard_id: str,
        shard_iterator_type: str,
        sequence_number: str | None = None,
    ) -> Output:
        check_choice("shardIteratorType", shard_iterator_type, TYPES)
        _, stream = self._parts.stream(stream_arn)
        if shard_id != self._parts.shard(stream):
            message = f"Requested resource not found: Shard: {shard_id[:100]} in stream: {stream_arn} not found"
            raise ServiceError("ResourceNotFoundException", message, status=400)
        after = self._after(stream, shard_iterator_type, sequence_number)
        return {"ShardIterator": _iterator(stream_arn, after, call.now)}

    @answers()
    async def get_records(self, call: Call, *, shard_iterator: str, limit: int = MOST_RECORDS) -> Output:
        if not 1 <= limit <= MOST_RECORDS:
            raise Invalid(
                f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
                f"Member must have value between 1 and {MOST_RECORDS}"
            )
        arn, after, made = _read_iterator(shard_iterator)
        if call.now - made > FIFTEEN_MINUTES:
            raise ServiceError("ExpiredIteratorException", "The shard iterator has expired.", status=400)
        _, stream = self._parts.stream(arn)
        found: list[Output] = []
        size = 0
        for message in self._parts.records(stream, after, limit):
            size += len(message.data)
            if found and size > MOST_BYTES:
                break
            found.append(changes.record(message, self._parts.region))
            after = message.sequence
        output: Output = {"Records": found}
        if stream.ended is None or after < self._index.extent(stream.log)[1]:
            output["NextShardIterator"] = _iterator(arn, after, call.now)
        return output

    def _after(self, stream: Stream, kind: str, given: str | None) -> int:
        first, last = self._index.extent(stream.log)
        if kind in {"TRIM_HORIZON", "LATEST"}:
            if given is not None:
                raise Invalid(f"SequenceNumber does not belong to the iterator type {kind}")
            return 0 if kind == "TRIM_HORIZON" else last
        if given is None:
            raise Invalid(f"SequenceNumber is required with the iterator type {kind}")
        sequence = changes.sequence_of(given)
        if sequence is None:
            raise Invalid(f"Invalid SequenceNumber {given[:50]}")
        if sequence < first - 1:
            message = "The operation attempted to read past the oldest stream record in a shard."
            raise ServiceError("TrimmedDataAccessException", message, status=400)
        return sequence - (kind == "AT_SEQUENCE_NUMBER")

    def _range(self, stream: Stream) -> dict[str, str]:
        first, last = self._index.extent(stream.log)
        shown = {"StartingSequenceNumber": changes.number(min(first, max(last, 1)))}
        if stream.ended is not None:
            shown["EndingSequenceNumber"] = changes.number(max(last, 1))
        return shown


def _iterator(arn: str, after: int, now: float) -> str:
    return f"{arn}|1|{base64.urlsafe_b64encode(json.dumps([after, now]).encode()).decode()}"


def _read_iterator(text: str) -> tuple[str, int, float]:
    arn, _, rest = text.partition("|1|")
    try:
        after, made = json.loads(base64.urlsafe_b64decode(rest))
        if isinstance(after, int) and 0 <= after < 2**62 and isinstance(made, int | float):
            return arn, after, float(made)
    except (ValueError, binascii.Error, TypeError, RecursionError):
        pass
    raise Invalid("Invalid ShardIterator")
