"""A place with objects and models, and its clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.models.facade import Models
from littoral.objects import Objects
from littoral.site.models import ModelObjects
from littoral.store.embedded import EmbeddedStore
from tests.support.served import Served, served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("models")

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        objects = await Objects.open(store, folder / "objects")
        models = await Models.open(store, folder, ModelObjects(objects), region="us-east-1", account="000000000000")
        return {"s3": objects.api, "sagemaker": models.api, "close": [objects.close]}

    with served(factory) as running:
        yield running


def client(place: Served, service: str) -> Any:
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}), **place.client_kwargs)


@pytest.fixture(scope="module")
def s3(place: Served) -> Any:
    made = client(place, "s3")
    made.create_bucket(Bucket="models")
    return made


@pytest.fixture(scope="module")
def sagemaker(place: Served) -> Any:
    return client(place, "sagemaker")
