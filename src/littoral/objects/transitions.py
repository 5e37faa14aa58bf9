"""Transitions of lifecycle rules: which class a version goes to, and when; what of a configuration is refused. Pure.

A class is but a word here (``cold``): nothing is moved, and what comes to lie in an archive is read after it is
restored. ("Transitioning objects using Amazon S3 Lifecycle" of the S3 user guide)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from littoral.objects.days import DAY, midnight
from littoral.objects.errors import error, invalid_argument, malformed

# A version goes down these steps, never up.
STEPS = (
    *("STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA"),
    *("GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"),
)
LEAST_DAYS = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
SMALLEST = 128 * 1024  # bytes of what changes its class, where a rule's filter says nothing of sizes


@dataclass(frozen=True, slots=True)
class Transition:
    storage_class: str
    days: int | None = None
    date: float | None = None
    kept_newer: int = 0  # of versions that are not current: so many stay as they are

    def due(self, since: float, now: float) -> bool:
        return now >= (self.date if self.date is not None else midnight(since, self.days or 0))


def coldest(found: Sequence[str], held: str) -> str | None:
    """Of the classes that are due the last one, where it is below the class that a version has."""
    steps = [STEPS.index(each) for each in found]
    last = max(steps, default=0)
    return STEPS[last] if held in STEPS and last > STEPS.index(held) else None


def transitions_of(kept: Mapping[str, Any]) -> tuple[Transition, ...]:
    return tuple(
        Transition(each["StorageClass"], each.get("Days"), each.get("Date")) for each in kept.get("Transitions") or []
    )


def noncurrent_of(kept: Mapping[str, Any]) -> tuple[Transition, ...]:
    return tuple(
        Transition(each["StorageClass"], each["NoncurrentDays"], None, each.get("NewerNoncurrentVersions", 0))
        for each in kept.get("NoncurrentVersionTransitions") or []
    )


def checked(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule with its transitions as they are kept; its expiration is checked. Raises InvalidArgument, InvalidRequest,
    MalformedXML."""
    current = [_current(each) for each in rule.get("Transitions") or []]
    older = [_older(each) for each in rule.get("NoncurrentVersionTransitions") or []]
    for name, each in (("Transition", current), ("NoncurrentVersionTransition", older)):
        if len({one["StorageClass"] for one in each}) != len(each):
            raise error("InvalidRequest", f"'StorageClass' must be different for '{name}' actions in the same rule")
    _check_order(current, rule.get("Expiration") or {}, "Days", "Transition", "Expiration")
    retirement = rule.get("NoncurrentVersionExpiration") or {}
    _check_order(older, retirement, "NoncurrentDays", "NoncurrentVersionTransition", "NoncurrentVersionExpiration")
    return {
        **rule,
        **({"Transitions": current} if current else {}),
        **({"NoncurrentVersionTransitions": older} if older else {}),
    }


def _current(given: Mapping[str, Any]) -> dict[str, Any]:
    each = dict(given)
    if ("Days" in each) == ("Date" in each):
        raise malformed()
    if "Date" in each:
        each["Date"] = each["Date"].timestamp()
        if each["Date"] % DAY:
            raise error("InvalidArgument", "'Date' must be at midnight GMT")
    _check_class(each, each.get("Days"), "Days", "Transition")
    return each


def _older(given: Mapping[str, Any]) -> dict[str, Any]:
    if "NoncurrentDays" not in given:
        raise malformed()
    if given.get("NewerNoncurrentVersions", 1) < 1:
        raise error("InvalidArgument", "'NewerNoncurrentVersions' must be a positive integer")
    _check_class(given, given["NoncurrentDays"], "NoncurrentDays", "NoncurrentVersionTransition")
    return dict(given)


def _check_class(given: Mapping[str, Any], days: int | None, name: str, action: str) -> None:
    chosen = given.get("StorageClass")
    if chosen not in STEPS[1:]:
        raise malformed() if chosen is None else invalid_argument("Not a class to go to", "StorageClass", chosen)
    least = LEAST_DAYS.get(chosen, 0)
    if days is not None and days < least:
        message = f"'{name}' in {action} action must be greater than or equal to {least} for storageClass '{chosen}'"
        raise error("InvalidArgument", message)


def _check_order(
    transitions: Sequence[Mapping[str, Any]], end: Mapping[str, Any], name: str, action: str, ending: str
) -> None:
    """What goes goes after it has changed its class for the last time."""
    if "Date" in end and any("Days" in each for each in transitions):
        raise error("InvalidRequest", f"Found mixed 'Date' and 'Days' based {ending} and {action} actions in a rule")
    if name not in end:
        return
    if any("Date" in each for each in transitions):
        raise error("InvalidRequest", f"Found mixed 'Date' and 'Days' based {ending} and {action} actions in a rule")
    if any(each[name] >= end[name] for each in transitions):
        message = f"'{name}' in the {ending} action must be greater than '{name}' in the {action} action"
        raise error("InvalidArgument", message)
