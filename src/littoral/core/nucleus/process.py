"""One step's program: a shell script in a process group of its own, whose words go to the component's log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from littoral.core.ports import Enclosure, Running

logger = logging.getLogger(__name__)

KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")  # of the core's own environment; nothing else of it is a component's
LARGEST_LOG = 10 * 1024 * 1024  # bytes; then the log before goes, and this one takes its place
CHUNK, MOST_LEFT = 64 * 1024, 16  # bytes of a read; reads after the end
GRACE = 5.0  # seconds from SIGTERM to SIGKILL


class Program:
    """A script that runs. ``wait`` gives its exit status."""

    def __init__(self, running: Running, pipe: _Pipe | None = None) -> None:
        self._running = running
        self._pipe = pipe
        if pipe is not None:
            pipe.begun()

    @classmethod
    async def begin(
        cls,
        room: Enclosure,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        log: Path,
        *,
        rotating: bool = False,
    ) -> Program:
        """``rotating``: its log stays within its size while it runs; what it leaves in the background has none any more
        when it has ended. Raises OSError."""
        _rotate(log)
        pipe = _Pipe(log) if rotating else None
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with log.open("ab") as words:
            try:
                end = words.fileno() if pipe is None else pipe.end
                running = await room.begin(command, folder, {**kept, **environment}, end)
            except BaseException as problem:
                if pipe is not None:
                    pipe.abandon()
                if isinstance(problem, OSError):
                    words.write(f"littoral: {problem}\n".encode())
                raise
        return cls(running, pipe)

    async def wait(self) -> int:
        return await self._running.wait()

    def pause(self) -> None:
        """All of its group stand still."""
        self._running.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running.signal(signal.SIGCONT)

    async def end(self) -> None:
        """SIGTERM for the group, SIGKILL for what does not go."""
        self._running.signal(signal.SIGTERM)
        self.resume()  # who stands still does not hear
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), GRACE)
        self._running.signal(signal.SIGKILL)  # children of a script that has ended, too
        await self.wait()
        if self._pipe is not None:
            self._pipe.close()


class _Pipe:
    """What a program says, on its way into a log that is rotated meanwhile. ``end`` is the program's."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read, self.end = os.pipe()
        os.set_blocking(self._read, False)
        self._open = True

    def begun(self) -> None:
        """The program has its end."""
        os.close(self.end)
        asyncio.get_running_loop().add_reader(self._read, self._more)

    def close(self) -> None:
        """With what is in it still: more than a pipe holds is of somebody who has left the program's group."""
        for _ in range(MOST_LEFT):
            if not self._open or not self._more():
                break
        self._finish()

    def abandon(self) -> None:
        """There is no program."""
        os.close(self.end)
        os.close(self._read)

    def _more(self) -> bool:
        """Whether there was any."""
        try:
            data = os.read(self._read, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._finish()
            return False
        try:
            _rotate(self._log)
            with self._log.open("ab") as words:
                words.write(data)
        except OSError as problem:  # a full disk ends no program
            logger.warning("words of %s are lost: %s", self._log.stem, problem)
        return True

    def _finish(self) -> None:
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._read)
            os.close(self._read)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))


def skipped(condition: str | None) -> bool:
    """What ``Skipif`` says: "onpath PROGRAM" or "exists FILE"."""
    kind, _, what = (condition or "").partition(" ")
    return (kind == "onpath" and shutil.which(what) is not None) or (kind == "exists" and Path(what).exists())
