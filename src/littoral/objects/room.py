"""Whether what comes is taken in: where its disk has room (``store.diskroom``)."""

from __future__ import annotations

from pathlib import Path

from littoral.objects.errors import error
from littoral.store.diskroom import has_room


class Room:
    """On the disk of ``folder``. Where bytes lie ``elsewhere`` only the index grows here."""

    def __init__(self, folder: Path, *, elsewhere: bool = False) -> None:
        self._folder = folder
        self._elsewhere = elsewhere

    def check(self, size: int) -> None:
        """Raises InternalError: it may be tried again, once there is room."""
        if not has_room(self._folder, 0 if self._elsewhere else size):
            raise error("InternalError", "The disk of this place is full; nothing was changed")
