"""One thing's execution of a job, from queued to a terminal state.

Owns: which change is allowed when, versions, timers, retries. Refuses to know: jobs, topics, storage.

::

    QUEUED ──start──▶ IN_PROGRESS ──update──▶ SUCCEEDED │ FAILED │ REJECTED
      │                   │  └──a timer────▶ TIMED_OUT          FAILED and TIMED_OUT may be queued again (retry)
      └──cancel, remove───┴────────────────▶ CANCELED │ REMOVED

Source: https://docs.aws.amazon.com/iot/latest/developerguide/iot-jobs-lifecycle.html and jobs-api.html. Every change
adds one to the version; a caller may say which one it expects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

Json = dict[str, Any]

QUEUED: Final = "QUEUED"
IN_PROGRESS: Final = "IN_PROGRESS"
SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
TIMED_OUT: Final = "TIMED_OUT"
REJECTED: Final = "REJECTED"
REMOVED: Final = "REMOVED"
CANCELED: Final = "CANCELED"
STATUSES: Final = (QUEUED, IN_PROGRESS, SUCCEEDED, FAILED, TIMED_OUT, REJECTED, REMOVED, CANCELED)
PENDING: Final = frozenset((QUEUED, IN_PROGRESS))
SETTABLE: Final = frozenset((IN_PROGRESS, SUCCEEDED, FAILED, REJECTED))  # by the device

MAX_DETAILS: Final = 10
MAX_MINUTES: Final = 10_080  # a week
_KEY: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_VALUE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,1024}")


class JobsError(Exception):
    """``code`` is that of AWS's ErrorResponse: "InvalidRequest", "VersionMismatch", …; ``execution`` the state that was
    found, where the caller is told it."""

    def __init__(self, code: str, message: str, execution: Execution | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.execution = execution


@dataclass(frozen=True, slots=True)
class Execution:
    job: str
    thing: str
    number: int
    status: str
    queued: float
    updated: float
    version: int = 1
    started: float | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    retries: int = 0  # attempts before this one
    forced: bool = False  # cancelled by force
    deadline: float | None = None  # of the in-progress timer
    step_deadline: float | None = None  # of the step timer

    @property
    def pending(self) -> bool:
        return self.status in PENDING

    @property
    def due(self) -> float | None:
        """When a timer ends it."""
        found = [at for at in (self.deadline, self.step_deadline) if at is not None]
        return min(found) if found and self.status == IN_PROGRESS else None

    def state(self) -> Json:
        """As answers carry it: executionState."""
        return {"status": self.status, "statusDetails": dict(self.details), "versionNumber": self.version}

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> Execution:
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Update:
    """What a device asks for. ``step`` in minutes; -1 stops the step timer, None leaves it."""

    status: str
    details: Mapping[str, str] | None = None
    expected: int | None = None
    step: int | None = None
    number: int | None = None


def queued(job: str, thing: str, now: float, *, number: int = 1, retries: int = 0) -> Execution:
    return Execution(job, thing, number, QUEUED, now, now, retries=retries)


def start(
    execution: Execution, now: float, *, minutes: int | None, details: Mapping[str, str] | None, step: int | None
) -> Execution:
    """``minutes`` of the job's in-progress timer. One that is in progress is left as it is. Raises JobsError."""
    check_details(details)
    _check_step(step)
    if execution.status == IN_PROGRESS:
        return execution
    return _begun(execution, now, minutes, details, step)


def _begun(
    execution: Execution, now: float, minutes: int | None, details: Mapping[str, str] | None, step: int | None
) -> Execution:
    return replace(
        _changed(execution, IN_PROGRESS, now, details),
        started=now,
        deadline=None if minutes is None else now + 60 * minutes,
        step_deadline=now + 60 * step if step is not None and step > 0 else None,
    )


def update(execution: Execution, asked: Update, now: float, *, minutes: int | None) -> Execution:
    """Raises JobsError: InvalidRequest, VersionMismatch, InvalidStateTransition, ResourceNotFound."""
    if asked.status not in SETTABLE:
        raise JobsError("InvalidRequest", f"A device cannot set the status {asked.status!r}")
    check_details(asked.details)
    _check_step(asked.step)
    if asked.number not in (None, execution.number):
        raise JobsError("ResourceNotFound", f"There is no execution {asked.number} of this job")
    _check_version(execution, asked.expected)
    if not execution.pending:
        message = f"An execution that is {execution.status} does not become {asked.status}"
        raise JobsError("InvalidStateTransition", message, execution)
    if execution.status == QUEUED and asked.status == IN_PROGRESS:
        return _begun(execution, now, minutes, asked.details, asked.step)
    changed = _changed(execution, asked.status, now, asked.details)
    if asked.status != IN_PROGRESS:
        return changed
    if asked.step is None:
        return changed
    return replace(changed, step_deadline=now + 60 * asked.step if asked.step > 0 else None)


def cancel(
    execution: Execution,
    now: float,
    *,
    force: bool,
    expected: int | None = None,
    details: Mapping[str, str] | None = None,
) -> Execution:
    """One that is in progress only by force. Raises JobsError."""
    check_details(details)
    _check_version(execution, expected)
    if not execution.pending or (execution.status == IN_PROGRESS and not force):
        raise JobsError(
            "InvalidStateTransition", f"An execution that is {execution.status} is not cancelled", execution
        )
    return replace(_changed(execution, CANCELED, now, details), forced=force)


def remove(execution: Execution, now: float) -> Execution:
    """The thing is gone, or has left the job's target."""
    return _changed(execution, REMOVED, now, None) if execution.pending else execution


def time_out(execution: Execution, now: float) -> Execution:
    """TIMED_OUT where a timer has ended."""
    due = execution.due
    return _changed(execution, TIMED_OUT, now, None) if due is not None and due <= now else execution


def again(execution: Execution, retries: Mapping[str, int], now: float) -> Execution:
    """Queued anew where it failed and may be tried again. ``retries``: how often, by "FAILED", "TIMED_OUT", "ALL"."""
    if execution.status not in (FAILED, TIMED_OUT):
        return execution
    most = max(retries.get(execution.status, 0), retries.get("ALL", 0))
    if execution.retries >= most:
        return execution
    return queued(execution.job, execution.thing, now, number=execution.number + 1, retries=execution.retries + 1)


def seconds_left(execution: Execution, now: float) -> int | None:
    """approximateSecondsBeforeTimedOut."""
    return None if execution.due is None else max(0, int(execution.due - now))


def check_details(details: Mapping[str, str] | None) -> None:
    """Raises JobsError InvalidRequest."""
    if details is None:
        return
    if len(details) > MAX_DETAILS:
        raise JobsError("InvalidRequest", f"statusDetails hold at most {MAX_DETAILS} pairs")
    for key, value in details.items():
        if not isinstance(value, str) or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise JobsError("InvalidRequest", f"statusDetails: {key[:128]!r} or its value is not valid")


def _check_step(step: int | None) -> None:
    if step is not None and step != -1 and not 1 <= step <= MAX_MINUTES:
        raise JobsError("InvalidRequest", f"stepTimeoutInMinutes is from 1 to {MAX_MINUTES}, or -1")


def _check_version(execution: Execution, expected: int | None) -> None:
    if expected not in (None, execution.version):
        raise JobsError("VersionMismatch", f"Expected version {expected}, found version {execution.version}", execution)


def _changed(execution: Execution, status: str, now: float, details: Mapping[str, str] | None) -> Execution:
    timers = execution if status == IN_PROGRESS else replace(execution, deadline=None, step_deadline=None)
    kept = execution.details if details is None else dict(details)
    return replace(timers, status=status, updated=now, version=execution.version + 1, details=kept)
