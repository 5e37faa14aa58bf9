"""A box in the field is filled through every way in, its power is cut, and a thief reads its disk.

::

    boto3: objects, functions, secrets ──▶ box ──▶ folder (the disk)   every byte, every name is searched for 30 words
    MQTT over TLS: a device            ──▶  │  ──▶ /dev/shm (memory)    what runs: gone with the power, not on the disk
                                           ╳ SIGKILL, not locked
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from littoral.box import volume
from littoral.box.issuing import drafted
from littoral.box.manifest import new_code, seal
from littoral.box.memory import runtime_of
from littoral.drills.frame import Report
from littoral.drills.stolendisk.planting import BUCKET, LARGE, Planting
from littoral.drills.stolendisk.scanning import Scan, scan
from littoral.net.pki import Authority
from littoral.tour.findings import Findings
from littoral.tour.places import PlaceError, PlaceProcess

JOB = "JID00000000-0000-4000-8000-000000000000"
PORTS = ("--port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")


class StolenDisk:
    """A box is filled, its power is cut while it is unlocked, and every byte of its disk is searched."""

    def __init__(self, say: Console, folder: Path, cleanup: ExitStack) -> None:
        self.say = say
        self._disk = folder / "disk"
        self._keys = folder / "keys"  # of whoever may open it; not on the disk
        self._cleanup = cleanup
        self._found = Findings()

    def run(self) -> Report:
        """Raises PlaceError, NotProvisioned."""
        self._keys.mkdir(mode=0o700)
        region, now, code = Authority.create("Littoral region"), time.time(), new_code()
        manifest = drafted(JOB, "LOCAL_USE", (), "us-east-1", "000000000000", now, now + 86400)
        file = seal(manifest, code, region.certificate_pem.decode(), region.sign)
        (self._keys / "manifest.bin").write_bytes(file)
        volume.prepare(self._disk, file, now)
        ca = self._keys / "ca.pem"
        ca.write_text(manifest.authority_certificate)
        self.say.print("A box is prepared, started and unlocked")
        box = self._start()
        planting = Planting(manifest, code, self._unlock(code), ca)
        self.say.print("It is filled: objects, functions, secrets, devices")
        planting.fill()
        self.say.print("Its power is cut, and its disk read")
        box.kill()
        on_disk = scan(self._disk, planting.planted)
        in_memory = scan(runtime_of(self._disk), planting.planted)
        self._judge(planting, on_disk, in_memory)
        self._again(planting, code)
        return Report(self._found, lambda axes: _plot(axes, planting, on_disk, in_memory), {"found": on_disk.found})

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
        said = self._disk.with_suffix(".log").read_text()
        told = [what for what, word in planting.planted.items() if word in said]
        found.check("no word is in the box's own log", not told, told or f"none in {len(said)} characters")
        found.check("no file is less than chance", not on_disk.compressible, on_disk.compressible or "none compresses")
        found.check("the disk was written to", on_disk.size > LARGE, f"{on_disk.size / 1e6:.1f} MB")
        sees = "a function's word" in in_memory.found
        found.check("the search finds what lies open", sees, "a function's code, in memory" if sees else "nothing")

    def _again(self, planting: Planting, code: str) -> None:
        """The thief starts it; then its owner does."""
        box = self._start()
        wrong = self._littoral("unlock", "--manifest", str(self._keys / "manifest.bin"), code=new_code())
        said = (wrong.stdout + wrong.stderr).strip()
        self._found.check("without the code it stays locked", wrong.returncode == 1 and "unlock code" in said, said)
        planting.urls = self._unlock(code)
        s3 = planting.client("s3")
        size = s3.head_object(Bucket=BUCKET, Key="large")["ContentLength"]
        self._found.check("with it all is there", size >= LARGE, f"{size} bytes of the large object")
        self._littoral("lock", code=code)
        gone = not runtime_of(self._disk).exists()
        self._found.check("a lock leaves nothing in memory's folder", gone, "gone" if gone else "still there")
        box.stop()

    def _start(self) -> PlaceProcess:
        box = PlaceProcess("box", "box", self._disk, PORTS, {})
        self._cleanup.callback(box.stop)
        box.wait_ready()
        return box

    def _unlock(self, code: str) -> dict[str, str]:
        done = self._littoral("unlock", "--manifest", str(self._keys / "manifest.bin"), code=code)
        if done.returncode != 0:
            raise PlaceError(f"the box was not unlocked: {done.stderr}")
        found: dict[str, Any] = json.loads(self._littoral("status", "--json", code=code).stdout)
        return dict(found["listeners"])

    def _littoral(self, *words: str, code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "littoral", "box", *words, "--data-dir", str(self._disk)],
            env={**os.environ, "BOX_UNLOCK_CODE": code},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def _plot(axes: Any, planting: Planting, on_disk: Scan, in_memory: Scan) -> None:
    """How many of the words lie where."""
    counts = (len(planting.planted), len(in_memory.found), len(on_disk.found))
    bars = axes.barh(("planted", "in memory, after the kill", "on the disk"), counts, color="tab:blue")
    axes.bar_label(bars, padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("words that a thief would look for")
