"""Lifecycle rules: a bucket's configuration checked, and what of a key is due to go. Pure. ("Managing the lifecycle of
objects" of the S3 user guide)

A day ends at midnight UTC (``days``): what is to live N days goes at the first midnight that is N whole days or more
after it was written (or, for a version that is no longer current, after the next one came).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from littoral.objects import transitions
from littoral.objects.days import DAY, midnight
from littoral.objects.errors import error, invalid_argument, malformed
from littoral.objects.facts import PLAIN_CLASS, Tags
from littoral.objects.transitions import SMALLEST, Transition, coldest
from littoral.objects.versions import Removal

MOST_RULES = 1000
ACTIONS = (
    *("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"),
    *("Transitions", "NoncurrentVersionTransitions"),
)


@dataclass(frozen=True, slots=True)
class Held:
    """A version of a key, as the index has it. ``retired`` is when it ceased to be the current one."""

    version: str
    modified: float
    size: int
    tags: Tags
    marker: bool
    retired: float | None
    storage_class: str = PLAIN_CLASS


@dataclass(frozen=True, slots=True)
class Rule:
    prefix: str = ""
    tags: frozenset[tuple[str, str]] = frozenset()
    larger: int | None = None
    smaller: int | None = None
    days: int | None = None
    date: float | None = None
    lone_markers: bool = False
    noncurrent_days: int | None = None
    kept_noncurrent: int = 0
    abort_days: int | None = None
    id: str = ""
    transitions: tuple[Transition, ...] = ()
    noncurrent_transitions: tuple[Transition, ...] = ()

    def fits(self, held: Held) -> bool:
        large = self.larger is None or held.size > self.larger
        small = self.smaller is None or held.size < self.smaller
        return self.tags <= set(held.tags) and (held.marker or (large and small))

    def expires(self, held: Held, now: float) -> bool:
        at = self.expiry(held)
        return at is not None and now >= at

    def expiry(self, held: Held) -> float | None:
        """When an object that it fits goes; None where it says nothing of current objects."""
        if self.date is not None:
            return self.date
        return None if self.days is None else midnight(held.modified, self.days)

    def retires(self, held: Held, newer: int, now: float) -> bool:
        """``newer`` is how many versions that are not current, either, came after it."""
        if self.noncurrent_days is None or held.retired is None or newer < self.kept_noncurrent:
            return False
        return now >= midnight(held.retired, self.noncurrent_days)


def due(rules: Sequence[Rule], key: str, versions: Sequence[Held], now: float) -> Iterator[Removal]:
    """What of a key (its versions, the newest first) is to be removed by the rules whose prefix it has."""
    newest, older = versions[0], versions[1:]
    for rule in rules:
        if newest.marker:
            if rule.lone_markers and not older:
                yield Removal(key, newest.version)
                break
        elif rule.fits(newest) and rule.expires(newest, now):
            yield Removal(key, None, _unchanged(newest))
            break
    for place, held in enumerate(older):
        if any(rule.fits(held) and rule.retires(held, place, now) for rule in rules):
            yield Removal(key, held.version, older=True)


def changed(rules: Sequence[Rule], versions: Sequence[Held], now: float) -> Iterator[tuple[int, str]]:
    """Which of a key's versions (by their place, the newest first) come into another class, and which it is."""
    for place, held in enumerate(versions):
        found: list[str] = []
        for rule in [] if held.marker else rules:
            sizes = rule.larger is not None or rule.smaller is not None
            if rule.fits(held) and (sizes or held.size >= SMALLEST):
                found += _due_classes(rule, held, place, now)
        chosen = coldest(found, held.storage_class)
        if chosen is not None:
            yield place, chosen


def _due_classes(rule: Rule, held: Held, place: int, now: float) -> list[str]:
    if place == 0:
        return [each.storage_class for each in rule.transitions if each.due(held.modified, now)]
    since = held.modified if held.retired is None else held.retired
    older = [each for each in rule.noncurrent_transitions if place - 1 >= each.kept_newer]
    return [each.storage_class for each in older if each.due(since, now)]


def expiration(rules: str | None, key: str, modified: float, size: int, tags: Tags) -> dict[str, str]:
    """What answers tell of when a current object goes, by the rules as they are kept (x-amz-expiration)."""
    if rules is None:
        return {}
    held = Held("", modified, size, tags, marker=False, retired=None)
    fitting = [rule for rule in rules_of(rules) if key.startswith(rule.prefix) and rule.fits(held)]
    found = [(at, rule.id) for rule in fitting if (at := rule.expiry(held)) is not None]
    if not found:
        return {}
    at, name = min(found)
    return {"Expiration": f'expiry-date="{formatdate(at, usegmt=True)}", rule-id="{quote(name)}"'}


def aborts(rules: Sequence[Rule], initiated: float, now: float) -> bool:
    return any(rule.abort_days is not None and now >= midnight(initiated, rule.abort_days) for rule in rules)


def checked(configuration: Mapping[str, Any]) -> str:
    """The rules as they are kept. Raises MalformedXML, InvalidArgument, InvalidRequest, NotImplemented."""
    given = configuration.get("Rules") or []
    if not 1 <= len(given) <= MOST_RULES:
        raise malformed()
    kept = [_kept(rule) for rule in given]
    if len({rule["ID"] for rule in kept}) != len(kept):
        raise error("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule")
    return json.dumps(kept)


@lru_cache(maxsize=1024)
def rules_of(text: str) -> tuple[Rule, ...]:
    """Those that are enabled."""
    return tuple(_rule(each) for each in json.loads(text) if each["Status"] == "Enabled")


def _kept(given: Mapping[str, Any]) -> dict[str, Any]:
    rule = dict(given)
    rule["ID"] = rule.get("ID") or secrets.token_hex(16)
    if len(rule["ID"]) > 255:
        raise invalid_argument("ID length should not exceed allowed limit of 255", "ID", rule["ID"])
    if rule.get("Status") not in ("Enabled", "Disabled"):
        raise malformed()
    if ("Filter" in rule) == ("Prefix" in rule):
        raise malformed()
    if not any(rule.get(name) for name in ACTIONS):
        raise error("InvalidRequest", "At least one action needs to be specified in a rule")
    expiration = dict(rule.get("Expiration") or {})
    if expiration:
        rule["Expiration"] = _checked_expiration(expiration)
    _positive(rule.get("NoncurrentVersionExpiration") or {}, "NoncurrentDays", "NewerNoncurrentVersions")
    _positive(rule.get("AbortIncompleteMultipartUpload") or {}, "DaysAfterInitiation")
    _check_filter(rule.get("Filter") or {}, expiration, rule)
    return transitions.checked(rule)


def _checked_expiration(expiration: dict[str, Any]) -> dict[str, Any]:
    if len([name for name in ("Days", "Date", "ExpiredObjectDeleteMarker") if name in expiration]) != 1:
        raise malformed()
    _positive(expiration, "Days")
    if (date := expiration.get("Date")) is not None:
        expiration["Date"] = date.timestamp()
        if expiration["Date"] % DAY:
            raise error("InvalidArgument", "'Date' must be at midnight GMT")
    return expiration


def _positive(action: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if name in action and action[name] < 1:
            raise error("InvalidArgument", f"'{name}' must be a positive integer")


def _check_filter(chosen: Mapping[str, Any], expiration: Mapping[str, Any], rule: Mapping[str, Any]) -> None:
    several = chosen.get("And")
    if len(chosen) > 1 or (several is not None and len(_terms(several)) < 2):
        raise malformed()
    tagged = "Tag" in chosen or bool((several or {}).get("Tags"))
    if tagged and (rule.get("AbortIncompleteMultipartUpload") or "ExpiredObjectDeleteMarker" in expiration):
        raise error("InvalidRequest", "A rule with tags neither aborts uploads nor removes delete markers")


def _terms(several: Mapping[str, Any]) -> list[Any]:
    sizes = [each for each in ("Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan") if each in several]
    return [*sizes, *(several.get("Tags") or [])]


def _rule(kept: Mapping[str, Any]) -> Rule:
    chosen = kept.get("Filter") or {}
    terms = chosen.get("And") or chosen
    tags = [*(terms.get("Tags") or []), *([chosen["Tag"]] if "Tag" in chosen else [])]
    expiration, retirement = kept.get("Expiration") or {}, kept.get("NoncurrentVersionExpiration") or {}
    return Rule(
        terms.get("Prefix") or kept.get("Prefix") or "",
        frozenset((tag["Key"], tag["Value"]) for tag in tags),
        terms.get("ObjectSizeGreaterThan"),
        terms.get("ObjectSizeLessThan"),
        expiration.get("Days"),
        expiration.get("Date"),
        bool(expiration.get("ExpiredObjectDeleteMarker")),
        retirement.get("NoncurrentDays"),
        retirement.get("NewerNoncurrentVersions", 0),
        (kept.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation"),
        kept["ID"],
        transitions.transitions_of(kept),
        transitions.noncurrent_of(kept),
    )


def _unchanged(seen: Held) -> Any:
    """An object that was written again meanwhile is another one."""

    def check(_etag: str, _size: int, modified: float) -> None:
        if modified != seen.modified:
            raise error("PreconditionFailed", "The object was written again")

    return check
