"""Files that another process of this user gives to a store, and gets from it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from littoral.store.contract import SpooledBlobs
from littoral.store.embedded import EmbeddedStore
from littoral.store.key import StoreKey
from littoral.store.spool import SUMS, NotSpooled, Spool, Tray
from littoral.store.sums import BLOCK, Summing

DATA = os.urandom(3 * BLOCK + 17)


def sums_of(data: bytes) -> bytes:
    summing = Summing()
    summing.update(data)
    return summing.finish()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store")
    yield made
    await made.close()


@pytest.fixture
def tray(store: EmbeddedStore) -> Iterator[Tray]:
    assert store.spool is not None
    with Tray.within(store.spool.folder) as made:
        assert made is not None
        yield made


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "store" / "spool")
    made.open()
    return made


def test_a_tray_is_there_as_long_as_its_maker_holds_it(spool: Spool) -> None:
    with Tray.within(spool.folder) as tray, Tray.within(spool.folder) as other:
        assert tray is not None
        assert other is not None
        place, another = tray.place(), tray.place()
        place.write_bytes(DATA)
        another.mkdir()
        assert spool.path(Tray.name(place)) == place
        spool.open()  # the store begins anew
        assert place.read_bytes() == DATA
        assert len(list(spool.folder.iterdir())) == 2
    assert list(spool.folder.iterdir()) == []
    with pytest.raises(NotSpooled):
        spool.path(Tray.name(place))


def test_what_a_process_that_was_killed_left_goes(spool: Spool) -> None:
    words = f"""
import os, pathlib, signal
from littoral.store.spool import Tray
tray = Tray.open(pathlib.Path({str(spool.folder)!r}))
tray.place().write_bytes(b"left")
os.kill(os.getpid(), signal.SIGKILL)
"""
    for goes in (spool.open, lambda: Tray.open(spool.folder)):
        assert subprocess.run([sys.executable, "-c", words], check=False).returncode == -9
        before = list(spool.folder.iterdir())
        goes()
        assert before
        assert not any(each.exists() for each in before)


def test_where_there_is_no_spool_there_is_no_tray(tmp_path: Path) -> None:
    with Tray.within(tmp_path / "none") as tray:
        assert tray is None
    (tmp_path / "file").write_bytes(b"")
    assert Tray.open(tmp_path / "file") is None


@pytest.mark.parametrize(
    "named", ["", "1", "../1", "{tray}/../1", "{tray}/", "{tray}//1", "{tray}/1\n", "{other}/1", "/1"]
)
def test_nothing_but_what_lies_in_a_tray_is_meant(spool: Spool, named: str) -> None:
    with Tray.within(spool.folder) as tray:
        assert tray is not None
        (spool.folder / ("0" * 32)).symlink_to(spool.folder.parent)
        inside = tray.place().parent.name
        with pytest.raises(NotSpooled):
            spool.path(named.format(tray=inside, other="0" * 32))
        (spool.folder / ("0" * 32)).unlink()


async def test_a_file_becomes_a_blob_without_being_read(tmp_path: Path, store: EmbeddedStore, tray: Tray) -> None:
    blobs = store.blobs("objects")
    assert isinstance(blobs, SpooledBlobs)
    file = tray.place()
    file.write_bytes(DATA)
    number = file.stat().st_ino
    info = await blobs.take_over("a", file, sums_of(DATA))
    assert not file.exists()
    assert info.path is not None
    assert (info.size, info.path.stat().st_ino) == (len(DATA), number)
    assert await blobs.get("a") == DATA
    laid = tray.place()
    await blobs.put("b", DATA[:100])
    assert await blobs.lay_out(["b", "a", "b"], laid)
    files = sorted(each for each in laid.iterdir() if each.name != SUMS)
    assert [each.read_bytes() for each in files] == [DATA[:100], DATA, DATA[:100]]
    assert (laid / SUMS).read_bytes() == sums_of(DATA[:100]) + sums_of(DATA) + sums_of(DATA[:100])
    await blobs.delete("a")
    assert files[1].read_bytes() == DATA
    assert not await blobs.lay_out(["b", "a"], tray.place())
    assert not await blobs.lay_out(["b"], laid)  # it is there
    assert len(list(laid.iterdir())) == 4


async def test_what_is_no_file_of_its_own_is_not_taken_over(tmp_path: Path, store: EmbeddedStore, tray: Tray) -> None:
    blobs = store.blobs("objects")
    file, link, second, folder, none = (tray.place() for _ in range(5))
    file.write_bytes(DATA)
    link.symlink_to(file)
    folder.mkdir()
    for each, sums in (
        (file, sums_of(DATA)[:-1]),
        (file, b""),
        (link, sums_of(DATA)),
        (folder, b""),
        (none, b""),
    ):
        with pytest.raises(NotSpooled):
            await blobs.take_over("a", each, sums)
    second.hardlink_to(file)
    with pytest.raises(NotSpooled):
        await blobs.take_over("a", file, sums_of(DATA))
    second.unlink()
    assert await blobs.info("a") is None
    assert list((tmp_path / "store" / "blobs" / "objects").iterdir()) == []
    assert (await blobs.take_over("a", file, sums_of(DATA))).size == len(DATA)


async def test_who_is_cancelled_leaves_no_file(tmp_path: Path, store: EmbeddedStore, tray: Tray) -> None:
    blobs = store.blobs("objects")
    for number in range(20):
        file = tray.place()
        file.write_bytes(DATA)
        taking = asyncio.create_task(blobs.take_over(f"a{number}", file, sums_of(DATA)))
        await asyncio.sleep(number / 5000)
        taking.cancel()
        await asyncio.wait([taking])
    kept = {info.path for info in await blobs.scan()}
    assert set((tmp_path / "store" / "blobs" / "objects").iterdir()) == kept


async def test_a_sealed_store_has_none(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store", key=StoreKey(os.urandom(32)))
    try:
        assert store.spool is None
        assert not (tmp_path / "store" / "spool").exists()
        file = tmp_path / "file"
        file.write_bytes(DATA)
        blobs = store.blobs("objects")
        await blobs.put("b", DATA)
        with pytest.raises(NotSpooled):
            await blobs.take_over("a", file, sums_of(DATA))
        assert not await blobs.lay_out(["b"], tmp_path / "laid")
        assert file.read_bytes() == DATA
    finally:
        await store.close()
