"""``littoral backup`` of a place that is written to meanwhile, and killed; another starts from the copy."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from littoral.store.spool import SPOOL, Tray

from .conftest import Running
from .test_clients import zipped

APP = "def handler(event, context):\n    return event\n"


def backup(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "littoral", "backup", *words, "--data-dir", folder]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False)


class Writing(threading.Thread):
    """Puts, overwrites and deletes without end; the body of an object says its key."""

    def __init__(self, s3: Any) -> None:
        super().__init__(daemon=True)
        self._s3, self.rounds, self._over = s3, 0, threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            for number in range(4):
                large = number % 2
                key = f"busy/{'large' if large else 'small'}/{number}"
                body = f"{key} {self.rounds} ".encode() * (9000 if large else 1)
                self._s3.put_object(Bucket="kept", Key=key, Body=body)
            self._s3.delete_object(Bucket="kept", Key=f"busy/large/{1 + 2 * (self.rounds % 2)}")
            self.rounds += 1

    def until(self, rounds: int) -> None:
        deadline = time.monotonic() + 60
        while self.rounds < rounds:
            assert time.monotonic() < deadline and self.is_alive()
            time.sleep(0.02)

    def end(self) -> None:
        self._over.set()
        self.join(60)


def test_what_was_acknowledged_before_is_in_a_backup_of_a_busy_place(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    place, folder = start("place"), tmp_path / "place"
    s3 = place.client("s3")
    s3.create_bucket(Bucket="kept")
    settled = {f"settled/{n}": os.urandom(100_000 if n % 3 else 50) for n in range(30)}
    for key, body in settled.items():
        s3.put_object(Bucket="kept", Key=key, Body=body, ServerSideEncryption="AES256", Tagging="settled=yes")
    place.client("lambda").create_function(
        FunctionName="echo",
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="app.handler",
        Code={"ZipFile": zipped(app__py=APP)},
    )
    writing = Writing(place.client("s3"))
    writing.start()
    writing.until(3)
    with Tray.within(folder / "store" / SPOOL) as tray:
        assert tray is not None
        tray.place().write_bytes(b"on its way")
        first = backup(tmp_path / "first", folder=folder)
    assert first.returncode == 0, first.stderr
    assert not (tmp_path / "first" / "store" / SPOOL).exists()
    writing.until(writing.rounds + 2)
    second = backup(tmp_path / "second", "--since", tmp_path / "first", folder=folder)
    assert (second.returncode, "of them as in" in second.stdout) == (0, True), second.stderr
    assert not (folder / ".backup").exists() and not (tmp_path / "second.part").exists()
    kept = {file.name: file.stat() for file in (tmp_path / "first" / "store" / "blobs" / "objects").iterdir()}
    again = {file.name: file.stat() for file in (tmp_path / "second" / "store" / "blobs" / "objects").iterdir()}
    assert len(kept.keys() & again.keys()) >= 20
    assert all(again[name].st_ino == kept[name].st_ino for name in kept.keys() & again.keys())
    writing.end()
    place.process.kill()

    restored = start("second")
    s3 = restored.client("s3")
    for key, body in settled.items():
        assert s3.get_object(Bucket="kept", Key=key)["Body"].read() == body
        assert s3.get_object_tagging(Bucket="kept", Key=key)["TagSet"] == [{"Key": "settled", "Value": "yes"}]
    listed = s3.list_objects_v2(Bucket="kept", Prefix="busy/")["Contents"]
    for key in (each["Key"] for each in listed):
        assert s3.get_object(Bucket="kept", Key=key)["Body"].read().startswith(key.encode())
    answer = restored.client("lambda").invoke(FunctionName="echo", Payload=b'"hello"')
    assert answer["Payload"].read() == b'"hello"'
    scrub = [sys.executable, "-m", "littoral", "objects", "scrub", "--now", "--data-dir", str(tmp_path / "second")]
    assert subprocess.run(scrub, capture_output=True, timeout=120, check=False).returncode == 0


def test_a_backup_tells_of_damage_and_refuses_what_it_cannot_do(start: Callable[..., Running], tmp_path: Path) -> None:
    place, folder = start("place"), tmp_path / "place"
    s3 = place.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=bytes(600_000))
    (file,) = (folder / "store" / "blobs" / "objects").iterdir()
    with file.open("r+b") as blob:
        blob.seek(300_000)
        blob.write(b"!")
    assert place.process.stop() == 0  # a place that is stopped is copied just so
    told = backup(tmp_path / "copy", folder=folder)
    assert (told.returncode, f"damaged, and copied as it is: objects/{file.name}" in told.stderr) == (1, True)
    for words, why in (
        ((tmp_path / "copy",), "is there already"),
        ((folder / "within",), "is within the data folder"),
        ((tmp_path / "new", "--since", tmp_path), "is no backup"),
    ):
        refused = backup(*words, folder=folder)
        assert (refused.returncode, refused.stderr.count("\n"), why in refused.stderr) == (1, 1, True), refused.stderr
    assert "is no data folder" in backup(tmp_path / "new", folder=tmp_path).stderr
    assert not (tmp_path / "new").exists()
    file.unlink()
    assert "is missing" in backup(tmp_path / "new", folder=folder).stderr
    assert not (tmp_path / "new").exists() and not (folder / ".backup").exists()
