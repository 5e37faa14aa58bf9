"""A machine that offers hosts to a region: so many connections, each of which becomes one host of one job."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from littoral.training.elsewhere.hosting import Hosting
from littoral.training.elsewhere.line import BEAT, Line
from littoral.training.ports import Sandbox

log = logging.getLogger(__name__)

FIRST: Final = 0.2  # seconds before the second try; each further one waits up to twice as long
CAP: Final = 10.0
Dial = Callable[[Callable[[], Line]], Awaitable[object]]  # connects; raises OSError, Refused


class Refused(Exception):
    """The region does not take this machine; the message says why."""


class Machine:
    """``folder`` is ours, and has one for each host; what a machine that was killed has left in it goes."""

    def __init__(self, dial: Dial, sandbox: Sandbox, folder: Path, hosts: int, ready: Callable[[], None]) -> None:
        """``ready`` is called when the first offer stands."""
        self._dial = dial
        self._sandbox = sandbox
        self._folder = folder
        self._hosts = hosts
        self._ready = ready
        self._lines: set[Hosting] = set()
        self._leaving = asyncio.Event()
        self._stood = False  # an offer of ours: who was taken once is not gone for good

    def leave(self) -> None:
        """Offer nothing more; jobs that are here are interrupted, and go on elsewhere."""
        self._leaving.set()
        for each in list(self._lines):
            each.leave()

    async def run(self) -> None:
        """Until it was asked to leave and has nothing left. Raises Refused."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        beating = asyncio.get_running_loop().create_task(self._beat())
        try:
            async with asyncio.TaskGroup() as offers:
                for number in range(self._hosts):
                    offers.create_task(self._offer(self._folder / f"host-{number}"))
        except* Refused as problems:
            raise problems.exceptions[0] from None
        finally:
            beating.cancel()
            for each in list(self._lines):
                each.abort()
            await asyncio.gather(*(each.finished() for each in list(self._lines)))

    async def _offer(self, folder: Path) -> None:
        """One after the other."""
        tries = 0
        while not self._leaving.is_set():
            hosting = Hosting(self._sandbox, folder)
            try:
                await self._dial(lambda made=hosting: made)  # type: ignore[misc]
            except (OSError, Refused) as problem:
                if isinstance(problem, Refused) and not self._stood:
                    raise
                if tries == 0:
                    log.warning("no offer stands: %s", problem)
                tries += 1
                await self._pause(random.random() * min(CAP, FIRST * 2**tries))
                continue
            tries, self._stood = 0, True
            self._ready()
            self._lines.add(hosting)
            if self._leaving.is_set():
                hosting.leave()
            await hosting.finished()
            self._lines.discard(hosting)

    async def _pause(self, seconds: float) -> None:
        leaving = asyncio.get_running_loop().create_task(self._leaving.wait())
        await asyncio.wait([leaving], timeout=seconds)
        leaving.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            for each in list(self._lines):
                each.beat()
