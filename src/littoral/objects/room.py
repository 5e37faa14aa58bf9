"""Whether the disk has room for what comes. The last of it is kept for the index: on a disk that is full to its end
nothing could be deleted either, for that is written down before bytes go.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from littoral.objects.errors import error

KEPT: Final = 64 * 1024 * 1024  # bytes; of a small disk one part in ``PARTS``
PARTS: Final = 64


class Room:
    """On the disk of ``folder``. Where bytes lie ``elsewhere`` only the index grows here."""

    def __init__(self, folder: Path, *, elsewhere: bool = False) -> None:
        self._folder = folder
        self._elsewhere = elsewhere

    def check(self, size: int) -> None:
        """Raises InternalError: it may be tried again, once there is room."""
        disk = os.statvfs(self._folder)
        left = disk.f_bavail * disk.f_frsize - (0 if self._elsewhere else size)
        if left < min(KEPT, disk.f_blocks * disk.f_frsize // PARTS):
            raise error("InternalError", "The disk of this place is full; nothing was changed")
