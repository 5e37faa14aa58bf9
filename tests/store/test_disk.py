"""What the disk does to us: power cuts on ext4 and a disk that is full. Needs root for mounts and loop devices."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from littoral.store.contract import Outgoing, StorageFailed
from littoral.store.embedded import EmbeddedStore
from tests.store.crash_writer import sealed, verify

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NOLOGFLUSH = 2  # as a power cut: what the journal has not on disk is gone

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")]


def do(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


def mount(*words: str | Path) -> None:
    done = do("mount", *words)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """The mount point of an ext4 file system on a loop device."""
    image, point = tmp_path / "image", tmp_path / "disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(96 * 1024 * 1024)
    made = do("mkfs.ext4", "-q", image)
    if made.returncode:
        pytest.skip(f"cannot make ext4 here: {made.stderr.strip()}")
    mount("-o", "loop", image, point)
    yield point
    do("umount", point)


def cut_power(disk: Path) -> None:
    handle = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
    finally:
        os.close(handle)


def restore_power(disk: Path) -> None:
    """A copy of the image is mounted: a cell that somebody made meanwhile has the mount, too, and as long as it runs
    the image itself is the file system that was cut off."""
    assert do("umount", disk).returncode == 0
    image, copy = disk.parent / "image", disk.parent / "copy"
    assert do("cp", "--sparse=always", image, copy).returncode == 0
    copy.rename(image)
    mount("-o", "loop", image, disk)


def write_until_the_cut(disk: Path, run: str, acknowledgements: int) -> tuple[list[str], list[str]]:
    """What was acknowledged before the cut, and what while it was being made.

    Of the second nothing is certain. The cut is the kernel's own abort of the journal, and an fsync under way in that
    moment may be answered with success: it finds its transaction no longer committing, and does not ask why. In a
    real cut nobody is left to hear that answer.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.store.crash_writer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as forge:
        assert forge.stdin is not None
        assert forge.stdout is not None
        forge.stdin.write(f"{disk / 'store'} {run}\n")
        forge.stdin.close()
        lines: list[str] = []
        for line in map(str.strip, forge.stdout):
            lines.append(line)
            if len(lines) == acknowledgements:
                cut_power(disk)
    assert any(line.startswith("failed StorageFailed") for line in lines), lines[-3:]
    said = [
        [line for line in part if not line.startswith(("pid", "gone", "failed"))]
        for part in (lines[:acknowledgements], lines[acknowledgements:])
    ]
    return said[0], said[1]


def test_the_cut_is_one(disk: Path) -> None:
    """What nobody synced must be gone, or the next test proves nothing."""
    with (disk / "synced").open("wb") as file:
        file.write(b"here")
        file.flush()
        os.fsync(file.fileno())
    (disk / "unsynced").write_bytes(b"gone")
    cut_power(disk)
    restore_power(disk)
    assert (disk / "synced").read_bytes() == b"here"
    assert not (disk / "unsynced").exists()


async def test_a_power_cut_loses_nothing_acknowledged(disk: Path) -> None:
    for number, acknowledgements in enumerate((30, 80, 200, 400)):
        run = str(number)
        lines, perhaps = write_until_the_cut(disk, run, acknowledgements)
        restore_power(disk)
        store = await EmbeddedStore.open(disk / "store")
        await verify(store, run, lines, perhaps)
        await store.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "small"
    point.mkdir()
    mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", point)
    yield point
    assert do("umount", point).returncode == 0


async def test_a_full_disk_fails_what_waits_and_is_over_when_there_is_room(small: Path) -> None:
    store = await EmbeddedStore.open(small / "store")
    records, blobs = store.records("r"), store.blobs("b")
    await store.streams.create("s")
    await records.put("before", b"kept")
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 4 * 1024 * 1024)

    async def fill(name: str) -> int:
        for number in range(10_000):
            await records.put(f"{name}/{number}", sealed(str(number), 20_000))
        return 0

    results = await asyncio.gather(*(fill(str(each)) for each in range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [StorageFailed] * 4
    with pytest.raises(StorageFailed):
        await store.blobs("b").put("big", b"x" * 12_000_000)
    assert await blobs.info("big") is None
    assert list((small / "store" / "blobs" / "b").iterdir()) == []
    with pytest.raises(StorageFailed):
        while True:
            await store.streams.publish("s", [Outgoing(b"x" * 100_000)] * 10)
    ballast.unlink()
    last = await store.streams.publish("s", [Outgoing(b"after")])
    await records.put("after", b"kept too")
    await blobs.put("after", b"kept as well")
    held = {record.key: record.value for record in await records.scan()}
    await store.close()

    store = await EmbeddedStore.open(small / "store")
    assert {record.key: record.value for record in await store.records("r").scan()} == held
    assert (held["before"], held["after"]) == (b"kept", b"kept too")
    messages = await store.streams.read("s", limit=10_000)
    assert [message.sequence for message in messages] == list(range(1, last[0] + 1))
    assert await store.blobs("b").get("after") == b"kept as well"
    await store.close()


async def test_a_folder_that_cannot_be_written_is_refused_at_open(small: Path) -> None:
    (small / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        await EmbeddedStore.open(small / "file" / "store")
    (small / "ballast").write_bytes(b"x" * (12 * 1024 * 1024 - 20 * 1024))
    with pytest.raises(StorageFailed):
        await EmbeddedStore.open(small / "store")
