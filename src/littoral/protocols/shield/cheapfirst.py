"""Who of those that wait is next, when more is asked than can be done at once: whoever has cost the least lately.

Owns: the order, and what each client has cost. Knows no socket and no clock. In a flood from many addresses a fair
share for each is little, and comes late. Whoever asked before it began and asks little is served at once here; a client
of whom nothing is known counts as if it had cost something (``UNKNOWN``), so those who come with the flood are behind.

What was done a second ago counts e times less. Instead of letting all that is known shrink, what comes grows: sums of
one time are compared with each other alone.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

UNKNOWN = 0.002  # seconds
MOST_KNOWN = 16_384
LONGEST = 300.0  # seconds that a sum may grow; then all are forgotten


class CheapFirst(Generic[T]):
    """What waits, by client."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[T]] = {}
        self._order: list[tuple[float, int, str]] = []  # heap: what it has cost, its turn among equals, who waits
        self._cost: dict[str, float] = {}
        self._begun = -math.inf
        self._number = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, client: str, what: T, now: float, *, known: bool) -> None:
        """``known``: it was there before."""
        if not self._size and (now > self._begun + LONGEST or len(self._cost) > MOST_KNOWN):
            self._cost.clear()
            self._begun = now
        queue = self._queues.get(client)
        if queue is None:
            queue = self._queues[client] = deque()
            if client not in self._cost:
                self._cost[client] = 0.0 if known else UNKNOWN * self._weight(now)
            self._push(client)
        queue.append(what)
        self._size += 1

    def take(self) -> tuple[str, T]:
        """Whoever is next; ``charge`` is to be told what it costs before the next is taken. Raises IndexError: nobody
        waits."""
        client = heapq.heappop(self._order)[2]
        self._size -= 1
        return client, self._queues[client].popleft()

    def charge(self, client: str, cost: float, now: float) -> None:
        """In seconds."""
        self._cost[client] += cost * self._weight(now)
        if self._queues[client]:
            self._push(client)
        else:
            del self._queues[client]

    def _push(self, client: str) -> None:
        self._number += 1
        heapq.heappush(self._order, (self._cost[client], self._number, client))

    def _weight(self, now: float) -> float:
        return math.exp(min(now - self._begun, 2 * LONGEST))
