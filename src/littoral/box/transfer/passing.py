"""Parts that are read, hashed and sent a stretch at a time, and never lie in memory whole.

Where a part is hashed before it is sent, it is read twice, or goes out to memory and comes back: both cost as much
as sending it. So its checksum is not stated; the endpoint says what it found, and that is compared here. A part of
which it says another is sent again; and the upload is completed with what was found here, which the endpoint compares
once more. One that says nothing is told beforehand from then on, as AWS's own clients do it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from littoral.box.transfer.asking import Unwell
from littoral.box.transfer.bucket import Bucket, Upload
from littoral.box.transfer.sums import CRC64, Running, Sum
from littoral.lasting import done_in_thread
from littoral.net.bulk import Content

PIECE: Final = 256 * 1024  # bytes that are hashed at once, while they are near

Patiently = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Passing:
    """Of one upload with CRC64NVME."""

    destination: Bucket
    key: str
    upload: Upload
    patiently: Patiently

    async def part(self, number: int, content: Content) -> tuple[str, Sum]:
        """Its ETag and its checksum. Raises what reading it does, and CannotMove."""
        there = self.upload.parts.get(number)
        if there is not None and there[0] == len(content):
            known = await _hashed(content)
            if there[2] == known.value:
                return there[1], known

        async def attempt() -> tuple[str, Sum]:
            etag, found, known = await self._sent(number, content)
            if found != known:
                raise Unwell(f"{self.key}: part {number} did not arrive as it was sent")
            return etag, known

        sent: tuple[str, Sum] = await self.patiently(attempt)
        return sent

    async def _sent(self, number: int, content: Content) -> tuple[str, Sum, Sum]:
        """Its ETag, its checksum as the endpoint says it, and as it was read."""
        if self.destination.tells:
            passing = Summed(content)
            told = await self.destination.part_unstated(self.key, self.upload, number, passing)
            if told is not None:
                return *told, passing.sum
        known = await _hashed(content)
        return await self.destination.part(self.key, self.upload, number, content, known), known, known


class Summed:
    """A content that is hashed as it is read, from its begin on."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._running = Running(CRC64)
        self._read = 0

    def __len__(self) -> int:
        return len(self._content)

    @property
    def sum(self) -> Sum:
        """Of what was read."""
        return Sum(CRC64, self._running.digest())

    def read_into(self, at: int, room: memoryview) -> None:
        if at == 0:  # perhaps again, on another connection
            self._running, self._read = Running(CRC64), 0
        if at != self._read:
            raise ValueError(f"{at} is not what comes next, {self._read}")
        self._content.read_into(at, room)
        self._running.update(room)
        self._read += len(room)


async def _hashed(content: Content) -> Sum:
    """Who is cancelled goes when nobody reads it any more."""
    return await done_in_thread(asyncio.get_running_loop().run_in_executor(None, _sum_of, content), lambda: None)


def _sum_of(content: Content) -> Sum:
    memory, summed = memoryview(bytearray(PIECE)), Summed(content)
    for at in range(0, len(content), PIECE):
        summed.read_into(at, memory[: len(content) - at])
    return summed.sum
