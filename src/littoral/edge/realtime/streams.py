"""The region's data streams, as an edge location reaches them: signed PutRecords at the region's API."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Sequence
from typing import Any

from littoral.aws.sign import sign
from littoral.edge.realtime.delivery import NotTaken
from littoral.edge.upstream import Credentials
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers

TARGET = "Kinesis_20131202.PutRecords"


class RegionStreams:
    def __init__(self, client: HttpClient, url: str, credentials: Credentials, region: str) -> None:
        self._client = client
        self._url = url.rstrip("/") + "/"
        self._credentials = credentials
        self._region = region

    async def put(self, stream: str, records: Sequence[bytes]) -> list[bytes]:
        """The records that a shard did not take. Raises NotTaken."""
        entries = [
            {"Data": base64.b64encode(each).decode(), "PartitionKey": f"{random.getrandbits(64):016x}"}
            for each in records
        ]
        said = await self._ask(stream, json.dumps({"StreamARN": stream, "Records": entries}).encode())
        if not said.get("FailedRecordCount"):
            return []
        return [each for each, result in zip(records, said["Records"], strict=True) if "ErrorCode" in result]

    async def _ask(self, stream: str, body: bytes) -> dict[str, Any]:
        headers = Headers.of([("content-type", "application/x-amz-json-1.1"), ("x-amz-target", TARGET)])
        sign(
            "POST",
            self._url,
            headers,
            access_key=self._credentials.id,
            secret=self._credentials.secret,
            service="kinesis",
            region=self._region,
            now=time.time(),
            payload=body,
        )
        try:
            response = await self._client.request("POST", self._url, headers=headers, body=body, read_timeout=15.0)
            async with response:
                said = await response.body.read(4 * 1024 * 1024)
        except (RequestFailed, BodyError) as problem:
            raise NotTaken(f"{stream}: {problem}") from problem
        if response.status != 200:
            message = f"{stream}: {response.status} {said[:200].decode(errors='replace')}"
            raise NotTaken(message, lasting=400 <= response.status < 500)
        found: dict[str, Any] = json.loads(said)
        return found
