"""Handed to objects: what buckets notify beside functions and the event bus."""

from __future__ import annotations

import json
import re
from typing import Any

from littoral.site.capabilities.functions import TopicSink
from littoral.streams import StreamStore


class ObjectPosts:
    """Queues and topics. Queues are data streams, topics those of MQTT; SQS' queues and SNS' topics end in the data
    stream of their name, as the actions of topic rules do."""

    def __init__(self, streams: StreamStore, topics: TopicSink, region: str, account: str) -> None:
        self._streams = streams
        self._topics = topics
        self._elsewhere = re.compile(f"(arn:aws:)(?:sqs|sns)(:{region}:{account}:)(.+)")

    def refuses(self, arn: str) -> str | None:
        if ":iot:" in arn:
            return None if self._topics.accepts(arn) else "There is no such topic here"
        stream = self._stream(arn)
        return None if self._streams.accepts(stream) else f"The destination does not exist: create the stream {stream}"

    async def deliver(self, arn: str, event: dict[str, Any], key: str) -> None:
        if ":iot:" in arn:
            await self._topics.deliver(arn, event)
        else:
            await self._streams.put(self._stream(arn), json.dumps(event).encode(), key[:256])

    def _stream(self, arn: str) -> str:
        return self._elsewhere.sub(r"\1kinesis\2stream/\3", arn)
