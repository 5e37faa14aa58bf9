"""Node.js processes that are booted ahead of need: a cold start gives one of them its function."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

from littoral.functions.ground import Ground
from littoral.functions.instance import Instance
from littoral.functions.keeper import KeeperGone
from littoral.functions.keepers import Keepers
from littoral.functions.opening import open_instance

log = logging.getLogger(__name__)

NO_LIMIT = 0  # bytes of data of a spare: it gets its function's
REPLENISH_AFTER = 0.2  # seconds: a spare boots once the cold start that took the last one is through


class Spares:
    def __init__(self, keepers: Keepers, ground: Ground, count: int, clock: Callable[[], float]) -> None:
        """``count``: how many wait."""
        self._keepers = keepers
        self._ground = ground
        self._count = count
        self._clock = clock
        self._waiting: deque[Instance] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._node: Path | None = None  # that was wanted last
        self._closed = False

    async def boot(self, node: Path, *, network: bool) -> Instance:
        """One that has booted or boots, to be specialised. Raises KeeperGone."""
        self._node = node
        while self._waiting and network:
            instance = self._waiting.popleft()
            if instance.alive:
                return instance
        return await self._boot(node, network=network)

    async def replenish(self, node: Path) -> None:
        self._node = node
        await self._replenish()

    def replenish_later(self) -> None:
        def run() -> None:
            self._timers.discard(timer)
            if not self._closed:
                task = asyncio.get_running_loop().create_task(self._replenish())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        timer = asyncio.get_running_loop().call_later(REPLENISH_AFTER, run)
        self._timers.add(timer)

    def program(self, node: Path) -> tuple[list[str], dict[str, str]]:
        """The command of a Node.js instance and its environment until it is specialised."""
        return [self._ground.program(node), self._ground.ours("node/bootstrap.js")], {"LANG": "en_US.UTF-8"}

    async def close(self) -> None:
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._waiting:
            self._waiting.popleft().kill()

    async def _boot(self, node: Path, *, network: bool = True) -> Instance:
        keeper = await self._keepers.get()
        instance = Instance(clock=self._clock)
        cell = self._ground.cell(NO_LIMIT, network=network)
        await open_instance(keeper, instance, cell, program=self.program(node), mailbox=True)
        return instance

    async def _replenish(self) -> None:
        self._waiting = deque(spare for spare in self._waiting if spare.alive)
        while self._node is not None and not self._closed and len(self._waiting) < self._count:
            try:
                self._waiting.append(await self._boot(self._node))
            except KeeperGone as error:
                log.warning("no Node.js process could be booted ahead: %s", error)
                return
