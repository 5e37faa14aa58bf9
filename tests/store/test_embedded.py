"""The embedded engine keeps the contract, and what only it promises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from littoral.store.contract import Outgoing, StoreError
from littoral.store.embedded import EmbeddedStore
from littoral.store.embedded.database import Database
from littoral.store.key import StoreKey
from tests.store.contract_suite import BlobsContract, ConsumerContract, RecordsContract, StreamsContract


class EmbeddedPlace:
    def __init__(self, folder: Path, key: StoreKey | None = None) -> None:
        self.folder = folder
        self.key = key
        self.now = 1_000_000_000.0
        self.opened: list[EmbeddedStore] = []

    async def open(self) -> EmbeddedStore:
        store = await EmbeddedStore.open(self.folder, clock=lambda: self.now, key=self.key)
        self.opened.append(store)
        return store

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[EmbeddedPlace]:
    made = EmbeddedPlace(tmp_path / "deep" / "store")
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


async def test_a_folder_is_open_in_one_process_only(place: EmbeddedPlace) -> None:
    store = await place.open()
    with pytest.raises(StoreError, match="in use"):
        await place.open()
    program = "import asyncio, pathlib, sys; from littoral.store.embedded import EmbeddedStore as S;"
    program += "asyncio.run(S.open(pathlib.Path(sys.argv[1])))"
    other = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, str(place.folder)], capture_output=True, text=True
    )
    assert other.returncode == 1
    assert "in use by another littoral process" in other.stderr
    await store.close()
    await place.open()


async def test_leftover_files_are_removed_at_open_and_named_ones_stay(place: EmbeddedPlace) -> None:
    store = await place.open()
    info = await store.blobs("b").put("k", b"kept")
    assert info.path is not None
    await store.close()
    for name in ("cafe.part", "cafe"):
        (info.path.parent / name).write_bytes(b"half")
    store = await place.open()
    assert [each.name for each in info.path.parent.iterdir()] == [info.path.name]
    assert await store.blobs("b").get("k") == b"kept"


async def test_a_cancelled_put_of_a_blob_leaves_no_file(place: EmbeddedPlace) -> None:
    blobs = (await place.open()).blobs("b")
    put = asyncio.ensure_future(blobs.put("k", b"x" * 3_000_000))
    await asyncio.sleep(0)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert list((place.folder / "blobs" / "b").iterdir()) == []


async def test_a_work_that_raises_spoils_no_neighbour(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "x.db", "CREATE TABLE IF NOT EXISTS t(x)")

    def good(connection: apsw.Connection) -> str:
        connection.execute("INSERT INTO t VALUES(1)")
        return "done"

    def bad(connection: apsw.Connection) -> str:
        connection.execute("INSERT INTO t VALUES(2)")
        raise LookupError("mine")

    for heavy in (False, True):
        works = [database.write(work, heavy=heavy) for work in (good, bad, good)]
        results = await asyncio.gather(*works, return_exceptions=True)
        assert [results[0], results[2]] == ["done", "done"]
        assert isinstance(results[1], LookupError)
    assert database.read("SELECT x FROM t") == [(1,)] * 4
    await database.close()
    with pytest.raises(StoreError, match="closed"):
        await database.write(good)


async def test_writes_that_wait_together_share_commits_and_all_are_answered_at_close(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "x.db", "CREATE TABLE IF NOT EXISTS t(x INTEGER PRIMARY KEY)")
    order: list[int] = []

    def insert(number: int) -> asyncio.Future[object]:
        def work(connection: apsw.Connection) -> None:
            connection.execute("INSERT INTO t VALUES(?)", (number,))

        return asyncio.ensure_future(database.write(work, then=lambda _: order.append(number)))

    writes = [insert(number) for number in range(3000)]
    await asyncio.sleep(0)
    await database.close()
    assert all(write.done() and write.exception() is None for write in writes)
    assert order == list(range(3000))
    reopened = await Database.open(tmp_path / "x.db", "")
    assert reopened.read("SELECT count(*) FROM t") == [(3000,)]
    await reopened.close()


async def test_committing_goes_on_beside_a_loop_that_is_busy(place: EmbeddedPlace) -> None:
    """With statements on a thread of their own this gave 22 messages a second: 400 took longer than the test may."""
    streams = (await place.open()).streams
    await streams.create("s")
    publishing = asyncio.gather(*(streams.publish("s", [Outgoing(b"x")]) for _ in range(400)))
    for _ in range(100_000):
        if publishing.done():
            break
        sum(range(20_000))
        await asyncio.sleep(0)
    assert publishing.done()
