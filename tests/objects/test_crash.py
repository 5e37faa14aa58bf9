"""kill -9 during puts, and a disk that takes no more."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from littoral.aws.service import ServiceError
from littoral.objects import Objects
from littoral.store.embedded import EmbeddedStore
from tests.objects.writer import body
from tests.support.killed import acknowledged

RUNS = 50


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[EmbeddedStore, Objects]]:
    store = await EmbeddedStore.open(folder / "store")
    objects = await Objects.open(store, folder / "objects")
    await objects.start()
    try:
        yield store, objects
    finally:
        await objects.close()
        await store.close()


def order(name: str) -> tuple[int, int]:
    """Run and count of a written object: later ones replace earlier ones of the same key."""
    run, _, count = name.split("-")
    return int(run), int(count)


@pytest.mark.slow
@pytest.mark.timeout(600)  # beside other work it takes minutes
async def test_what_was_acknowledged_is_whole_after_kill_9(tmp_path: Path) -> None:
    expected: dict[str, tuple[int, int]] = {}
    chance = random.Random(7)
    for run in range(RUNS):
        told = acknowledged("tests.objects.writer", tmp_path, run, chance.randrange(1, 40))
        expected |= {key: order(name) for key, name in told.items()}
        async with opened(tmp_path) as (store, objects):
            for key, least in expected.items():
                name = objects._index.get("crash", key).facts.metadata["name"]
                assert order(name) >= least, (key, name)  # or a later one, durable and not yet told
                assert await objects.get_bytes("crash", key) == body(name)
            named = {row[0] for row in objects._index.read("SELECT blob FROM pieces")}
            kept = {info.key for info in await store.blobs("objects").scan(limit=10_000)}
            assert kept == named


FULL_DISK = """
import asyncio, os, resource, sys
from pathlib import Path
from littoral.aws.service import ServiceError
from littoral.objects import Objects
from littoral.objects.facts import Bucket
from littoral.store.embedded import EmbeddedStore

async def main(folder):
    store = await EmbeddedStore.open(folder / "store")
    objects = await Objects.open(store, folder / "objects")
    await objects.start()
    await objects._index.create_bucket("full", Bucket(0.0))
    await objects.put_bytes("full", "k", b"before" * 10_000)
    refusals = []
    blobs = folder / "store" / "blobs" / "objects"
    for size in (8_000_000, 3_000_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, resource.RLIM_INFINITY))
        try:
            await objects.put_bytes("full", "k", b"x" * size)
        except ServiceError as refused:
            refusals.append((refused.code, refused.status))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert refusals == [("InternalError", 500)] * 2, refusals
    assert await objects.get_bytes("full", "k") == b"before" * 10_000
    assert len(list(blobs.iterdir())) == 1, list(blobs.iterdir())
    await objects.put_bytes("full", "k", b"after" * 10_000)
    assert await objects.get_bytes("full", "k") == b"after" * 10_000
    await objects.close()
    await store.close()

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_disk_that_takes_no_more_leaves_what_was(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow: a real error of write(2) in the middle of a body."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_bodies_that_break_off_leave_nothing(tmp_path: Path) -> None:
    from littoral.net.message import BytesBody
    from littoral.objects.checksums import Stated

    async with opened(tmp_path) as (store, objects):
        for size in (10, 3_000_000):
            with pytest.raises(ServiceError, match="IncompleteBody"):
                await objects._shelf.receive(BytesBody(b"x" * (size - 1)), Stated(), {}, size)
        assert list(await store.blobs("objects").scan()) == []
        assert list((tmp_path / "store" / "blobs" / "objects").iterdir()) == []
