"""Memory that parts are read into, used again and again: new memory costs as much as a hash of what is in it."""

from __future__ import annotations

import asyncio
from typing import Final

PART: Final = 16 * 1024 * 1024  # bytes


class Buffers:
    """At most ``most`` are out at once: whoever wants one more waits until one is given back."""

    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)
        self._free: list[bytearray] = []

    async def take(self, size: int = PART) -> bytearray:
        """One of ``size`` bytes or more."""
        await self._room.acquire()
        if size > PART:
            return bytearray(size)
        return self._free.pop() if self._free else bytearray(PART)

    def give(self, buffer: bytearray, *, clean: bool) -> None:
        """Back. Where it is not ``clean`` somebody may still read or write it, and another is made in its place."""
        if clean and len(buffer) == PART:
            self._free.append(buffer)
        self._room.release()
