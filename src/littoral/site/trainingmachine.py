"""A machine that offers hosts for training to a region: ``littoral worker join``.

It has the cells of functions and a folder, and is no place: it listens nowhere, keeps nothing, and has of the region
what one connection brings for one host of one job.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from littoral.functions.alone import Bench
from littoral.functions.capacity import affordable_memory
from littoral.net.websocketclient import Asking, HandshakeFailed, open_websocket
from littoral.site.settings import Settings
from littoral.site.training import TOOLKIT, TrainingSandbox
from littoral.site.traininghosts import THING
from littoral.training.elsewhere.line import PATH, SUBPROTOCOL, Line
from littoral.training.elsewhere.machine import Machine, Refused
from littoral.training.ports import CannotRun

log = logging.getLogger("littoral.site")


@dataclass(frozen=True, slots=True)
class Region:
    """Where it is, and who we are there."""

    host: str
    port: int
    tls: ssl.SSLContext
    thing: str

    async def dial(self, factory: Callable[[], Line]) -> None:
        """Raises OSError, Refused."""
        asking = Asking(self.host, self.port, PATH, SUBPROTOCOL, {THING: self.thing})
        try:
            await open_websocket(asking, self.tls, factory)
        except HandshakeFailed as problem:
            raise Refused(f"{self.host}:{self.port} takes no hosts of {self.thing}: {problem}") from problem


class TrainingMachine:
    """A ``lifecycle.Place``: up when its first offer stands."""

    again = False

    def __init__(self, settings: Settings, region: Region) -> None:
        hosts = settings.train_workers or len(os.sched_getaffinity(0))
        memory = affordable_memory() if settings.train_memory is None else settings.train_memory * 1024 * 1024
        self._sandbox = TrainingSandbox(Bench(TOOLKIT, True, memory // hosts), settings.train_python)
        self._up = asyncio.Event()
        self._folder = settings.data_dir / "training"
        self._machine = Machine(region.dial, self._sandbox, self._folder, hosts, self._up.set)
        self._locked = os.open(settings.data_dir, os.O_RDONLY | os.O_CLOEXEC)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises CannotRun, Refused."""
        self._lock()
        await self._sandbox.check()
        self._running = asyncio.get_running_loop().create_task(self._machine.run())
        up = asyncio.get_running_loop().create_task(self._up.wait())
        try:
            await asyncio.wait([up, self._running], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await self.stop()
            raise
        finally:
            up.cancel()
        if self._running.done():
            self._running.result()

    def _lock(self) -> None:
        """Until this process ends. Raises CannotRun."""
        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(f"another machine runs in {self._folder.parent}: choose --data-dir") from None

    def listeners(self) -> Sequence[tuple[str, str]]:
        return ()

    async def drain(self, grace: float) -> None:
        """Jobs that are here are interrupted; they have a little more than ``grace`` to send what they leave."""
        self._machine.leave()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=2 * grace)

    async def stop(self) -> None:
        """The folder is another's again."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        os.close(self._locked)
