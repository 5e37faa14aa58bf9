"""One event of an instance, and what its instance promises: the words that pass between who asks and who answers."""

from __future__ import annotations

from typing import Protocol

from littoral.functions.outcome import Outcome
from littoral.functions.streaming import Taker


class InitFailed(Exception):
    """The handler could not be loaded. ``payload`` is the error object."""

    def __init__(self, payload: bytes, *, words: str | None = None, kind: str | None = None) -> None:
        super().__init__(payload.decode("utf-8", "replace")[:500])
        self.payload = payload
        self.words = words  # how the process ended when it gave no error object itself
        self.kind = kind  # the platform's own error type, ``words`` being its message


class Turn(Protocol):
    """One event of an instance, and who is told what becomes of it. Nothing here raises."""

    request_id: str
    context: bytes
    trace: str  # the X-Ray header that came with it
    group: str  # of its log, "" for the version's own
    payload: bytes
    about: bytes  # timeout, ARN, context, trace and group as they stand in its frame
    taker: Taker | None  # gets a response that the handler streams; without one the outcome's payload is all of it

    @property
    def timeout(self) -> float:
        """Seconds."""

    @property
    def arn(self) -> str: ...

    def begins(self) -> None:
        """It is under way: no other is before it."""

    def printed(self, data: bytes) -> None: ...

    def tell(self) -> None:
        """Have it in the log that it has begun."""

    def concluded(self, outcome: Outcome) -> None:
        """``outcome`` says whether the instance may be used again."""

    def returned(self) -> None:
        """The instance did not begin it and will not."""
