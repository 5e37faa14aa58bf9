"""``TableStore``: the capability as the site sees it.

tables = await TableStore.open(folder, region="us-east-1", account="000000000000")
tables.api, tables.streams_api      # for botocore's services "dynamodb" and "dynamodbstreams"
await tables.put("readings", {"id": {"S": "a"}})
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from littoral.aws.service import ServiceError
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.values import Item, settle_item
from littoral.store.contract import Message
from littoral.tables import changes, checks, reading
from littoral.tables.api import DynamoDB
from littoral.tables.api.parts import Parts
from littoral.tables.api.streams import DynamoDBStreams
from littoral.tables.errors import invalid
from littoral.tables.expiry import Expiry
from littoral.tables.index import Index
from littoral.tables.writing import write

SHARD_EVENT = 600  # bytes of a record's event beside what is stored of it


class TableStore:
    """Made by ``open``; ``start`` begins to delete what expires."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.api = DynamoDB(parts)
        self.streams_api = DynamoDBStreams(parts)
        self._expiry = Expiry(parts.index, parts.clock)

    @classmethod
    async def open(cls, folder: Path, *, region: str, account: str, clock: Callable[[], float] = time.time) -> Self:
        """Raises StorageFailed."""
        return cls(Parts(region, account, await Index.open(folder / "tables.db"), clock))

    def start(self) -> None:
        self._expiry.start()

    async def close(self) -> None:
        await self._expiry.close()
        await self._parts.index.close()

    # ------------------------------------------------------------------------------------ for topic rules

    async def put(self, table: str, item: Item) -> None:
        """PutItem; durable when it returns. Raises ServiceError: ResourceNotFoundException, ValidationException."""
        found = self._parts.index.table(table)
        now = self._parts.clock()
        try:
            settle_item(item)
            key = checks.key_of_item(found, item)
            await self._parts.index.write(lambda c: write(c, found, key, lambda _: item, now), found)
        except Invalid as problem:
            raise invalid(str(problem)) from None

    async def change(self, table: str, key: Item, columns: Item | None) -> None:
        """UpdateItem that sets ``columns``, or, where there are none, DeleteItem. Raises ServiceError, as ``put``."""
        now, found = self._parts.clock(), self._parts.index.table(table)
        try:
            settle_item(key)
            place = checks.key(found, key)
            if columns is not None:
                settle_item(columns)
                if not key.keys().isdisjoint(columns):
                    raise Invalid("Cannot update an attribute that is part of the key")
            await self._parts.index.write(
                lambda c: write(
                    c, found, place, lambda old: None if columns is None else {**(old or key), **columns}, now
                ),
                found,
            )
        except Invalid as problem:
            raise invalid(str(problem)) from None

    def get(self, table: str, key: Item) -> Item | None:
        """GetItem. Raises ServiceError: ResourceNotFoundException, ValidationException."""
        found = self._parts.index.table(table)
        try:
            return reading.item(self._parts.index, found, checks.key(found, key))[0]
        except Invalid as problem:
            raise invalid(str(problem)) from None

    # ------------------------------------------------------------------------------------ for those who follow streams

    def identity(self, arn: str) -> str:
        """Tells a stream from a later one. Raises ResourceNotFoundException."""
        table, stream = self._parts.stream(arn)
        return f"{table.uid}/{stream.label}"

    def shards(self, arn: str) -> list[str]:
        """Raises ResourceNotFoundException."""
        return [self._parts.shard(self._parts.stream(arn)[1])]

    def position(self, arn: str, start: str) -> int:
        """The position before the first record wanted: TRIM_HORIZON or LATEST."""
        _, stream = self._parts.stream(arn)
        if start not in {"TRIM_HORIZON", "LATEST"}:
            message = f"Unsupported starting position for DynamoDB Streams event source: {start}"
            raise ServiceError("InvalidParameterValueException", message, status=400)
        return 0 if start == "TRIM_HORIZON" else self._parts.index.extent(stream.log)[1]

    def records(self, arn: str, after: int, limit: int, max_bytes: int) -> Sequence[tuple[Message, int]]:
        """Records after a position with the size of their events: at most ``limit``, of about ``max_bytes``."""
        _, stream = self._parts.stream(arn)
        found: list[tuple[Message, int]] = []
        total = 0
        for message in self._parts.records(stream, after, limit):
            size = len(message.data) + len(arn) + SHARD_EVENT
            total += size
            if found and total > max_bytes:
                break
            found.append((message, size))
        return found

    async def arrived(self, arn: str, after: int, wait: float) -> None:
        """Return when there is a record after that position, or ``wait`` seconds have passed."""
        await self._parts.index.arrived(self._parts.stream(arn)[1].log, after, wait)

    def event(self, message: Message) -> dict[str, Any]:
        """A record as functions get it, its stream's ARN left out."""
        return changes.event(message, self._parts.region)
