"""What works beside everything else, from ``start`` until ``close``."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod


class Ongoing(ABC):
    _task: asyncio.Task[None] | None = None

    @abstractmethod
    async def _work(self) -> None:
        """Goes on until it is cancelled."""

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """When it has ended. Without ``start`` there is nothing to end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
