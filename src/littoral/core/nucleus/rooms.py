"""Where the steps of one component run: all within one fence, but those that require privilege.

In one, so that a shutdown step finds what the others have begun, and what a startup step left in the background is
there until the component stops. Without a fence (``Bare``) only process groups hold programs together.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from littoral.core.ports import Enclosure, Fence, Limit, Running

HELD = ("/bin/sh", "-c", 'read -r go && exec "$@" < /dev/null', "held")  # until a line comes


class Rooms:
    def __init__(self, fence: Fence, folder: Path, limit: Limit | None) -> None:
        self._fence = fence
        self._folder = folder
        self._limit = limit
        self._bare = Bare((), (), limit)
        self._fenced: Enclosure | None = None
        self._readable: Sequence[Path] = ()

    async def of(self, readable: Sequence[Path], *, privileged: bool) -> Enclosure:
        """For the next step. What it may read is another after a deployment, which counts once nothing runs."""
        if privileged:
            return self._bare
        if self._fenced is None or (readable != self._readable and await self._fenced.rest()):
            self._fenced, self._readable = self._fence([self._folder], readable, self._limit), readable
        return self._fenced

    async def rest(self) -> None:
        """Nothing is to run now; what was left in the background goes on."""
        if self._fenced is not None:
            await self._fenced.rest()

    async def close(self) -> None:
        if self._fenced is not None:
            await self._fenced.close()


class Bare:
    """Programs that are confined to nothing: for privileged steps, and ``--insecure-no-sandbox``."""

    def __init__(self, _own: Sequence[Path], _read: Sequence[Path], limit: Limit | None) -> None:
        self._limit = limit

    async def begin(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], words: int) -> Running:
        process = await asyncio.create_subprocess_exec(
            *(command if self._limit is None else (*HELD, *command)),
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL if self._limit is None else asyncio.subprocess.PIPE,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
        if self._limit is not None:
            await _release(process, self._limit, words)
        return _Group(process)

    async def rest(self) -> bool:
        return True

    async def close(self) -> None:
        """Groups have been ended with their programs."""


async def _release(process: asyncio.subprocess.Process, limit: Limit, words: int) -> None:
    """Raises OSError: it has been ended."""
    try:
        say(words, limit(process.pid))
    except OSError:
        process.kill()
        await process.wait()
        raise
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()


def say(words: int, text: str) -> None:
    """In a component's log, in the core's name."""
    if text:
        os.write(words, f"littoral: {text}\n".encode())


class _Group:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def wait(self) -> int:
        return await self._process.wait()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.Signals(number))
