"""Who of those that wait is next, when more come than can be served.

Owns: the order, and who goes when there is no room for all. Knows no socket and no clock. One queue would have whoever
comes seldom wait behind all that a flood has brought. Here each client has a queue of its own, as in FQ-CoDel (RFC
8290): a client of whom nobody waited is new and goes before those of whom some do, who have turns, one each.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")

NEW = 3  # new clients that are served before it is one of the others' turn


class FairQueue(Generic[T]):
    """What waits, by client."""

    def __init__(self) -> None:
        self._new: OrderedDict[str, deque[T]] = OrderedDict()
        self._others: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0
        self._newly = 0  # new ones that were served on end

    def __len__(self) -> int:
        return self._size

    def add(self, client: str, what: T) -> None:
        queue = self._others.get(client) or self._new.get(client)
        if queue is None:
            queue = self._new[client] = deque()
        queue.append(what)
        self._size += 1

    def take(self) -> tuple[str, T]:
        """Whoever is next. Raises KeyError: nobody waits."""
        new = bool(self._new) and (self._newly < NEW or not self._others)
        self._newly = self._newly + 1 if new else 0
        client, queue = (self._new if new else self._others).popitem(last=False)
        what = queue.popleft()
        self._size -= 1
        if queue:
            self._others[client] = queue
        return client, what

    def cut(self, room: int) -> list[tuple[str, T]]:
        """The oldest of those who have the most waiting, until no more than ``room`` are left."""
        level = self._level(room)
        gone: list[tuple[str, T]] = []
        for queues in (self._new, self._others):
            for client, queue in queues.items():
                gone += [(client, queue.popleft()) for _ in range(len(queue) - level)]
        self._size -= len(gone)
        while self._size > room:  # more clients than room: of each but one waits
            gone.append(self.take())
        return gone

    def _level(self, room: int) -> int:
        """How many of one client may wait: whoever has less keeps all, the others have as much as each other."""
        sizes = sorted(len(queue) for queues in (self._new, self._others) for queue in queues.values())
        for at, size in enumerate(sizes):
            share = room // (len(sizes) - at)
            if size > share:
                return max(1, share)
            room -= size
        return sizes[-1] if sizes else 0
