"""A place and a transfer by its spool are killed at each step: what was acknowledged is there, the rest comes again,
and nothing of either is left over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from littoral.objects.conditions import Span
from littoral.objects.content import Shelf
from littoral.objects.facts import Content
from tests.box.conftest import Depot
from tests.box.spoolstep import BUCKET, EXPORTS, IMPORTS, REGION_LAYS, REGION_TAKES
from tests.objects.pairs import eventually

MIB = 1024 * 1024
CONTENT = {"large": os.urandom(40 * MIB + 5), "small": b"small"}
PARTS = 3
KILLED = -signal.SIGKILL


class Region:
    """A process that is begun anew where the last one was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.running: subprocess.Popen[str] | None = None

    def start(self, step: str = "none") -> None:
        self.running = step_of("region", self.folder, self.port, step, stdout=subprocess.PIPE)
        assert self.running.stdout is not None
        assert self.running.stdout.readline() == "ready\n"

    def stop(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.communicate()

    @property
    def s3(self) -> Any:
        access, secret = (self.folder / "keys").read_text().split()
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=Config(s3={"addressing_style": "path"}),
        )

    def held(self) -> dict[str, bytes]:
        return {key: self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in CONTENT}

    def files(self) -> list[Path]:
        return list((self.folder / "region" / "store" / "blobs" / "objects").iterdir())

    def trays(self) -> list[Path]:
        return list((self.folder / "region" / "store" / "spool").iterdir())


def step_of(what: str, *words: Any, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.box.spoolstep", what, *map(str, words)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], text=True, **more)


@contextmanager
def moving(what: str, region: Region, depot: Depot, step: str = "none") -> Iterator[subprocess.Popen[str]]:
    keys = depot.keys
    with step_of(what, region.folder, region.port, depot.served.url, keys.access, keys.secret, step) as running:
        try:
            yield running
            running.wait(90)
        finally:
            running.kill()


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    made = Region(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def filled(depot: Depot) -> Iterator[None]:
    """What an import brings."""
    depot.s3.create_bucket(Bucket=BUCKET)
    for key, data in CONTENT.items():
        depot.s3.put_object(Bucket=BUCKET, Key=key, Body=data, ChecksumAlgorithm="CRC64NVME")
    yield
    emptied(depot)


@pytest.fixture
def empty(depot: Depot) -> Iterator[None]:
    yield
    emptied(depot)


def emptied(depot: Depot) -> None:
    for key in depot.held(BUCKET):
        depot.s3.delete_object(Bucket=BUCKET, Key=key)
    depot.s3.delete_bucket(Bucket=BUCKET)


def all_is_there(region: Region) -> None:
    assert region.held() == CONTENT
    assert not region.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
    eventually(lambda: len(region.files()) == PARTS)
    assert region.trays() == []
    region.stop()
    region.start()
    assert (region.held(), len(region.files())) == (CONTENT, PARTS)


def dies_and_goes_on(what: str, region: Region, depot: Depot, step: str) -> None:
    with moving(what, region, depot, step) as first:
        pass
    assert first.returncode == KILLED
    left = region.trays()
    with moving(what, region, depot) as again:
        pass
    assert (len(left), again.returncode) == (1, 0)


def goes_on_over_a_place_that_dies(what: str, region: Region, depot: Depot) -> None:
    with moving(what, region, depot) as running:
        assert region.running is not None
        assert region.running.wait(60) == KILLED
        region.start()
    assert running.returncode == 0


@pytest.mark.parametrize("step", REGION_TAKES)
def test_a_place_that_dies_as_it_takes_a_part_over(region: Region, depot: Depot, filled: None, step: str) -> None:
    region.start(step)
    goes_on_over_a_place_that_dies("import", region, depot)
    all_is_there(region)


@pytest.mark.parametrize("step", IMPORTS)
def test_an_import_that_dies(region: Region, depot: Depot, filled: None, step: str) -> None:
    region.start()
    dies_and_goes_on("import", region, depot, step)
    all_is_there(region)


def test_an_import_that_died_reads_only_parts_that_are_not_there(
    region: Region, depot: Depot, filled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    region.start()
    with moving("import", region, depot, "taken") as first:
        pass
    assert first.returncode == KILLED
    (upload,) = region.s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    there = region.s3.list_parts(Bucket=BUCKET, Key="large", UploadId=upload["UploadId"])["Parts"]
    read: list[int] = []
    real = Shelf.body

    async def counted(self: Shelf, content: Content, span: Span, key: bytes | None) -> Any:
        read.append(span.length)
        return await real(self, content, span, key)

    monkeypatch.setattr(Shelf, "body", counted)  # the box's: the region is a process of its own
    with moving("import", region, depot) as again:
        pass
    assert again.returncode == 0
    assert there
    assert sum(read) <= len(CONTENT["large"]) - sum(part["Size"] for part in there)
    all_is_there(region)


@pytest.mark.parametrize("step", EXPORTS)
def test_an_export_that_dies(region: Region, depot: Depot, empty: None, step: str) -> None:
    region.start()
    put(region)
    dies_and_goes_on("export", region, depot, step)
    assert depot.held(BUCKET) == CONTENT
    assert region.trays() == []


@pytest.mark.parametrize("step", REGION_LAYS)
def test_a_place_that_dies_as_it_lays_out(region: Region, depot: Depot, empty: None, step: str) -> None:
    region.start()
    put(region)
    region.stop()
    region.start(step)
    goes_on_over_a_place_that_dies("export", region, depot)
    assert depot.held(BUCKET) == CONTENT
    assert region.trays() == []


def put(region: Region) -> None:
    region.s3.create_bucket(Bucket=BUCKET)
    for key, data in CONTENT.items():
        region.s3.put_object(Bucket=BUCKET, Key=key, Body=data, ChecksumAlgorithm="CRC64NVME")
