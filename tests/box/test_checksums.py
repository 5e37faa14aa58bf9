"""What is stated of bytes that are moved: of parts, to endpoints that know nothing of it, where bytes are spoiled."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest
from awscrt.checksums import crc64nvme
from hypothesis import given
from hypothesis import strategies as st

from littoral.box.transfer import sums
from littoral.box.transfer.asking import Keys, Refused
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.folder import Folder
from littoral.box.transfer.items import Item
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.sums import CRC64, SHA256, Running, Sum, Whole, stated, sum_of
from littoral.net.client import HttpClient
from littoral.net.pki import Authority
from littoral.net.tls import client_context, plain_server_context
from tests.box.conftest import Depot, Done
from tests.box.test_transfer import Cutter
from tests.objects.pairs import eventually

MIB = 1024 * 1024
ALGORITHMS = st.sampled_from((CRC64, SHA256))


@given(ALGORITHMS, st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6))
def test_parts_join_to_the_whole(algorithm: str, parts: list[bytes]) -> None:
    whole, running = Whole(algorithm), Running(algorithm)
    for part in parts:
        assert whole.update(part) == sum_of(algorithm, part)
        running.update(part)
    assert whole.known == sum_of(algorithm, b"".join(parts)) == Sum(algorithm, running.digest())
    assert whole.size == sum(map(len, parts))
    assert sums.read(str(whole.known)) == whole.known
    assert stated({whole.known.header: whole.known.value}) == whole.known
    assert (stated({whole.known.header: whole.value}) is None) == (algorithm == SHA256)  # a "…-N"


def test_it_is_the_checksum_that_s3_has(depot: Depot) -> None:
    depot.s3.create_bucket(Bucket="known-sums")
    data = os.urandom(1000)
    for algorithm in (CRC64, SHA256):
        depot.s3.put_object(Bucket="known-sums", Key="a", Body=data, ChecksumAlgorithm=algorithm)
        told = depot.s3.head_object(Bucket="known-sums", Key="a", ChecksumMode="ENABLED")
        assert told[f"Checksum{algorithm}"] == sum_of(algorithm, data).value


def test_over_a_network_in_the_clear_the_signature_is_over_the_bytes() -> None:
    async def chosen(url: str) -> str:
        client = HttpClient()
        try:
            return Bucket(client, url, "b", Keys("a", "b")).algorithm
        finally:
            await client.close()

    asked = ("https://10.0.0.1", "http://localhost:1", "http://127.0.0.1", "http://[::1]:9", "http://10.0.0.1:80")
    assert [asyncio.run(chosen(url)) for url in asked] == [CRC64, CRC64, CRC64, CRC64, SHA256]


async def test_an_endpoint_that_is_another_s_is_said_at_once() -> None:
    stranger = Authority.create("stranger")
    server = await asyncio.start_server(
        lambda *_: None,
        "127.0.0.1",
        0,
        ssl=plain_server_context(stranger.issue_server(["localhost", "127.0.0.1"]).pair),
    )
    client = HttpClient()
    known = client_context(ca=Authority.create("ours").certificate_pem)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        with pytest.raises(Refused, match=r"CertificateNotTrusted: https://127.*/b: "):
            await Bucket(client, url, "b", Keys("a", "b"), known).page()
    finally:
        server.close()
        await client.close()


def test_a_journal_of_before_is_read(tmp_path: Path) -> None:
    known = sum_of(SHA256, b"x")
    connection = apsw.Connection(str(tmp_path / "j.db"))
    connection.execute(
        "CREATE TABLE arrived(key TEXT NOT NULL, size INTEGER NOT NULL, stamp TEXT NOT NULL, sha256 TEXT NOT NULL, "
        "etag TEXT NOT NULL, run INTEGER NOT NULL, PRIMARY KEY(key)) WITHOUT ROWID"
    )
    connection.execute("INSERT INTO arrived VALUES('k', 1, 's', ?, 'e', 1)", (known.digest.hex(),))
    connection.close()
    for _ in range(2):
        journal = Journal.open(tmp_path / "j.db")
        assert journal.missing([Item("k", 1, "s")]) == []
        assert list(journal.all()) == [("k", 1, known, "e")]
        journal.close()


class Spoiling(Cutter):
    """Changes one byte of what is sent, once, in the middle of a body."""

    def __init__(self, port: int, at: int) -> None:
        self._at = at
        super().__init__(port, [])

    def _pass(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        super()._pass(_Spoiled(self, source), target, left)  # type: ignore[arg-type]

    def spoil(self, data: bytes) -> bytes:
        before, self._at = self._at, self._at - len(data)
        if not 0 <= before < len(data):
            return data
        return data[:before] + bytes([data[before] ^ 1]) + data[before + 1 :]


class _Spoiled:
    def __init__(self, by: Spoiling, source: socket.socket) -> None:
        self._by, self._source = by, source

    def recv(self, size: int) -> bytes:
        return self._by.spoil(self._source.recv(size))

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)


@pytest.mark.parametrize("size", [MIB, 20 * MIB])
def test_a_byte_that_changes_on_its_way_is_noticed_and_sent_again(
    depot: Depot, tmp_path: Path, move: Callable[..., Done], size: int
) -> None:
    bucket = f"spoiled-{uuid.uuid4().hex[:8]}"
    depot.s3.create_bucket(Bucket=bucket)
    (tmp_path / "files").mkdir()
    data = os.urandom(size)
    (tmp_path / "files" / "a").write_bytes(data)
    spoiling = Spoiling(int(depot.served.url.rpartition(":")[2]), size // 2)
    try:
        done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, spoiling.url)))
    finally:
        spoiling.close()
    assert done.failed == {}
    assert done.progress.retries == 1
    assert depot.held(bucket) == {"a": data}
    (arrived,) = done.arrived
    assert arrived[2] == sum_of(CRC64, data)
    told = depot.s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert told["ChecksumCRC64NVME"] == base64.b64encode(crc64nvme(data).to_bytes(8)).decode()


@dataclass
class Elsewhere:
    """rclone's S3 server: it keeps no checksums, and gives objects of parts another ETag later."""

    url: str
    folder: Path
    keys = Keys("key-of-rclone", "secret-of-rclone")


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    program = Path(sys.executable).with_name("rclone")
    if not program.exists():
        pytest.skip("needs rclone")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Elsewhere(f"http://127.0.0.1:{port}", tmp_path / "there")
    (made.folder / "b").mkdir(parents=True)
    words = ("serve", "s3", "--auth-key", f"{made.keys.access},{made.keys.secret}", "--addr", f"127.0.0.1:{port}")
    running = subprocess.Popen([program, *words, made.folder], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _answers(port))
        yield made
    finally:
        running.kill()
        running.wait()


def test_an_endpoint_that_keeps_no_checksums_is_filled_too(
    elsewhere: Elsewhere, tmp_path: Path, move: Callable[..., Done]
) -> None:
    files = {"middle": os.urandom(MIB), "large": os.urandom(17 * MIB), "small": b"x"}
    for name, data in files.items():
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / name).write_bytes(data)
    done = move(lambda client: (Folder(tmp_path / "files"), Bucket(client, elsewhere.url, "b", elsewhere.keys)))
    assert done.failed == {}
    assert {name: (elsewhere.folder / "b" / name).read_bytes() for name in files} == files
    assert {key: known for key, _, known, _ in done.arrived} == {n: sum_of(SHA256, d) for n, d in files.items()}


def test_a_transfer_of_small_files_does_not_wait_for_what_large_ones_need() -> None:
    """Loading it is a tenth of such a transfer's start."""
    asked = """
import sys
import littoral.cli.transfer
from littoral.box.transfer.sums import CRC64, SHA256, sum_of
sum_of(SHA256, b"small")
print("awscrt" in sys.modules)
sum_of(CRC64, b"large")
print("awscrt" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
