"""Streams and event source mappings: records in, records out, and records through a function. There is no peer here.

flock /tmp/bench.lock .venv/bin/python bench/bench_sources.py
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import statistics
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import uvloop

from littoral.aws.service import Call, Principal
from littoral.functions import Functions
from littoral.net.message import BytesBody, Headers, Peer, Request
from littoral.site.capabilities.sources import StreamSource
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/bench"
SHARD = "shardId-000000000000"
RECORDS = 20_000
DATA = b'{"bed": 7, "pulse": 71}' + b" " * 177  # 200 bytes
CODE = "def handler(event, context):\n    return None\n"


def arn(name: str) -> str:
    return f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}"


def call() -> Call:
    request = Request("POST", "/", Headers.of([("host", "x")]), BytesBody(), Peer("127.0.0.1", 1))
    return Call("", "", "us-east-1", ACCOUNT, Principal("key", "k"), "r", request, time.time())


async def fill(streams: StreamStore, name: str) -> None:
    entries = [{"Data": DATA, "PartitionKey": "k"}] * 500
    for _ in range(RECORDS // 500):
        await streams.api.put_records(call(), records=entries, stream_name=name)


async def in_and_out(streams: StreamStore) -> None:
    await streams.api.create_stream(call(), stream_name="s", shard_count=1)
    begun = time.perf_counter()
    await fill(streams, "s")
    print(f"PutRecords, 500 of 200 bytes, one caller    {RECORDS / (time.perf_counter() - begun):10,.0f} records/s")
    found = await streams.api.get_shard_iterator(
        call(), shard_id=SHARD, shard_iterator_type="TRIM_HORIZON", stream_name="s"
    )
    at, count, begun = found["ShardIterator"], 0, time.perf_counter()
    while count < RECORDS:
        page = await streams.api.get_records(call(), shard_iterator=at, limit=1000)
        at, count = page["NextShardIterator"], count + len(page["Records"])
    print(f"GetRecords, 1000 at a time                  {RECORDS / (time.perf_counter() - begun):10,.0f} records/s")
    waits = []
    for _ in range(300):
        begun = time.perf_counter()
        await streams.api.put_record(call(), data=DATA, partition_key="k", stream_name="s")
        waits.append(time.perf_counter() - begun)
    print(f"PutRecord, one caller, durable              p50 {statistics.median(waits) * 1000:10.2f} ms")


async def worked_off(functions: Functions, streams: StreamStore, name: str) -> None:
    """Until the mapping's position is at the end of the stream."""
    records = functions._parts.catalog._records
    last = (await streams._parts.journal.extent(streams._parts.by_arn(arn(name)), 0)).last
    while True:
        for record in await records.scan("checkpoint/"):
            if json.loads(record.value)["after"] == last:
                return
        await asyncio.sleep(0.002)


async def mapped(functions: Functions, streams: StreamStore, name: str, **given: Any) -> str:
    made = await functions.api.create_event_source_mapping(
        call(), function_name="f", event_source_arn=arn(name), starting_position="TRIM_HORIZON", **given
    )
    return str(made["UUID"])


async def unmapped(functions: Functions, uuid: str) -> None:
    await functions.api.delete_event_source_mapping(call(), uuid=uuid)
    while any(mapping.uuid == uuid for mapping in functions._parts.mappings.all()):
        await asyncio.sleep(0.002)


async def through_a_function(functions: Functions, streams: StreamStore) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", CODE)
    code = {"ZipFile": buffer.getvalue()}
    await functions.api.create_function(
        call(), function_name="f", role=ROLE, code=code, runtime="python3.11", handler="app.handler"
    )
    await streams.api.create_stream(call(), stream_name="m", shard_count=1)
    await fill(streams, "m")
    for size in (100, 1000):
        begun = time.perf_counter()
        uuid = await mapped(functions, streams, "m", batch_size=size)
        await worked_off(functions, streams, "m")
        rate = RECORDS / (time.perf_counter() - begun)
        print(f"mapping, batches of {size:4}, one shard           {rate:10,.0f} records/s")
        await unmapped(functions, uuid)
    pattern = {"Filters": [{"Pattern": '{"data": {"pulse": [{"numeric": [">", 120]}]}}'}]}
    begun = time.perf_counter()
    uuid = await mapped(functions, streams, "m", batch_size=1000, filter_criteria=pattern)
    await worked_off(functions, streams, "m")
    print(f"mapping whose filter passes over all         {RECORDS / (time.perf_counter() - begun):9,.0f} records/s")
    await unmapped(functions, uuid)
    waits = []
    await streams.api.create_stream(call(), stream_name="l", shard_count=1)
    uuid = await mapped(functions, streams, "l")
    for _ in range(100):
        begun = time.perf_counter()
        await streams.put(arn("l"), DATA, "k")
        await worked_off(functions, streams, "l")
        waits.append(time.perf_counter() - begun)
    print(f"put, invoked and position saved             p50 {statistics.median(waits) * 1000:10.2f} ms")


async def main() -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        store = await EmbeddedStore.open(Path(folder) / "store")
        streams = await StreamStore.open(store, region="us-east-1", account=ACCOUNT)
        functions = await Functions.open(
            store, Path(folder) / "functions", sources={"arn:aws:kinesis:": StreamSource(streams)}
        )
        await functions.start()
        await in_and_out(streams)
        await through_a_function(functions, streams)
        await functions.close()
        await store.close()


if __name__ == "__main__":
    uvloop.run(main())
