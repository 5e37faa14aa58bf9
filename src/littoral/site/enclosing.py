"""The core's end of what ``functions/isolation/holder.py`` does: programs of one component in one cell."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import marshal
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from littoral.core.nucleus.rooms import say
from littoral.core.ports import Limit
from littoral.site.celllauncher import Launchers, readable

log = logging.getLogger(__name__)

GRACE = 5.0  # seconds from SIGTERM to SIGKILL
LARGEST = 64 * 1024  # bytes of what the cell says at once
HINT = "the sandbox of components cannot be made: {}; see littoral doctor"


class Cell:
    """Made with the first program, and anew with the next one when it has ended."""

    def __init__(
        self,
        launchers: Launchers,
        hidden: Sequence[Path],
        own: Sequence[Path],
        read: Sequence[Path],
        limit: Limit | None,
        processes: int,
    ) -> None:
        """``processes``: how many may be in it, threads among them."""
        self._launchers = launchers
        self._plan: dict[str, Any] = {"hidden": [*map(str, hidden)], "processes": processes}
        self._plan |= {"own": [*map(str, own)], "read": [*map(str, read)]}
        self._limit = limit
        self._lock = asyncio.Lock()
        self._made: _Made | None = None

    async def begin(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], words: int) -> Inside:
        async with self._lock:
            if self._made is None or self._made.ended:
                await self._over()
                self._made = await _Made.open(self._launchers, self._plan, self._limit, words)
            order = {"command": [*command], "folder": str(folder), "environment": {**environment}}
            return await self._made.begin(order, words)

    async def rest(self) -> bool:
        async with self._lock:
            if self._made is not None and await self._made.left():
                await self._over()
            return self._made is None

    async def close(self) -> None:
        async with self._lock:
            if self._made is not None:
                await self._made.end()
                await self._over()

    async def _over(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            await made.end(0)


class Inside:
    """A program in a cell."""

    def __init__(self, ended: asyncio.Future[int], signalled: Callable[[int], None]) -> None:
        self._ended = ended
        self.signal = signalled

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)


class _Made:
    """A cell that is there. ``ended`` when it is no more, and with it whatever was in it."""

    def __init__(self, line: socket.socket, pidfd: int, let_go: Callable[[], Awaitable[None]]) -> None:
        self._line = line
        self._pidfd = pidfd
        self._let_go = let_go
        self._numbers = itertools.count(1)
        self._begun: dict[int, asyncio.Future[None]] = {}
        self._running: dict[int, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left: asyncio.Future[bool] | None = None
        self.ended = False
        self._hearing = asyncio.create_task(self._hear())

    @classmethod
    async def open(cls, launchers: Launchers, plan: dict[str, Any], limit: Limit | None, words: int) -> _Made:
        """Raises OSError where it cannot be made."""
        launcher = launchers.take()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                process, pidfd = await launcher.cell(plan, theirs)
        except BaseException as problem:
            ours.close()
            await launchers.give_back(launcher)
            if isinstance(problem, OSError):
                raise OSError(problem.errno, HINT.format(problem.strerror)) from problem
            raise
        made = cls(ours, pidfd, partial(launchers.give_back, launcher))
        try:
            if limit is not None:
                say(words, limit(process))
            made._send({"go": True})
            await made._ready
        except BaseException:
            made._ready.cancel()
            await made.end(0)
            raise
        return made

    async def begin(self, order: Mapping[str, Any], words: int) -> Inside:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        begun, ended = self._begun[number], self._running[number] = loop.create_future(), loop.create_future()
        try:
            socket.send_fds(self._line, [marshal.dumps({"id": number, **order})], [words])
            await begun
        except OSError:
            self._running.pop(number, None)
            raise
        finally:
            self._begun.pop(number, None)
        return Inside(ended, lambda wanted: self._send({"id": number, "signal": int(wanted)}))

    async def left(self) -> bool:
        """Whether nobody was in it: it ends, or has."""
        if self.ended:
            return True
        self._left = asyncio.get_running_loop().create_future()
        self._send({"leave": False})
        return await self._left

    async def end(self, grace: float = GRACE) -> None:
        """``grace``: seconds from SIGTERM to SIGKILL, 0 for no SIGTERM."""
        if grace and not self.ended:
            self._send({"leave": True})
            await asyncio.wait([self._hearing], timeout=grace)
        if not self.ended:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        await self._hearing
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
            await self._let_go()

    # ------------------------------------------------------------------------------------------------

    def _send(self, word: dict[str, Any]) -> None:
        with suppress(OSError):  # it has ended
            self._line.send(marshal.dumps(word))

    async def _hear(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._line, LARGEST):
                self._take(data.decode("utf-8", "replace"))
        except OSError as problem:
            log.info("a cell of components: %s", problem)
        finally:
            self._line.close()
        await readable(loop, self._pidfd)  # all that was in it has ended, too
        self._over()

    def _take(self, said: str) -> None:
        word, _, rest = said.partition(" ")
        number, _, how = rest.partition(" ")
        if word == "ready":
            _settle(self._ready, None)
        elif word == "refused":
            _settle(self._ready, OSError(int(number), HINT.format(how)))
        elif word == "left":
            _settle(self._left, False)
        elif word == "begun":
            _settle(self._begun.get(int(number)), None)
        elif word == "failed":
            code, _, why = how.partition(" ")
            _settle(self._begun.get(int(number)), OSError(int(code), why))
        elif word == "ended":
            _settle(self._running.pop(int(number), None), int(how))

    def _over(self) -> None:
        self.ended = True
        over = OSError(errno.ECHILD, "the sandbox of the component has ended")
        _settle(self._ready, over)
        _settle(self._left, True)
        for begun in self._begun.values():
            _settle(begun, over)
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
