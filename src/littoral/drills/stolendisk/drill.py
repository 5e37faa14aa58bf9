"""A box in the field is filled through every way in, its power is cut, and a thief reads its disk.

::

    boto3: objects, functions, secrets ──▶ box ──▶ folder (the disk)   every byte, every name is searched for 30 words
    MQTT over TLS: a device            ──▶  │  ──▶ /dev/shm (memory)    what runs: gone with the power, not on the disk
    box transfer: small and large files ─▶  │
    WebDAV, where there is rclone      ──▶  │
                                           ╳ SIGKILL, not locked
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from littoral.box.manifest import new_code
from littoral.box.memory import runtime_of
from littoral.drills.fieldbox import FieldBox
from littoral.drills.frame import NotHere, Report
from littoral.drills.powercut.disk import Disk
from littoral.drills.stolendisk.planting import BUCKET, LARGE, Planting
from littoral.drills.stolendisk.scanning import Scan, scan, scan_device
from littoral.tour.findings import Findings

SIZE = 256 * 1024 * 1024  # bytes of the disk
PORTS = ("--port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")


class StolenDisk:
    """A box is filled, its power is cut while it is unlocked, and every byte of its disk is searched."""

    def __init__(self, say: Console, folder: Path, cleanup: ExitStack) -> None:
        self.say = say
        self._folder = folder
        self._cleanup = cleanup
        self._found = Findings()

    def run(self) -> Report:
        """Raises PlaceError, NotProvisioned."""
        self.say.print("A box is prepared, started and unlocked")
        disk = self._disk_of_its_own()
        point = None if disk is None else disk.point
        field = self._field = FieldBox(self._folder, "LOCAL_USE", (), self._cleanup, point)
        files = shutil.which("rclone") is not None
        if not files:
            self._found.row("no WebDAV", "rclone is not on PATH")
        box = field.start((*PORTS, *(("--webdav-port", "0") if files else ())))
        planting = Planting(field.manifest, field.code, field.unlock(), field.ca)
        self.say.print("It is filled: objects, functions, secrets, devices, files")
        planting.fill()
        self.say.print("Its power is cut, and its disk read")
        box.kill()
        on_disk = scan(field.disk, planting.planted)
        in_memory = scan(runtime_of(field.disk), planting.planted)
        self._judge(planting, on_disk, in_memory)
        if disk is not None:
            self._judge_device(disk, planting)
        self._again(planting)
        return Report(self._found, lambda axes: _plot(axes, planting, on_disk, in_memory), {"found": on_disk.found})

    def _disk_of_its_own(self) -> Disk | None:
        """All of which is read, where this machine allows it; else it is a folder, whose files are."""
        try:
            return Disk(self._folder, SIZE, self._cleanup)
        except NotHere as problem:
            self._found.row("no disk of its own", f"{problem}: files are read, what was deleted is not")
            return None

    def _judge_device(self, disk: Disk, planting: Planting) -> None:
        """Raises OSError where somebody still uses it."""
        control = "what lies open"
        (disk.point / "lost+found" / "open").write_text(planting.word(control))
        disk.restore()  # all of it is on the device then
        seen = scan_device(disk.image, planting.planted)
        del planting.planted[control]
        sees = seen.found.pop(control, None) is not None
        self._found.row("disk read", f"{seen.size / 1e6:.0f} MB: files, journal, and what was deleted")
        self._found.check("no word is in any block of the disk", not seen.found, seen.found or "none")
        self._found.check(
            "the search finds what lies open there", sees, "a file beside the box's" if sees else "nothing"
        )
        (disk.point / "lost+found" / "open").unlink()

    def _judge(self, planting: Planting, on_disk: Scan, in_memory: Scan) -> None:
        found = self._found
        found.row("words planted", len(planting.planted))
        found.row("read", f"{on_disk.files} files, {on_disk.size / 1e6:.1f} MB")
        found.row(
            "left in memory (tmpfs)",
            f"{in_memory.files} files, {in_memory.size / 1e6:.1f} MB, which show {len(in_memory.found)} of the words; a"
            " power cut takes them, and a disk that is pulled out is without them",
        )
        found.check("no word is on the disk, in any form", not on_disk.found, on_disk.found or "none")
        said = self._field.disk.with_suffix(".log").read_text()
        told = [what for what, word in planting.planted.items() if word in said]
        found.check("no word is in the box's own log", not told, told or f"none in {len(said)} characters")
        found.check("no file is less than chance", not on_disk.compressible, on_disk.compressible or "none compresses")
        found.check("the disk was written to", on_disk.size > LARGE, f"{on_disk.size / 1e6:.1f} MB")
        sees = "a function's word" in in_memory.found
        found.check("the search finds what lies open", sees, "a function's code, in memory" if sees else "nothing")

    def _again(self, planting: Planting) -> None:
        """The thief starts it; then its owner does."""
        field = self._field
        box = field.start(PORTS)
        wrong = field.try_code(new_code())
        said = (wrong.stdout + wrong.stderr).strip()
        self._found.check("without the code it stays locked", wrong.returncode == 1 and "unlock code" in said, said)
        planting.urls = field.unlock()
        s3 = planting.client("s3")
        size = s3.head_object(Bucket=BUCKET, Key="large")["ContentLength"]
        self._found.check("with it all is there", size >= LARGE, f"{size} bytes of the large object")
        field.asks("lock")
        gone = not runtime_of(field.disk).exists()
        self._found.check("a lock leaves nothing in memory's folder", gone, "gone" if gone else "still there")
        box.stop()


def _plot(axes: Any, planting: Planting, on_disk: Scan, in_memory: Scan) -> None:
    """How many of the words lie where."""
    counts = (len(planting.planted), len(in_memory.found), len(on_disk.found))
    bars = axes.barh(("planted", "in memory, after the kill", "on the disk"), counts, color="tab:blue")
    axes.bar_label(bars, padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("words that a thief would look for")
