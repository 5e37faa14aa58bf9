"""What processes hold in memory, and waited for, as Linux tells in /proc. Elsewhere, and of what is gone: nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable

_PAGE = os.sysconf("SC_PAGE_SIZE")


def only_child(pid: int) -> int | None:
    """The first process that another started; None when the system does not say, or not yet."""
    return next(iter(_children(pid, pid)), None)


def descendants(pid: int) -> list[int]:
    """Of a process whose orphans come to itself: everything that it and those beneath it started."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        try:
            threads = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208 - called often
        except OSError:
            continue
        for thread in threads:
            todo += _children(parent, int(thread))
        found.append(parent)
    return found[1:]


def resident(pid: int | None) -> int:
    """Bytes, pages that it shares with others among them."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - called often
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def kept_from_running(pid: int | None) -> float:
    """Seconds since its start in which its main thread could have run and had no processor."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:  # noqa: PTH123 - called often
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def together(pids: Iterable[int]) -> int:
    """Bytes that these hold, each shared page counted once over all who share it. Slow: it walks page tables."""
    return sum(map(_proportional, pids))


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def _children(pid: int, thread: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 - called often
            return [int(word) for word in file.read().split()]
    except OSError:
        return []
