"""The keepers of a place: one for each Python, and a second one with boto3 imported once a function wants it."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from littoral.functions.ground import Ground
from littoral.functions.keeper import Keeper
from littoral.functions.runtimes import Runtimes

log = logging.getLogger(__name__)

OWN_PYTHON = f"python3.{sys.version_info.minor}"  # its keeper is there from the start, as a rule


class Keepers:
    def __init__(self, ground: Ground, runtimes: Runtimes) -> None:
        self._ground = ground
        self._runtimes = runtimes
        self._keepers: dict[tuple[Path, bool], Keeper] = {}
        self._starting: dict[tuple[Path, bool], asyncio.Task[Keeper]] = {}

    async def get(self, runtime: str = OWN_PYTHON, *, boto: bool = False) -> Keeper:
        """The living keeper of that Python; started, or started anew after it died. Raises KeeperGone, ServiceError."""
        key = (await self._runtimes.python(runtime), boto)
        keeper = self._keepers.get(key)
        if keeper is not None and keeper.alive:
            return keeper
        if key not in self._starting:
            task = asyncio.get_running_loop().create_task(self._start(key, keeper))
            self._starting[key] = task
            task.add_done_callback(lambda _: self._starting.pop(key, None))
        return await asyncio.shield(self._starting[key])

    async def close(self) -> None:
        """None is to be asked for any more."""
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        await asyncio.gather(*(keeper.close() for keeper in self._keepers.values()))
        self._keepers.clear()

    async def _start(self, key: tuple[Path, bool], dead: Keeper | None) -> Keeper:
        if dead is not None:
            log.warning("the keeper of function instances (process %s) died; starting another", dead.pid)
            await dead.close()
        python, boto = key
        bundle = await self._runtimes.bundle()
        jars = await asyncio.to_thread(self._runtimes.java_jars)
        modules = self._runtimes.node_modules()
        command = self._ground.command(python, bundle, self._runtimes.nodes(), jars, modules, boto=boto)
        keeper = self._keepers[key] = Keeper(command, cells=self._ground.isolated)
        await keeper.start()
        return keeper
