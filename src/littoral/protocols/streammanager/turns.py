"""Whose batch goes next when several exports share one way up. Pure.

Stride scheduling: who has been given the least, by its weight, is next. A priority weighs twice the next lower one, so
a high one gets nearly everything while it has something to send, and the lowest still gets its share: none starves.
Who was silent does not save its turns up.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from littoral.protocols.streammanager.definition import LOWEST

_EACH: Final = 1024  # bytes that a batch counts beside its own: many small ones are not free


class Turns:
    """By the keys of exports."""

    def __init__(self) -> None:
        self._given: dict[str, float] = {}
        self._now = 0.0  # what the one served last had been given

    def next(self, ready: Collection[tuple[str, int]]) -> str:
        """Of those that have a batch (key, priority 1 to 10), at least one: the one to be served."""
        for key, _ in ready:
            self._given[key] = max(self._given.get(key, 0.0), self._now)
        given, _, key = min((self._given[key], priority, key) for key, priority in ready)
        self._now = given
        return key

    def served(self, key: str, priority: int, size: int) -> None:
        """It was given a batch of ``size`` bytes."""
        self._given[key] = self._given.get(key, self._now) + (size + _EACH) / 2.0 ** (LOWEST - priority)

    def forget(self, key: str) -> None:
        self._given.pop(key, None)


class Pace:
    """A limit of bytes a second, None for none. Times are monotonic seconds."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until something may be sent."""
        return max(0.0, self._free_at - now)

    def sent(self, size: int, now: float) -> None:
        if self._rate is not None:
            self._free_at = max(self._free_at, now) + size / self._rate
