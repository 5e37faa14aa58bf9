"""Where a spool is of no use: a full disk, two of them, an older place, another make. All arrives all the same."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from littoral.box.transfer.asking import Keys
from littoral.cli.transfer import End
from littoral.store.spool import Tray
from tests.box.conftest import Depot
from tests.box.test_spool_odds import exported, imported, ward
from tests.box.test_spooling import laid, moved, plain, region, spool, taken
from tests.support.objects import objects_in
from tests.support.served import served

__all__ = ["laid", "region", "taken", "ward"]
MIB = 1024 * 1024
CONTENT = {"a": os.urandom(40 * MIB + 5), "b": os.urandom(20 * MIB)}


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many MiB; root may mount one."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs root to mount a small file system: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def place(*more: Any) -> Iterator[Depot]:
    with served(objects_in) as running:
        yield Depot(running)


def filled(s3: Any) -> None:
    for key, data in CONTENT.items():
        s3.put_object(Bucket="ward", Key=key, Body=data, ChecksumAlgorithm="CRC64NVME")


async def test_what_has_no_room_waits_for_it_and_the_index_keeps_its_own(
    depot: Depot, ward: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    await asyncio.to_thread(filled, ward)
    with ExitStack() as stack:
        stack.enter_context(mounted(disk, 128))
        monkeypatch.setattr("tempfile.tempdir", str(disk))
        small = stack.enter_context(place())
        monkeypatch.undo()
        filler = disk / "filler"
        with filler.open("wb") as file:
            left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            file.write(bytes(left - 37 * MIB))  # for one part, and no other
        least = 128 * MIB

        async def watched() -> None:
            nonlocal least
            while True:
                now = os.statvfs(disk)
                least = min(least, now.f_bavail * now.f_frsize)
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watched())
        moving = asyncio.create_task(imported(depot, small, tmp_path))
        await asyncio.sleep(1.5)
        assert not moving.done()
        await asyncio.to_thread(lambda: small.s3.put_object(Bucket="ward", Key="meanwhile", Body=b"small"))
        filler.unlink()
        assert (await moving).failed == {}
        watching.cancel()
        assert least >= 128 * MIB // 64 - MIB  # but for what the index itself has written
        assert await asyncio.to_thread(small.held, "ward") == CONTENT | {"meanwhile": b"small"}


async def test_a_spool_on_another_disk_is_gone_round(
    depot: Depot, ward: Any, tmp_path: Path, taken: list[str], laid: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(filled, ward)
    with ExitStack() as stack:
        first = stack.enter_context(place())
        blobs = first.served.folder / "store" / "blobs" / "objects"
        stack.enter_context(mounted(blobs, 256))
        assert (await imported(depot, first, tmp_path)).failed == {}
        assert taken  # it was asked to
        assert await asyncio.to_thread(first.held, "ward") == CONTENT
        await asyncio.to_thread(lambda: [ward.delete_object(Bucket="ward", Key=key) for key in CONTENT])
        (tmp_path / "back").mkdir()
        assert (await exported(first, depot, tmp_path / "back")).failed == {}
        assert laid == [False] * len(CONTENT)
        assert await asyncio.to_thread(depot.held, "ward") == CONTENT


async def test_a_place_that_knows_of_no_spool_is_sent_the_bytes(
    depot: Depot,
    region: Depot,
    ward: Any,
    tmp_path: Path,
    taken: list[str],
    laid: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An older one, over the same folder: it takes the sums for the part, and finds that they are not."""
    await asyncio.to_thread(filled, ward)
    for module in ("uploads", "reading"):
        monkeypatch.setattr(f"littoral.objects.api.{module}.SPOOLED", "x-not-known")
    with Tray.within(spool(region)) as tray:
        mover = await moved(plain(depot), plain(region), tray, tmp_path)
        assert (mover.failed, mover.destination.tray) == ({}, None)
    assert await asyncio.to_thread(region.held, "ward") == CONTENT
    await asyncio.to_thread(lambda: [ward.delete_object(Bucket="ward", Key=key) for key in CONTENT])
    (tmp_path / "back").mkdir()
    assert (await exported(region, depot, tmp_path / "back")).failed == {}
    assert (taken, laid) == ([], [])
    assert await asyncio.to_thread(depot.held, "ward") == CONTENT


async def test_another_s3_is_a_source_as_a_box_is(region: Depot, tmp_path: Path, taken: list[str]) -> None:
    moto = pytest.importorskip("moto.server", reason="moto is not installed: make peers")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "region_name": "us-east-1"}
        s3 = boto3.client("s3", endpoint_url=url, **keys)

        def put() -> None:
            s3.create_bucket(Bucket="ward")
            s3.put_object(Bucket="ward", Key="a", Body=CONTENT["a"])
            upload = {"Bucket": "ward", "Key": "b"}
            upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
            tag = s3.upload_part(**upload, PartNumber=1, Body=CONTENT["b"])["ETag"]
            s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})

        await asyncio.to_thread(put)
        with Tray.within(spool(region)) as tray:
            mover = await moved(End(url, Keys("a", "s")), plain(region), tray, tmp_path)
        assert mover.failed == {}
        assert taken  # that of which no MD5 is said goes so
        assert await asyncio.to_thread(region.held, "ward") == CONTENT
    finally:
        server.stop()
