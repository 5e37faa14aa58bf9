"""Caddy as a child: started, watched, started anew when it ends by itself, ended with the place.

Owns: the process and its admin socket. Knows no meaning of a document. On Linux the child dies with the place however
that ends (PR_SET_PDEATHSIG); elsewhere only ``stop`` ends it. Its log is ours, one level down: what it warns of by
itself at every start is no operator's concern.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers

log = logging.getLogger("littoral.front")

START = 20.0  # seconds until it must serve
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
STEADY = 60.0  # seconds after which an end counts as the first again
_LEVELS = {"warn": logging.INFO, "error": logging.WARNING, "fatal": logging.ERROR, "panic": logging.ERROR}
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class FrontFailed(Exception):
    """The front did not start, or refused a document; the message holds its reason."""


def end_with_parent() -> None:
    """In the child: SIGKILL when the place is gone."""
    if _libc is not None:
        _libc.prctl(1, signal.SIGKILL)


class Process:
    """``document`` is asked for at every start; ``descriptors`` are inherited."""

    def __init__(
        self, program: Path, admin: Path, document: Callable[[], dict[str, Any]], descriptors: tuple[int, ...]
    ) -> None:
        self._program = program
        self._admin = admin
        self._document = document
        self._descriptors = descriptors
        self._client = HttpClient()
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._last = ""  # what it said last, for a failed start
        self._loaded: dict[str, Any] = {}

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    async def start(self) -> None:
        """Running and serving, or FrontFailed."""
        try:
            await self._spawn()
        except BaseException:
            await self.stop(0.0)
            raise
        self._watching = asyncio.create_task(self._watch())

    async def _spawn(self) -> None:
        self._admin.unlink(missing_ok=True)
        self._loaded = self._document()
        child = await asyncio.create_subprocess_exec(
            self._program,
            *("run", "--config", "-"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=self._descriptors,
            preexec_fn=end_with_parent,
            start_new_session=True,  # Ctrl-C is the place's: it ends the front in its turn
        )
        self._child = child
        self._reading = asyncio.create_task(self._read(child))
        assert child.stdin is not None
        with contextlib.suppress(ConnectionError):
            child.stdin.write(json.dumps(self._loaded).encode())
            await child.stdin.drain()
            child.stdin.close()
        await self._serving(child)

    async def _serving(self, child: asyncio.subprocess.Process) -> None:
        """The admin socket answers once the document is loaded."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            if child.returncode is not None:
                break
            if self._admin.exists():
                with contextlib.suppress(RequestFailed, BodyError):
                    if await self._ask("GET", "/config/apps/http/grace_period") != b"null\n":
                        return
            await asyncio.sleep(0.01)
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=1.0)
        raise FrontFailed(f"the front {self._program} did not start: {self._last or 'it said nothing'}")

    @property
    def current(self) -> bool:
        return self._loaded == self._document()

    async def reload(self) -> None:
        """Go on by the document of now, without letting go of a request under way. Raises FrontFailed."""
        document = self._document()
        if document == self._loaded:
            return
        try:
            await self._ask("POST", "/load", json.dumps(document).encode())
        except (RequestFailed, BodyError) as problem:
            raise FrontFailed(f"the front cannot be reached: {problem}") from problem
        self._loaded = document

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = Headers.of([("content-type", "application/json")]) if body else None
        response = await self._client.request(
            method, f"http://localhost{path}", address=self._admin, headers=headers, body=body, read_timeout=START
        )
        async with response:
            said = await response.body.read(1024 * 1024)
        if response.status != 200:
            raise FrontFailed(f"the front refuses: {said.decode(errors='replace').strip()}")
        return said

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        """Its log, line by line."""
        assert child.stderr is not None
        while True:
            try:
                line = await child.stderr.readline()
            except ValueError:
                continue  # a line beyond the buffer
            if not line:
                return
            self._say(line.decode(errors="replace").strip())

    def _say(self, line: str) -> None:
        try:
            said = json.loads(line)
            level, text = _LEVELS.get(said["level"], logging.DEBUG), said["msg"]
            self._last = f"{text}: {said['error']}" if "error" in said else text
        except (ValueError, KeyError, TypeError):
            level, self._last = logging.DEBUG, line
        log.log(level, "caddy: %s", self._last)

    async def _watch(self) -> None:
        """Start it again when it ends: the sockets are ours, so viewers only wait."""
        pause = FIRST_PAUSE
        while True:
            assert self._child is not None
            since = time.monotonic()
            code = await self._child.wait()
            log.error("the front ended by itself (%d) and is started again: %s", code, self._last)
            pause = FIRST_PAUSE if time.monotonic() - since > STEADY else pause
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                try:
                    await self._spawn()
                    break
                except (FrontFailed, OSError) as problem:
                    log.error("%s", problem)  # noqa: TRY400 - the reason is the front's, not a bug's trace
                    await self._end(0.0)

    async def stop(self, grace: float) -> None:
        """No more connections; what is under way has ``grace`` seconds."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._end(grace)
        await self._client.close()

    async def _end(self, grace: float) -> None:
        child = self._child
        if child is None:
            return
        if child.returncode is None:
            child.terminate() if grace > 0 else child.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace + 1.0):
                    await child.wait()
        if child.returncode is None:
            child.kill()
            await child.wait()
        if self._reading is not None:
            await self._reading
