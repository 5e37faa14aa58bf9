"""A place with objects and models, and its clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from littoral.models.facade import Models, Serving
from littoral.models.serving.process import Limits
from littoral.objects import Objects
from littoral.site.modelroom import confined
from littoral.site.models import ModelObjects, route_inference
from littoral.store.embedded import EmbeddedStore
from tests.models.clients import client
from tests.support.served import Served, served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("models")
    made: list[Models] = []

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        objects = await Objects.open(store, folder / "objects")
        serving = Serving(confined, Limits(2 << 30))
        models = await Models.open(
            store, folder, ModelObjects(objects), serving, region="us-east-1", account="000000000000"
        )
        made.append(models)
        return {
            "s3": objects.api,
            "sagemaker-runtime": models.runtime,
            "sagemaker": models.api,
            "close": [models.close, objects.close],
        }

    with served(factory) as running:
        route_inference(running.gateway, made[0], running.gateway._identity)
        yield running


@pytest.fixture(scope="module")
def s3(place: Served) -> Any:
    made = client(place, "s3")
    made.create_bucket(Bucket="models")
    return made


@pytest.fixture(scope="module")
def sagemaker(place: Served) -> Any:
    return client(place, "sagemaker")


@pytest.fixture(scope="module")
def runtime(place: Served) -> Any:
    return client(place, "sagemaker-runtime")
