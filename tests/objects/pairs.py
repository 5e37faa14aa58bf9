"""Two places, one of which replicates to the other over a link that can be cut."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.net.client import HttpClient
from littoral.objects import Objects
from littoral.store.embedded import EmbeddedStore
from littoral.store.remote.far import Credentials
from littoral.tour.link import Link
from tests.objects.refusing import Refusing, refusing
from tests.support.served import Served, served

ROLE = "arn:aws:iam::000000000000:role/replication"


@dataclass(frozen=True)
class Endpoint:
    url: str
    region: str
    held: Credentials

    def credentials(self) -> Credentials:
        return self.held


@dataclass
class Pair:
    """``far`` is another place, behind ``link``; its bucket is "elsewhere". "old" is another bucket of it,
    behind who knows no CRC64NVME."""

    near: Any
    far: Any
    link: Link
    objects: Objects
    place: Served
    old: Refusing


def client(place: Served) -> Any:
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.client("s3", **place.client_kwargs, config=config)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made: list[Objects] = []

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        objects = await Objects.open(store, store.folder.parent / "objects")
        await objects.start()
        made.append(objects)
        return {"s3": objects.api, "close": objects.close}

    with (
        served(factory) as far,
        Link("127.0.0.1", int(far.url.rsplit(":", 1)[1])) as link,
        refusing(int(far.url.rsplit(":", 1)[1])) as old,
        served(factory) as near,
    ):
        held = Credentials(far.access_key, far.secret_key)
        there = Endpoint(f"http://127.0.0.1:{link.port}", "us-east-1", held)
        behind = Endpoint(f"http://127.0.0.1:{old.port}", "us-east-1", held)
        http = HttpClient()

        async def wire() -> None:
            made[1].replicate_to({"elsewhere": there, "old": behind}, http)

        near.run(wire())
        s3 = client(far)
        for bucket in ("elsewhere", "old"):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield Pair(client(near), s3, link, made[1], near, old)
        near.run(http.close())


def versioned(s3: Any) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def rule(target: str, **members: Any) -> dict[str, Any]:
    newer = {"Filter": {"Prefix": ""}, "DeleteMarkerReplication": {"Status": "Enabled"}, "Priority": 1}
    return {"Status": "Enabled", "Destination": {"Bucket": f"arn:aws:s3:::{target}"}} | newer | members


def replicate(s3: Any, source: str, *rules: dict[str, Any]) -> None:
    s3.put_bucket_replication(Bucket=source, ReplicationConfiguration={"Role": ROLE, "Rules": list(rules)})


def eventually(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


def status(s3: Any, bucket: str, key: str) -> str | None:
    return s3.head_object(Bucket=bucket, Key=key).get("ReplicationStatus")  # type: ignore[no-any-return]


def completed(s3: Any, bucket: str, key: str) -> None:
    eventually(lambda: status(s3, bucket, key) == "COMPLETED")
