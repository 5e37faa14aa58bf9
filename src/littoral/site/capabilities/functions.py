"""Handed to functions: code that lies in a bucket, and where results and dead letters go."""

from __future__ import annotations

import json
from typing import Any

from littoral.aws.service import ServiceError
from littoral.objects import Objects
from littoral.streams import StreamStore
from littoral.things.facade import Things
from littoral.things.message import Publication


class ObjectCode:
    """For functions: code that is named by bucket and key."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def fetch(self, bucket: str, key: str, version: str | None) -> bytes:
        if version is not None:
            raise ServiceError(
                "InvalidParameterValueException", "Object versions are not implemented here.", status=400
            )
        return await self._objects.get_bytes(bucket, key)


class StreamSink:
    """For functions: destinations and dead-letter targets that are data streams."""

    def __init__(self, streams: StreamStore) -> None:
        self._streams = streams

    def accepts(self, arn: str) -> bool:
        return self._streams.accepts(arn)

    async def deliver(self, arn: str, record: dict[str, Any]) -> None:
        key = str((record.get("requestContext") or {}).get("requestId", "record"))
        await self._streams.put(arn, json.dumps(record).encode(), key)


class TopicSink:
    """For functions: destinations and dead-letter targets that are MQTT topics, ``arn:aws:iot:…:topic/NAME``."""

    def __init__(self, things: Things, region: str, account: str) -> None:
        self._things = things
        self._prefix = f"arn:aws:iot:{region}:{account}:topic/"

    def accepts(self, arn: str) -> bool:
        topic = arn.removeprefix(self._prefix)
        usable = 0 < len(topic.encode()) <= 256 and not topic.startswith("$") and not set("+#\0") & set(topic)
        return arn.startswith(self._prefix) and usable

    async def deliver(self, arn: str, record: dict[str, Any]) -> None:
        topic = arn.removeprefix(self._prefix)
        await self._things.broker.publish(Publication(topic, json.dumps(record).encode(), 1))
