"""What a box has sent as it lies on its disk, opened by the thread that receives it."""

from __future__ import annotations

from typing import Final

from littoral.net.client import BadResponse
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
            told = Handed.read(handed)
        except CannotOpen as problem:
            raise NotOpened(str(problem)) from problem
        if told.sealed != came:
            raise NotOpened(f"{came} bytes come of frames that have {told.sealed}")
        self._opener = told.opener()
        self.size = told.length

    def open_into(self, sealed: memoryview, room: memoryview) -> int:
        try:
            return self._opener.open_into(sealed, room)
        except CannotOpen as problem:
            raise NotOpened(str(problem)) from problem
