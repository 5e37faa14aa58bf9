"""What a box has sent as it lies on its disk, in one piece or several, opened by the thread that receives it."""

from __future__ import annotations

from typing import Final

from littoral.net.client import BadResponse
from littoral.net.unopened import BETWEEN
from littoral.store.frames import CannotOpen
from littoral.store.handed import AT_ONCE, Handed


class NotOpened(BadResponse):
    """What came does not open. Whoever has it may find out more: it had better be asked to open it itself."""


class Unsealing:
    """Implements ``receiving.Opening``."""

    most: Final = AT_ONCE

    def __init__(self, handed: str, came: int) -> None:
        """Raises NotOpened."""
        try:
            pieces = [Handed.read(each) for each in handed.split(BETWEEN)]
        except CannotOpen as problem:
            raise NotOpened(str(problem)) from problem
        sealed = sum(piece.sealed for piece in pieces)
        if sealed != came:
            raise NotOpened(f"{came} bytes come of frames that have {sealed}")
        self.size = sum(piece.length for piece in pieces)
        self._pieces = iter(pieces)
        self._begin()

    @property
    def next(self) -> int:
        return min(self.most, self._left)

    def open_into(self, sealed: memoryview, room: memoryview) -> int:
        try:
            opened = self._opener.open_into(sealed, room)
        except CannotOpen as problem:
            raise NotOpened(str(problem)) from problem
        self._left -= len(sealed)
        if not self._left:
            self._begin()
        return opened

    def _begin(self) -> None:
        """The next piece, if there is one."""
        piece = next(self._pieces, None)
        if piece is not None:
            self._opener, self._left = piece.opener(), piece.sealed
