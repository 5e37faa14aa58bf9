"""The fence around a core's programs: what of this device they must not see, and what keeps them from it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from littoral.core.ports import Fence, Limit
from littoral.site.celllauncher import Launchers
from littoral.site.enclosing import Cell
from littoral.site.settings import Settings

SEEN = "files: no key of the core; processes: its own only; no tracing, no mounts; no capabilities"
TRIAL = """echo it > mine && cat mine; cat ../key; kill -0 {outside} && echo signalled
test $(ls /proc | grep -c '^[0-9]') -lt 9 || echo processes seen
grep -q '^Seccomp:.*2' /proc/self/status || echo no filter of system calls
grep -q '^CapBnd:.*[1-9a-f]' /proc/self/status && echo capabilities"""


def fence_of(settings: Settings) -> Fence:
    """Hidden are the core's data folder, with everything of other components, and its key."""
    secret = (settings.private_key, settings.certificate, settings.upstream_credentials)
    hidden = [settings.data_dir, *(each for each in secret if each is not None)]

    launchers = Launchers()

    def fence(own: Sequence[Path], read: Sequence[Path], limit: Limit | None) -> Cell:
        return Cell(launchers, hidden, own, read, limit, settings.component_processes)

    return fence


async def tried() -> tuple[bool, str]:
    """Whether programs can be fenced in here, found by fencing one in; and what it met, in a line."""
    with tempfile.TemporaryDirectory(prefix="littoral-doctor-") as name, tempfile.TemporaryFile() as words:
        data, mine = Path(name) / "data", Path(name) / "data/mine"
        mine.mkdir(parents=True)
        (data / "key").write_text("of the core")
        cell = fence_of(Settings(kind="core", data_dir=data))([mine], [], None)
        script = TRIAL.format(outside=os.getpid())
        try:
            program = await cell.begin(
                ("/bin/sh", "-c", f"exec 2> /dev/null; {script}"), mine, {"PATH": os.defpath}, words.fileno()
            )
            async with asyncio.timeout(60):
                await program.wait()
        except OSError as problem:
            return False, str(problem)
        finally:
            await cell.close()
        words.seek(0)
        met = words.read().decode().split("\n")
    return (True, SEEN) if met == ["it", ""] else (False, ", ".join(each for each in met[1:] if each))
