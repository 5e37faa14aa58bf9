"""A place with tables only, and boto3's clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.store.embedded import EmbeddedStore
from littoral.tables import TableStore
from tests.support.clock import Clock
from tests.support.served import Served, served


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def place(clock: Clock) -> Iterator[Served]:
    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        tables = await TableStore.open(
            store.folder.parent / "tables", region="us-east-1", account="0" * 12, clock=clock
        )
        tables.start()
        return {"dynamodb": tables.api, "dynamodbstreams": tables.streams_api, "close": tables.close}

    with served(factory) as running:
        yield running


def client_of(place: Served, service: str) -> Any:
    return boto3.client(service, config=Config(retries={"max_attempts": 1}), **place.client_kwargs)


@pytest.fixture
def client(place: Served) -> Any:
    return client_of(place, "dynamodb")


@pytest.fixture
def resource(place: Served) -> Any:
    return boto3.resource("dynamodb", **place.client_kwargs)
