"""The core's end of ``functions/isolation/fence.py``: one small process that all cells of components are forks of.

It is there as long as a cell is. With it end all that it has made.
"""

from __future__ import annotations

import asyncio
import errno
import marshal
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).parents[1] / "functions/isolation/fence.py"
LARGEST = 4096  # bytes of what it says at once


class Launchers:
    """One at a time, for whoever has a cell: ``take`` it before, ``give_back`` after."""

    def __init__(self) -> None:
        self._now: Launcher | None = None

    def take(self) -> Launcher:
        if self._now is None or self._now.gone:
            self._now = Launcher()
        self._now.users += 1
        return self._now

    async def give_back(self, launcher: Launcher) -> None:
        launcher.users -= 1
        if launcher.users:
            return
        if launcher is self._now:
            self._now = None
        await launcher.close()


class Launcher:
    def __init__(self) -> None:
        self._line, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setblocking(False)
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()
        self.users = 0

    @property
    def gone(self) -> bool:
        """It has ended, by whatever hand, and nothing that it said is still to be heard."""
        if self._process is None:
            return False
        try:
            return not self._line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def cell(self, plan: dict[str, Any], line: socket.socket) -> tuple[int, int]:
        """The first process of a cell that has this line, and a pidfd for it, the caller's. Raises OSError."""
        asked = asyncio.ensure_future(self._ask(marshal.dumps(plan), line))
        try:
            return await asyncio.shield(asked)  # or the answer would be the next one's
        except asyncio.CancelledError:
            asked.add_done_callback(_unwanted)
            raise

    async def _ask(self, plan: bytes, line: socket.socket) -> tuple[int, int]:
        async with self._lock:
            if self._process is None:
                await self._start()
            with suppress(BrokenPipeError):  # it may have said why
                socket.send_fds(self._line, [plan], [line.fileno()])
            word, fds = await _heard(self._line)
        if fds:
            return int(word), fds[0]
        number, _, why = word.decode("utf-8", "replace").partition(" ")
        raise OSError(int(number or errno.ENOSYS), why or "the launcher of components has ended")

    async def _start(self) -> None:
        with self._theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(LAUNCHER)),
                cwd="/",
                env={},
                stdin=self._theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )

    async def close(self) -> None:
        self._theirs.close()
        with suppress(OSError):  # it has ended
            self._line.shutdown(socket.SHUT_RDWR)
        if self._process is not None:
            await self._process.wait()
        self._line.close()


def _unwanted(asked: asyncio.Future[tuple[int, int]]) -> None:
    if asked.exception() is None:
        os.close(asked.result()[1])


async def _heard(line: socket.socket) -> tuple[bytes, list[int]]:
    """The next word and its descriptors; nothing at the end."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            word, fds, _, _ = socket.recv_fds(line, LARGEST, 1)
        except BlockingIOError:
            await readable(loop, line.fileno())
        except ConnectionResetError:
            return b"", []
        else:
            return word, fds


async def readable(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    """Returns when there is something to be read, as a process's end is from its pidfd."""
    there = loop.create_future()

    def settle() -> None:
        if not there.done():
            there.set_result(None)

    loop.add_reader(fd, settle)
    try:
        await there
    finally:
        loop.remove_reader(fd)
