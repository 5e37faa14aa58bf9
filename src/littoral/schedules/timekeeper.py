"""What is due when: one task, one heap. Knows no rule and no schedule.

``set`` says when a key is due next; ``fire`` is awaited then, with the moment it was due, and sets the key anew. The
clock may jump (a suspended machine, a test): what became due meanwhile is fired at once, and ``wake`` makes it look.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import Awaitable, Callable

from littoral.aws.service import ServiceError
from littoral.net.ongoing import Ongoing
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)
LOOK = 30.0  # seconds between looks at the clock, whatever is due: it may have been set
AGAIN = 5.0  # seconds until what could not be kept is tried again


class Timekeeper(Ongoing):
    def __init__(self, clock: Callable[[], float], fire: Callable[[str, float], Awaitable[None]]) -> None:
        self._clock = clock
        self._fire = fire
        self._due: dict[str, tuple[float, float]] = {}  # key → when to fire, and the moment it stands for
        self._heap: list[tuple[float, float, str]] = []
        self._awake = asyncio.Event()

    def set(self, key: str, due: float | None, *, delay: float = 0.0) -> None:
        """``delay`` seconds later than ``due`` (a flexible window); None: not any more."""
        if due is None:
            self._due.pop(key, None)
            return
        self._due[key] = (due + delay, due)
        heapq.heappush(self._heap, (due + delay, due, key))
        self.wake()

    def wake(self) -> None:
        self._awake.set()

    async def _work(self) -> None:
        while True:
            self._awake.clear()
            now = self._clock()
            ripe: dict[str, float] = {}
            while self._heap and self._heap[0][0] <= now:
                at, due, key = heapq.heappop(self._heap)
                if self._due.get(key) == (at, due):
                    ripe[key] = due
            await asyncio.gather(*(self._one(key, due) for key, due in ripe.items()))  # they share commits
            wait = min(LOOK, self._heap[0][0] - now) if self._heap else LOOK
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), max(wait, 0.001))

    async def _one(self, key: str, due: float) -> None:
        before = self._due[key]
        try:
            await self._fire(key, due)
        except (ServiceError, StoreError) as error:
            log.warning("%s is put off by %.0f s: %s", key, AGAIN, error)
            if self._due.get(key) == before:
                self.set(key, due, delay=self._clock() - due + AGAIN)
        except Exception:
            log.exception("%s failed for a reason of ours and will not run until it is set anew", key)
            self._due.pop(key, None)
