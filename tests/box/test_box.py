"""A box as a process: prepared, locked, unlocked, used by boto3 and the AWS CLI, locked again, erased."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from littoral.box import erasing, memory, volume
from littoral.box.control import SOCKET, Control, Opened, Opening
from littoral.net.pki import verify_signature
from littoral.site.sockets import listen_linked
from littoral.tour.places import PlaceError, PlaceProcess
from tests.box.boxes import PORTS, Box, littoral
from tests.box.manifests import JOB, issue


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box.prepared(tmp_path_factory.mktemp("box"))
    made.start()
    try:
        made.unlock()
        yield made
    finally:
        made.stop()


def test_a_locked_box_says_so_and_serves_nothing(tmp_path: Path) -> None:
    made = Box.prepared(tmp_path)
    made.start()
    try:
        found = made.status()
        assert (found["state"], found["job"], found["listeners"]) == ("LOCKED", JOB, {})
        assert made.process is not None and made.process.urls == {}
        assert "the box is locked" in made.asks("credentials", check=False)
        assert "the box is locked" in made.asks("certificate", check=False)
        assert "does not open this manifest" in littoral(
            "box",
            "unlock",
            "--manifest",
            str(made.manifest),
            "--data-dir",
            str(made.folder),
            code=issue().code,
            check=False,
        )
        other = tmp_path / "other.bin"
        other.write_bytes(issue().file)
        assert "not of the issuer" in made.asks("unlock", "--manifest", str(other), check=False)
        assert made.status()["state"] == "LOCKED"
    finally:
        made.stop()


async def test_who_unlocks_a_box_that_fails_on_it_is_told_what_it_was(tmp_path: Path) -> None:
    made = Box.prepared(tmp_path)

    async def begin(*_: object) -> Opened:
        raise ZeroDivisionError("a mistake of ours")

    control = Control(volume.load(made.folder), Opening(begin, lambda: None), memory_locked=False)
    listener = await listen_linked(control.handle, tmp_path / SOCKET, made.folder / SOCKET)
    try:
        words = ("unlock", "--manifest", str(made.manifest), "--allow-swap")
        said = await asyncio.to_thread(partial(made.asks, *words, check=False))
        assert "the box failed on this: ZeroDivisionError: a mistake of ours" in said
        assert "no box answers" not in said
        assert (await asyncio.to_thread(made.status))["state"] == "LOCKED"
    finally:
        await listener.close(1.0)


def test_without_its_code_and_without_a_terminal_nothing_is_opened_and_a_line_says_why(tmp_path: Path) -> None:
    made = Box.prepared(tmp_path)
    env = {name: value for name, value in os.environ.items() if name != "BOX_UNLOCK_CODE"}
    for command in ("unlock", "erase"):
        done = subprocess.run(
            [sys.executable, "-m", "littoral", "box", command, "--manifest", made.manifest, "--data-dir", made.folder],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "BOX_UNLOCK_CODE" in done.stderr and done.stderr.count("\n") == 1
    made.start()
    made.unlock()  # it was not erased
    made.stop()


def test_boto3_works_with_the_boxs_own_credentials_and_certificate(box: Box) -> None:
    s3 = box.client("s3")
    s3.create_bucket(Bucket="scans")
    body = os.urandom(3_000_000)
    s3.put_object(Bucket="scans", Key="ward7/large", Body=body, Metadata={"patient": "none"})
    s3.put_object(Bucket="scans", Key="ward7/small", Body=b"small")
    assert s3.get_object(Bucket="scans", Key="ward7/large")["Body"].read() == body
    part = s3.get_object(Bucket="scans", Key="ward7/large", Range="bytes=65530-65545")["Body"].read()
    assert part == body[65530:65546]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="scans")["Contents"]] == ["ward7/large", "ward7/small"]


def test_the_aws_cli_works(box: Box, tmp_path: Path) -> None:
    env = dict(line.split("=", 1) for line in box.asks("credentials").splitlines())
    env |= {**os.environ, **env, "AWS_CA_BUNDLE": str(box.authority()), "AWS_CONFIG_FILE": "/dev/null", "AWS_PAGER": ""}
    (tmp_path / "film").write_bytes(os.urandom(9_000_000))  # in parts

    def aws(*words: str) -> str:
        cli = Path(sys.executable).with_name("aws")
        done = subprocess.run([cli, *words], env=env, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    aws("s3", "mb", "s3://films")
    aws("s3", "cp", str(tmp_path / "film"), "s3://films/film")
    aws("s3", "cp", "s3://films/film", str(tmp_path / "again"))
    assert digest(tmp_path / "again") == digest(tmp_path / "film")
    assert "film" in aws("s3", "ls", "s3://films")


def test_what_was_written_is_there_after_it_was_locked_and_unlocked(box: Box) -> None:
    s3 = box.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a", Body=b"kept" * 10_000)
    runtime = memory.runtime_of(box.folder)
    assert runtime.is_dir()
    before = box.status()["pid"]
    assert box.asks("lock") == "LOCKED\n"
    found = box.status()
    assert (found["state"], found["pid"], found["listeners"]) == ("LOCKED", before, {})  # the same process, anew
    assert not runtime.exists()
    with pytest.raises(EndpointConnectionError):
        s3.list_buckets()
    box.unlock()
    assert box.client("s3").get_object(Bucket="kept", Key="a")["Body"].read() == b"kept" * 10_000


def test_the_scrub_of_a_box_is_asked_for_at_its_control_socket(tmp_path: Path) -> None:
    box = Box.prepared(tmp_path)
    box.start()
    try:
        assert "the box is locked" in box.asks("scrub", check=False)
        box.unlock()
        s3 = box.client("s3")
        s3.create_bucket(Bucket="catch")
        s3.put_object(Bucket="catch", Key="k", Body=bytes(600_000))
        assert "600,000" in box.asks("scrub", "--now")  # and its exit status is 0
        (file,) = (box.folder / "store" / "blobs" / "objects").iterdir()
        data = bytearray(file.read_bytes())
        data[300_000] ^= 1
        file.write_bytes(data)
        assert "damaged: " in box.asks("scrub", "--now", check=False)
    finally:
        box.stop()


def test_what_is_asked_of_other_places_is_asked_of_a_box_or_a_line_says_where_it_is(tmp_path: Path) -> None:
    box = Box.prepared(tmp_path)
    data = ("--data-dir", str(box.folder))
    box.start()
    try:
        said = littoral("objects", "scrub", *data, check=False)
        assert "the box is locked" in said and said.count("\n") == 1
        box.unlock()
        s3 = box.client("s3")
        s3.create_bucket(Bucket="catch")
        s3.put_object(Bucket="catch", Key="k", Body=bytes(600_000))
        assert "600,000" in littoral("objects", "scrub", "--now", *data)
        for words in (("list",), ("create", "--user", "ada"), ("delete", "AKIA")):
            said = littoral("keys", *words, *data, check=False)
            assert "littoral box credentials" in said and said.count("\n") == 1
    finally:
        box.stop()


def test_no_other_process_of_its_user_reads_its_memory(box: Box) -> None:
    pid = box.status()["pid"]
    limits = Path(f"/proc/{pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    assert Path(f"/proc/{pid}/mem").stat().st_uid == 0  # not dumpable: root's, whoever runs it


def test_its_memory_is_locked_where_it_may_be(box: Box) -> None:
    status = Path(f"/proc/{box.status()['pid']}/status").read_text()
    locked = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmLck")))
    assert box.status()["memoryLocked"] == (locked > 10_000)  # kB: the whole of it, or nothing


def test_what_is_no_box_does_not_start_as_one(tmp_path: Path) -> None:
    started = PlaceProcess("box", "box", tmp_path / "empty", PORTS, {})
    with pytest.raises(PlaceError, match="is no box: littoral box prepare makes it one"):
        started.wait_ready()
    started.stop()


def test_a_box_is_prepared_in_an_empty_folder_for_a_good_manifest_only(tmp_path: Path) -> None:
    made = Box.prepared(tmp_path)
    again = made.asks("prepare", "--manifest", str(made.manifest), check=False)
    assert "is not empty" in again
    bad = tmp_path / "bad.bin"
    bad.write_bytes(b"{}")
    words = ("box", "prepare", "--data-dir", str(tmp_path / "new"), "--manifest")
    assert "not a manifest" in littoral(*words, str(bad), check=False)
    stranger = tmp_path / "stranger.pem"
    stranger.write_text(issue().manifest.authority_certificate)
    said = littoral(*words, str(made.manifest), "--issuer", str(stranger), check=False)
    assert "was not issued by that certificate" in said
    assert not (tmp_path / "new").exists()


def test_a_preparation_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    issued = issue()
    disk = tmp_path / "disk"
    (disk / "lost+found").mkdir(parents=True)
    (disk / "control").mkdir()  # of a box that was erased while it ran
    for left in ("box.new", "box.secret"):
        (disk / left).write_bytes(b"half of it")
    made = volume.prepare(disk, issued.file, time.time())
    made.opened(issued.file, issued.code, time.time())
    assert (disk / "box.secret").stat().st_size == 32
    (disk / "box.json").unlink()  # what was opened once is not overwritten
    with pytest.raises(volume.NotOpened, match="is not empty"):
        volume.prepare(disk, issued.file, time.time())
    (tmp_path / "file").touch()
    with pytest.raises(volume.NotOpened, match="is no folder"):
        volume.prepare(tmp_path / "file", issued.file, time.time())


def test_a_box_is_of_one_process_and_leaves_nothing_in_memory_where_it_was_moved(tmp_path: Path) -> None:
    made = Box.prepared(tmp_path)
    made.start()
    try:
        with pytest.raises(PlaceError, match="in use by another littoral process"):
            PlaceProcess("box", "box", made.folder, PORTS, {}).wait_ready()
        assert made.status()["state"] == "LOCKED"  # the first one answers still
        made.unlock()
        with pytest.raises(PlaceError, match="in use by another littoral process"):
            PlaceProcess("box", "box", made.folder, PORTS, {}).wait_ready()
        runtime = memory.runtime_of(made.folder)
        (runtime / "left").touch()
        other = memory.Runtime(tmp_path / "other")
        assert (runtime / "left").exists()  # of a box that lives
        other.remove()
        assert made.process is not None
        made.process.kill()
        made.folder = made.folder.rename(tmp_path / "moved")
        made.start()
        made.unlock()
        assert not runtime.exists() and memory.runtime_of(made.folder).exists()
    finally:
        made.stop()
    assert not memory.runtime_of(made.folder).exists()


def test_an_erased_box_is_not_opened_by_its_manifest_and_code(tmp_path: Path) -> None:
    made = Box.prepared(tmp_path)
    made.start()
    try:
        made.unlock()
        s3 = made.client("s3")
        s3.create_bucket(Bucket="old")
        s3.put_object(Bucket="old", Key="k", Body=os.urandom(200_000))
        words = ("erase", "--manifest", str(made.manifest), "--report", str(tmp_path / "report"), "--operator", "Ada")
        deep = (*words[:3], "--report", str(tmp_path / "new" / "report"))
        assert "lock it first" in made.asks(*deep, check=False)
        assert not (tmp_path / "new").exists()
        (tmp_path / "report").mkdir()
        assert "lock it first" in made.asks(*words, check=False)
        assert (tmp_path / "report").exists()  # it was there before
        made.asks("lock")
        before = {file: file.read_bytes() for file in made.folder.rglob("*") if file.is_file()}
        said = made.asks(*words)
        assert "Cryptographic Erase" in said and "they do not open it" in said and JOB in said
        assert made.status()["state"] == "ERASED"  # says the process, which runs still
        assert made.asks("lock") == "ERASED\n"
        assert "the box is erased" in made.asks("credentials", check=False)
        assert "erased" in made.asks("unlock", "--manifest", str(made.manifest), check=False)
    finally:
        made.stop()
    assert not [file for file in made.folder.rglob("*") if file.is_file() and not file.is_symlink()]
    document = json.loads((tmp_path / "report" / "sanitization.json").read_text())
    signature = base64.b64decode(document["signature"])
    verify_signature(document["certificate"].encode(), document["facts"].encode(), signature)
    facts: dict[str, Any] = json.loads(document["facts"])
    assert facts["performed by"] == "Ada" and facts["method type"] == "Purge"
    secret = before.pop(made.folder / "box.secret")
    for file, content in before.items():  # as if the disk had been copied, all but the secret
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    left = volume.load(made.folder)
    opening = (made.issued.file, made.issued.code, time.time())
    with pytest.raises(volume.NotOpened, match="was erased"):
        left.opened(*opening)
    (made.folder / "box.secret").write_bytes(os.urandom(32))
    with pytest.raises(volume.NotOpened, match="the secret of this box is another's"):
        left.opened(*opening)
    (made.folder / "box.secret").write_bytes(secret)
    assert left.opened(*opening)[0] == made.issued.manifest


@pytest.mark.parametrize("cut_off_after", ["nothing", "overwritten", "removed"])
def test_an_erasure_that_was_broken_off_is_carried_out_and_signed(tmp_path: Path, cut_off_after: str) -> None:
    made = Box.prepared(tmp_path)
    volume.load(made.folder).opened(made.issued.file, made.issued.code, time.time())
    if cut_off_after == "overwritten":
        (made.folder / "box.secret").write_bytes(os.urandom(32))
    if cut_off_after == "removed":
        (made.folder / "box.secret").unlink()
        (made.folder / "box.check").unlink()
    made.asks("erase", "--manifest", str(made.manifest), "--report", str(tmp_path / "report"))
    document = json.loads((tmp_path / "report" / "sanitization.json").read_text())
    verify_signature(
        document["certificate"].encode(), document["facts"].encode(), base64.b64decode(document["signature"])
    )
    verified = json.loads(document["facts"])["verification"]
    assert ("which opened the box before" in verified) == (cut_off_after == "nothing")
    assert ("overwritten and read back" in verified) == (cut_off_after != "removed")
    assert not list(made.folder.iterdir())


DAMAGE: dict[str, Callable[[Path], object]] = {
    "zeroed": lambda facts: facts.write_bytes(bytes(4096)),
    "cut": lambda facts: facts.write_bytes(facts.read_bytes()[:40]),
    "lost": lambda facts: facts.unlink(),
    "another's": lambda facts: facts.write_text('{"job": 1, "issuer": null, "prepared": 0}'),
    "nested": lambda facts: facts.write_text("[" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("opened", [True, False])
def test_a_box_that_cannot_say_which_it_is_is_erased_with_a_certificate_that_says_so(
    tmp_path: Path, damage: str, opened: bool
) -> None:
    """Signed where the manifest opened it, which is the proof that they are each other's."""
    made = Box.prepared(tmp_path)
    if opened:
        volume.load(made.folder).opened(made.issued.file, made.issued.code, time.time())
    DAMAGE[damage](made.folder / "box.json")
    (made.folder / "store").mkdir()
    (made.folder / "store" / "blob").write_bytes(b"sealed")
    said = made.asks("erase", "--manifest", str(made.manifest), "--report", str(tmp_path / "report"))
    document = json.loads((tmp_path / "report" / "sanitization.json").read_text())
    facts = json.loads(document["facts"])
    assert ("it is not there" if damage == "lost" else "cannot be read") in facts["could not be read"]["box.json"]
    assert "box.json" in said and "overwritten and read back" in facts["verification"]
    assert facts["job"] == (JOB if opened else "not known")
    assert bool(document["signature"]) == opened
    if opened:
        signature = base64.b64decode(document["signature"])
        verify_signature(document["certificate"].encode(), document["facts"].encode(), signature)
    else:
        assert "is not shown" in facts["verification"]
    assert not list(made.folder.iterdir())


def test_a_damaged_box_is_erased_without_a_manifest_and_by_no_wrong_code(tmp_path: Path) -> None:
    made = Box.prepared(tmp_path)
    (made.folder / "box.json").write_bytes(b"")
    (made.folder / "box.secret").write_bytes(os.urandom(50))  # not as long as it was
    other = issue()
    with pytest.raises(volume.NotOpened, match="does not open this manifest"):
        erasing.erase(made.folder, time.time(), "Ada", (made.issued.file, other.code))
    assert (made.folder / "box.secret").exists()
    done = erasing.erase(made.folder, time.time(), "Ada", None)
    assert done.facts["job"] == "not known" and not done.signature
    assert not list(made.folder.iterdir())
    with pytest.raises(volume.NotOpened, match="is no box"):
        erasing.erase(made.folder, time.time(), "Ada", None)


def test_nothing_is_erased_where_its_certificate_cannot_be_written(tmp_path: Path) -> None:
    made = Box.prepared(tmp_path)
    words = ("erase", "--manifest", str(made.manifest), "--report")
    assert "Not a directory" in made.asks(*words, str(made.manifest / "report"), check=False)
    volume.load(made.folder).opened(made.issued.file, made.issued.code, time.time())


def test_an_expired_manifest_opens_nothing_and_erases(tmp_path: Path) -> None:
    issued = issue(expires=time.time() - 1)
    made = volume.prepare(tmp_path / "disk", issued.file, time.time())
    with pytest.raises(volume.NotOpened, match=f"expired on .*; this machine's clock says {volume.day(time.time())}"):
        made.opened(issued.file, issued.code, time.time())
    assert not (made.folder / "box.check").exists()
    assert erasing.erase(made.folder, time.time(), "Ada", (issued.file, issued.code)).signature


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_swap_that_is_not_encrypted_is_found(tmp_path: Path) -> None:
    (tmp_path / "swaps").write_text(
        "Filename Type Size Used\n/dev/zram0 partition 1 0\n/dev/dm-0 partition 1 0\n/swapfile file 1 0\n"
    )
    crypt = tmp_path / "sys/class/block/dm-0/dm"
    crypt.mkdir(parents=True)
    (crypt / "uuid").write_text("CRYPT-PLAIN-swap\n")
    assert memory.open_swap(tmp_path, tmp_path / "sys") == ["/swapfile"]
    (crypt / "uuid").write_text("LVM-x\n")
    assert memory.open_swap(tmp_path, tmp_path / "sys") == ["/dev/dm-0", "/swapfile"]


def interleaved(monkeypatch: pytest.MonkeyPatch, folder: Path, meanwhile: Callable[[], object]) -> None:
    """``meanwhile`` comes right before that folder is held the next time."""
    real, due = fcntl.flock, [meanwhile]

    def flock(held: int, how: int) -> None:
        if due and folder.exists() and folder.samefile(f"/proc/self/fd/{held}"):
            due.pop()()
        real(held, how)

    monkeypatch.setattr(memory.fcntl, "flock", flock)


def test_a_runtime_folder_that_is_taken_for_left_before_it_is_held_is_made_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = memory.runtime_of(tmp_path / "box")
    interleaved(monkeypatch, folder, lambda: memory._remove_if_left(folder))
    runtime = memory.Runtime(tmp_path / "box")
    try:
        memory._remove_if_left(folder)
        assert folder.is_dir()
    finally:
        runtime.remove()
    assert not folder.exists()


def test_who_cleans_up_leaves_what_was_made_anew_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = memory.runtime_of(tmp_path / "box")
    folder.mkdir()
    made: list[memory.Runtime] = []
    interleaved(monkeypatch, folder, lambda: made.append(memory.Runtime(tmp_path / "box")))
    memory._remove_if_left(folder)
    try:
        assert folder.is_dir()
    finally:
        made[0].remove()
    assert not folder.exists()


def test_a_box_that_starts_waits_for_another_that_is_just_removing_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = memory.runtime_of(tmp_path / "box")
    folder.mkdir()
    removing = os.open(folder, os.O_RDONLY)
    fcntl.flock(removing, fcntl.LOCK_EX)  # as another box has it that cleans up

    def removed(_: float) -> None:
        folder.rmdir()
        os.close(removing)

    monkeypatch.setattr(time, "sleep", removed)
    runtime = memory.Runtime(tmp_path / "box")
    assert folder.is_dir()
    runtime.remove()
    assert not folder.exists()


def test_what_another_box_left_and_does_not_go_keeps_no_box_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = memory.runtime_of(tmp_path / "other")
    left.mkdir()
    real = shutil.rmtree

    def rmtree(folder: Path, **how: Any) -> None:
        if folder == left:
            raise PermissionError(13, "Permission denied", str(folder))
        real(folder, **how)

    monkeypatch.setattr(memory.shutil, "rmtree", rmtree)
    try:
        memory.Runtime(tmp_path / "box").remove()
        assert f"what another box left in memory stays: {left}" in caplog.text
        with pytest.raises(PermissionError):  # its own
            memory.Runtime(tmp_path / "other")
    finally:
        left.rmdir()


def test_a_runtime_folder_that_somebody_keeps_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_PAUSE", 0)
    runtime = memory.Runtime(tmp_path / "box")
    with pytest.raises(FileExistsError, match="somebody else has it"):
        memory.Runtime(tmp_path / "box")
    runtime.remove()
