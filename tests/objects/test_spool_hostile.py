"""The spool against whoever would have it read, move, keep or wait for what it should not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.store.embedded import EmbeddedStore
from littoral.store.spool import Spool, Tray
from littoral.store.sums import BLOCK
from tests.objects.conftest import S3Place
from tests.objects.pairs import eventually
from tests.objects.test_spooled import DATA, begun, crc_of, laid, spooled, sums_of, tray

__all__ = ["spooled", "tray"]
NOBODY = 65534
Spooling = Callable[..., Any]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "store" / "spool")
    made.open()
    return made


def refused(asks: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as problem:
        asks(**arguments)
    return str(problem.value.response["Error"]["Code"])


def part(number: int = 1, data: bytes = DATA) -> dict[str, Any]:
    return {"PartNumber": number, "Body": sums_of(data), "ChecksumCRC64NVME": crc_of(data)}


# --------------------------------------------------------------------------------------------- what lies in a tray


def test_nobody_waits_for_the_other_end_of_a_pipe(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Spooling
) -> None:
    upload, pipe = begun(s3, bucket), tray.place()
    os.mkfifo(pipe)
    assert refused(spooled(Tray.name(pipe)).upload_part, **upload, **part(data=b"")) == "NotSpooled"
    assert pipe.exists()


def test_what_points_elsewhere_or_is_no_file_stays_where_it_is(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Spooling, tmp_path: Path
) -> None:
    upload, before = begun(s3, bucket), place.blobs()
    outside = tmp_path / "outside"
    outside.write_bytes(DATA)
    link, loop, dangling, folder, hard = (tray.place() for _ in range(5))
    link.symlink_to(outside)
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "none")
    folder.mkdir()
    hard.hardlink_to(place.served.folder / "store" / "records.db")
    for each in (link, loop, dangling, folder, hard):
        assert refused(spooled(Tray.name(each)).upload_part, **upload, **part()) == "NotSpooled"
    assert outside.read_bytes() == DATA
    assert place.blobs() == before


def test_a_part_is_no_larger_than_one_may_be(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Spooling
) -> None:
    upload, file = begun(s3, bucket), tray.place()
    with file.open("wb") as hole:
        hole.truncate(5 * 1024**3 + 1)
    sums = bytes(4 * (-(-file.stat().st_size // BLOCK)))
    told = {"PartNumber": 1, "Body": sums, "ChecksumCRC64NVME": crc_of(b"")}
    assert refused(spooled(Tray.name(file)).upload_part, **upload, **told) == "EntityTooLarge"
    assert file.exists()


def test_what_stands_where_an_object_shall_lie_stays(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Spooling, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=DATA)
    file, folder, link = laid(tray, b"own"), tray.place(), tray.place()
    folder.mkdir()
    (folder / "own").write_bytes(b"own")
    link.symlink_to(tmp_path)
    for each in (file, folder, link):
        told = spooled(Tray.name(each)).head_object(Bucket=bucket, Key="a")
        assert "x-littoral-spool" not in told["ResponseMetadata"]["HTTPHeaders"]
    assert (file.read_bytes(), [each.name for each in folder.iterdir()]) == (b"own", ["own"])
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------- who may see what


def test_what_is_archived_is_not_laid_out_before_it_is_restored(
    s3: Any, bucket: str, tray: Tray, spooled: Spooling
) -> None:
    s3.put_object(Bucket=bucket, Key="cold", Body=DATA, StorageClass="GLACIER")
    folder = tray.place()
    asks = spooled(Tray.name(folder)).head_object
    assert "x-littoral-spool" not in asks(Bucket=bucket, Key="cold")["ResponseMetadata"]["HTTPHeaders"]
    assert not folder.exists()
    s3.restore_object(Bucket=bucket, Key="cold", RestoreRequest={"Days": 1})
    assert "x-littoral-spool" in asks(Bucket=bucket, Key="cold")["ResponseMetadata"]["HTTPHeaders"]
    assert folder.exists()


def test_what_is_known_to_be_damaged_is_not_laid_out(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Spooling
) -> None:
    before = place.blobs()
    s3.put_object(Bucket=bucket, Key="a", Body=DATA)
    (name,) = place.blobs() - before
    file = place.served.folder / "store" / "blobs" / "objects" / name
    file.write_bytes(bytes([DATA[0] ^ 1]) + DATA[1:])
    assert refused(s3.get_object, Bucket=bucket, Key="a") == "InternalError"
    folder = tray.place()
    told = spooled(Tray.name(folder)).head_object(Bucket=bucket, Key="a")
    assert "x-littoral-spool" not in told["ResponseMetadata"]["HTTPHeaders"]
    assert not folder.exists()


def test_an_encrypted_object_is_not_laid_out(s3: Any, bucket: str, tray: Tray, spooled: Spooling) -> None:
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    folder = tray.place()
    client = spooled(Tray.name(folder))
    for kept in (own, {"ServerSideEncryption": "AES256"}):
        s3.put_object(Bucket=bucket, Key="a", Body=DATA, **kept)
        asked = kept if kept is own else {}
        told = client.head_object(Bucket=bucket, Key="a", **asked)
        assert "x-littoral-spool" not in told["ResponseMetadata"]["HTTPHeaders"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    file = laid(tray)
    assert refused(spooled(Tray.name(file)).upload_part, **begun(s3, bucket), **part()) == "NotSpooled"
    assert file.read_bytes() == DATA
    assert not folder.exists()


def test_a_version_is_laid_out_and_a_marker_of_deletion_is_not(
    s3: Any, bucket: str, tray: Tray, spooled: Spooling
) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="a", Body=DATA)["VersionId"]
    s3.put_object(Bucket=bucket, Key="a", Body=DATA[::-1])
    s3.delete_object(Bucket=bucket, Key="a")
    folder = tray.place()
    client = spooled(Tray.name(folder))
    assert refused(client.head_object, Bucket=bucket, Key="a") == "404"
    assert not folder.exists()
    client.head_object(Bucket=bucket, Key="a", VersionId=first)
    assert (folder / "000000").read_bytes() == DATA


# ------------------------------------------------------------------------------------------- what a store begins with


async def test_a_store_opens_whatever_lies_in_its_spool(tmp_path: Path) -> None:
    spool = tmp_path / "store" / "spool"
    await (await EmbeddedStore.open(tmp_path / "store")).close()
    (spool / "file").write_bytes(b"")
    (spool / "link").symlink_to(tmp_path)
    os.mkfifo(spool / "pipe")
    (spool / ("0" * 32)).mkdir()
    (spool / ("0" * 32) / "1").write_bytes(DATA)
    (tmp_path / "own").write_bytes(b"own")
    store = await EmbeddedStore.open(tmp_path / "store")
    with Tray.within(spool) as tray:
        assert tray is not None
        assert not (spool / ("0" * 32)).exists()
    await store.close()
    assert (tmp_path / "own").read_bytes() == b"own"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes what is another's")
def test_what_root_left_neither_stops_a_store_nor_a_part() -> None:
    """A region that is nobody's, and a job that root ran."""
    with tempfile.TemporaryDirectory(prefix="littoral-nobody-") as folder:  # which nobody may reach
        left_by_root(Path(folder))


def left_by_root(folder: Path) -> None:
    (folder / "store").mkdir()
    for each in (folder, folder / "store"):
        os.chown(each, NOBODY, NOBODY)
    opening = f"""import asyncio, concurrent.futures.thread, os, pathlib, shutil
from littoral.store.embedded import EmbeddedStore
from littoral.store.spool import NotSpooled, Tray
os.setegid({NOBODY})
os.seteuid({NOBODY})

async def run():
    store = await EmbeddedStore.open(pathlib.Path("store"))
"""

    def region(*lines: str) -> str:
        words = opening + "".join(f"    {line}\n" for line in (*lines, "await store.close()")) + "asyncio.run(run())\n"
        done = subprocess.run([sys.executable, "-c", words], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    region()
    spool = folder / "store" / "spool"
    assert Tray.open(spool) is None  # it could move nothing of it
    tray = spool / ("0" * 32)
    tray.mkdir(mode=0o700)
    (tray / "1").write_bytes(b"root's")
    said = region(
        f"file = store.spool.path('{'0' * 32}/1')",
        "try:",
        "    await store.blobs('objects').take_over('a', file, b'1234')",
        "except NotSpooled:",
        "    print('refused')",
        f"print(await store.blobs('objects').lay_out([], store.spool.path('{'0' * 32}/2')))",
        "tray = Tray.open(store.spool.folder)",
        "print(tray is not None)",
    )
    assert said.split() == ["refused", "False", "True"]
    assert (tray / "1").read_bytes() == b"root's"


def test_trays_come_and_go_while_others_are_swept(spool: Spool) -> None:
    """By several processes, and the store: no tray of one that lives goes, and nothing is in anybody's way."""
    words = f"""
import pathlib
from littoral.store.spool import Tray
for n in range(150):
    with Tray.within(pathlib.Path({str(spool.folder)!r})) as tray:
        assert tray is not None
        file = tray.place()
        file.write_bytes(b"own")
        assert file.read_bytes() == b"own"
"""
    going = [subprocess.Popen([sys.executable, "-c", words], stderr=subprocess.PIPE) for _ in range(3)]
    while any(each.poll() is None for each in going):
        spool.sweep()
    said = [each.communicate()[1] for each in going]
    assert said == [b"", b"", b""]
    assert list(spool.folder.iterdir()) == []


def test_what_somebody_killed_left_goes_while_the_place_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from littoral.objects import Objects
    from tests.support.served import served

    monkeypatch.setattr("littoral.objects.spooled.EVERY", 0.05)

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        objects = await Objects.open(store, store.folder.parent / "objects")
        await objects.start()
        return {"s3": objects.api, "close": objects.close}

    with served(factory) as place:
        spool = place.folder / "store" / "spool"
        left, held = spool / ("0" * 32), spool / ("1" * 32)
        with Tray.within(spool) as tray:
            assert tray is not None
            file = laid(tray)
            left.mkdir()
            (left / "1").write_bytes(DATA)
            eventually(lambda: not left.exists())
            assert file.read_bytes() == DATA
        assert not held.exists()
