"""Checksums of what a file holds: a CRC-32C (RFC 3720 appendix B.4) for each block of 256 KiB, four bytes each. Pure.

A block is what is read, checked and sent at once: small enough that it is still in the processor's cache when it goes
out, and that a range of a large file is not read much beyond.
"""

from __future__ import annotations

from dataclasses import dataclass

from crc32c import crc32c

BLOCK = 256 * 1024
WIDTH = 4


class Summing:
    """The sums of bytes as they come."""

    def __init__(self) -> None:
        self._sums = bytearray()
        self._current = 0
        self._filled = 0  # of the current block

    def update(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            piece, view = view[: BLOCK - self._filled], view[BLOCK - self._filled :]
            self._current = crc32c(piece, self._current)
            self._filled += len(piece)
            if self._filled == BLOCK:
                self._close()

    def finish(self) -> bytes:
        if self._filled:
            self._close()
        return bytes(self._sums)

    def _close(self) -> None:
        self._sums += self._current.to_bytes(WIDTH, "big")
        self._current = self._filled = 0


@dataclass(frozen=True, slots=True)
class Sums:
    """Of a file of ``size`` bytes."""

    size: int
    held: bytes
    block: int = BLOCK

    def sound(self, number: int, block: bytes | bytearray | memoryview) -> bool:
        """Whether this is block ``number``, whole."""
        if len(block) != min(BLOCK, self.size - number * BLOCK):
            return False
        at = number * WIDTH
        return crc32c(block) == int.from_bytes(self.held[at : at + WIDTH], "big")
