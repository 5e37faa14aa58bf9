"""S3 behind a real gateway on loopback, and its clients."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.aws.identity import AccessKey, new_key
from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.service import ServiceError
from littoral.objects import Objects
from littoral.store.embedded import EmbeddedStore
from tests.objects.pairs import pair
from tests.support.served import Served, served

__all__ = ["pair"]
OTHER = "111122223333"  # an account


class Recorder:
    """A destination for notifications that keeps what it is given, and refuses the first ``refusals``."""

    def __init__(self) -> None:
        self.events: list[Invocation] = []
        self.refusals = 0

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        raise AssertionError("notifications are asynchronous")

    async def invoke_async(self, invocation: Invocation) -> str:
        if self.refusals:
            self.refusals -= 1
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.", status=429)
        self.events.append(invocation)
        return "request"


@dataclass
class S3Place:
    served: Served
    objects: Objects
    recorder: Recorder

    def client(self, **config: Any) -> Any:
        retries = {"total_max_attempts": 1}
        settings = Config(s3={"addressing_style": "path"}, retries=retries, **config)
        return boto3.client("s3", **self.served.client_kwargs, config=settings)

    def blobs(self) -> set[str]:
        """The files that hold bytes, those about to go apart."""
        folder = self.served.folder / "store" / "blobs" / "objects"
        return {file.name for file in folder.iterdir()}


@pytest.fixture(scope="package")
def place() -> Iterator[S3Place]:
    made: list[Objects] = []
    recorder = Recorder()

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        objects = await Objects.open(store, store.folder.parent / "objects", invoker=recorder)
        await objects.start()
        made.append(objects)
        return {"s3": objects.api, "close": objects.close}

    with served(factory) as running:
        yield S3Place(running, made[0], recorder)


@pytest.fixture
def s3(place: S3Place) -> Any:
    return place.client()


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def refusal() -> Callable[..., tuple[str, int]]:
    """The code and status with which a call is refused."""
    from botocore.exceptions import ClientError

    def of(method: Callable[..., Any], **arguments: Any) -> tuple[str, int]:
        with pytest.raises(ClientError) as refused:
            method(**arguments)
        response = refused.value.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]

    return of


@pytest.fixture(scope="module")
def keys(place: S3Place) -> Iterator[dict[str, AccessKey]]:
    """Of the place itself, of a user who may do nothing by himself, and of another account."""
    identity = place.served.gateway._identity
    made = {"camera": new_key(user="camera"), "other": new_key(account=OTHER)}
    for key in made.values():
        identity.add(key)
    place.objects.gate.accounts = identity.accounts
    yield made | {"root": identity.root}
    for key in made.values():
        identity.remove(key.id)
