"""Large objects out of a sealed place over wide records, with somebody between: what leaves a box on its way back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from littoral.box.manifest import KeyRange
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.moving import Mover
from littoral.box.transfer.objects import Objects as Source
from littoral.box.transfer.sums import CRC64, sum_of
from littoral.cli.transfer import End, How
from littoral.net.client import HttpClient
from littoral.net.pki import Authority
from littoral.net.wide import PROTOCOLS
from tests.box.conftest import Depot
from tests.box.test_wide_transfer import context
from tests.net.relaying import Tamper, between, tapped
from tests.support.objects import sealed_objects_in
from tests.support.served import served

MIB = 1024 * 1024
LARGE = 40 * MIB + 5


@pytest.fixture(scope="module")
def content() -> dict[str, bytes]:
    sizes = {"ward/a": 300_000, "ward/b": 900_000, "ward/c": LARGE, "ward/d": 20 * MIB, "ward/e": 17}
    return {key: os.urandom(size) for key, size in sizes.items()}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@pytest.fixture(autouse=True)
def emptied(depot: Depot) -> Iterator[None]:
    yield
    for key in depot.held("ward-back"):
        depot.s3.delete_object(Bucket="ward-back", Key=key)


@pytest.fixture
def box(authority: Authority, content: dict[str, bytes]) -> Iterator[Depot]:
    """Sealed, behind TLS, and filled: some whole, some in parts."""

    with served(sealed_objects_in, tls=context(authority, *PROTOCOLS)) as running:
        depot = Depot(running)
        asyncio.run(filled(depot, authority, content))
        yield depot


def end(depot: Depot, authority: Authority, port: int = 0) -> End:
    port = port or int(depot.served.url.rpartition(":")[2])
    return End.believing(f"https://localhost:{port}", depot.keys, authority.certificate_pem)


async def in_parts(depot: Depot, authority: Authority, key: str, data: bytes, size: int) -> None:
    """As other clients upload it."""
    client = HttpClient()
    bucket = end(depot, authority).bucket(client, "ward", How())
    upload = await bucket.begin(key, {})
    parts = []
    for number, at in enumerate(range(0, len(data), size), 1):
        known = sum_of(CRC64, data[at : at + size])
        parts.append((await bucket.part(key, upload, number, data[at : at + size], known), known))
    await bucket.complete(key, upload, parts)
    await client.close()


def pieces_of(depot: Depot, size: int) -> list[Path]:
    """Files of that much, sealed, in the order in which they came."""
    blobs = (depot.served.folder / "sealed" / "blobs").rglob("*")
    found = [file for file in blobs if file.is_file() and size < file.stat().st_size < size * 1.01]
    return sorted(found, key=lambda file: file.stat().st_mtime_ns)


async def filled(depot: Depot, authority: Authority, content: dict[str, bytes]) -> None:
    client = HttpClient()
    bucket = end(depot, authority).bucket(client, "ward", How())
    await bucket.make()
    for key, data in content.items():
        await bucket.put(key, data, {"x-amz-meta-n": key})
    await client.close()


def cut_after(size: int) -> Tamper:
    return lambda data, came: data if came + len(data) < size else None


def flipped_after(size: int) -> Tamper:
    def flip(data: bytes, came: int) -> bytes:
        at = size - came
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if 0 <= at < len(data) else data

    return flip


def flip(file: Path, at: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        byte = opened.read(1)[0]
        opened.seek(at)
        opened.write(bytes([byte ^ 1]))


async def moved(source: End, target: Depot, folder: Path, how: How | None = None) -> Mover:
    how = how or How()
    client, journal = HttpClient(), Journal.open(folder / "journal.db")
    try:
        origin = Source(source.bucket(client, "ward", how), KeyRange("ward"))
        mover = Mover(origin, target.bucket(client, "ward-back"), journal, making=True)
        await mover.run()
        return mover
    finally:
        journal.close()
        await client.close()


def came_back(depot: Depot) -> dict[str, bytes]:
    return depot.held("ward-back")


async def test_what_is_cut_or_changed_on_the_way_comes_again_and_is_whole(
    box: Depot, depot: Depot, authority: Authority, content: dict[str, bytes], tmp_path: Path
) -> None:
    port = int(box.served.url.rpartition(":")[2])
    tampers = [
        *(cut_after(size) for size in (200_000, 3 * MIB, 12 * MIB)),
        *(flipped_after(size) for size in (250_000, 5 * MIB)),
    ]
    async with between(port, *tampers) as here:
        mover = await moved(end(box, authority, here.port), depot, tmp_path)
        assert not here.tampers
    assert mover.failed == {}
    assert mover.progress.retries >= 3
    assert await asyncio.to_thread(came_back, depot) == content
    told = await asyncio.to_thread(lambda: depot.s3.head_object(Bucket="ward-back", Key="ward/c"))
    assert told["Metadata"] == {"n": "ward/c"}


@pytest.mark.parametrize("how", [How(), How(wide=False)])
async def test_who_listens_sees_nothing_of_it(
    box: Depot, depot: Depot, authority: Authority, content: dict[str, bytes], tmp_path: Path, how: How
) -> None:
    async with tapped(int(box.served.url.rpartition(":")[2])) as tap:
        assert (await moved(end(box, authority, tap.port), depot, tmp_path, how)).failed == {}
        seen = b"".join(bytes(each) for each in (*tap.out, *tap.back))
    assert await asyncio.to_thread(came_back, depot) == content
    assert sum(map(len, content.values())) < len(seen)
    assert not any(word in seen for word in (b"ward/", b"x-amz-", b"x-littoral-sealed", b"AWS4-HMAC"))
    large = [data for data in content.values() if len(data) > 100_000]
    assert not any(data[at : at + 12] in seen for data in large for at in range(0, len(data), 500_000))
    lying = [file.read_bytes() for file in (box.served.folder / "sealed" / "blobs").rglob("*") if file.is_file()]
    assert any(each[5 * MIB : 5 * MIB + 64] in seen for each in lying if len(each) > LARGE) is how.wide


@pytest.mark.parametrize("size", [8 * MIB, 6 * MIB])
async def test_what_came_in_smaller_parts_than_it_is_read_in_leaves_as_it_lies(
    box: Depot, depot: Depot, authority: Authority, tmp_path: Path, size: int
) -> None:
    data = os.urandom(4 * size + 5)
    await in_parts(box, authority, "ward/parts", data, size)
    async with tapped(int(box.served.url.rpartition(":")[2])) as tap:
        assert (await moved(end(box, authority, tap.port), depot, tmp_path)).failed == {}
        seen = b"".join(bytes(each) for each in (*tap.out, *tap.back))
    assert (await asyncio.to_thread(came_back, depot))["ward/parts"] == data
    pieces = await asyncio.to_thread(lambda: [file.read_bytes() for file in pieces_of(box, size)])
    assert [each[-100:] in seen for each in pieces] == [True] * 4


async def test_what_the_disk_has_spoiled_in_a_later_piece_is_found_out_by_the_box_and_named(
    box: Depot, depot: Depot, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    await in_parts(box, authority, "ward/parts", os.urandom(24 * MIB), 8 * MIB)
    await in_parts(box, authority, "ward/headless", os.urandom(18 * MIB), 9 * MIB)
    for file, at in ((pieces_of(box, 8 * MIB)[1], 5 * MIB), (pieces_of(box, 9 * MIB)[1], 3)):
        flip(file, at)
    mover = await moved(end(box, authority), depot, tmp_path)
    assert mover.failed.keys() == {"ward/parts", "ward/headless"}
    assert all("InternalError" in each for each in mover.failed.values())


async def test_what_the_disk_has_spoiled_is_spoiled_is_found_out_by_the_box_and_named(
    box: Depot,
    depot: Depot,
    authority: Authority,
    content: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    (spoiled,) = (
        file
        for file in (box.served.folder / "sealed" / "blobs").rglob("*")
        if file.is_file() and file.stat().st_size > LARGE
    )
    flip(spoiled, 30 * MIB)
    mover = await moved(end(box, authority), depot, tmp_path)
    assert mover.failed.keys() == {"ward/c"} and "InternalError" in mover.failed["ward/c"]
    found = await asyncio.to_thread(came_back, depot)
    assert found == {key: data for key, data in content.items() if key != "ward/c"}
