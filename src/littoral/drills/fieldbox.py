"""A box as a drill has it: prepared for a job that nobody ordered, run as a process, opened by the command.

::

    folder/disk   what travels, where no ``disk`` is given
    folder/keys   what whoever opens it has: manifest.bin, and its authority's certificate, ca.pem
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from littoral.box import volume
from littoral.box.issuing import drafted
from littoral.box.manifest import JobType, KeyRange, new_code, seal
from littoral.net.pki import Authority
from littoral.tour.places import PlaceError, PlaceProcess

JOB: Final = "JID00000000-0000-4000-8000-000000000000"


class FieldBox:
    """Prepared. Processes that ``start`` begins end with ``cleanup``."""

    def __init__(
        self, folder: Path, kind: JobType, ranges: Sequence[KeyRange], cleanup: ExitStack, disk: Path | None = None
    ) -> None:
        self.disk, self._keys, self._cleanup = disk or folder / "disk", folder / "keys", cleanup
        self.code, self._manifest, self.ca = new_code(), self._keys / "manifest.bin", self._keys / "ca.pem"
        region, now = Authority.create("Littoral region"), time.time()
        self.manifest = drafted(JOB, kind, ranges, "us-east-1", "000000000000", now, now + 86400)
        file = seal(self.manifest, self.code, region.certificate_pem.decode(), region.sign)
        self._keys.mkdir(mode=0o700, parents=True)
        self._manifest.write_bytes(file)
        self.ca.write_text(self.manifest.authority_certificate)
        volume.prepare(self.disk, file, now)

    def start(self, ports: Sequence[str]) -> PlaceProcess:
        """Locked. Raises PlaceError."""
        box = PlaceProcess("box", "box", self.disk, ports, {})
        self._cleanup.callback(box.stop)
        box.wait_ready()
        return box

    def unlock(self, *options: str) -> dict[str, str]:
        """Its listeners' addresses by their names. Raises PlaceError."""
        done = self.try_code(self.code, *options)
        if done.returncode != 0:
            raise PlaceError(f"the box was not unlocked: {done.stderr}")
        found: dict[str, Any] = json.loads(self.asks("status", "--json").stdout)
        return dict(found["listeners"])

    def try_code(self, code: str, *options: str) -> subprocess.CompletedProcess[str]:
        """``littoral box unlock`` with that code."""
        return self.asks("unlock", "--manifest", str(self._manifest), *options, code=code)

    def asks(self, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
        """``littoral box``, with the code at hand, or another."""
        return subprocess.run(
            [sys.executable, "-m", "littoral", "box", *words, "--data-dir", str(self.disk)],
            env={**os.environ, "BOX_UNLOCK_CODE": code or self.code},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
