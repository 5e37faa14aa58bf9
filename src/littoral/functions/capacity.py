"""How much memory instances may take together, and what one is expected to take. Pure bookkeeping.

``MemorySize`` is what a function may grow to, not what it takes: reserving it would leave a machine with 24 GiB idle at
twenty functions of 1 GiB. So an instance counts with the most that one of its version was seen to take, at first with a
guess, and never with more than its ``MemorySize``.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

GUESS = 48 * 1024 * 1024  # bytes of an instance that nobody has seen work
SHARE = 0.8  # of what the machine has free when the place starts
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


class Capacity:
    def __init__(self, budget: int) -> None:
        self.budget = budget  # bytes
        self.used = 0
        self._seen: dict[str, int] = {}  # version key → most bytes an instance took

    def expected(self, key: str, limit: int) -> int:
        """Bytes to count for an instance of the version; ``limit`` is its MemorySize in bytes."""
        return min(limit, self._seen.get(key, GUESS))

    def saw(self, key: str, peak: int) -> None:
        if peak > self._seen.get(key, 0):
            self._seen[key] = peak

    def forget(self, key: str) -> None:
        self._seen.pop(key, None)

    def fits(self, size: int) -> bool:
        """One instance always fits: a place whose memory is short still works, one event after another."""
        return self.used == 0 or self.used + size <= self.budget


def affordable_memory() -> int:
    """Bytes: a share of what the machine, or the cgroup that this process is in, has free now."""
    free = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")]
    with contextlib.suppress(OSError, ValueError, IndexError):  # not Linux: what is free must do
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024]
    for limit, usage in CGROUPS:
        with contextlib.suppress(OSError, ValueError):  # no such cgroup, or "max"
            free.append(int(Path(limit).read_text()) - int(Path(usage).read_text()))
    return int(max(0, min(free)) * SHARE)
