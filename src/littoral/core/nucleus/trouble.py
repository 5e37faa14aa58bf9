"""Why a component is ERRORED or BROKEN: a code of AWS's and a sentence. Pure.

Source of the codes: "Detailed component status codes" in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from littoral.core.recipe import BadComponent

CODED = {"install": "INSTALL", "startup": "STARTUP", "run": "RUN", "shutdown": "SHUTDOWN"}  # others have no codes


@dataclass(frozen=True, slots=True)
class Trouble:
    code: str  # "": AWS has none
    reason: str


def ended(step: str, status: int) -> Trouble:
    """``status`` as ``subprocess`` has it."""
    how = f"ended with {status}" if status > 0 else f"was ended by {_signal(-status)}"
    return _trouble(step, "ERROR", how)


def too_slow(step: str, seconds: float | None) -> Trouble:
    return _trouble(step, "TIMEOUT", f"took longer than {seconds or 0:g} s")


def not_begun(step: str, problem: OSError | BadComponent) -> Trouble:
    """Its program could not be started, or its recipe does not say how."""
    kind = "IO_ERROR" if isinstance(problem, OSError) else "CONFIG_NOT_VALID"
    return _trouble(step, kind, f"cannot be run: {problem}")


def reported(step: str) -> Trouble:
    return Trouble(f"{CODED[step]}_ERROR", "the component itself reported an error")


def of_function(why: str) -> Trouble:
    """A long-lived function that does not begin, or none of whose code is here."""
    return Trouble("STARTUP_ERROR", why)


def _trouble(step: str, kind: str, how: str) -> Trouble:
    return Trouble(f"{CODED[step]}_{kind}" if step in CODED else "", f"{step} {how}")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
