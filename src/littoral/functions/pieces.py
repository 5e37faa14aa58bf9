"""A response that an instance gives in pieces, while it comes.

Owns: who takes it, and that the instance is not read while its reader has enough. ``streaming`` has the takers.
"""

from __future__ import annotations

from collections.abc import Callable

from littoral.functions.outcome import Outcome
from littoral.functions.payload import MAX_RESPONSE
from littoral.functions.streaming import Collected, Taker, too_large


class Pieces:
    def __init__(self, hold: Callable[[], None], go_on: Callable[[], None]) -> None:
        """``hold`` is called when the reader has enough for now, ``go_on`` when it may go on."""
        self.begun = False
        self.taker: Taker | None = None
        self._hold = hold
        self._go_on = go_on

    def begin(self, taker: Taker | None, content_type: str) -> None:
        """``taker``: None where the caller wants one payload."""
        if self.begun:
            return
        self.begun = True
        self.taker = taker or Collected(MAX_RESPONSE)
        self.taker.on_room = self._go_on
        self.taker.begin(content_type)

    def feed(self, data: bytes) -> None:
        if self.begun and self.taker is not None:
            self.taker.feed(data)
            if self.taker.full:
                self._hold()

    def end(self, outcome: Outcome) -> None:
        """Complete the outcome of the event whose response this was."""
        taker, self.begun, self.taker = self.taker, False, None
        assert taker is not None
        self._go_on()  # nothing more comes for that reader, and the next event's answer must not wait for it
        if outcome.kind == "ok":
            outcome.payload = taker.taken()
            if taker.over:
                outcome.kind, outcome.payload = "error", too_large(taker.over)
