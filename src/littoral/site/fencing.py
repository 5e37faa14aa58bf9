"""The fence around a core's programs: what of this device they must not see, and what keeps them from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from littoral.core.ports import Fence
from littoral.site.settings import Settings

LAUNCHER = Path(__file__).parents[1] / "functions/isolation/fence.py"


def fence_of(settings: Settings) -> Fence:
    """Hidden are the core's data folder, with everything of other components, and its key."""
    secret = (settings.private_key, settings.certificate, settings.upstream_credentials)
    return partial(_fenced, [settings.data_dir, *(each for each in secret if each is not None)])


def tried() -> tuple[bool, str]:
    """Whether a program can be fenced in here, found by fencing one in; and what it met, in a line."""
    with tempfile.TemporaryDirectory(prefix="littoral-doctor-") as name:
        data, mine = Path(name) / "data", Path(name) / "data/mine"
        mine.mkdir(parents=True)
        (data / "key").write_text("of the core")
        script = f"echo it > mine && cat mine; cat ../key; kill -0 {os.getpid()} && echo signalled"
        fence = fence_of(Settings(kind="core", data_dir=data))
        done = subprocess.run(
            fence([mine], [], ["/bin/sh", "-c", script]),
            cwd=mine,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if done.stdout == "it\n":
        return True, "files: no key of the core; processes: no signals; a user namespace of its own"
    return False, (done.stderr.strip() or done.stdout.strip()).splitlines()[0]


def _fenced(hidden: Sequence[Path], own: Sequence[Path], read: Sequence[Path], command: Sequence[str]) -> list[str]:
    plan = {"hidden": [*map(str, hidden)], "own": [*map(str, own)], "read": [*map(str, read)]}
    return [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(plan), *command]
