"""Handed to things: what topic rules end in, and what jobs and bulk registration read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from littoral.aws.identity import AccessKey
from littoral.aws.service import ServiceError
from littoral.functions import Functions
from littoral.functions.logs.group import Settings
from littoral.functions.logs.segment import Entry
from littoral.functions.logs.store import NoGroup
from littoral.objects import Objects
from littoral.site.capabilities.links import presigned
from littoral.streams import StreamStore

if TYPE_CHECKING:  # a core has none, and loads none
    from littoral.tables import TableStore


class RuleObjects:
    """For topic rules: the s3 action."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None:
        await self._objects.put_bytes(bucket, key, data, content_type=content_type)


class JobObjects(RuleObjects):
    """For jobs: documents that lie in a bucket, and URLs by which devices get what a document names; for bulk
    registration: its input and its reports."""

    def __init__(self, objects: Objects, key: AccessKey, api: Callable[[], str], region: str) -> None:
        super().__init__(objects)
        self._key = key
        self._api = api
        self._region = region

    async def read(self, bucket: str, key: str, most: int | None = None) -> bytes:
        if most is None:
            return await self._objects.get_bytes(bucket, key)
        found = b""
        async for chunk in self._objects.chunks(bucket, key):
            found += chunk
            if len(found) > most:
                break
        return found

    def presign(self, bucket: str, key: str, seconds: int) -> str:
        return presigned(self._api(), bucket, key, seconds, self._key, self._region)


class RuleStreams:
    """For topic rules: the actions that end in a data stream."""

    def __init__(self, streams: StreamStore, region: str, account: str) -> None:
        self._streams = streams
        self._prefix = f"arn:aws:kinesis:{region}:{account}:stream/"

    async def put(self, stream: str, data: bytes, key: str) -> None:
        await self._streams.put(self._prefix + stream, data, key)


class RuleLogs:
    """For topic rules: the cloudwatchLogs action."""

    def __init__(self, functions: Functions) -> None:
        self._logs = functions.logs

    async def put(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        now = int(time.time() * 1000)
        try:
            await self._logs.put(group, [Entry(at, now, stream, message.encode()) for at, message in events])
        except NoGroup:
            raise ServiceError("ResourceNotFoundException", f"There is no log group {group!r}", status=400) from None

    async def ensure(self, group: str) -> None:
        await self._logs.create(Settings(group, int(time.time() * 1000)))


class RuleTables:
    """For topic rules: the dynamoDB and dynamoDBv2 actions, and get_dynamodb. Items and keys are in DynamoDB's own
    form, ``{"id": {"S": "a"}}``."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables

    async def put(self, table: str, item: dict[str, Any]) -> None:
        """Durable when it returns. Raises ServiceError."""
        await self._tables.put(table, item)

    async def change(self, table: str, key: dict[str, Any], columns: dict[str, Any] | None) -> None:
        """Durable when it returns. Raises ServiceError."""
        await self._tables.change(table, key, columns)

    async def get(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        """Raises ServiceError."""
        return self._tables.get(table, key)
