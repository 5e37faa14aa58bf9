"""A training job's program: alone in a cell of its own, with a folder at ``/opt/ml`` that it may write.

Owns: the keeper of that one cell, its log pipe, the look at its memory. The cell is that of function instances (see
``isolation``), and so are its user and what it may not do.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from littoral.functions.ground import FUNCTION_USER, Ground, seen
from littoral.functions.isolation import template
from littoral.functions.keeper import Keeper, KeeperGone
from littoral.functions.process import Process

MOST_LINE = 64 * 1024  # bytes; what is longer is told in pieces
LOOK = 1.0  # seconds between looks at the memory of all its processes
PACE = 4 * 1024 * 1024  # bytes a second that are heard of what it prints; who prints more waits
BURST = PACE // 4
SHARED = 4  # of its memory one such part may be in /tmp and /dev/shm

Heard = Callable[[bytes], None]  # a line without its end; raises nothing


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter of this machine, with the folders that it and its packages are in."""

    program: Path
    prefix: Path  # where its packages are
    base: Path  # where it is installed; the same but for a virtual environment


async def python_of(program: Path | None) -> Python:
    """The place's own where none is named. Raises KeeperGone for what is no Python."""
    if program is None:
        return Python(Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix))
    try:
        asked = await asyncio.create_subprocess_exec(
            program,
            *("-I", "-c", "import sys; print(sys.prefix, sys.base_prefix, sep='\\n')"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as problem:
        raise KeeperGone(f"{program}: {problem.strerror}") from problem
    told, _ = await asked.communicate()
    if asked.returncode:
        raise KeeperGone(f"{program} is no Python")
    return Python(program, *map(Path, told.decode().splitlines()))


@dataclass(frozen=True, slots=True)
class Bench:
    """What all training jobs of a place stand on. ``toolkit`` is a folder that they see at ``/var/task``."""

    toolkit: Path
    isolated: bool
    memory: int  # bytes that one job may hold

    @property
    def root(self) -> str | None:
        """Where a job sees its folder; None: where it lies."""
        return template.JOB if self.isolated else None

    @property
    def task(self) -> str:
        return template.TASK if self.isolated else str(self.toolkit)

    def seen(self, python: Python) -> Path:
        """Where a job finds its Python."""
        return seen(python.program) if self.isolated else python.program

    def give(self, folder: Path) -> None:
        """To the user whom programs run as, with all that is in it."""
        if not (self.isolated and os.geteuid() == 0):
            return
        os.chown(folder, FUNCTION_USER, FUNCTION_USER)
        for _, folders, files, at in os.fwalk(folder):
            for name in (*folders, *files):
                os.chown(name, FUNCTION_USER, FUNCTION_USER, dir_fd=at, follow_symlinks=False)

    async def start(
        self,
        python: Python,
        work: Path,
        job: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        heard: Heard,
        *,
        network: bool,
    ) -> Program:
        """Run the Python with these arguments. ``work`` is a folder of ours, ``job`` the job's. Raises KeeperGone."""
        if not network and not self.isolated:
            raise KeeperGone("a job without a network needs isolation, which --insecure-no-sandbox turned off")
        if self.isolated and python.base.is_relative_to(template.TMP):
            raise KeeperGone(f"{python.base} cannot be seen from a sandbox, which has a {template.TMP} of its own")
        ground = Ground(work, self.toolkit, self.isolated, None, 0)
        keeper = Keeper(
            ground.job_command(Path(sys.executable), (python.prefix, python.base), job), cells=self.isolated
        )
        program = Program(keeper, self.memory, heard)
        shared = self.memory // SHARED
        cell = {"data": self.memory - shared, "tmp": shared, "network": network, "task": "."}
        try:
            await program.start(cell, [str(self.seen(python)), *arguments], dict(environment))
        except BaseException:
            await keeper.close()
            raise
        return program


class Program:
    """One that runs. Made by ``Bench.start``."""

    def __init__(self, keeper: Keeper, memory: int, heard: Heard) -> None:
        self._keeper = keeper
        self._process = Process()
        self._memory = memory
        self._lines = _Lines(heard)
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.over_memory = False  # it was killed for that
        self._held: socket.socket | None = None

    async def start(self, cell: Mapping[str, object], argv: list[str], environment: dict[str, str]) -> None:
        await self._keeper.start()
        self._held, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        read, write = os.pipe()
        os.fchmod(write, 0o622)  # another user's program may open /dev/stderr, which leads here
        try:
            with theirs:
                number = self._keeper.execute(cell, argv, environment, [theirs.fileno(), write], self)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self._process.is_of(self._keeper, number)
        await asyncio.get_running_loop().connect_read_pipe(lambda: self._lines, os.fdopen(read, "rb", 0))

    async def ended(self) -> int:
        """Its wait status, when all that it printed was heard and nothing of it is left. Its memory is looked at
        meanwhile. May be cancelled and called again."""
        while not self._ended.done():
            await asyncio.wait([self._ended], timeout=LOOK)
            if not self._ended.done() and self._process.over_memory(self._memory, closely=True):
                self.over_memory = True
                self.kill()
        await self._lines.ended.wait()
        await self.close()
        return self._ended.result()

    def terminate(self) -> None:
        """SIGTERM to the program itself."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, to all that it started as well."""
        self._process.kill()

    async def close(self) -> None:
        """It is killed where it has not ended."""
        await self._keeper.close()
        if self._held is not None:
            self._held.close()

    # ------------------------------------------------------------------------------------ what the keeper says

    def started(self, pid: int) -> None:
        self._process.first = pid

    def exited(self, status: int, peak_kib: int) -> None:
        self._end(status)

    def failed(self, error: str) -> None:
        self._lines.heard(error.encode())
        self._end(1 << 8)

    def companion_ended(self, name: str, status: int) -> None:
        raise NotImplementedError("nothing runs beside a training job")

    def specialised(self) -> None:
        raise NotImplementedError("a training job is nobody's spare")

    def listening(self, listener: socket.socket) -> None:
        listener.close()

    def _end(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)


class _Lines(asyncio.Protocol):
    """What comes by the log pipe, line by line, no faster than PACE: a script that prints without end must not take
    the place's time from others."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.ended = asyncio.Event()
        self._rest = b""
        self._pipe: asyncio.ReadTransport | None = None
        self._lately = 0  # bytes since the last pause
        self._since = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pipe = cast("asyncio.ReadTransport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._lately += len(data)
        if self._lately >= BURST and self._pipe is not None:
            early = self._lately / PACE - (time.monotonic() - self._since)
            self._lately, self._since = 0, time.monotonic() + max(0.0, early)
            if early > 0:
                self._pipe.pause_reading()
                asyncio.get_running_loop().call_later(early, self._go_on, self._pipe)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell(line)
        while len(self._rest) >= MOST_LINE:
            self._tell(self._rest[:MOST_LINE])
            self._rest = self._rest[MOST_LINE:]

    def _go_on(self, pipe: asyncio.ReadTransport) -> None:
        if not pipe.is_closing():
            pipe.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._tell(self._rest)
        self.ended.set()

    def _tell(self, line: bytes) -> None:
        for piece in _pieces(line.rstrip(b"\r")):
            self.heard(piece)


def _pieces(line: bytes) -> Iterator[bytes]:
    yield line[:MOST_LINE]
    for at in range(MOST_LINE, len(line), MOST_LINE):
        yield line[at : at + MOST_LINE]
