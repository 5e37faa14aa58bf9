"""The look at those who wait in an instance's mailbox: whether they get on.

Owns: the timer, and how it is told that an instance stands still. Those who wait are taken back when nothing was
answered between three looks, unless the instance was kept from running: another would fare no better.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from littoral.functions.held import kept_from_running

if TYPE_CHECKING:
    from littoral.functions.instance import Instance

LOOK = 0.001  # seconds between two looks


class Lookout:
    def __init__(self, instance: Instance) -> None:
        self.watches = False
        self._instance = instance
        self._timer: asyncio.TimerHandle | None = None
        self._answered = -1  # events, at the last look
        self._kept = -1.0  # seconds kept from running, at the last look if nothing had been answered

    def watch(self) -> None:
        """Somebody waits."""
        self._answered = -1
        self._again()

    def stop(self) -> None:
        self.watches = False
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        self.watches = True
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        self.watches = False
        instance = self._instance
        if len(instance.line) < 2 or not instance.alive:
            return
        answered, before = instance.given - len(instance.line), self._kept
        self._kept = -1.0
        if answered == self._answered:
            now = kept_from_running(instance.process.pid)
            if before >= 0 and now - before < LOOK / 2:
                instance.take_back()
                if len(instance.line) < 2:
                    return
            self._kept = now
        self._answered = answered
        self._again()
