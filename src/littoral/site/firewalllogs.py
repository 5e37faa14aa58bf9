"""Where a web ACL's log records go: a bucket, a log group or a data stream of the region, by its ARN."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from typing import Any

from littoral.aws.service import ServiceError
from littoral.functions import Functions
from littoral.functions.logs.segment import Entry
from littoral.functions.logs.store import NoGroup
from littoral.objects import Objects
from littoral.store.contract import StoreError
from littoral.streams import StreamStore

BUCKET, STREAM, GROUP = "arn:aws:s3:::", "arn:aws:kinesis:", "arn:aws:logs:"
LOG_STREAM = "cloudfront_{name}_0"  # "log stream name format" of the AWS WAF guide


class FirewallLogs:
    """Batches as the locations report them: an object, a put of log events, or a record each."""

    def __init__(self, objects: Objects, functions: Functions, streams: StreamStore, account: str) -> None:
        self._objects = objects
        self._logs = functions.logs
        self._streams = streams
        self._account = account

    async def exists(self, arn: str) -> bool:
        if arn.startswith(BUCKET):
            return self._objects.has_bucket(arn.removeprefix(BUCKET).partition("/")[0])
        if arn.startswith(GROUP):
            return _group(arn) in await self._logs.groups()
        return arn.startswith(STREAM) and self._streams.accepts(arn)

    async def deliver(self, arn: str, records: list[dict[str, Any]]) -> None:
        """Durable when it returns. Raises ServiceError."""
        try:
            if arn.startswith(BUCKET):
                await self._to_bucket(arn, records)
            elif arn.startswith(GROUP):
                await self._to_group(arn, records)
            else:
                for record in records:
                    await self._streams.put(arn, json.dumps(record).encode(), record["httpRequest"]["requestId"])
        except (NoGroup, StoreError) as problem:
            raise ServiceError("WAFInternalErrorException", f"{arn}: {problem}") from problem

    async def _to_bucket(self, arn: str, records: list[dict[str, Any]]) -> None:
        """``prefix/AWSLogs/111122223333/WAFLogs/cloudfront/shop/2026/11/28/12/35/…gz``, lines of JSON."""
        bucket, _, prefix = arn.removeprefix(BUCKET).partition("/")
        name = records[0]["webaclId"].split("/")[2]
        now = time.gmtime(records[0]["timestamp"] / 1000)
        minute = time.strftime("%Y/%m/%d/%H/%M", now)
        file = f"{self._account}_waflogs_cloudfront_{name}_{time.strftime('%Y%m%dT%H%MZ', now)}_{uuid.uuid4().hex[:8]}"
        key = f"AWSLogs/{self._account}/WAFLogs/cloudfront/{name}/{minute}/{file}.log.gz"
        body = gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode(), mtime=0)
        await self._objects.put_bytes(
            bucket, f"{prefix.rstrip('/')}/{key}" if prefix else key, body, content_type="application/x-gzip"
        )

    async def _to_group(self, arn: str, records: list[dict[str, Any]]) -> None:
        now = int(time.time() * 1000)
        stream = LOG_STREAM.format(name=records[0]["webaclId"].split("/")[2])
        entries = [Entry(int(each["timestamp"]), now, stream, json.dumps(each).encode()) for each in records]
        await self._logs.put(_group(arn), entries)


def _group(arn: str) -> str:
    return arn.removesuffix(":*").partition(":log-group:")[2]
