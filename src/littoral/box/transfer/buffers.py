"""Memory that parts are read into, used again and again: new memory costs as much as a hash of what is in it, and a
quarter of that in huge pages."""

from __future__ import annotations

import asyncio
import mmap
from contextlib import suppress
from typing import Final

PART: Final = 16 * 1024 * 1024  # bytes
HUGE: Final[int | None] = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux has it


class Buffers:
    """At most ``most`` are out at once: whoever wants one more waits until one is given back."""

    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)
        self._free: list[mmap.mmap] = []

    async def take(self, size: int = PART) -> mmap.mmap:
        """One of ``size`` bytes or more."""
        await self._room.acquire()
        if size > PART:
            return _new(size)
        return self._free.pop() if self._free else _new(PART)

    async def enter(self) -> None:
        """As ``take``, for who needs none; ``leave`` when it is done."""
        await self._room.acquire()

    def leave(self) -> None:
        self._room.release()

    def give(self, buffer: mmap.mmap, *, clean: bool) -> None:
        """Back. Where it is not ``clean`` somebody may still read or write it, and another is made in its place."""
        if clean and len(buffer) == PART:
            self._free.append(buffer)
        self._room.release()


def _new(size: int) -> mmap.mmap:
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if HUGE is not None:
        with suppress(OSError):  # a kernel without them
            made.madvise(HUGE)
    return made
