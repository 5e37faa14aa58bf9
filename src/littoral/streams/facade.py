"""``StreamStore``: the capability as the site sees it.

    streams = await StreamStore.open(store, region="us-east-1", account="000000000000")
    streams.api                      # for botocore's service "kinesis"
    await streams.put(arn, b"{}", "key")

Owns nothing that runs: no task, no thread; there is nothing to close but the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from littoral.store.contract import Message, Records, Streams
from littoral.streams.api import KinesisApi
from littoral.streams.catalog import Catalog, Stream
from littoral.streams.errors import not_found
from littoral.streams.journal import Entry, Journal
from littoral.streams.naming import Parts
from littoral.streams.shards import hash_of, sequence_number, shard_id, shard_index, shard_of


class Store(Protocol):
    @property
    def streams(self) -> Streams: ...

    def records(self, bucket: str) -> Records: ...


class StreamStore:
    """Made by ``open``. ``api`` is the class for botocore's service "kinesis"."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.api = KinesisApi(parts)

    @classmethod
    async def open(cls, store: Store, *, region: str, account: str, clock: Callable[[], float] = time.time) -> Self:
        catalog = Catalog(store.records("streams"), store.streams)
        await catalog.load()
        return cls(Parts(region, account, catalog, Journal(store.streams, clock)))

    def accepts(self, arn: str) -> bool:
        """Whether a stream of that ARN is here."""
        name = arn.rpartition("/")[2]
        return self._parts.is_arn(arn) and any(stream.name == name for stream in self._parts.catalog.all())

    async def put(self, arn: str, data: bytes, key: str) -> str:
        """The sequence number; durable when it returns. Raises ServiceError, StoreError."""
        stream = self._parts.by_arn(arn)
        shard = shard_of(hash_of(key), stream.shards)
        (number,) = await self._parts.journal.put(stream, shard, [Entry(data, key)])
        return number

    # ------------------------------------------------------------------------------------ for those who follow shards

    def identity(self, arn: str) -> str:
        """Tells a stream from a later one of the same name. Raises ResourceNotFoundException."""
        return self._parts.by_arn(arn).uid

    def shards(self, arn: str) -> list[str]:
        """Raises ResourceNotFoundException."""
        return [shard_id(index) for index in range(self._parts.by_arn(arn).shards)]

    async def position(self, arn: str, shard: str, start: str, moment: float | None = None) -> int:
        """The position before the first record wanted: TRIM_HORIZON, LATEST, or AT_TIMESTAMP ``moment``."""
        stream, index = self._find(arn, shard)
        if start == "TRIM_HORIZON":
            return 0
        if start == "LATEST":
            return (await self._parts.journal.extent(stream, index)).last
        return await self._parts.journal.before(stream, index, moment or 0.0)

    async def read(self, arn: str, shard: str, after: int, limit: int, max_bytes: int) -> Sequence[Message]:
        """Records after a position; a record's sequence is its position. Its header ``key`` is its partition key."""
        stream, index = self._find(arn, shard)
        return await self._parts.journal.read(stream, index, after, limit, max_bytes)

    async def arrived(self, arn: str, shard: str, after: int, wait: float) -> None:
        """Return when there is a record after that position, or ``wait`` seconds have passed."""
        stream, index = self._find(arn, shard)
        await self._parts.journal.arrived(stream, index, after, wait)

    def number(self, arn: str, shard: str, position: int) -> str:
        """The sequence number of a record by its position."""
        stream, index = self._find(arn, shard)
        return sequence_number(stream.created, position, index)

    def _find(self, arn: str, shard: str) -> tuple[Stream, int]:
        stream, index = self._parts.by_arn(arn), shard_index(shard)
        if index is None or index >= stream.shards:
            raise not_found(f"Shard {shard} in stream {stream.name} does not exist")
        return stream, index
