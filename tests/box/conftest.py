"""Places with objects behind real gateways on loopback, and transfers towards them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.box.transfer.asking import Keys
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.items import Source
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.moving import Mover
from littoral.net.client import HttpClient
from tests.support.objects import objects_in
from tests.support.served import Served, served


@dataclass
class Depot:
    """A place with S3."""

    served: Served

    @property
    def s3(self) -> Any:
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        return boto3.client("s3", **self.served.client_kwargs, config=config)

    @property
    def keys(self) -> Keys:
        return Keys(self.served.access_key, self.served.secret_key)

    def bucket(self, client: HttpClient, name: str, url: str = "", patience: float = 20) -> Bucket:
        return Bucket(client, url or self.served.url, name, self.keys, patience=patience)

    def held(self, bucket: str) -> dict[str, bytes]:
        s3 = self.s3
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@pytest.fixture(scope="package")
def depot() -> Iterator[Depot]:
    with served(objects_in) as running:
        yield Depot(running)


@dataclass
class Done:
    """A transfer that has ended: what its mover and its journal say."""

    mover: Mover
    arrived: list[tuple[str, int, str, str]]  # key, size, SHA-256, ETag

    def __getattr__(self, name: str) -> Any:
        return getattr(self.mover, name)


Moving = Callable[[HttpClient], tuple[Source, Bucket]]


@pytest.fixture
def move(tmp_path: Path) -> Callable[..., Done]:
    """Carry a transfer out."""

    def carried_out(parts: Moving, journal: str = "journal", **options: Any) -> Done:
        async def run() -> Done:
            client = HttpClient()
            kept = Journal.open(tmp_path / f"{journal}.db")
            try:
                source, destination = parts(client)
                mover = Mover(source, destination, kept, **options)
                await mover.run()
                return Done(mover, list(kept.all()))
            finally:
                kept.close()
                await client.close()

        return asyncio.run(run())

    return carried_out


@pytest.fixture(autouse=True)
def several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few files."""
    monkeypatch.setattr("littoral.box.transfer.batches.MOST", 60)
