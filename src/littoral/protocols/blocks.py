"""A file in blocks that its content cuts: what two files have in common are mostly the same blocks, wherever it lies.

A block ends behind a mark, a pair of bytes that comes once in some 4 KiB of weights, be they floats or 8-bit integers,
or where it would be too long. So bytes that are put in, taken out or changed are of a few blocks, and then the ends are
the same again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

SMALLEST: Final = 16 * 1024
LARGEST: Final = 64 * 1024
MOST: Final = 2 * 1024**3  # bytes of a file
_MARK: Final = re.compile(rb"[\x00-\x03\x80-\x83][\x25\xa5]")
_DIGEST: Final = 12  # bytes of a block's SHA-256: the file's whole one is looked at in the end


@dataclass(frozen=True, slots=True)
class Block:
    length: int
    digest: str  # hexadecimal


class Cutter:
    """Blocks of what is fed, however it comes."""

    def __init__(self) -> None:
        self._left = bytearray()

    def feed(self, data: bytes) -> Iterator[Block]:
        self._left += data
        return self._blocks(LARGEST)

    def end(self) -> Iterator[Block]:
        return self._blocks(1)

    def _blocks(self, least: int) -> Iterator[Block]:
        """While so many bytes are there."""
        at = 0
        while len(self._left) - at >= least:
            mark = _MARK.search(self._left, at + SMALLEST, at + LARGEST)
            after = mark.end() if mark is not None else min(at + LARGEST, len(self._left))
            yield Block(after - at, hashlib.sha256(memoryview(self._left)[at:after]).digest()[:_DIGEST].hex())
            at = after
        del self._left[:at]


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that are here already: of which file, and where in it."""

    file: int
    start: int


@dataclass(frozen=True, slots=True)
class Step:
    """The next bytes of a file; ``held`` where they are, or None for those that must come."""

    start: int
    length: int
    held: Held | None


@dataclass(frozen=True, slots=True)
class Manifest:
    blocks: tuple[Block, ...]

    @property
    def document(self) -> dict[str, Any]:
        return {"blocks": [[each.length, each.digest] for each in self.blocks]}

    @classmethod
    def of(cls, document: Any) -> Self:
        """Raises ValueError."""
        try:
            blocks = tuple(Block(length, digest) for length, digest in document["blocks"])
        except (KeyError, TypeError, ValueError) as problem:
            raise ValueError(f"no list of blocks: {problem!r}") from problem
        well = all(type(each.length) is int and each.length > 0 and isinstance(each.digest, str) for each in blocks)
        if not well or sum(each.length for each in blocks) > MOST:
            raise ValueError("a list of blocks that cannot be")
        return cls(blocks)

    def steps(self, held: Mapping[str, Held], there: int) -> Iterator[Step]:
        """To have it whole, in order, where its first ``there`` bytes are there; neighbours that must come as one."""
        at, coming = 0, None
        for each in self.blocks:
            start, at = max(at, there), at + each.length
            if start >= at:
                continue
            found = held.get(each.digest)
            if found is None:
                coming = (
                    Step(start, at - start, None) if coming is None else Step(coming.start, at - coming.start, None)
                )
                continue
            if coming is not None:
                yield coming
                coming = None
            yield Step(start, at - start, Held(found.file, found.start + each.length - (at - start)))
        if coming is not None:
            yield coming
