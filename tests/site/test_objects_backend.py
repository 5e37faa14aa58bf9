"""A region whose objects lie in a bucket of another endpoint: a place of its own, behind a link that can be cut."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.site.objectstorage import object_blobs
from littoral.site.place import Misconfigured
from littoral.site.settings import load
from littoral.store.contract import Blobs
from littoral.store.embedded import EmbeddedStore
from littoral.tour.link import Link
from tests.site.conftest import Running, up
from tests.support.objects import objects_in
from tests.support.served import Served, served


@dataclass
class Behind:
    """``settings`` of a place whose far side is behind ``link``."""

    link: Link
    far: Any
    settings: list[str]

    def names(self) -> list[str]:
        return [each["Key"] for each in self.far.list_objects_v2(Bucket="far").get("Contents", [])]


@pytest.fixture(scope="module")
def far() -> Iterator[Served]:
    with served(objects_in) as place:
        boto3.client("s3", **place.client_kwargs).create_bucket(Bucket="far")
        yield place


@pytest.fixture
def behind(far: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behind]:
    with Link("127.0.0.1", int(far.url.rsplit(":", 1)[1])) as link:
        config = tmp_path / "aws"
        config.write_text(
            f"[profile ceph]\nendpoint_url = http://127.0.0.1:{link.port}\nregion = us-east-1\n"
            f"aws_access_key_id = {far.access_key}\naws_secret_access_key = {far.secret_key}\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        settings = ["--objects-backend", "s3://far/one", "--objects-profile", "ceph"]
        yield Behind(link, boto3.client("s3", **far.client_kwargs), settings)


def region(stack: ExitStack, folder: Path, *settings: str) -> Running:
    place = up(folder, *settings, kind="region")
    stack.callback(place.process.stop)
    return place


def test_an_outage_of_the_far_side_is_told_and_loses_nothing(behind: Behind, tmp_path: Path) -> None:
    folder, after = tmp_path / "place", os.urandom(9_000_000)
    with ExitStack() as stack:
        s3 = region(stack, folder, *behind.settings).client("s3")
        s3.create_bucket(Bucket="pictures")
        s3.put_object(Bucket="pictures", Key="after", Body=after)
        assert len(behind.names()) == 2
        assert all(name.startswith("one/") for name in behind.names())
        assert (
            s3.get_object(Bucket="pictures", Key="after", Range="bytes=8388600-8388700")["Body"].read()
            == (after[8388600:8388701])
        )
        behind.link.cut()
        for call in (
            lambda: s3.put_object(Bucket="pictures", Key="after", Body=after[1:]),
            lambda: s3.get_object(Bucket="pictures", Key="after"),
        ):
            with pytest.raises(ClientError) as away:
                call()
            assert away.value.response["Error"]["Code"] == "ServiceUnavailable"
            assert away.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert s3.head_object(Bucket="pictures", Key="after")["ContentLength"] == len(after)
        s3.put_object(Bucket="pictures", Key="small", Body=b"in the index")
        behind.link.restore()
        assert s3.get_object(Bucket="pictures", Key="after")["Body"].read() == after


async def test_a_place_is_not_started_beside_its_objects(behind: Behind, tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store")

    async def blobs(*settings: str) -> Blobs | None:
        flags = dict(zip(("objects_backend", "objects_profile"), settings, strict=False))
        made = load(flags, {}, tmp_path).settings
        place: Any = SimpleNamespace(settings=made, part=ending.append)
        return await object_blobs(cast(Any, SimpleNamespace(place=place, store=store)))

    ending: list[Callable[[], Awaitable[None]]] = []
    for settings in (("s3://far/zero", "ceph"), ("s3://far/one", "ceph")):  # the first has nothing yet
        found = await blobs(*settings)
    assert found is not None
    await found.put("a", b"x" * 100_000)
    for wrong, said in (((), "lie at s3://far/one"), (("s3://far/two", "ceph"), "not at s3://far/two")):
        with pytest.raises(Misconfigured, match=said):
            await blobs(*wrong)
    with pytest.raises(Misconfigured, match="nobody"):
        await blobs("s3://far/one", "nobody")
    for end in ending:
        await end()
    await store.close()
