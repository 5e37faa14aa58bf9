"""One step's program: a shell script in a process group of its own, whose words go to the component's log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")  # of the core's own environment; nothing else of it is a component's
LARGEST_LOG = 10 * 1024 * 1024  # bytes; then the log before goes, and this one takes its place
HELD = ("/bin/sh", "-c", 'read -r go && exec "$@" < /dev/null', "held")  # until a line comes
GRACE = 5.0  # seconds from SIGTERM to SIGKILL


class Program:
    """A script that runs. ``wait`` gives its exit status."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def begin(
        cls,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        log: Path,
        confine: Callable[[int], str] | None = None,
    ) -> Program:
        """``confine`` is given the process before it runs the command; what it says is written to the log. Raises
        OSError."""
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with log.open("ab") as words:
            process = await asyncio.create_subprocess_exec(
                *(command if confine is None else (*HELD, *command)),
                cwd=folder,
                env={**kept, **environment},
                stdin=asyncio.subprocess.DEVNULL if confine is None else asyncio.subprocess.PIPE,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
            made = cls(process)
            if confine is not None:
                await made._release(confine, words)
        return made

    async def _release(self, confine: Callable[[int], str], words: IO[bytes]) -> None:
        """Raises OSError: it has been ended."""
        try:
            said = confine(self._process.pid)
        except OSError:
            await self.end()
            raise
        if said:
            words.write(f"littoral: {said}\n".encode())
            words.flush()
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.close()

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
