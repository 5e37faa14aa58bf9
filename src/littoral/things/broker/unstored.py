"""What could not be stored, in few lines of the log.

A full disk or spool refuses everything for a while: a line for each message would take the CPU from those that need no
disk, and the disk's last bytes.
"""

from __future__ import annotations

import logging
import time

SILENCE = 1.0  # seconds after a line


class Unstored:
    """Tells ``log`` at most once a second how many there were since, and why the last was refused."""

    __slots__ = ("_log", "_number", "_silent_until")

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._number = 0
        self._silent_until = 0.0

    def tell(self, number: int, where: str, problem: Exception) -> None:
        self._number += number
        now = time.monotonic()
        if now >= self._silent_until:
            self._log.error("%d messages %s could not be stored, the last: %s", self._number, where, problem)
            self._silent_until, self._number = now + SILENCE, 0
