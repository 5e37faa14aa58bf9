"""Exports to an HTTP server by POST, which AWS's SDK has for tests of streams: one message a request, as it is, or one
batch as a JSON list of the SDK's Message objects, payloads in base64. An answer of 2xx takes it.

It goes out from the core itself, with link or without: the network is every component's anyway.
Source: HTTPConfig and ExportFormat of the stream manager's SDK.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Sequence
from functools import cached_property

from littoral.core.streammanager.exports import Done
from littoral.core.streammanager.log import Kept
from littoral.core.streammanager.streams import MessageStream
from littoral.core.upward import Unreachable
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers
from littoral.net.tls import client_context
from littoral.protocols.streammanager.definition import Export

MOST_ANSWER = 64 * 1024


class HttpServers:
    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def send(self, stream: MessageStream, export: Export, batch: Sequence[Kept]) -> Done:
        if export.batched:
            name = stream.definition.name
            await self._post(export, json.dumps([_shown(name, each) for each in batch]).encode(), "application/json")
            return Done(len(batch))
        for place, each in enumerate(batch):
            try:
                await self._post(export, each.payload, "application/octet-stream")
            except Unreachable:
                if not place:
                    raise
                return Done(place)
        return Done(len(batch))

    async def _post(self, export: Export, body: bytes, kind: str) -> None:
        """Raises Unreachable."""
        headers = Headers.of([("content-type", kind)])
        tls = self._tls if export.target.startswith("https:") else None
        try:
            response = await self._client.request("POST", export.target, headers=headers, body=body, tls=tls)
            async with response:
                await response.body.read(MOST_ANSWER)
        except (RequestFailed, BodyError, OSError, ValueError) as problem:
            raise Unreachable(f"{export.target}: {problem or type(problem).__name__}") from problem
        if response.status // 100 != 2:
            raise Unreachable(f"{export.target} answered {response.status}")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return client_context()


def _shown(stream: str, message: Kept) -> dict[str, object]:
    return {
        "streamName": stream,
        "sequenceNumber": message.sequence,
        "ingestTime": int(message.at * 1000),
        "payload": base64.b64encode(message.payload).decode(),
    }
