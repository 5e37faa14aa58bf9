"""Object Lock: who may not remove or loosen what, and until when. Pure. ("Locking objects with Object Lock" of the S3
user guide)

A version is held by its *retention* (a mode and a date) and by a *legal hold*, each for itself. GOVERNANCE gives way
to who says so (``bypass``), COMPLIANCE to nobody, a hold to nobody as long as it is on. A delete marker hides what is
locked and removes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from littoral.aws.service import ServiceError
from littoral.objects.errors import error, invalid_argument, malformed, not_implemented

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
DAY = 86_400.0
MOST = {"Days": 36_500, "Years": 100}  # of a bucket's default


@dataclass(frozen=True, slots=True)
class Lock:
    """``until`` in Unix seconds, with ``mode`` or neither. ``hold`` is None where nobody ever set one."""

    mode: str | None = None
    until: float | None = None
    hold: bool | None = None

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    def members(self) -> dict[str, Any]:
        """For GetObject and HeadObject."""
        told: dict[str, Any] = {}
        if self.mode is not None:
            told = {"ObjectLockMode": self.mode, "ObjectLockRetainUntilDate": self.until}
        return told if self.hold is None else told | {"ObjectLockLegalHoldStatus": "ON" if self.hold else "OFF"}

    def retains(self, now: float) -> bool:
        return self.until is not None and self.until > now

    def check_removal(self, now: float, *, bypass: bool) -> None:
        """Raises AccessDenied."""
        if self.hold or (self.retains(now) and not (bypass and self.mode == GOVERNANCE)):
            raise _protected()

    def retained(self, mode: str | None, until: float | None, now: float, *, bypass: bool) -> Lock:
        """With another retention; a longer one is always good. Raises AccessDenied."""
        longer = until is not None and self.until is not None and until >= self.until
        same = mode == self.mode
        if self.retains(now) and not (longer and same) and not (bypass and self.mode == GOVERNANCE):
            raise _protected()
        return replace(self, mode=mode, until=until)


OPEN = Lock()


def load_lock(text: str | None) -> Lock:
    return Lock(**json.loads(text)) if text else OPEN


def lock_of(mode: str | None, until: datetime | None, hold: str | None, now: float) -> Lock | None:
    """What a write asks for; None where it asks for nothing. Raises InvalidArgument."""
    if mode is None and until is None and hold is None:
        return None
    if (mode is None) != (until is None):
        message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
        raise error("InvalidArgument", message)
    if mode not in (None, GOVERNANCE, COMPLIANCE):
        raise invalid_argument("Unknown wormMode directive.", "x-amz-object-lock-mode", mode)
    if hold not in (None, "ON", "OFF"):
        raise invalid_argument("Legal Hold must be either of 'ON' or 'OFF'", "x-amz-object-lock-legal-hold", hold)
    return Lock(mode, _in_future(until, now), None if hold is None else hold == "ON")


def retention_of(given: Mapping[str, Any], now: float) -> tuple[str | None, float | None]:
    """Mode and date of a Retention document; an empty one ends it. Raises MalformedXML, InvalidArgument,
    NotImplemented."""
    mode, until = given.get("Mode"), given.get("RetainUntilDate")
    _hold_for_no_event(given, "EventHold", "EventHoldDuration")
    if mode is None and until is None:
        return None, None
    if mode not in (GOVERNANCE, COMPLIANCE) or until is None:
        raise malformed()
    return mode, _in_future(until, now)


def rule_of(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The checked ObjectLockConfiguration. Raises MalformedXML, InvalidArgument, NotImplemented."""
    if configuration.get("ObjectLockEnabled") != "Enabled":
        raise malformed()
    rule = configuration.get("Rule")
    if rule is None:
        return {"ObjectLockEnabled": "Enabled"}
    default = rule.get("DefaultRetention") or {}
    _hold_for_no_event(default, "DefaultEventHold")
    lengths = {unit: default[unit] for unit in MOST if default.get(unit) is not None}
    if default.get("Mode") not in (GOVERNANCE, COMPLIANCE) or len(lengths) != 1:
        raise malformed()
    ((unit, length),) = lengths.items()
    if not 1 <= length <= MOST[unit]:
        raise ServiceError("InvalidRetentionPeriod", "Default retention period must be a positive integer value")
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": default["Mode"], unit: length}}}


def locked_at_write(asked: Lock | None, configuration: str | None, now: float) -> Lock | None:
    """What a new version begins with: what the write asks for, and the bucket's default where it asks for no retention.
    ``configuration`` is the bucket's, as kept; None where it has no Object Lock. Raises InvalidRequest."""
    if configuration is None:
        if asked is not None:
            raise no_lock_configuration()
        return None
    default = (json.loads(configuration).get("Rule") or {}).get("DefaultRetention")
    if default is None or (asked is not None and asked.mode is not None):
        return asked
    begun = datetime.fromtimestamp(now, UTC)
    until = now + default["Days"] * DAY if "Days" in default else _years_on(begun, default["Years"]).timestamp()
    return replace(asked or OPEN, mode=default["Mode"], until=until)


def no_lock_configuration() -> ServiceError:
    return error("InvalidRequest", "Bucket is missing Object Lock Configuration")


def _hold_for_no_event(given: Mapping[str, Any], *names: str) -> None:
    """A version that is held until something happens would have to be held: what asks for it is not left out."""
    for name in names:
        if name in given:
            raise not_implemented(f"Object Lock: the field {name} is not implemented here.")


def _years_on(begun: datetime, years: int) -> datetime:
    """The 29th of February becomes the 28th."""
    day = 28 if (begun.month, begun.day) == (2, 29) else begun.day
    return begun.replace(year=begun.year + years, day=day)


def _in_future(until: datetime | None, now: float) -> float | None:
    if until is not None and until.timestamp() <= now:
        raise invalid_argument("The retain until date must be in the future!", "RetainUntilDate", until.isoformat())
    return None if until is None else until.timestamp()


def _protected() -> ServiceError:
    return error("AccessDenied", "Access Denied because object protected by object lock.")
