"""The core's end of what ``functions/isolation/fence.py`` does: programs of one component in one cell."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from littoral.core.nucleus.rooms import say
from littoral.core.ports import Limit

log = logging.getLogger(__name__)

LAUNCHER = Path(__file__).parents[1] / "functions/isolation/fence.py"
GRACE = 5.0  # seconds from SIGTERM to SIGKILL
LARGEST = 64 * 1024  # bytes of what the cell says at once


class Cell:
    """Made with the first program, and anew with the next one when it has ended."""

    def __init__(self, hidden: Sequence[Path], own: Sequence[Path], read: Sequence[Path], limit: Limit | None) -> None:
        plan = {"hidden": [*map(str, hidden)], "own": [*map(str, own)], "read": [*map(str, read)]}
        self._command = (sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(plan))
        self._limit = limit
        self._lock = asyncio.Lock()
        self._made: _Made | None = None

    async def begin(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], words: int) -> Inside:
        async with self._lock:
            if self._made is None or self._made.ended:
                self._made = await _Made.open(self._command, self._limit, words)
            order = {"command": [*command], "folder": str(folder), "environment": {**environment}}
            return await self._made.begin(order, words)

    async def rest(self) -> bool:
        async with self._lock:
            if self._made is not None and await self._made.left():
                self._made = None
            return self._made is None

    async def close(self) -> None:
        async with self._lock:
            if self._made is not None:
                await self._made.end()
                self._made = None


class Inside:
    """A program in a cell."""

    def __init__(self, ended: asyncio.Future[int], signalled: Callable[[int], None]) -> None:
        self._ended = ended
        self.signal = signalled

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)


class _Made:
    """A cell that is there. ``ended`` when it is no more, and with it whatever was in it."""

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self._process = process
        self._line = line
        self._numbers = itertools.count(1)
        self._begun: dict[int, asyncio.Future[None]] = {}
        self._running: dict[int, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._left: asyncio.Future[bool] | None = None
        self.ended = False
        self._hearing = asyncio.create_task(self._hear())

    @classmethod
    async def open(cls, command: Sequence[str], limit: Limit | None, words: int) -> _Made:
        """Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    cwd="/",
                    env={},
                    stdin=theirs.fileno(),
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        made = cls(process, ours)
        try:
            await made._release(limit, words)
        except BaseException:
            await made.end(0)
            raise
        return made

    async def _release(self, limit: Limit | None, words: int) -> None:
        """Raises OSError where it cannot be made."""
        if limit is not None:
            say(words, limit(self._process.pid))
        self._send({"go": True})
        if not await self._ready:
            assert self._process.stderr is not None
            why = (await self._process.stderr.read()).decode("utf-8", "replace").strip()
            raise OSError(errno.ENOSYS, why or "the sandbox of components has ended")

    async def begin(self, order: Mapping[str, Any], words: int) -> Inside:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        begun, ended = self._begun[number], self._running[number] = loop.create_future(), loop.create_future()
        try:
            socket.send_fds(self._line, [json.dumps({"id": number, **order}).encode()], [words])
            await begun
        except OSError:
            self._running.pop(number, None)
            raise
        finally:
            self._begun.pop(number, None)
        return Inside(ended, lambda wanted: self._send({"id": number, "signal": int(wanted)}))

    async def left(self) -> bool:
        """Whether nobody was in it: it has ended."""
        if not self.ended:
            self._left = asyncio.get_running_loop().create_future()
            self._send({"leave": False})
            if not await self._left:
                return False
        await self.end()
        return True

    async def end(self, grace: float = GRACE) -> None:
        """``grace``: seconds from SIGTERM to SIGKILL, 0 for no SIGTERM."""
        if grace:
            self._send({"leave": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._process.wait()
        with suppress(OSError):  # it has ended
            self._line.shutdown(socket.SHUT_RDWR)
        await self._process.wait()
        await self._hearing

    # ------------------------------------------------------------------------------------------------

    def _send(self, word: Mapping[str, Any]) -> None:
        with suppress(OSError):  # it has ended
            self._line.send(json.dumps(word).encode())

    async def _hear(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._line, LARGEST):
                self._take(json.loads(data))
        except OSError as problem:
            log.info("a cell of components: %s", problem)
        finally:
            self._over()

    def _take(self, word: Mapping[str, Any]) -> None:
        if "ready" in word:
            _settle(self._ready, True)
        elif "left" in word:
            _settle(self._left, False)
        elif "begun" in word:
            _settle(self._begun.get(word["begun"]), None)
        elif "failed" in word:
            _settle(self._begun.get(word["failed"]), OSError(word["errno"], word["why"]))
        elif "ended" in word:
            _settle(self._running.pop(word["ended"], None), word["status"])

    def _over(self) -> None:
        self.ended = True
        self._line.close()
        _settle(self._ready, False)
        _settle(self._left, True)
        for begun in self._begun.values():
            _settle(begun, OSError(errno.ECHILD, "the sandbox of the component has ended"))
        for running in self._running.values():
            _settle(running, -signal.SIGKILL)


def _settle(waiting: asyncio.Future[Any] | None, answer: Any) -> None:
    """Nobody may be waiting any more."""
    if waiting is None or waiting.done():
        return
    if isinstance(answer, OSError):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
