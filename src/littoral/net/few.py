"""What there are a few of at once, in all loops of a process: connections lent to threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Few(Generic[T]):
    def __init__(self, most: int) -> None:
        self._most = most
        self._out: set[T] = set()
        self._waiting: dict[asyncio.Future[None], None] = {}  # the first is the next
        self._lock = threading.Lock()  # a process may have more than one loop

    def __len__(self) -> int:
        """How many are out."""
        return len(self._out)

    def let(self, make: Callable[[], T]) -> T | None:
        """None where enough are out."""
        with self._lock:
            if len(self._out) >= self._most:
                return None
            one = make()
            self._out.add(one)
            return one

    def back(self, one: T) -> None:
        """More than once does no harm."""
        with self._lock:
            self._out.discard(one)
        self._call_next()

    async def room(self) -> bool:
        """Returns when one came back, and who waits has this turn of the loop to have another. False at once where
        there is room anyway."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if len(self._out) < self._most:
                return False
            self._waiting[waiter] = None
        try:
            await waiter
        finally:
            with self._lock:
                self._waiting.pop(waiter, None)
        return True

    def _call_next(self) -> None:
        with self._lock:
            waiter = next(iter(self._waiting), None) if len(self._out) < self._most else None
            if waiter is None:
                return
            del self._waiting[waiter]
        waiter.get_loop().call_soon_threadsafe(self._call, waiter)

    def _call(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)
        waiter.get_loop().call_soon(self._call_next)  # who was called had its turn then, and may have taken nothing
