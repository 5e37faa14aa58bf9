"""What there are a few of at once, in all loops of a process: connections lent to threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Few(Generic[T]):
    def __init__(self, most: int) -> None:
        self._most = most
        self._out: set[T] = set()
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
        self._out.discard(one)
