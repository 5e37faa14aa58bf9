"""One step's program: a shell script in a process group of its own, whose words go to the component's log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")  # of the core's own environment; nothing else of it is a component's
LARGEST_LOG = 10 * 1024 * 1024  # bytes; then the log before goes, and this one takes its place
GRACE = 5.0  # seconds from SIGTERM to SIGKILL


class Program:
    """A script that runs. ``wait`` gives its exit status."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def begin(cls, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Program:
        """Raises OSError."""
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with log.open("ab") as words:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env={**kept, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
        return cls(process)

    async def wait(self) -> int:
        return await self._process.wait()

    async def end(self) -> None:
        """SIGTERM for the group, SIGKILL for what does not go."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), GRACE)
        self._signal(signal.SIGKILL)  # children of a script that has ended, too
        await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def skipped(condition: str | None) -> bool:
    """What ``Skipif`` says: "onpath PROGRAM" or "exists FILE"."""
    kind, _, what = (condition or "").partition(" ")
    return (kind == "onpath" and shutil.which(what) is not None) or (kind == "exists" and Path(what).exists())
