"""Memory that is used again: new memory costs as much as a hash of what is in it.

Below ``net`` and ``store``, which may not import one another; above nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

T = TypeVar("T")
KEPT: Final = 8  # that wait for use


class Spare(Generic[T]):
    """What nobody uses any more waits for the next, with whatever it last held; from any thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._free: list[T] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._free)

    def take(self) -> T:
        try:
            return self._free.pop()
        except IndexError:  # only to look first would be a race
            return self._make()

    def give(self, memory: T) -> None:
        """Nobody looks at it any more."""
        if len(self._free) < KEPT:
            self._free.append(memory)

    @contextmanager
    def lent(self) -> Iterator[T]:
        memory = self.take()
        try:
            yield memory
        finally:
            self.give(memory)
