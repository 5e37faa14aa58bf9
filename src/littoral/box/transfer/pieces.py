"""An object of a place on this machine, read where it lies: what its place has laid out in a tray (``store.spool``).

Each block is looked at before any of it goes on, as the place itself does. What is not sound is left to the place: it
is asked for the object itself then, finds that out, and remembers it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Self

from littoral.box.transfer.items import About, Item, NotSound
from littoral.box.transfer.sums import Sum
from littoral.net.readonce import read_past
from littoral.store import strides
from littoral.store.spool import SUMS
from littoral.store.strides import STRIDE
from littoral.store.sums import BLOCK, WIDTH, Sums


class Laid:
    """In ``folder``, which goes when it is closed. Implements Rereader."""

    def __init__(self, folder: Path, item: Item, about: About, said: Sum | None, pieces: Sequence[Piece]) -> None:
        self._folder = folder
        self._item = item
        self._pieces = pieces
        self._at = 0
        self.about, self.said = about, said

    @classmethod
    async def open(cls, folder: Path, item: Item, about: About, said: Sum | None) -> Self:
        """Raises NotSound, and the folder is gone then."""
        try:
            return cls(folder, item, about, said, await asyncio.to_thread(_pieces, folder, item.size))
        except NotSound:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise

    async def fill(self, buffer: memoryview) -> int:
        size = min(len(buffer), self._item.size - self._at)
        await asyncio.to_thread(self.stretch(self._at, size).read_into, 0, buffer[:size])
        self._at += size
        return size

    def stretch(self, begin: int, size: int) -> Stretch:
        return Stretch(self._pieces, begin, size)

    async def close(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Piece:
    """From ``begin`` on in its object."""

    file: Path
    begin: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class Stretch:
    """A ``bulk.Content``."""

    pieces: Sequence[Piece]
    begin: int
    size: int

    def __len__(self) -> int:
        return self.size

    def read_into(self, at: int, room: memoryview) -> None:
        """Raises NotSound."""
        at += self.begin
        number = bisect_right(self.pieces, at, key=lambda piece: piece.begin) - 1
        stride = strides.take()
        try:
            while room:
                filled = _read(self.pieces[number], at - self.pieces[number].begin, room, stride)
                at, room, number = at + filled, room[filled:], number + 1
        finally:
            strides.give(stride)


def _read(piece: Piece, offset: int, room: memoryview, stride: memoryview) -> int:
    """From ``offset`` on all that has room, or is left; whole blocks are read. Raises NotSound."""
    wanted, filled = min(len(room), piece.sums.size - offset), 0
    try:
        file = os.open(piece.file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while filled < wanted:
                ahead = (offset + filled) % BLOCK  # bytes of a block that nobody wants
                begin = offset + filled - ahead
                upto = min(STRIDE, -(-(wanted - filled + ahead) // BLOCK) * BLOCK)
                came = stride[: read_past(file, stride[:upto], begin)]
                _check(piece, begin, came)
                found = came[ahead : ahead + wanted - filled]
                room[filled : filled + len(found)] = found
                filled += len(found)
        finally:
            os.close(file)
    except OSError as problem:
        raise NotSound(f"{piece.file.name}: {problem}") from problem
    return filled


def _check(piece: Piece, begin: int, came: memoryview) -> None:
    """Raises NotSound."""
    sound = all(piece.sums.sound((begin + at) // BLOCK, came[at : at + BLOCK]) for at in range(0, len(came), BLOCK))
    if not came or not sound:
        raise NotSound(f"what lies in the store is not what was written, at {begin} of {piece.file.name}")


def _pieces(folder: Path, size: int) -> list[Piece]:
    """Raises NotSound."""
    try:
        files = sorted(file for file in folder.iterdir() if file.name != SUMS)
        sizes = [file.stat().st_size for file in files]
        sums = (folder / SUMS).read_bytes()
    except OSError as problem:
        raise NotSound(str(problem)) from problem
    widths = [-(-each // BLOCK) * WIDTH for each in sizes]
    if sum(sizes) != size or sum(widths) != len(sums):
        raise NotSound(f"in the store lie {sum(sizes)} bytes of {size}")
    begins, summed = accumulate(sizes, initial=0), accumulate(widths, initial=0)
    return [
        Piece(file, begin, Sums(each, sums[at : at + width]))
        for file, each, begin, at, width in zip(files, sizes, begins, summed, widths, strict=False)
    ]
