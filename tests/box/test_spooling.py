"""Transfers to and from a place whose disk they share: large objects by its spool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.box.manifest import KeyRange
from littoral.box.transfer.asking import Unanswered
from littoral.box.transfer.bucket import Bucket, Upload
from littoral.box.transfer.buffers import PART
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.moving import LinkLost, Mover
from littoral.box.transfer.objects import Objects as Source
from littoral.box.transfer.objects import Stretches
from littoral.box.transfer.sums import Sum
from littoral.cli.transfer import End, How
from littoral.net.client import HttpClient
from littoral.net.pki import Authority
from littoral.net.wide import PROTOCOLS
from littoral.objects.content import Shelf
from littoral.store.embedded import EmbeddedStore
from littoral.store.spool import Tray
from tests.box.conftest import Depot
from tests.box.test_leaving import between, cut_after, end, flipped_after
from tests.box.test_wide_transfer import context
from tests.support.objects import objects_in, sealed_objects_in
from tests.support.served import served

MIB = 1024 * 1024
SIZES = {"a": 300_000, "b": 900_000, "c": 70 * MIB + 5, "d": 32 * MIB, "e": 17, "f": 16 * MIB, "g": 16 * MIB - 1}
SPOOLED = 5 + 2 + 1  # parts that go so


@pytest.fixture(scope="module")
def content() -> dict[str, bytes]:
    return {f"ward/{key}": os.urandom(size) for key, size in SIZES.items()}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@pytest.fixture
def region() -> Iterator[Depot]:
    with served(objects_in) as running:
        yield Depot(running)


@pytest.fixture
def box(authority: Authority) -> Iterator[Depot]:
    """Sealed, behind TLS."""

    with served(sealed_objects_in, tls=context(authority, *PROTOCOLS)) as running:
        yield Depot(running)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a place was asked to take over."""
    asked: list[str] = []
    real = Shelf.take_over

    async def take_over(self: Shelf, body: Any, stated: Any, named: str, sealing: Any) -> Any:
        asked.append(named)
        return await real(self, body, stated, named, sealing)

    monkeypatch.setattr(Shelf, "take_over", take_over)
    return asked


@pytest.fixture
def laid(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What a place was asked to lay out, and whether it did."""
    asked: list[bool] = []
    real = Shelf.lay_out

    async def lay_out(self: Shelf, found: Any, named: str) -> bool:
        asked.append(await real(self, found, named))
        return asked[-1]

    monkeypatch.setattr(Shelf, "lay_out", lay_out)
    return asked


def spool(depot: Depot) -> Path:
    return depot.served.folder / "store" / "spool"


async def filled(depot: Depot, far: End, content: dict[str, bytes]) -> None:
    client = HttpClient()
    bucket = far.bucket(client, "ward", How())
    await bucket.make()
    for key, data in content.items():
        await bucket.put(key, data, {"x-amz-meta-n": key})
    await client.close()


def plain(depot: Depot) -> End:
    return End(depot.served.url, depot.keys)


async def moved(
    source: End, target: End, tray: Tray | None, folder: Path, *, export: bool = False, **more: Any
) -> Mover:
    """From a box into a region, whose spool the tray is in; or out of one."""
    client, journal = HttpClient(), Journal.open(folder / "journal.db")
    try:
        origin = source.bucket(client, "ward", How(), tray if export else None)
        destination = target.bucket(client, "ward", How(), None if export else tray)
        mover = Mover(Source(origin, KeyRange("ward")), destination, journal, making=True, **more)
        await mover.run()
        return mover
    finally:
        journal.close()
        await client.close()


async def test_what_comes_out_of_a_box_is_written_where_it_is_to_lie(
    box: Depot, region: Depot, authority: Authority, content: dict[str, bytes], tmp_path: Path, taken: list[str]
) -> None:
    await filled(box, end(box, authority), content)
    with Tray.within(spool(region)) as tray:
        assert (await moved(end(box, authority), plain(region), tray, tmp_path)).failed == {}
        assert len(taken) == SPOOLED
        (own,) = spool(region).iterdir()
        assert list(own.iterdir()) == []
    assert await asyncio.to_thread(region.held, "ward") == content
    told = await asyncio.to_thread(lambda: region.s3.head_object(Bucket="ward", Key="ward/c"))
    assert told["Metadata"] == {"n": "ward/c"}


async def test_what_is_cut_or_changed_on_the_way_comes_again(
    box: Depot, region: Depot, authority: Authority, content: dict[str, bytes], tmp_path: Path, taken: list[str]
) -> None:
    await filled(box, end(box, authority), content)
    port = int(box.served.url.rpartition(":")[2])
    tampers = [*(cut_after(size) for size in (200_000, 3 * MIB)), flipped_after(5 * MIB)]
    async with between(port, *tampers) as here:
        with Tray.within(spool(region)) as tray:
            mover = await moved(end(box, authority, here.port), plain(region), tray, tmp_path)
        assert not here.tampers
    assert (mover.failed, len(taken)) == ({}, SPOOLED)
    assert mover.progress.retries >= 1
    assert await asyncio.to_thread(region.held, "ward") == content


async def test_a_place_that_is_another_is_sent_the_bytes(
    box: Depot, region: Depot, authority: Authority, content: dict[str, bytes], tmp_path: Path, taken: list[str]
) -> None:
    await filled(box, end(box, authority), content)
    store = await EmbeddedStore.open(tmp_path / "store")
    assert store.spool is not None
    with Tray.within(store.spool.folder) as tray:
        mover = await moved(end(box, authority), plain(region), tray, tmp_path)
        assert (mover.failed, mover.destination.tray) == ({}, None)
    await store.close()
    assert 0 < len(taken) <= SPOOLED
    assert await asyncio.to_thread(region.held, "ward") == content


async def test_a_part_that_was_taken_and_not_heard_of_is_not_laid_again(
    box: Depot,
    region: Depot,
    authority: Authority,
    content: dict[str, bytes],
    tmp_path: Path,
    taken: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await filled(box, end(box, authority), content)
    real, lost, drawn = Bucket.part_spooled, set[int](), []
    stretch = Bucket.stretch

    async def deaf(self: Bucket, key: str, upload: Upload, number: int, file: Path, known: Sum, sums: bytes) -> Any:
        etag = await real(self, key, upload, number, file, known, sums)
        if key == "ward/c" and number not in lost:
            lost.add(number)
            raise Unanswered("the answer was lost")
        return etag

    async def counted(self: Bucket, key: str, *more: Any) -> None:
        drawn.append(key)
        await stretch(self, key, *more)

    monkeypatch.setattr(Bucket, "part_spooled", deaf)
    monkeypatch.setattr(Bucket, "stretch", counted)
    with Tray.within(spool(region)) as tray:
        assert (await moved(end(box, authority), plain(region), tray, tmp_path)).failed == {}
    assert (lost, drawn.count("ward/c"), len(taken)) == ({1, 2, 3, 4, 5}, 5, SPOOLED + 5)
    assert await asyncio.to_thread(region.held, "ward") == content


@pytest.mark.parametrize("changed", [False, True])
async def test_an_import_goes_on_where_it_was_cut_and_reads_no_part_again_but_where_one_is_another(
    box: Depot,
    region: Depot,
    authority: Authority,
    content: dict[str, bytes],
    tmp_path: Path,
    taken: list[str],
    monkeypatch: pytest.MonkeyPatch,
    changed: bool,
) -> None:
    await filled(box, end(box, authority), {"ward/c": content["ward/c"]})
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    real = Bucket.part_spooled
    drawn: list[int] = []
    draw = Stretches.draw

    async def counted(self: Stretches, begin: int, *more: Any) -> None:
        drawn.append(begin // PART + 1)
        await draw(self, begin, *more)

    async def first(self: Bucket, key: str, upload: Upload, number: int, file: Path, known: Sum, sums: bytes) -> Any:
        if number != 1:
            raise Unanswered("the link is away")
        return await real(self, key, upload, number, file, known, sums)

    with monkeypatch.context() as patch, Tray.within(spool(region)) as tray:
        patch.setattr(Bucket, "part_spooled", first)
        with pytest.raises(LinkLost):
            await moved(end(box, authority), plain(region), tray, tmp_path, give_up=0.5)
    assert len(taken) == 1
    assert list(spool(region).iterdir()) == []
    uploads = await asyncio.to_thread(lambda: region.s3.list_multipart_uploads(Bucket="ward")["Uploads"])
    assert [one["Key"] for one in uploads] == ["ward/c"]
    if changed:
        named = {"Bucket": "ward", "Key": "ward/c", "UploadId": uploads[0]["UploadId"], "PartNumber": 1}
        await asyncio.to_thread(lambda: region.s3.upload_part(**named, Body=bytes(PART), ChecksumAlgorithm="CRC64NVME"))
    monkeypatch.setattr(Stretches, "draw", counted)
    with Tray.within(spool(region)) as tray:
        assert (await moved(end(box, authority), plain(region), tray, tmp_path)).failed == {}
    assert sorted(drawn) == sorted([2, 3, 4, 5] + [1, 2, 3, 4, 5] * changed)
    assert len(taken) == 1 + len(drawn)
    assert await asyncio.to_thread(region.held, "ward") == {"ward/c": content["ward/c"]}
    assert not await asyncio.to_thread(lambda: region.s3.list_multipart_uploads(Bucket="ward").get("Uploads"))


def in_small_parts(depot: Depot, data: bytes) -> dict[str, bytes]:
    """As clients do it who know of no CRC64NVME, in parts that end in the midst of a block."""
    upload = {"Bucket": "ward", "Key": "ward/parts"}
    upload["UploadId"] = depot.s3.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, at in enumerate(range(0, len(data), 5 * MIB + 1001), 1):
        told = depot.s3.upload_part(**upload, PartNumber=number, Body=data[at : at + 5 * MIB + 1001])
        parts.append({"PartNumber": number, "ETag": told["ETag"]})
    depot.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    return {"ward/parts": data}


def held_by(box: Depot, authority: Authority, folder: Path) -> dict[str, bytes]:
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    port = box.served.url.rpartition(":")[2]
    given = box.served.client_kwargs | {"endpoint_url": f"https://localhost:{port}", "verify": str(folder / "ca.pem")}
    s3 = boto3.client("s3", **given)
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="ward").get("Contents", [])]
    return {key: s3.get_object(Bucket="ward", Key=key)["Body"].read() for key in keys}


async def test_what_goes_into_a_box_is_read_where_it_lies(
    box: Depot, region: Depot, authority: Authority, content: dict[str, bytes], tmp_path: Path, laid: list[bool]
) -> None:
    await filled(region, plain(region), content)
    more = await asyncio.to_thread(in_small_parts, region, content["ward/c"])
    with Tray.within(spool(region)) as tray:
        mover = await moved(plain(region), end(box, authority), tray, tmp_path, export=True)
        assert mover.failed == {}
        (own,) = spool(region).iterdir()
        assert list(own.iterdir()) == []
    large = [key for key, size in SIZES.items() if size > 16 * 1024]
    assert laid == [True] * (len(large) + 1)
    assert await asyncio.to_thread(held_by, box, authority, tmp_path) == content | more


async def test_what_is_spoiled_where_it_lies_is_found_out_by_its_place(
    box: Depot,
    region: Depot,
    authority: Authority,
    content: dict[str, bytes],
    tmp_path: Path,
    laid: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    await filled(region, plain(region), content)
    (spoiled,) = (
        file
        for file in (region.served.folder / "store" / "blobs").rglob("*")
        if file.is_file() and file.stat().st_size == SIZES["c"]
    )
    with spoiled.open("r+b") as file:
        file.seek(60 * MIB)
        byte = file.read(1)[0]
        file.seek(60 * MIB)
        file.write(bytes([byte ^ 1]))
    with Tray.within(spool(region)) as tray:
        mover = await moved(plain(region), end(box, authority), tray, tmp_path, export=True)
    assert mover.failed.keys() == {"ward/c"}
    assert "InternalError" in mover.failed["ward/c"]
    found = await asyncio.to_thread(held_by, box, authority, tmp_path)
    assert found == {key: data for key, data in content.items() if key != "ward/c"}
    with pytest.raises(ClientError, match="damaged"):
        await asyncio.to_thread(lambda: region.s3.get_object(Bucket="ward", Key="ward/c"))  # it remembers
