"""How many requests a second components may make of the local shadows: in all, and of one thing. Pure."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Counts by the second of the clock; no limits until some are set."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._count = 0
        self._of_thing: dict[str, int] = {}
        self.most: tuple[int, int] | None = None  # in all, of one thing

    def admits(self, thing: str) -> bool:
        if self.most is None:
            return True
        if int(self._clock()) != self._second:
            self._second, self._count = int(self._clock()), 0
            self._of_thing.clear()
        mine = self._of_thing.get(thing, 0)
        if self._count >= self.most[0] or mine >= self.most[1]:
            return False
        self._count += 1
        self._of_thing[thing] = mine + 1
        return True
