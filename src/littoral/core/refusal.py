"""What the operator of a core is told where something cannot be done."""

from __future__ import annotations


class Refused(Exception):
    """What was asked for cannot be; the message says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
