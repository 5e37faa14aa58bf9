"""Whether a disk has room for what comes. The last of it is kept for indexes: on a disk that is full to its end nothing
could be deleted either, for that is written down before bytes go.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

KEPT: Final = 64 * 1024 * 1024  # bytes; of a small disk one part in ``PARTS``
PARTS: Final = 64


def has_room(folder: Path, size: int) -> bool:
    """Of the disk that it is on. Raises OSError."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize - size >= min(KEPT, disk.f_blocks * disk.f_frsize // PARTS)
