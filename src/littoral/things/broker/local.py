"""Subscribers in this process: a callback for a filter.

A *subscriber* is told of a message and not waited for. A *tap* is waited for: a QoS 1 publisher gets its PUBACK after
what the tap returned is done, so a tap may store (rules, the core's spool).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from littoral.store.contract import StoreError
from littoral.things.broker.unstored import Unstored
from littoral.things.message import Publication

if TYPE_CHECKING:
    from littoral.things.broker.router import Router

log = logging.getLogger(__name__)
Callback = Callable[[Publication], Awaitable[None] | None]


class LocalSubscriber:
    """Messages of one topic are handed over in order; awaitables run side by side."""

    __slots__ = (
        "_closed",
        "_filter",
        "_limit",
        "_router",
        "_tap",
        "_tasks",
        "_unstored",
        "callback",
        "dropped",
    )

    def __init__(self, router: Router, filter: str, callback: Callback, *, tap: bool, limit: int) -> None:
        self._router = router
        self._filter = filter
        self._tap = tap
        self._limit = limit
        self._tasks: set[asyncio.Future[None]] = set()
        self.callback = callback
        self.dropped = 0
        self._closed = False
        self._unstored = Unstored(log)

    @property
    def over(self) -> bool:
        return self._closed and not self._tasks

    def close(self) -> None:
        """No message comes after this; what is in progress goes on."""
        self._closed = True
        self._router.remove_local(self._filter, self, tap=self._tap)

    def take(self, publication: Publication) -> asyncio.Future[None] | None:
        """Hand over. What is returned must be awaited before a QoS 1 publisher is acknowledged."""
        if len(self._tasks) >= self._limit and not publication.qos:
            self.dropped += 1  # QoS 0 may be lost, memory may not
            return None
        try:
            waiting = self.callback(publication)
        except Exception as problem:  # noqa: BLE001 - told to the publisher (no PUBACK) and to the log
            waiting = _failed(problem)
        if waiting is None:
            return None
        task = asyncio.ensure_future(_wait(waiting))
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task if self._tap or len(self._tasks) > self._limit else None

    def _finished(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (problem := task.exception()) is None:
            return
        if isinstance(problem, StoreError):
            self._unstored.tell(1, f"on {self._filter}", problem)
        else:
            log.error("a subscriber to %s failed", self._filter, exc_info=problem)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _wait(waiting: Awaitable[None]) -> None:
    await waiting


async def _failed(problem: Exception) -> None:
    raise problem
