"""Token buckets for any number of clients in constant memory: a count-min sketch whose counters drain.

Owns: the arithmetic. Knows no addresses and no clock. A bucket that drains at a steady rate is one number, the moment
at which it will be empty (GCRA's theoretical arrival time). Here ``depth`` rows of ``width`` such moments stand for all
clients; a client has one cell in each row, and its bucket is taken to be the lowest of them.

=====================  ===================================================================================
never too low          a cell holds at least what each of its clients brought, so nobody exceeds the limit
sometimes too high     a client is refused for others only when in every row somebody over the limit has
                       its cell: with h of those, at most (h / width) ** depth of all clients
constant               8 bytes a cell, whatever comes
=====================  ===================================================================================

Only the lowest cells are raised (conservative update), which keeps small clients out of large ones' shadow. Cells are
chosen by Python's ``hash`` of a text, which is keyed by a secret of the process: nobody can aim at another's cells.
"""

from __future__ import annotations

from array import array

ROUNDING = 1e-6  # seconds: moments are sums


class Buckets:
    """``rate`` tokens a second drain from each bucket; ``burst`` are what it holds before its client is refused.
    ``width`` is a power of two of at most 65,536; up to four rows (a hash has 64 bits)."""

    def __init__(self, rate: float, burst: float, *, width: int = 16_384, depth: int = 4) -> None:
        if width & (width - 1) or not 2 <= width <= 65_536 or not 1 <= depth <= 4:
            raise ValueError("the width is a power of two up to 65,536, the depth 1 to 4")
        self.rate = rate
        self.burst = burst
        self._mask = width - 1
        self._rows = [array("d", bytes(8 * width)) for _ in range(depth)]

    @property
    def size(self) -> int:
        """Bytes of all cells."""
        return sum(row.itemsize * len(row) for row in self._rows)

    def level(self, client: str, now: float) -> float:
        """Tokens in the client's bucket: at least what it brought and has not drained."""
        return max(0.0, min(row[cell] for row, cell in self._cells(client)) - now) * self.rate

    def take(self, client: str, now: float, amount: float = 1.0) -> float:
        """Put tokens in, unless the client is over its limit: then nothing changes, and how many seconds it must wait
        is returned. 0.0: it is within."""
        cells = self._cells(client)
        empty = max(now, min(row[cell] for row, cell in cells))
        over = empty - now - self.burst / self.rate
        if over > ROUNDING:
            return over
        _raise(cells, empty + amount / self.rate)
        return 0.0

    def charge(self, client: str, now: float, amount: float) -> None:
        """Put tokens in for what is done already. A bucket holds at most twice its burst by this."""
        cells = self._cells(client)
        empty = max(now, min(row[cell] for row, cell in cells)) + amount / self.rate
        _raise(cells, min(empty, now + 2 * self.burst / self.rate))

    def _cells(self, client: str) -> list[tuple[array[float], int]]:
        mask, chosen = self._mask, hash(client)
        return [(row, chosen >> 16 * place & mask) for place, row in enumerate(self._rows)]


def _raise(cells: list[tuple[array[float], int]], empty: float) -> None:
    for row, cell in cells:
        row[cell] = max(row[cell], empty)
