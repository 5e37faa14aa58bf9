"""A store with a key keeps the same contract, and its folder shows nothing of what is in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from littoral.store.contract import Damaged, NearBlobs, NotFound, Outgoing, StorageFailed
from littoral.store.embedded.blobs import EmbeddedBlobs
from littoral.store.key import StoreKey
from tests.store.contract_suite import BlobsContract, ConsumerContract, RecordsContract, StreamsContract
from tests.store.test_embedded import EmbeddedPlace

KEY = StoreKey(bytes(range(32)))
LARGE = os.urandom(300_000)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[EmbeddedPlace]:
    made = EmbeddedPlace(tmp_path / "store", KEY)
    yield made
    for store in made.opened:
        await store.close()


class TestRecords(RecordsContract):
    pass


class TestStreams(StreamsContract):
    pass


class TestConsumer(ConsumerContract):
    pass


class TestBlobs(BlobsContract):
    pass


async def test_no_file_of_the_folder_shows_what_was_written(place: EmbeddedPlace) -> None:
    store = await place.open()
    planted = b"PLANTED-" * 5000
    for number in range(20):
        await store.records("SECRET-bucket").put(f"SECRET-key-{number}", planted[:2000])
    await store.streams.create("SECRET-stream")
    await store.streams.publish("SECRET-stream", [Outgoing(planted[:500], "SECRET-id", {"SECRET-header": "x"})])
    await store.blobs("b").put("SECRET-blob", planted)
    writer = await store.blobs("b").create("SECRET-unfinished")
    await writer.write(planted * 40)
    shown_while_open = shown(place.folder)
    await writer.abort()
    await store.close()
    assert shown_while_open == shown(place.folder) == []


def shown(folder: Path) -> list[str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 3
    return [
        str(file)
        for file in files
        if any(word in file.name.encode() + file.read_bytes() for word in (b"PLANTED", b"SECRET"))
    ]


async def test_another_key_opens_nothing(place: EmbeddedPlace) -> None:
    await (await place.open()).close()
    for key in (StoreKey(bytes(32)), None):
        place.key = key
        with pytest.raises(StorageFailed, match="not a database"):
            await place.open()


async def test_any_stretch_of_a_sealed_blob_is_read(place: EmbeddedPlace) -> None:
    blobs = (await place.open()).blobs("b")
    info = await blobs.put("k", LARGE)
    assert (info.size, info.path) == (len(LARGE), None)  # nobody sends the file itself
    for offset, length in ((0, 1), (65_535, 2), (65_536, 65_536), (299_999, 1), (299_999, 5), (300_000, 5), (1, None)):
        expected = LARGE[offset:] if length is None else LARGE[offset : offset + length]
        assert await blobs.get("k", offset=offset, length=length) == expected
        assert read_here(blobs, "k", offset, len(expected), max(65_536, len(expected))) == expected
        assert read_here(blobs, "k", offset, len(expected), 131_072 + 5) == expected


def read_here(blobs: EmbeddedBlobs, key: str, offset: int, length: int, room: int) -> bytes:
    """As a thread draws it."""
    reader = blobs.reader(key, offset, length)
    assert reader is not None
    memory, found = memoryview(bytearray(room)), bytearray()
    try:
        while size := reader.read_here(memory):
            found += memory[:size]
    finally:
        reader.close()
    return bytes(found)


async def test_a_thread_is_told_what_is_not_there(place: EmbeddedPlace) -> None:
    blobs = (await place.open()).blobs("b")
    assert isinstance(blobs, NearBlobs)
    with pytest.raises(NotFound):
        blobs.reader("k", 0, 1)
    await blobs.put("k", LARGE)
    for file in (place.folder / "blobs" / "b").iterdir():
        file.unlink()
    with pytest.raises(NotFound):
        read_here(blobs, "k", 0, len(LARGE), 100_000)


async def test_a_sealed_blob_of_many_writes_is_whole(place: EmbeddedPlace) -> None:
    blobs = (await place.open()).blobs("b")
    writer = await blobs.create("k")
    for at in range(0, len(LARGE), 7_777):
        await writer.write(LARGE[at : at + 7_777])
    for _ in range(4):
        await writer.write(LARGE)
    await writer.commit()
    assert await blobs.get("k") == LARGE * 5


@pytest.mark.parametrize("harm", ["cut", "longer", "bit", "head", "swap", "frames"])
async def test_what_was_done_to_a_sealed_blob_is_noticed(place: EmbeddedPlace, harm: str) -> None:
    blobs = (await place.open()).blobs("b")
    await blobs.put("one", LARGE)
    await blobs.put("two", LARGE)
    one, two = sorted((place.folder / "blobs" / "b").iterdir())
    raw = bytearray(one.read_bytes())
    if harm == "cut":
        raw = raw[: 60 + 2 * 65_552]  # at the end of a frame
    elif harm == "longer":
        raw[60:60] = raw[60 : 60 + 65_552]  # a frame twice
    elif harm == "bit":
        raw[200_000] ^= 1
    elif harm == "head":
        raw[3] ^= 1
    elif harm == "frames":
        first, second = raw[60 : 60 + 65_552], raw[60 + 65_552 : 60 + 2 * 65_552]
        raw[60 : 60 + 2 * 65_552] = second + first
    if harm == "swap":
        shutil.copyfile(two, one)
    else:
        one.write_bytes(raw)
    failed = 0
    for key in ("one", "two"):
        try:
            assert await blobs.get(key) == LARGE
        except StorageFailed as problem:
            assert "not what was written" in str(problem)
            failed += 1
            with pytest.raises(Damaged, match="not what was written"):
                read_here(blobs, key, 0, len(LARGE), 1024 * 1024)
        else:
            assert read_here(blobs, key, 0, len(LARGE), 1024 * 1024) == LARGE
    assert failed == 1


def test_no_two_names_share_a_key_and_a_name_has_always_the_same() -> None:
    assert KEY.named("blobs") == StoreKey(bytes(range(32))).named("blobs")
    assert len({KEY.named("blobs"), KEY.named("records.db"), StoreKey(bytes(32)).named("blobs")}) == 3
