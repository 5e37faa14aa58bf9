"""Transfers between folders and buckets, through real gateways."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from littoral.box.manifest import KeyRange
from littoral.box.transfer import objects
from littoral.box.transfer.asking import Refused
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.folder import Folder
from littoral.box.transfer.moving import LinkLost
from littoral.box.transfer.objects import Objects
from littoral.box.transfer.sums import CRC64, SHA256, Bytes, Sum, sum_of
from tests.box.conftest import Depot, Done

MIB = 1024 * 1024


@pytest.fixture
def bucket(depot: Depot) -> str:
    name = f"box-{uuid.uuid4().hex[:12]}"
    depot.s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """In ``tmp_path / "files"``: many small ones, and some that go alone and in parts."""
    made = {f"ward/{n % 7}/ä {n:04}.json": os.urandom(n % 900) for n in range(250)}
    made |= {"empty": b"", "middle": os.urandom(300_000), "large": os.urandom(2 * 16 * MIB + 12345)}
    for name, data in made.items():
        file = tmp_path / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, (1_700_000_000, 1_700_000_000))
        file.chmod(0o640)
    return made


def test_a_folder_arrives_whole(
    depot: Depot, bucket: str, files: dict[str, bytes], tmp_path: Path, move: Callable[..., Done]
) -> None:
    mover = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket)))
    assert mover.failed == {}
    assert depot.held(bucket) == files
    digests = {key: known for key, _, known, _ in mover.arrived}
    alone = ("empty", "middle", "large")
    assert digests == {name: sum_of(CRC64 if name in alone[1:] else SHA256, data) for name, data in files.items()}
    for key in alone:
        told = depot.s3.head_object(Bucket=bucket, Key=key)["Metadata"]
        assert told == {"file-mtime": "1700000000000000000ns", "file-permissions": "0640"}


def test_what_has_arrived_is_not_sent_again_and_what_changed_is(
    depot: Depot, bucket: str, files: dict[str, bytes], tmp_path: Path, move: Callable[..., Done]
) -> None:
    def parts(client: Any) -> Any:
        return Folder(tmp_path / "files"), depot.bucket(client, bucket)

    assert move(parts).progress.sent == len(files)
    assert move(parts).progress.sent == 0
    (tmp_path / "files" / "middle").write_bytes(b"other")
    (tmp_path / "files" / "more").write_bytes(b"more")
    (tmp_path / "files" / "empty").unlink()
    again = move(parts)
    assert again.progress.sent == 2
    assert "empty" not in {key for key, *_ in again.arrived}
    depot.s3.delete_object(Bucket=bucket, Key="large")
    depot.s3.put_object(Bucket=bucket, Key="more", Body=b"less")
    found_out = move(parts)
    assert found_out.progress.sent == 2
    assert depot.held(bucket)["large"] == files["large"]
    assert depot.held(bucket)["more"] == b"more"


def test_what_cannot_be_moved_is_told_of_by_name(
    depot: Depot, bucket: str, tmp_path: Path, move: Callable[..., Done]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "good").write_bytes(b"good")
    (folder / "link").symlink_to("good")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"name")
    os.mkfifo(folder / "pipe")
    mover = move(lambda client: (Folder(folder), depot.bucket(client, bucket)))
    assert mover.failed.keys() == {"link", "\\xff", "pipe"}
    assert depot.held(bucket) == {"good": b"good"}
    with pytest.raises(Refused, match="NoSuchBucket"):
        move(lambda client: (Folder(folder), depot.bucket(client, "absent-bucket")))


def test_a_range_of_a_bucket_arrives_with_all_that_goes_with_it(
    depot: Depot, bucket: str, move: Callable[..., Done]
) -> None:
    s3, target = depot.s3, f"{bucket}-b"
    s3.create_bucket(Bucket=target)
    for number in range(40):
        s3.put_object(Bucket=bucket, Key=f"k{number:02}", Body=os.urandom(100), ContentType="text/plain")
    s3.put_object(Bucket=bucket, Key="k20/../odd", Body=b"odd", Metadata={"Ward": "7", "x": "y"})
    s3.put_object(Bucket=bucket, Key="k21", Body=os.urandom(17 * MIB), CacheControl="no-store")
    wanted = KeyRange(bucket, "k10", "k29")
    mover = move(lambda client: (Objects(depot.bucket(client, bucket), wanted), depot.bucket(client, target)))
    assert mover.failed == {}
    expected = {key: data for key, data in depot.held(bucket).items() if "k10" <= key <= "k29"}
    assert len(expected) == 21
    assert depot.held(target) == expected
    assert s3.head_object(Bucket=target, Key="k10")["ContentType"] == "text/plain"
    assert s3.head_object(Bucket=target, Key="k20/../odd")["Metadata"]["ward"] == "7"
    assert s3.head_object(Bucket=target, Key="k21")["CacheControl"] == "no-store"


def test_a_destination_that_extracts_nothing_gets_each_file(
    depot: Depot, bucket: str, files: dict[str, bytes], tmp_path: Path, move: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("littoral.box.transfer.moving.EXTRACT", {})  # as if it did not know of it
    mover = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket)))
    assert mover.batching is False
    assert depot.held(bucket) == files


def test_an_encrypted_destination_is_checked_by_checksums(
    depot: Depot, bucket: str, files: dict[str, bytes], tmp_path: Path, move: Callable[..., Done]
) -> None:
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
    depot.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    mover = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket)))
    assert mover.progress.sent == len(files)
    assert mover.failed == {}


class Cutter:
    """A TCP proxy that cuts connections after so many bytes, some times, then lets all through."""

    def __init__(self, port: int, cuts: list[int], *, back: bool = False) -> None:
        """``back``: it counts what comes back."""
        self._target, self._cuts, self._back = port, cuts, back
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            left = self._cuts.pop() if self._cuts else None
            there, back = (None, left) if self._back else (left, None)
            threading.Thread(target=self._pass, args=(near, far, there), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, back), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data if left is None else data[:left])
                if left is not None and (left := left - len(data)) <= 0:
                    break
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()


class Gate(Cutter):
    """Lets so many bytes through in all, then nothing any more."""

    def __init__(self, port: int, allowed: int) -> None:
        self._allowed = allowed
        super().__init__(port, [])

    def _pass(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        try:
            while (data := source.recv(65536)) and self._allowed > 0:
                self._allowed -= len(data)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_link_that_is_cut_again_and_again_loses_and_doubles_nothing(
    depot: Depot, bucket: str, files: dict[str, bytes], tmp_path: Path, move: Callable[..., Done]
) -> None:
    port = int(depot.served.url.rpartition(":")[2])
    cutter = Cutter(port, [10, 700, 30_000, 100_000, 1 * MIB, 5 * MIB, 20 * MIB, 17 * MIB])
    try:
        mover = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, cutter.url)))
    finally:
        cutter.close()
    assert mover.progress.retries > 0
    assert mover.failed == {}
    assert depot.held(bucket) == files
    assert "Uploads" not in depot.s3.list_multipart_uploads(Bucket=bucket)


def test_a_link_that_stays_away_ends_it_and_what_arrived_is_kept(
    depot: Depot, bucket: str, files: dict[str, bytes], tmp_path: Path, move: Callable[..., Done]
) -> None:
    gate = Gate(int(depot.served.url.rpartition(":")[2]), 24 * MIB)

    def parts(url: str) -> Callable[[Any], Any]:
        return lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, url, patience=1))

    with pytest.raises(LinkLost):
        move(parts(gate.url), give_up=0.5, parallel=1)
    gate.close()
    before = depot.s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [one["Key"] for one in before] == ["large"]
    assert move(parts(depot.served.url)).failed == {}
    assert depot.held(bucket) == files
    assert "Uploads" not in depot.s3.list_multipart_uploads(Bucket=bucket)


def test_what_is_damaged_at_its_source_is_given_up_by_name(
    depot: Depot, bucket: str, move: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    target = f"{bucket}-b"
    depot.s3.create_bucket(Bucket=target)
    for key in ("a", "b", "c"):
        depot.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    proof = objects.proof_of

    def lying(headers: Any, etag: str) -> Any:
        return sum_of(SHA256, b"other") if etag == hashlib.md5(b"b").hexdigest() else proof(headers, etag)

    monkeypatch.setattr(objects, "proof_of", lying)
    wanted = KeyRange(bucket)
    done = move(lambda client: (Objects(depot.bucket(client, bucket), wanted), depot.bucket(client, target)))
    assert done.failed.keys() == {"b"}
    assert depot.held(target).keys() == {"a", "c"}


def test_a_batch_that_is_never_taken_goes_one_by_one_and_what_is_never_taken_by_name(
    depot: Depot, bucket: str, tmp_path: Path, move: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    (tmp_path / "files").mkdir()
    data = {name: os.urandom(100) for name in ("a", "bad", "c")}
    for name, one in data.items():
        (tmp_path / "files" / name).write_bytes(one)
    put = Bucket.put_signed

    async def damaged(self: Bucket, key: str, sent: Bytes, known: Sum, headers: Any) -> str:
        broken = bytes(sent).replace(data["bad"], bytes(100))  # after it was hashed
        return await put(self, key, broken, known, headers)

    monkeypatch.setattr(Bucket, "put_signed", damaged)
    done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket)), give_up=20)
    assert done.failed.keys() == {"bad"}
    assert depot.held(bucket) == {name: data[name] for name in ("a", "c")}
