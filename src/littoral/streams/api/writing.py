"""PutRecord and PutRecords: durable before they are answered."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.store.contract import StoreError
from littoral.streams.catalog import Stream
from littoral.streams.errors import internal, invalid
from littoral.streams.journal import Entry
from littoral.streams.naming import Operations
from littoral.streams.shards import HASHES, hash_of, sequence_of, shard_id, shard_of

log = logging.getLogger(__name__)
TOGETHER_BYTES = 10 * 1024 * 1024  # of a PutRecords, partition keys included


class WriteOperations(Operations):
    @operation()
    async def put_record(
        self,
        call: Call,
        *,
        data: bytes,
        partition_key: str | None = None,
        stream_name: str | None = None,
        stream_arn: str | None = None,
        explicit_hash_key: str | None = None,
        sequence_number_for_ordering: str | None = None,
    ) -> Output:
        """Records of a shard keep the order in which they were put, whatever SequenceNumberForOrdering says."""
        stream = self._parts.stream(stream_name, stream_arn)
        shard, entry = _placed(stream, data, partition_key, explicit_hash_key)
        if sequence_number_for_ordering is not None and all(
            sequence_of(sequence_number_for_ordering, stream.created, each) is None for each in range(stream.shards)
        ):
            raise invalid("SequenceNumberForOrdering did not come from this stream.")
        try:
            (number,) = await self._parts.journal.put(stream, shard, [entry])
        except StoreError as error:
            raise internal(f"The record could not be kept: {error}") from error
        return {"ShardId": shard_id(shard), "SequenceNumber": number, "EncryptionType": "NONE"}

    @operation()
    async def put_records(
        self,
        call: Call,
        *,
        records: list[dict[str, Any]],
        stream_name: str | None = None,
        stream_arn: str | None = None,
    ) -> Output:
        """All of a shard's records are kept or none; a shard that fails does not fail the others."""
        stream = self._parts.stream(stream_name, stream_arn)
        placed = [
            _placed(stream, each["Data"], each.get("PartitionKey"), each.get("ExplicitHashKey")) for each in records
        ]
        size = sum(len(entry.data) + len(entry.key.encode()) for _, entry in placed)
        if size > TOGETHER_BYTES:
            raise invalid(f"Records size exceeds {TOGETHER_BYTES // 1024 // 1024} MB limit.")
        by_shard: dict[int, list[int]] = {}
        for position, (shard, _) in enumerate(placed):
            by_shard.setdefault(shard, []).append(position)
        results: list[Output] = [{}] * len(placed)

        async def put(shard: int, positions: list[int]) -> None:
            try:
                numbers = await self._parts.journal.put(stream, shard, [placed[each][1] for each in positions])
            except StoreError as error:
                log.warning(
                    "%d records for %s of %s are refused: %s", len(positions), shard_id(shard), stream.name, error
                )
                failure = {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure."}
                for position in positions:
                    results[position] = failure
                return
            for position, number in zip(positions, numbers, strict=True):
                results[position] = {"ShardId": shard_id(shard), "SequenceNumber": number}

        await asyncio.gather(*(put(shard, positions) for shard, positions in by_shard.items()))
        failed = sum("ErrorCode" in result for result in results)
        return {"FailedRecordCount": failed, "Records": results, "EncryptionType": "NONE"}


def _placed(stream: Stream, data: bytes, key: str | None, explicit: str | None) -> tuple[int, Entry]:
    """The shard of a record. Raises InvalidArgumentException."""
    if key is None:
        raise invalid("PartitionKey must be provided.")
    if len(data) + len(key.encode()) > stream.record_kib * 1024:
        raise invalid(f"A record of stream {stream.name} has at most {stream.record_kib} KiB, its key included.")
    if explicit is None:
        hash_key = hash_of(key)
    elif explicit.isascii() and explicit.isdigit() and len(explicit) <= 39 and int(explicit) < HASHES:
        hash_key = int(explicit)
    else:
        raise invalid(f"Invalid ExplicitHashKey {explicit[:50]}: it must be a number from 0 to 2^128 - 1.")
    return shard_of(hash_key, stream.shards), Entry(data, key)
