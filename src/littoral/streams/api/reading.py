"""GetShardIterator and GetRecords."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.store.contract import NotFound
from littoral.streams.catalog import Stream
from littoral.streams.errors import invalid, not_found
from littoral.streams.journal import milliseconds
from littoral.streams.naming import Operations
from littoral.streams.shards import Iterator, iterator_from, sequence_number, sequence_of, shard_id, shard_index

ITERATOR_SECONDS = 300.0
MOST_RECORDS = 10_000


class ReadOperations(Operations):
    @operation()
    async def get_shard_iterator(
        self,
        call: Call,
        *,
        shard_id: str,
        shard_iterator_type: str,
        stream_name: str | None = None,
        stream_arn: str | None = None,
        starting_sequence_number: str | None = None,
        timestamp: datetime | None = None,
    ) -> Output:
        stream = self._parts.stream(stream_name, stream_arn)
        index = _index(self._parts.account, stream, shard_id)
        kind = shard_iterator_type
        if kind in {"AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"}:
            after = self._known(stream, index, starting_sequence_number) - (kind == "AT_SEQUENCE_NUMBER")
        elif kind == "TRIM_HORIZON":
            after = 0
        elif kind == "LATEST":
            after = (await self._parts.journal.extent(stream, index)).last
        elif kind == "AT_TIMESTAMP":
            if timestamp is None:
                raise invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP.")
            after = await self._parts.journal.before(stream, index, timestamp.timestamp())
        else:
            raise invalid(f"ShardIteratorType {kind[:50]} is not one of Kinesis'.")
        return {"ShardIterator": Iterator(stream.name, stream.uid, index, max(after, 0), call.now).text()}

    @operation()
    async def get_records(
        self, call: Call, *, shard_iterator: str, limit: int = MOST_RECORDS, stream_arn: str | None = None
    ) -> Output:
        found = iterator_from(shard_iterator)
        if found is None:
            raise invalid("Invalid ShardIterator.")
        stream = self._parts.catalog.get(found.name, self._parts.account)
        if stream.uid != found.stream or found.shard >= stream.shards:
            raise not_found(f"The shard of this iterator was deleted with its stream {stream.name}.")
        if stream_arn is not None and self._parts.by_arn(stream_arn).uid != stream.uid:
            raise invalid("The ShardIterator is of another stream than StreamARN.")
        if call.now - found.made > ITERATOR_SECONDS:
            raise ServiceError(
                "ExpiredIteratorException",
                f"Iterator expired. The iterator was created more than {ITERATOR_SECONDS:.0f} seconds ago.",
                status=400,
            )
        try:
            return await self._page(stream, found, limit, call.now)
        except NotFound as error:
            raise not_found(f"Stream {stream.name} was deleted.") from error

    async def _page(self, stream: Stream, at: Iterator, limit: int, now: float) -> Output:
        journal = self._parts.journal
        messages = await journal.read(stream, at.shard, at.after, limit)
        extent = await journal.extent(stream, at.shard)
        after = messages[-1].sequence if messages else max(at.after, extent.first - 1)
        behind = 0
        if messages and after < extent.last:
            behind = max(0, int((now - messages[-1].published_at) * 1000))
        records = [
            {
                "SequenceNumber": sequence_number(stream.created, message.sequence, at.shard),
                "ApproximateArrivalTimestamp": milliseconds(message.published_at) / 1000,
                "Data": message.data,
                "PartitionKey": message.headers["key"],
                "EncryptionType": "NONE",
            }
            for message in messages
        ]
        following = replace(at, after=after, made=now)
        return {"Records": records, "NextShardIterator": following.text(), "MillisBehindLatest": behind}

    def _known(self, stream: Stream, index: int, number: str | None) -> int:
        if number is None:
            raise invalid("Must specify StartingSequenceNumber for an iterator of this type.")
        sequence = sequence_of(number, stream.created, index)
        if sequence is None:
            raise invalid(
                f"StartingSequenceNumber {number[:60]} used in GetShardIterator on shard {shard_id(index)} in stream "
                f"{stream.name} under account {self._parts.account} is invalid because it did not come from it."
            )
        return sequence


def _index(account: str, stream: Stream, name: str) -> int:
    index = shard_index(name)
    if index is None or index >= stream.shards:
        raise not_found(f"Shard {name} in stream {stream.name} under account {account} does not exist")
    return index
