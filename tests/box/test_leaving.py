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


async def test_what_the_disk_has_spoiled_is_found_out_by_the_box_and_named(
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
    with spoiled.open("r+b") as file:
        file.seek(30 * MIB)
        byte = file.read(1)[0]
        file.seek(30 * MIB)
        file.write(bytes([byte ^ 1]))
    mover = await moved(end(box, authority), depot, tmp_path)
    assert mover.failed.keys() == {"ward/c"} and "InternalError" in mover.failed["ward/c"]
    found = await asyncio.to_thread(came_back, depot)
    assert found == {key: data for key, data in content.items() if key != "ward/c"}
