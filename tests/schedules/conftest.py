"""A place with functions, streams and schedules behind a real gateway, and a clock that tests set."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.functions import Functions
from littoral.schedules import Schedules
from littoral.site.capabilities.functions import StreamSink
from littoral.site.capabilities.schedules import ScheduleTargets
from littoral.site.capabilities.sources import StreamSource
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore
from tests.support.clock import Clock
from tests.support.served import Served, served

ACCOUNT = "000000000000"
HERE = {"region": "us-east-1", "account": ACCOUNT}


@dataclass
class Site:
    served: Served
    clock: Clock
    streams: StreamStore
    schedules: Schedules

    def client(self, service: str) -> Any:
        return boto3.client(service, config=Config(retries={"max_attempts": 1}), **self.served.client_kwargs)

    def go_on(self, seconds: float) -> None:
        """Set the clock forward, and let what became due see it."""
        self.clock.ahead += seconds
        self.served.loop.call_soon_threadsafe(self.schedules.look)

    def stream(self) -> str:
        """The ARN of a new stream of one shard."""
        name = f"s-{uuid.uuid4().hex[:8]}"
        self.client("kinesis").create_stream(StreamName=name, ShardCount=1)
        return f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}"

    def record(self, arn: str, number: int = 0) -> Any:
        """The stream's record of that number, when it has come."""

        async def wait() -> Any:
            shard = "shardId-000000000000"
            while len(found := await self.streams.read(arn, shard, number, 1, 1000)) < 1:
                await self.streams.arrived(arn, shard, number, 60)
            return json.loads(found[0].data)

        return asyncio.run_coroutine_threadsafe(wait(), self.served.loop).result(60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("functions")
    clock = Clock()
    made: list[Any] = []

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        streams = await StreamStore.open(store, **HERE)
        functions = await Functions.open(
            store, folder, sink=StreamSink(streams), sources={"arn:aws:kinesis:": StreamSource(streams)}
        )
        await functions.start()
        schedules = await Schedules.open(store, ScheduleTargets(functions, streams), **HERE, clock=clock)
        await schedules.start()
        made.extend((streams, schedules))
        return {
            "kinesis": streams.api,
            "lambda": functions.api,
            "events": schedules.events,
            "scheduler": schedules.scheduler,
            "close": [schedules.close, functions.close],
        }

    with served(factory) as running:
        yield Site(running, clock, *made)
