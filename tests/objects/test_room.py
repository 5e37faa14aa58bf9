"""A place that its own objects fill: the last of its disk is kept for the index, so that deleting makes room again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.objects import Objects
from littoral.store.contract import StorageFailed
from littoral.store.embedded import EmbeddedStore
from tests.objects.pairs import eventually
from tests.site.test_bad_input_disk import small
from tests.support.served import served

__all__ = ["small"]


@pytest.fixture
def s3(small: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Of a place on the small disk."""
    monkeypatch.setattr("littoral.store.embedded.blobs.LINGER", 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(small))

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        objects = await Objects.open(store, store.folder.parent / "objects")
        await objects.start()
        return {"s3": objects.api, "close": objects.close}

    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    with served(factory) as place:
        client = boto3.client("s3", **place.client_kwargs, config=config)
        client.create_bucket(Bucket="full")
        yield client


def free(disk: Path) -> int:
    found = subprocess.run(["df", "-B1", "--output=avail", disk], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[-1])


def filled(s3: Any, size: int) -> list[str]:
    """Objects until one is refused; their keys."""
    put: list[str] = []
    for number in range(100_000):
        try:
            s3.put_object(Bucket="full", Key=f"{size}/{number}", Body=bytes(size))
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "InternalError"
            assert refused.response["Error"]["Message"].startswith("The disk of this place is full")
            return put
        put.append(f"{size}/{number}")
    raise AssertionError("nothing was refused")


def test_what_fills_it_is_refused_while_there_is_room_for_the_index(s3: Any, small: Path) -> None:
    kept = 24 * 1024 * 1024 // 64
    put = filled(s3, 3_000_000) + filled(s3, 200_000) + filled(s3, 20_000)
    assert kept - 70_000 < free(small) < kept + 400_000  # and not down to the last byte
    for key in put:
        s3.delete_object(Bucket="full", Key=key)
    eventually(lambda: free(small) > 20_000_000)
    s3.put_object(Bucket="full", Key="again", Body=bytes(3_000_000))


class Refusing:
    """Blobs of which none can be removed for a while, as on a full disk."""

    def __init__(self, blobs: Any) -> None:
        self._blobs = blobs
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def delete(self, key: str) -> bool:
        if self.refused < 3:
            self.refused += 1
            raise StorageFailed("records.db: database or disk is full")
        return bool(await self._blobs.delete(key))


async def test_what_the_disk_does_not_let_go_is_removed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.objects.content.AGAIN", 0.01)
    store = await EmbeddedStore.open(tmp_path / "store")
    blobs = Refusing(store.blobs("objects"))
    objects = await Objects.open(store, tmp_path / "objects", blobs=blobs)  # type: ignore[arg-type]
    await objects.start()
    writer = await blobs.create("nobody's")
    await writer.write(b"left")
    await writer.commit()
    objects._shelf.remove(["nobody's"])
    while await blobs.info("nobody's") is not None:
        await asyncio.sleep(0.01)
    assert blobs.refused == 3
    await objects.close()
    await store.close()
