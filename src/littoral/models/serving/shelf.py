"""Which models are in memory: as many as fit, and those go first that were asked for longest ago. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class Full(Exception):
    """There is no room now: what is there is at work; or never: it is larger than all of the room."""


class Shelf:
    """``most``: how many at once, 0 for as many as there is room for."""

    def __init__(self, room: int, most: int = 0) -> None:
        self.room = room
        self.most = most
        self._sizes: OrderedDict[str, int] = OrderedDict()

    @property
    def taken(self) -> int:
        return sum(self._sizes.values())

    def __contains__(self, key: str) -> bool:
        return key in self._sizes

    def used(self, key: str) -> None:
        self._sizes.move_to_end(key)

    def admit(self, key: str, size: int, busy: Callable[[str], bool]) -> list[str]:
        """Take it in (or give it that size, which may be another than before); those that must go for it, which are no
        longer counted. None goes that is busy. Raises Full, and then nothing has changed."""
        if size > self.room:
            raise Full(f"it takes {size} bytes, where {self.room} are for models")
        free = self.room - self.taken + self._sizes.get(key, 0)
        places = (self.most or len(self._sizes) + 1) - len(self._sizes) + (key in self._sizes)
        leaving: list[str] = []
        for other, taken in self._sizes.items():
            if free >= size and places:
                break
            if other != key and not busy(other):
                leaving.append(other)
                free += taken
                places += 1
        if free < size:
            raise Full("the memory for models is taken by models at work")
        if not places:
            raise Full(f"{self.most} models are at work, and no more may be in memory")
        for each in leaving:
            del self._sizes[each]
        self._sizes[key] = size
        self._sizes.move_to_end(key)
        return leaving

    def grown(self, key: str, size: int, busy: Callable[[str], bool]) -> list[str]:
        """What is there takes more, or less, than was thought; those that must go for it."""
        try:
            return self.admit(key, min(size, self.room), busy)
        except Full:
            self._sizes[key] = size
            return []

    def drop(self, key: str) -> None:
        self._sizes.pop(key, None)
