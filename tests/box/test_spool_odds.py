"""What goes by the spool where something is odd: sizes, parts, what changes meanwhile, a place that is slow."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.box.transfer.asking import Unanswered
from littoral.box.transfer.bucket import Bucket, Upload
from littoral.box.transfer.buffers import PART
from littoral.box.transfer.items import About
from littoral.box.transfer.large import Large
from littoral.box.transfer.laying import Spooling
from littoral.box.transfer.moving import Mover
from littoral.box.transfer.sums import Sum
from littoral.cli.transfer import How
from littoral.net.client import HttpClient
from littoral.net.receiving import Sink
from littoral.objects.content import Shelf
from littoral.store import strides
from littoral.store.past import NewFile
from littoral.store.spool import Tray
from littoral.store.sums import BLOCK
from tests.box.conftest import Depot
from tests.box.test_spooling import laid, moved, plain, region, spool, taken
from tests.objects.pairs import eventually

__all__ = ["laid", "region", "taken"]
MIB = 1024 * 1024
TWICE = 2 * PART
RANDOM = os.urandom(68 * MIB)


class Given:
    """A source of one content. Implements Drawer."""

    about = About()
    said: Sum | None = None

    def __init__(self, data: bytes) -> None:
        self.data, self.drawn = data, 0

    async def fill(self, buffer: memoryview) -> int:
        raise NotImplementedError("nobody asks it to")

    async def draw(self, begin: int, size: int, sink: Sink) -> None:
        self.drawn += 1
        await asyncio.to_thread(self._draw, begin, size, sink)

    def _draw(self, begin: int, size: int, sink: Sink) -> None:
        sink.begin()
        left = memoryview(self.data)[begin : begin + size]
        while left:
            room = sink.room(1)
            came = min(len(room), len(left))
            room[:came] = left[:came]
            sink.came(came)
            left = left[came:]

    async def close(self) -> None:
        """Nothing of it is open."""


@pytest.fixture
def ward(depot: Depot, region: Depot) -> Any:
    """What stands for a box, over plain HTTP; its bucket is new."""
    for key in depot.held("ward") if "ward" in buckets(depot) else ():
        depot.s3.delete_object(Bucket="ward", Key=key)
    if "ward" not in buckets(depot):
        depot.s3.create_bucket(Bucket="ward")
    return depot.s3


def buckets(depot: Depot) -> set[str]:
    return {one["Name"] for one in depot.s3.list_buckets()["Buckets"]}


async def imported(depot: Depot, region: Depot, folder: Path) -> Mover:
    with Tray.within(spool(region)) as tray:
        mover = await moved(plain(depot), plain(region), tray, folder)
    assert list(spool(region).iterdir()) == []
    return mover


async def exported(region: Depot, depot: Depot, folder: Path) -> Mover:
    with Tray.within(spool(region)) as tray:
        mover = await moved(plain(region), plain(depot), tray, folder, export=True)
    assert list(spool(region).iterdir()) == []
    return mover


async def test_sizes_about_each_edge_come_and_go(
    depot: Depot, region: Depot, ward: Any, tmp_path: Path, taken: list[str], laid: list[bool]
) -> None:
    edges = (PART, TWICE, 2 * TWICE, PART + BLOCK)
    sizes = sorted({edge + more for edge in edges for more in (-1, 0, 1)})
    content = {f"s{size}": RANDOM[:size] for size in sizes}

    def put() -> None:
        for key, data in content.items():
            ward.put_object(Bucket="ward", Key=key, Body=data, ChecksumAlgorithm="CRC64NVME")

    await asyncio.to_thread(put)
    assert (await imported(depot, region, tmp_path)).failed == {}
    assert len(taken) == sum(-(-size // PART) for size in sizes if size >= PART)
    assert await asyncio.to_thread(region.held, "ward") == content
    await asyncio.to_thread(lambda: [ward.delete_object(Bucket="ward", Key=key) for key in content])
    (tmp_path / "back").mkdir()
    assert (await exported(region, depot, tmp_path / "back")).failed == {}
    assert laid == [True] * len(sizes)
    assert await asyncio.to_thread(depot.held, "ward") == content


async def test_what_was_put_whole_by_any_client_comes_and_goes_by_the_spool(
    depot: Depot, region: Depot, ward: Any, tmp_path: Path, taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which it says an MD5, a SHA-256 or a CRC-32."""
    states = {"md5": {}, "sha": {"ChecksumAlgorithm": "SHA256"}, "crc": {"ChecksumAlgorithm": "CRC32"}}
    content = {key: RANDOM[number : number + PART + 5] for number, key in enumerate(states)}

    def put() -> None:
        kept = {"request_checksum_calculation": "when_required", "s3": {"addressing_style": "path"}}
        s3 = boto3.client("s3", **depot.served.client_kwargs, config=Config(**kept))
        for key, more in states.items():
            s3.put_object(Bucket="ward", Key=key, Body=content[key], **more)

    await asyncio.to_thread(put)
    assert (await imported(depot, region, tmp_path)).failed == {}
    assert len(taken) == 2 * len(content)
    assert await asyncio.to_thread(region.held, "ward") == content

    async def held(*_: Any) -> None:
        raise AssertionError("a part lay in memory")

    await asyncio.to_thread(lambda: [region.s3.delete_object(Bucket="ward", Key=key) for key in content])
    await asyncio.to_thread(
        lambda: [region.s3.put_object(Bucket="ward", Key=key, Body=content[key]) for key in content]
    )
    monkeypatch.setattr(Large, "_held", held)
    (tmp_path / "back").mkdir()
    assert (await exported(region, depot, tmp_path / "back")).failed == {}
    assert await asyncio.to_thread(depot.held, "ward") == content


async def test_what_comes_otherwise_than_its_place_has_received_it_is_not_moved(
    depot: Depot, region: Depot, ward: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(lambda: ward.put_object(Bucket="ward", Key="other", Body=RANDOM[:PART]))
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    monkeypatch.setattr("littoral.box.transfer.objects.computed", lambda _: Sum("CRC64NVME", bytes(8)))
    mover = await imported(depot, region, tmp_path)
    assert mover.failed == {"other": "other: what came is not what its CRC64NVME says"}
    assert await asyncio.to_thread(region.held, "ward") == {}


async def test_parts_of_every_make_go_out(
    depot: Depot, region: Depot, ward: Any, tmp_path: Path, laid: list[bool]
) -> None:
    """Whole blocks or not, small or many, by whatever checksum; the object that they make is of two parts there."""

    def put() -> dict[str, bytes]:
        region.s3.create_bucket(Bucket="ward")
        found = {}
        for key, size, algorithm in (
            ("sha", 5 * MIB, "SHA256"),
            ("crc", 5 * MIB + 1, "CRC32"),
            ("own", 7 * MIB - 1, "CRC64NVME"),
            ("none", 5 * MIB + BLOCK // 2, ""),
        ):
            found[key] = RANDOM[: 39 * MIB + 7]
            more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
            in_parts(region.s3, key, found[key], size, more)
        for key, more in (("whole", {"ChecksumAlgorithm": "SHA256"}), ("md5", {})):
            found[key] = RANDOM[: 17 * MIB + 3]
            region.s3.put_object(Bucket="ward", Key=key, Body=found[key], **more)
        return found

    content = await asyncio.to_thread(put)
    assert (await exported(region, depot, tmp_path)).failed == {}
    assert laid == [True] * len(content)
    assert await asyncio.to_thread(depot.held, "ward") == content


def in_parts(s3: Any, key: str, data: bytes, size: int, more: dict[str, str]) -> None:
    upload = {"Bucket": "ward", "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload, **more)["UploadId"]
    parts: list[dict[str, Any]] = []
    for number, at in enumerate(range(0, len(data), size), 1):
        told = s3.upload_part(**upload, PartNumber=number, Body=data[at : at + size], **more)
        stated = {f"Checksum{name}": told[f"Checksum{name}"] for name in more.values()}
        parts.append({"PartNumber": number, "ETag": told["ETag"], **stated})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


async def test_an_upload_that_began_the_other_way_goes_on(
    depot: Depot, region: Depot, ward: Any, tmp_path: Path, taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By HTTP, and then by the spool; and the other way."""
    data = RANDOM[: 52 * MIB + 5]
    for first, number in ((None, 3), ("tray", 1)):
        key = f"large-{first}"
        more = {"Key": key, "Body": data, "ChecksumAlgorithm": "CRC64NVME"}
        await asyncio.to_thread(ward.put_object, Bucket="ward", **more)
        name = "part_spooled" if first else "part"
        real, seen = getattr(Bucket, name), list[int]()

        async def cut(
            self: Bucket,
            key: str,
            upload: Upload,
            n: int,
            *more: Any,
            real: Any = real,
            seen: Any = seen,
            most: int = number,
        ) -> Any:
            if len(seen) >= most:
                raise Unanswered("the link is away")
            seen.append(n)
            return await real(self, key, upload, n, *more)

        with monkeypatch.context() as patch, Tray.within(spool(region)) as tray:
            patch.setattr(Bucket, name, cut)
            with pytest.raises(Exception, match="link is away"):
                await moved(plain(depot), plain(region), tray if first else None, tmp_path, give_up=0.3)
        assert len(seen) == number
        with Tray.within(spool(region)) as tray:
            mover = await moved(plain(depot), plain(region), None if first else tray, tmp_path)
        assert mover.failed == {}
        held = await asyncio.to_thread(region.held, "ward")
        assert held[key] == data
        assert not await asyncio.to_thread(lambda: region.s3.list_multipart_uploads(Bucket="ward").get("Uploads"))
    assert len(taken) == 2


async def test_what_is_overwritten_or_deleted_on_its_way_out_is_never_mixed(
    depot: Depot, region: Depot, ward: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = RANDOM[: 40 * MIB], RANDOM[MIB : 41 * MIB]
    monkeypatch.setattr("littoral.store.embedded.blobs.LINGER", 0.0)

    def put(key: str, data: bytes) -> None:
        region.s3.put_object(Bucket="ward", Key=key, Body=data, ChecksumAlgorithm="CRC64NVME")

    def begin() -> None:
        region.s3.create_bucket(Bucket="ward")
        put("deleted", old)
        put("overwritten", old)

    await asyncio.to_thread(begin)
    real, files = Shelf.lay_out, spool(region).parent / "blobs" / "objects"

    def change() -> None:
        region.s3.delete_object(Bucket="ward", Key="deleted")
        put("overwritten", new)
        eventually(lambda: len(list(files.iterdir())) == 1)

    changed: list[asyncio.Future[None]] = []

    async def lay_out(self: Shelf, *more: Any) -> bool:
        found = await real(self, *more)
        if not changed:
            await asyncio.sleep(0.5)  # both are laid
            changed.append(asyncio.get_running_loop().run_in_executor(None, change))
            await changed[0]
        return found

    monkeypatch.setattr(Shelf, "lay_out", lay_out)
    mover = await exported(region, depot, tmp_path)
    assert mover.failed == {}
    there = await asyncio.to_thread(depot.held, "ward")
    assert there["overwritten"] in (old, new)
    assert there.get("deleted", old) == old


# --------------------------------------------------------------------------------------------------- a part's way


@pytest.fixture
async def spooling(region: Depot) -> Any:
    """Of an upload of "a"; ``patiently`` asks ten times."""
    client = HttpClient()
    with Tray.within(spool(region)) as tray:
        assert tray is not None
        bucket = plain(region).bucket(client, "ward", How(), tray)
        await bucket.make()
        upload = await bucket.begin("a", {})

        async def patiently(ask: Callable[[], Any]) -> Any:
            for _ in range(10):
                try:
                    return await ask()
                except Unanswered as problem:
                    last = problem
                    await asyncio.sleep(0.01)
            raise last

        yield Spooling(bucket, tray, "a", upload, patiently)
    await client.close()


async def test_who_is_cancelled_as_a_part_is_written_lets_it_be_written(
    region: Depot, spooling: Spooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is open, and the stride its own, as long as the thread is at them."""
    amid, go_on = threading.Event(), threading.Event()
    real, given, order = NewFile.write, strides.give, list[str]()

    def write(self: NewFile, data: memoryview) -> None:
        if len(data) == 5:
            amid.set()
            go_on.wait(20)
            order.append("written")
        real(self, data)

    def give(stride: memoryview) -> None:
        order.append("given")
        given(stride)

    monkeypatch.setattr(NewFile, "write", write)
    monkeypatch.setattr(strides, "give", give)
    task = asyncio.create_task(spooling.part(Given(RANDOM[: MIB + 5]), 1, 0, MIB + 5))
    await asyncio.to_thread(amid.wait, 20)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    go_on.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert order[:2] == ["written", "given"]
    (own,) = spool(region).iterdir()
    assert list(own.iterdir()) == []


async def test_who_was_not_heard_and_takes_it_later_takes_nothing_half_written(
    region: Depot, spooling: Spooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place takes a part over long after it was given up: its name is nobody's by then."""
    real, asked = Bucket.part_spooled, list[str]()

    async def late(self: Bucket, key: str, upload: Upload, number: int, file: Path, known: Sum, sums: bytes) -> Any:
        asked.append(file.name)
        if len(asked) == 1:
            file.unlink()  # taken, by one whose row is not there yet
            return None
        return await real(self, key, upload, number, file, known, sums)

    monkeypatch.setattr(Bucket, "part_spooled", late)
    source = Given(RANDOM[:TWICE])
    etag, _ = await spooling.part(source, 1, 0, TWICE)
    assert (source.drawn, len(set(asked))) == (2, 2)
    has = await spooling.destination.resumed("a", spooling.upload.id)
    assert has.parts[1][:2] == (TWICE, etag)
