"""The states of one component and what follows from what. Sans-IO: events and time in, the step to run out.

::

    NEW ─install→ INSTALLED ─start→ STARTING → RUNNING ─ends well→ FINISHED
                                       │          │
                                       └─ ERRORED ┘ ─recover→ again, or BROKEN at the third error within an hour

A component with ``run`` is RUNNING once its program has begun (or says ERRORED), one with ``startup`` once that has
ended well or says so. Source: "Develop Greengrass components, component lifecycle" in the guide.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Literal

State = Literal["NEW", "INSTALLED", "STARTING", "RUNNING", "STOPPING", "ERRORED", "BROKEN", "FINISHED"]
MOST_ERRORS, WITHIN = 3, 3600.0


class Lifecycle:
    """``next`` says which step is to be run now, None for none. Tell ``began`` when it runs, ``ended`` when no more."""

    def __init__(self, steps: Collection[str], *, installed: bool = False) -> None:
        self.state: State = "INSTALLED" if installed else "NEW"
        self.wanted = False  # to run
        self._steps = steps
        self._main = "run" if "run" in steps else "startup"
        self._errors: deque[float] = deque(maxlen=MOST_ERRORS)
        self._failed_at: State = "NEW"  # the state to go on from after an error
        self._recovered = True

    def next(self) -> str | None:
        """The step that is due: ``install``, ``run``, ``startup``, ``recover`` or ``shutdown``."""
        if self.state == "ERRORED":
            if not self._recovered and "recover" in self._steps:
                return "recover"
            self.state, self._recovered = self._failed_at, True
        if self.state == "NEW":
            if "install" in self._steps:
                return "install"
            self.state = "INSTALLED"
        if self.state == "INSTALLED" and self.wanted:
            if self._main in self._steps:
                return self._main
            self.state = "FINISHED"
        return None

    def began(self, step: str) -> None:
        if step == "run":
            self.state = "RUNNING"
        elif step == "startup":
            self.state = "STARTING"

    def reported(self, state: Literal["RUNNING", "ERRORED"], now: float) -> None:
        """The component's own word for it. What says ERRORED is to be ended by the caller."""
        if state == "RUNNING" and self.state == "STARTING":
            self.state = "RUNNING"
        elif state == "ERRORED" and self.state in ("STARTING", "RUNNING"):
            self._error("INSTALLED", now)

    def ended(self, step: str, *, well: bool, now: float) -> None:
        """The step's program has ended; not well: with another status than 0, or it was too slow."""
        if step == "recover":
            self._recovered = True
        elif step == "install":
            if well:
                self.state = "INSTALLED"
            else:
                self._error("NEW", now)
        elif self.state in ("STARTING", "RUNNING"):
            if not well:
                self._error("INSTALLED", now)
            elif step == "run":
                self.state = "FINISHED"
            else:
                self.state = "RUNNING"

    def stopping(self) -> bool:
        """It is to run no longer; whether there is anything to be ended."""
        self.wanted = False
        if self.state in ("STARTING", "RUNNING"):
            self.state = "STOPPING"
            return True
        return False

    def stopped(self) -> None:
        if self.state == "STOPPING":
            self.state = "FINISHED"

    def restart(self) -> None:
        """Start again, with a clean record."""
        self._errors.clear()
        self._recovered = True
        if self.state in ("FINISHED", "BROKEN", "ERRORED"):
            self.state = "INSTALLED" if self._failed_at == "INSTALLED" or self.state == "FINISHED" else "NEW"
        self.wanted = True

    def _error(self, back_to: State, now: float) -> None:
        self._errors.append(now)
        self._failed_at, self._recovered = back_to, False
        often = len(self._errors) == MOST_ERRORS and now - self._errors[0] <= WITHIN
        self.state = "BROKEN" if often else "ERRORED"
