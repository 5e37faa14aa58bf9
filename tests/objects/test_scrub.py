"""Bits that rot: every read looks, the scrub finds, a replica mends. Nobody is ever given other bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from littoral.aws.service import ServiceError
from littoral.objects import Objects
from littoral.objects.facts import Bucket, Stored
from littoral.store.embedded import EmbeddedStore
from littoral.store.sums import BLOCK, Summing, Sums

LARGE = hashlib.shake_128(b"large").digest(3 * BLOCK + 1000)
SMALL = b"small"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Objects]:
    store = await EmbeddedStore.open(folder / "store")
    objects = await Objects.open(store, folder / "objects", clock=lambda: 1e9)
    try:
        yield objects
    finally:
        await objects.close()
        await store.close()


async def filled(objects: Objects, encryption: str | None = None) -> None:
    await objects._index.create_bucket("b", Bucket(0.0, encryption=encryption))
    await objects.put_bytes("b", "large", LARGE)
    await objects.put_bytes("b", "small", SMALL)


def flip(folder: Path, at: int) -> None:
    """One bit of the one blob."""
    (file,) = (folder / "store" / "blobs" / "objects").iterdir()
    data = bytearray(file.read_bytes())
    data[at] ^= 4
    file.write_bytes(data)


async def flip_row(objects: Objects) -> None:
    def work(connection: apsw.Connection) -> None:
        ((kept,),) = connection.execute("SELECT inline FROM objects WHERE key = 'small'")
        connection.execute("UPDATE objects SET inline = ? WHERE key = 'small'", (kept[:-1] + bytes([kept[-1] ^ 1]),))

    await objects._index._write(work)


class Elsewhere:
    """A replica that has these bytes, in chunks that fit nothing."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects
        self.asked: list[tuple[str, str, str | None, str]] = []

    async def fetch(self, stored: Stored) -> AsyncIterator[bytes] | None:
        self.asked.append((stored.bucket, stored.key, stored.version, stored.content.etag))
        data = self._objects.get(stored.key)
        return None if data is None else self._chunks(data)

    async def _chunks(self, data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 70_001):
            yield data[start : start + 70_001]


def test_sums_know_every_block_and_the_end() -> None:
    summing = Summing()
    for start in range(0, len(LARGE), 100_003):
        summing.update(LARGE[start : start + 100_003])
    sums = Sums(len(LARGE), summing.finish())
    blocks = [LARGE[start : start + BLOCK] for start in range(0, len(LARGE), BLOCK)]
    assert all(sums.sound(number, block) for number, block in enumerate(blocks))
    assert not sums.sound(0, blocks[1])
    assert not sums.sound(3, blocks[3][:-1])
    assert not sums.sound(0, bytes([blocks[0][0] ^ 1]) + blocks[0][1:])


@pytest.mark.parametrize("at", [0, BLOCK, len(LARGE) - 1])
async def test_a_bit_that_flipped_is_found_and_never_read(tmp_path: Path, at: int) -> None:
    async with opened(tmp_path) as objects:
        await filled(objects)
        flip(tmp_path, at)
        done = await objects.scrub.scrub()
        assert (done.damaged, done.checked, done.mended) == (1, 2, 0)
        assert done.bytes >= len(SMALL)
        with pytest.raises(ServiceError, match="damaged") as refused:
            await objects.get_bytes("b", "large")
        assert (refused.value.code, refused.value.status) == ("InternalError", 500)
        assert await objects.get_bytes("b", "small") == SMALL
    async with opened(tmp_path) as objects:  # and is known after a restart
        assert len(objects._shelf.damage.known) == 1
        await objects._index.delete("b", [_removal("large")], _origin())
        await objects.scrub.scrub()
        assert objects._shelf.damage.known == set()


async def test_a_read_finds_it_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as objects:
        await filled(objects)
        flip(tmp_path, 2 * BLOCK)
        await flip_row(objects)
        for key in ("large", "small"):
            with pytest.raises(ServiceError, match="damaged"):
                await objects.get_bytes("b", key)
        assert len(objects._shelf.damage.known) == 1  # the row is looked at each time


async def test_what_is_cut_off_or_gone_is_damaged(tmp_path: Path) -> None:
    async with opened(tmp_path) as objects:
        await filled(objects)
        (file,) = (tmp_path / "store" / "blobs" / "objects").iterdir()
        file.write_bytes(LARGE[:-1])
        assert (await objects.scrub.scrub()).damaged == 1
        file.unlink()
        assert (await objects.scrub.scrub()).damaged == 1


@pytest.mark.parametrize("encryption", [None, "AES256"])
async def test_a_replica_mends_it(tmp_path: Path, encryption: str | None) -> None:
    kept = None if encryption is None else json.dumps({"SSEAlgorithm": encryption})
    async with opened(tmp_path) as objects:
        await filled(objects, kept)
        flip(tmp_path, BLOCK + 7)
        await flip_row(objects)
        objects.scrub.replica = elsewhere = Elsewhere({"large": LARGE, "small": SMALL})
        done = await objects.scrub.scrub()
        assert (done.damaged, objects.scrub.current.mended) == (2, 2)
        assert {asked[1] for asked in elsewhere.asked} == {"large", "small"}
        assert await objects.get_bytes("b", "large") == LARGE
        assert await objects.get_bytes("b", "small") == SMALL
        assert (await objects.scrub.scrub()).damaged == 0


@pytest.mark.parametrize("wrong", [LARGE[:-1], LARGE[:-1] + b"?", LARGE[1:] + b"x", b""])
async def test_a_replica_that_has_something_else_changes_nothing(tmp_path: Path, wrong: bytes) -> None:
    async with opened(tmp_path) as objects:
        await filled(objects)
        flip(tmp_path, 5)
        objects.scrub.replica = Elsewhere({"large": wrong})
        await objects.scrub.scrub()
        assert len(objects._shelf.damage.known) == 1
        with pytest.raises(ServiceError, match="damaged"):
            await objects.get_bytes("b", "large")


async def test_a_pass_goes_on_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.objects.scrub.PAGE", 2)
    async with opened(tmp_path) as objects:
        await objects._index.create_bucket("b", Bucket(0.0))
        for number in range(5):
            await objects.put_bytes("b", str(number), LARGE)
        count = objects.scrub._count
        pages: list[Any] = []

        async def stop(*page: Any) -> None:
            await count(*page)
            pages.append(page)
            if len(pages) == 2:
                raise ServiceError("Stop", "here", status=500)

        monkeypatch.setattr(objects.scrub, "_count", stop)
        with pytest.raises(ServiceError, match="here"):
            await objects.scrub.scrub()
    async with opened(tmp_path) as objects:
        assert (objects.scrub.running, objects.scrub.current.checked) == (True, 4)
        done = await objects.scrub.scrub()
        assert (done.checked, done.damaged, objects.scrub.running) == (5, 0, False)


async def test_the_index_s_own_pages_are_looked_at(tmp_path: Path) -> None:
    async with opened(tmp_path) as objects:
        await objects._index.create_bucket("b", Bucket(0.0))
        for number in range(400):
            await objects.put_bytes("b", f"{number:04}", SMALL * 200)
        assert (await objects.scrub.scrub()).index == ""
    path = tmp_path / "objects" / "objects.db"
    data = bytearray(path.read_bytes())
    for page in range(len(data) // 8192, len(data) // 4096):  # the later half
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    async with opened(tmp_path) as objects:
        assert await objects._index.check_pages() != ""


def _removal(key: str) -> Any:
    from littoral.objects.versions import Removal

    return Removal(key)


def _origin() -> Any:
    from littoral.objects.events import Origin

    return Origin("test", "127.0.0.1", "TEST", 1e9)


async def test_a_copy_of_the_stopped_folder_is_a_backup(tmp_path: Path) -> None:
    async with opened(tmp_path / "place") as objects:
        await filled(objects, json.dumps({"SSEAlgorithm": "AES256"}))
    shutil.copytree(tmp_path / "place", tmp_path / "restored")
    shutil.rmtree(tmp_path / "place")
    async with opened(tmp_path / "restored") as objects:
        await objects._shelf.start()
        done = await objects.scrub.scrub()
        assert (done.checked, done.damaged, done.index) == (2, 0, "")
        assert await objects.get_bytes("b", "large") == LARGE
        assert await objects.get_bytes("b", "small") == SMALL
