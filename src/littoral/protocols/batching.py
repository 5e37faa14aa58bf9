"""Requests gathered into batches: within a number, a size and a wait. Sans-IO: items and times in, batches out.

With a ``wait`` of 0 nothing ever waits for company: what came while the one before was at work goes together. With
more, the first of a batch waits at most so long for others, however few they are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    item: Item
    size: int
    since: float
    alone: bool


class Batcher(Generic[Item]):
    """``most`` items and ``most_size`` in a batch, unless one item is larger; ``room`` for items that wait; ``wait``
    seconds at most."""

    def __init__(self, *, most: int, most_size: int, room: int, wait: float = 0.0) -> None:
        self._most = most
        self._most_size = most_size
        self._room = room
        self._wait = wait
        self._queue: deque[_Waiting[Item]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: Item, size: int, now: float) -> bool:
        """False where there is no room: it is not taken."""
        if len(self._queue) >= self._room:
            return False
        self._queue.append(_Waiting(item, size, now, False))
        self._size += size
        return True

    def again(self, items: list[tuple[Item, int]], now: float, *, alone: bool) -> None:
        """Those of a batch that came to nothing, before all others: ``alone``, each by itself."""
        self._queue.extendleft(_Waiting(item, size, now, alone) for item, size in reversed(items))
        self._size += sum(size for _, size in items)

    def due(self) -> float | None:
        """When there is a batch, for one who is free; None as long as nothing waits."""
        if not self._queue:
            return None
        first = self._queue[0]
        full = first.alone or len(self._queue) >= self._most or self._size >= self._most_size
        return first.since if full else first.since + self._wait

    def take(self, now: float) -> list[tuple[Item, int]]:
        """The batch that is due, with sizes, in the order of their coming; empty where none is."""
        due = self.due()
        if due is None or due > now:
            return []
        batch = [self._queue.popleft()]
        size = batch[0].size
        while self._queue and not batch[0].alone and len(batch) < self._most:
            following = self._queue[0]
            if following.alone or size + following.size > self._most_size:
                break
            batch.append(self._queue.popleft())
            size += following.size
        self._size -= size
        return [(each.item, each.size) for each in batch]
