"""Streams: made, described, listed, changed and deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.streams.catalog import Stream
from littoral.streams.errors import invalid, not_found, too_many
from littoral.streams.naming import Operations
from littoral.streams.shards import hash_range, sequence_number, shard_id, shard_index

SHARD_LIMIT = 500  # shards of an account in a region, the default quota of most regions
ON_DEMAND_LIMIT = 50  # streams in on-demand mode
ON_DEMAND_SHARDS = 4  # what a new stream in on-demand mode has
SHORTEST, LONGEST = 24, 8760  # hours of retention
MODES = ("PROVISIONED", "ON_DEMAND")
TAGS = 50


class StreamOperations(Operations):
    @operation(notes="ON_DEMAND has four shards and stays so")
    async def create_stream(
        self,
        call: Call,
        *,
        stream_name: str,
        shard_count: int | None = None,
        stream_mode_details: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        max_record_size_in_ki_b: int = 1024,
    ) -> Output:
        mode = (stream_mode_details or {}).get("StreamMode", "PROVISIONED")
        _check_mode(mode)
        if mode == "ON_DEMAND":
            if shard_count is not None:
                raise invalid("ShardCount must not be given for a stream in ON_DEMAND mode.")
            shard_count = ON_DEMAND_SHARDS
        if shard_count is None:
            raise invalid("ShardCount must be given for a stream in PROVISIONED mode.")
        if tags and len(tags) > TAGS:
            raise invalid(f"A stream has at most {TAGS} tags.")
        self._check_limits(mode, shard_count)
        await self._parts.catalog.create(
            stream_name,
            self._parts.account,
            shards=shard_count,
            mode=mode,
            tags=dict(tags or {}),
            record_kib=max_record_size_in_ki_b,
            now=call.now,
        )
        return {}

    @operation(harmless={"EnforceConsumerDeletion"})
    async def delete_stream(
        self, call: Call, *, stream_name: str | None = None, stream_arn: str | None = None
    ) -> Output:
        await self._parts.catalog.delete(self._parts.stream(stream_name, stream_arn))
        return {}

    @operation()
    async def describe_stream(
        self,
        call: Call,
        *,
        stream_name: str | None = None,
        stream_arn: str | None = None,
        limit: int = 100,
        exclusive_start_shard_id: str | None = None,
    ) -> Output:
        stream = self._parts.stream(stream_name, stream_arn)
        first = _after(exclusive_start_shard_id)
        last = min(first + min(limit, 100), stream.shards)
        shown = {
            **self._shown(stream),
            "Shards": [await self._shard(stream, index) for index in range(first, last)],
            "HasMoreShards": last < stream.shards,
        }
        return {"StreamDescription": shown}

    @operation()
    async def describe_stream_summary(
        self, call: Call, *, stream_name: str | None = None, stream_arn: str | None = None
    ) -> Output:
        stream = self._parts.stream(stream_name, stream_arn)
        summary = {
            **self._shown(stream),
            "OpenShardCount": stream.shards,
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": stream.record_kib,
        }
        return {"StreamDescriptionSummary": summary}

    @operation()
    async def list_streams(
        self,
        call: Call,
        *,
        limit: int = 100,
        exclusive_start_stream_name: str | None = None,
        next_token: str | None = None,
    ) -> Output:
        after = next_token or exclusive_start_stream_name or ""
        rest = [stream for stream in self._parts.catalog.all() if stream.name > after]
        page = rest[: min(limit, 100)]
        listed: Output = {
            "StreamNames": [stream.name for stream in page],
            "HasMoreStreams": len(rest) > len(page),
            "StreamSummaries": [_only(self._shown(stream), SUMMARY) for stream in page],
        }
        return {**listed, "NextToken": page[-1].name} if len(rest) > len(page) else listed

    @operation()
    async def list_shards(
        self,
        call: Call,
        *,
        stream_name: str | None = None,
        stream_arn: str | None = None,
        next_token: str | None = None,
        exclusive_start_shard_id: str | None = None,
        max_results: int = 1000,
        stream_creation_timestamp: datetime | None = None,
        shard_filter: dict[str, Any] | None = None,
    ) -> Output:
        """All shards are open, since none is ever split: only AFTER_SHARD_ID leaves some out."""
        if next_token is not None:
            if stream_name is not None or exclusive_start_shard_id is not None:
                raise invalid("NextToken and StreamName cannot be provided together.")
            stream_name, _, exclusive_start_shard_id = next_token.rpartition("/")
        stream = self._parts.stream(stream_name, stream_arn if next_token is None else None)
        if stream_creation_timestamp is not None and int(stream_creation_timestamp.timestamp()) != int(stream.created):
            raise not_found(f"Stream {stream.name} was not made at {stream_creation_timestamp}.")
        first = _after(exclusive_start_shard_id)
        if shard_filter is not None and shard_filter["Type"] == "AFTER_SHARD_ID":
            first = max(first, _after(shard_filter.get("ShardId")))
        last = min(first + max_results, stream.shards)
        listed: Output = {"Shards": [await self._shard(stream, index) for index in range(first, last)]}
        return {**listed, "NextToken": f"{stream.name}/{shard_id(last - 1)}"} if last < stream.shards else listed

    @operation()
    async def describe_limits(self, call: Call) -> Output:
        streams = self._parts.catalog.all()
        return {
            "ShardLimit": SHARD_LIMIT,
            "OpenShardCount": sum(stream.shards for stream in streams if stream.mode == "PROVISIONED"),
            "OnDemandStreamCount": sum(stream.mode == "ON_DEMAND" for stream in streams),
            "OnDemandStreamCountLimit": ON_DEMAND_LIMIT,
        }

    @operation()
    async def increase_stream_retention_period(
        self,
        call: Call,
        *,
        retention_period_hours: int,
        stream_name: str | None = None,
        stream_arn: str | None = None,
    ) -> Output:
        def longer(stream: Stream) -> Stream:
            if not stream.retention_hours <= retention_period_hours <= LONGEST:
                raise invalid(
                    f"Requested retention period ({retention_period_hours} hours) for stream {stream.name} must be "
                    f"between the current one ({stream.retention_hours} hours) and {LONGEST} hours."
                )
            return replace(stream, retention_hours=retention_period_hours)

        await self._parts.catalog.change(self._parts.stream(stream_name, stream_arn), longer)
        return {}

    @operation()
    async def decrease_stream_retention_period(
        self,
        call: Call,
        *,
        retention_period_hours: int,
        stream_name: str | None = None,
        stream_arn: str | None = None,
    ) -> Output:
        def shorter(stream: Stream) -> Stream:
            if not SHORTEST <= retention_period_hours <= stream.retention_hours:
                raise invalid(
                    f"Requested retention period ({retention_period_hours} hours) for stream {stream.name} must be "
                    f"between {SHORTEST} hours and the current one ({stream.retention_hours} hours)."
                )
            return replace(stream, retention_hours=retention_period_hours)

        await self._parts.catalog.change(self._parts.stream(stream_name, stream_arn), shorter)
        return {}

    @operation(notes="the number of shards stays as it is")
    async def update_stream_mode(self, call: Call, *, stream_arn: str, stream_mode_details: dict[str, Any]) -> Output:
        mode = stream_mode_details["StreamMode"]
        _check_mode(mode)
        await self._parts.catalog.change(self._parts.by_arn(stream_arn), lambda stream: replace(stream, mode=mode))
        return {}

    def _check_limits(self, mode: str, shards: int) -> None:
        streams = [stream for stream in self._parts.catalog.all() if stream.mode == mode]
        if mode == "ON_DEMAND":
            if len(streams) >= ON_DEMAND_LIMIT:
                raise too_many(f"This account has {ON_DEMAND_LIMIT} streams in ON_DEMAND mode, its limit.")
        elif sum(stream.shards for stream in streams) + shards > SHARD_LIMIT:
            raise too_many(
                "This request would exceed the shard limit for the account "
                f"{self._parts.account} in {self._parts.region}. Current shard count for the account: "
                f"{sum(stream.shards for stream in streams)}. Limit: {SHARD_LIMIT}. "
                f"Number of additional shards that would have resulted from this request: {shards}."
            )

    def _shown(self, stream: Stream) -> Output:
        return {
            "StreamName": stream.name,
            "StreamARN": self._parts.arn(stream.name),
            "StreamStatus": stream.status,
            "StreamModeDetails": {"StreamMode": stream.mode},
            "RetentionPeriodHours": stream.retention_hours,
            "StreamCreationTimestamp": stream.created,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        }

    async def _shard(self, stream: Stream, index: int) -> Output:
        first, last = hash_range(index, stream.shards)
        return {
            "ShardId": shard_id(index),
            "HashKeyRange": {"StartingHashKey": str(first), "EndingHashKey": str(last)},
            "SequenceNumberRange": {"StartingSequenceNumber": sequence_number(stream.created, 0, index)},
        }


SUMMARY = ("StreamName", "StreamARN", "StreamStatus", "StreamModeDetails", "StreamCreationTimestamp")


def _only(shown: Output, members: tuple[str, ...]) -> Output:
    return {member: shown[member] for member in members}


def _after(shard: str | None) -> int:
    """The index of the first shard after that one."""
    if shard is None:
        return 0
    index = shard_index(shard)
    if index is None:
        raise invalid(f"ShardId {shard[:128]} is not the name of a shard.")
    return index + 1


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise invalid(f"StreamMode must be one of {', '.join(MODES)}, not {mode[:50]}.")
