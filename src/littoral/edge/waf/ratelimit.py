"""How many requests came with one key within the window: a sliding estimate from two counters a key.

Time is an argument. Memory is bounded: beyond ``MOST_KEYS`` the keys that were seen least are forgotten, so a flood
of new keys does not hide a busy one.
"""

from __future__ import annotations

from collections.abc import Hashable

MOST_KEYS = 65536


class SlidingWindow:
    """The estimate is this window's count and the share of the last one that still lies within the window."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._start = 0.0
        self._now: dict[Hashable, int] = {}
        self._before: dict[Hashable, int] = {}

    def hit(self, key: Hashable, now: float) -> float:
        """Count one request and return the estimate with it."""
        if not 0.0 <= now - self._start < self._seconds:
            self._turn(now)
        count = self._now.get(key)
        if count is None:
            if len(self._now) >= MOST_KEYS:
                self._forget()
            count = 0
        self._now[key] = count + 1
        before = self._before.get(key) if self._before else None
        if before is None:
            return count + 1
        return count + 1 + before * (1.0 - (now - self._start) / self._seconds)

    def over(self, limit: int, now: float) -> list[Hashable]:
        """The keys beyond the limit now."""
        self._turn(now)
        share = 1.0 - (now - self._start) / self._seconds
        keys = self._now.keys() | self._before.keys()
        return [key for key in keys if self._now.get(key, 0) + self._before.get(key, 0) * share > limit]

    def _turn(self, now: float) -> None:
        passed = now - self._start
        if 0 <= passed < self._seconds:
            return
        following = passed < 2 * self._seconds and passed >= 0
        self._before = self._now if following else {}
        self._now = {}
        self._start = self._start + self._seconds if following else now

    def _forget(self) -> None:
        least = 1
        while len(self._now) > MOST_KEYS * 3 // 4:
            self._now = {key: count for key, count in self._now.items() if count > least}
            least *= 4
