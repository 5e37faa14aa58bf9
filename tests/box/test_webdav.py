"""The objects of a box as files: what curl does by WebDAV is what boto3 sees, and the other way round."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from littoral.box import memory
from tests.box.boxes import PORTS, Box, littoral

pytestmark = pytest.mark.skipif(
    shutil.which("rclone") is None or shutil.which("curl") is None, reason="needs rclone and curl (apt)"
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box.prepared(tmp_path_factory.mktemp("files"))
    locked = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # rclone as the lock has it, where it is
    made.start(*PORTS, "--webdav-port", "0", env={"PATH": locked})
    try:
        made.unlock()
        made.authority()
        yield made
    finally:
        made.stop()


def curl(box: Box, path: str, *options: str, user: str = "") -> tuple[int, str]:
    """Status and body."""
    held = box.issued.manifest
    words = ["curl", "-sS", "--cacert", str(box.folder.parent / "ca.pem"), "-w", "\n%{http_code}", *options]
    words += ["-u", user or f"{held.access_key}:{held.secret_key}", box.urls["webdav"] + path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_a_file_is_an_object_both_ways(box: Box, tmp_path: Path) -> None:
    s3 = box.client("s3")
    assert [curl(box, path, "-X", "MKCOL")[0] for path in ("/shared", "/shared/ward7")] == [201, 201]
    film = tmp_path / "film"
    film.write_bytes(os.urandom(7_000_000))
    assert curl(box, "/shared/ward7/film", "-T", str(film))[0] == 201
    assert s3.get_object(Bucket="shared", Key="ward7/film")["Body"].read() == film.read_bytes()
    s3.put_object(Bucket="shared", Key="note", Body=b"from boto3")
    assert curl(box, "/shared/note") == (200, "from boto3")
    status, listing = curl(box, "/shared/", "-X", "PROPFIND", "-H", "Depth: 1")
    assert status == 207 and "/shared/note" in listing and "/shared/ward7/" in listing
    moved = box.urls["webdav"] + "/shared/moved"
    assert curl(box, "/shared/note", "-X", "MOVE", "-H", f"Destination: {moved}")[0] in (201, 204)
    assert {each["Key"] for each in s3.list_objects_v2(Bucket="shared")["Contents"]} == {"moved", "ward7/film"}
    s3.put_object(
        Bucket="shared", Key="a\x01b", Body=b"no character of XML"
    )  # rclone's files show such by their pictures
    assert curl(box, "/shared/a%E2%90%81b") == (200, "no character of XML")
    assert curl(box, "/shared/a%E2%90%81b", "-X", "DELETE")[0] == 204
    assert curl(box, "/shared/moved", "-X", "DELETE")[0] == 204
    assert {each["Key"] for each in s3.list_objects_v2(Bucket="shared")["Contents"]} == {"ward7/film"}


def test_a_folder_at_the_top_whose_name_no_bucket_may_have_is_not_made(box: Box) -> None:
    for name in ("Ward_7", "ab", "192.168.1.1", "ward%20seven"):
        assert curl(box, f"/{name}", "-X", "MKCOL")[0] == 405
    assert curl(box, "/no-such-bucket/ward", "-X", "MKCOL")[0] == 409
    status, listing = curl(box, "/", "-X", "PROPFIND", "-H", "Depth: 1")
    assert (status, "ab/" in listing, "no-such-bucket" in listing) == (207, False, False)


def test_what_another_client_overwrites_is_read_whole_at_once(box: Box) -> None:
    s3 = box.client("s3")
    s3.create_bucket(Bucket="written")
    texts = ["x" * size for size in (1, 300, 20, 4_000, 5, 60, 7, 80)]
    read = []
    for text in texts:
        assert curl(box, "/written/", "-X", "PROPFIND", "-H", "Depth: 1")[0] == 207
        s3.put_object(Bucket="written", Key="report", Body=text.encode())
        read.append(curl(box, "/written/report")[1])
    assert read == texts


def test_left_alone_it_takes_no_processor(box: Box) -> None:
    """With folders that are empty and folders that went, which rclone looks after by a timer."""
    for path in ("/idle", "/idle/empty", "/idle/full", "/idle/full/below", "/idle/gone"):
        assert curl(box, path, "-X", "MKCOL")[0] == 201
    moved = box.urls["webdav"] + "/idle/other"
    assert curl(box, "/idle/full", "-X", "MOVE", "-H", f"Destination: {moved}")[0] == 201
    assert curl(box, "/idle/gone", "-X", "DELETE")[0] == 204
    rclone = _rclone(box)
    before = _processor_seconds(rclone)
    for _ in range(30):
        time.sleep(0.1)
        assert _processor_seconds(rclone) - before < 0.5, "of at most 3 s"


def _rclone(box: Box) -> int:
    place = box.status()["pid"]
    below = Path(f"/proc/{place}/task/{place}/children").read_text().split()
    (found,) = (int(each) for each in below if b"webdav" in Path(f"/proc/{each}/cmdline").read_bytes())
    return found


def _processor_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_nobody_comes_in_without_the_boxs_key(box: Box) -> None:
    assert curl(box, "/", user="a:b")[0] == 401


def test_it_keeps_nothing_on_the_disk_and_ends_with_the_lock(box: Box) -> None:
    runtime = memory.runtime_of(box.folder)
    kept = sorted(file.name for file in (runtime / "webdav").rglob("*") if file.is_file())
    assert kept == ["webdav.crt", "webdav.key"]
    box.asks("lock")
    with pytest.raises(subprocess.CalledProcessError):
        curl(box, "/")
    assert not runtime.exists()


def test_a_port_that_somebody_else_has_opens_no_box(tmp_path: Path) -> None:
    box = Box.prepared(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        box.start(*PORTS, "--webdav-port", str(port))
        try:
            words = ("box", "unlock", "--manifest", str(box.manifest), "--data-dir", str(box.folder))
            said = littoral(*words, code=box.issued.code, check=False)
            assert said == f"littoral: cannot listen on 127.0.0.1:{port}: Address already in use\n"
            assert json.loads(littoral("box", "status", "--json", "--data-dir", str(box.folder)))["state"] == "LOCKED"
        finally:
            box.stop()
