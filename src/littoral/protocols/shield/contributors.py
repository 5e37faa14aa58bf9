"""Who contributed the most to something of which there may be millions: a Misra-Gries summary, in constant memory.

Owns: the arithmetic. A name's count is never more than what it brought, and at most a ``room``-th of all less; whoever
brought more than that share is among them. When a name comes for which there is no room, all lose one; each such loss
was paid for by an earlier gain, so a count costs constant time on the average.
"""

from __future__ import annotations


class Contributors:
    """``room`` is the number of names that are kept."""

    def __init__(self, room: int = 128) -> None:
        self._room = room
        self._counts: dict[str, int] = {}

    def add(self, name: str) -> None:
        counts = self._counts
        if name in counts:
            counts[name] += 1
        elif len(counts) < self._room:
            counts[name] = 1
        else:
            self._counts = {each: count - 1 for each, count in counts.items() if count > 1}

    def top(self, most: int) -> list[tuple[str, int]]:
        """The largest first; each brought at least so much."""
        return sorted(self._counts.items(), key=lambda each: -each[1])[:most]
