"""Which entry goes when there is no room: S3-FIFO (Yang et al., "FIFO queues are all you need …", SOSP 2023).

    new ──> small (a tenth of the bytes) ──asked for again──> main ──not asked for since──> out
              └─not asked for──> out, but its key is remembered in the ghost queue: if it comes back, it goes to main

Owns: the order of leaving, and that the bytes stay within the limit. Knows no bodies, keys' meaning or clocks. A hit
changes no queue: it only counts ``uses`` up (to ``MOST``), which the reader does itself (``touch`` shows how).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

MOST = 3  # uses that are counted
SMALL_SHARE = 10  # a tenth of the bytes are for what was not asked for twice


class Held(Protocol):
    """What is kept: its cost in bytes, which does not change while it is kept, and how often it was asked for."""

    cost: int
    uses: int


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Held)


def touch(held: Held) -> None:
    """A hit."""
    if held.uses < MOST:
        held.uses += 1


class S3Fifo(Generic[K, V]):
    """``limit`` in bytes may be changed at any time; it holds from the next ``admit`` on."""

    def __init__(self, limit: int, dead: Callable[[V], bool] = lambda _: False) -> None:
        """What is ``dead`` when its turn comes leaves at once, however often it was asked for."""
        self.limit = limit
        self.small: OrderedDict[K, V] = OrderedDict()
        self.main: OrderedDict[K, V] = OrderedDict()
        self.ghost: OrderedDict[int, None] = OrderedDict()  # hashes of keys
        self.small_bytes = 0
        self.main_bytes = 0
        self._dead = dead

    @property
    def bytes(self) -> int:
        return self.small_bytes + self.main_bytes

    def __len__(self) -> int:
        return len(self.small) + len(self.main)

    def admit(self, key: K, held: V) -> list[K]:
        """Keep it (``key`` must not be kept yet). Returns the keys that had to leave; it may be among them when it is
        greater than the limit."""
        held.uses = 0
        remembered = hash(key)
        if remembered in self.ghost:
            del self.ghost[remembered]
            self.main[key] = held
            self.main_bytes += held.cost
        else:
            self.small[key] = held
            self.small_bytes += held.cost
        gone: list[K] = []
        while self.bytes > self.limit:
            self._make_room(gone)
        return gone

    def remove(self, key: K) -> None:
        """It is not wanted any more. Unknown keys are passed over."""
        held = self.small.pop(key, None)
        if held is not None:
            self.small_bytes -= held.cost
            return
        held = self.main.pop(key, None)
        if held is not None:
            self.main_bytes -= held.cost

    def _make_room(self, gone: list[K]) -> None:
        """One step: the oldest of a queue leaves or moves."""
        if self.small and (self.small_bytes * SMALL_SHARE > self.limit or not self.main):
            key, held = self.small.popitem(last=False)
            self.small_bytes -= held.cost
            if held.uses > 0 and not self._dead(held):
                held.uses = 0
                self.main[key] = held
                self.main_bytes += held.cost
                return
            self._remember(key)
        else:
            key, held = self.main.popitem(last=False)
            self.main_bytes -= held.cost
            if held.uses > 0 and not self._dead(held):
                held.uses -= 1
                self.main[key] = held
                self.main_bytes += held.cost
                return
        gone.append(key)

    def _remember(self, key: K) -> None:
        self.ghost[hash(key)] = None
        while len(self.ghost) > len(self.main) + len(self.small):
            self.ghost.popitem(last=False)
