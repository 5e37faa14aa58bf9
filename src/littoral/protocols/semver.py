"""Semantic versions and npm's version ranges, as Greengrass takes them in ``VersionRequirement``.

======================  ========================================
``1.2.3``, ``=1.2.3``   that version
``>=1.0.0 <2.0.0``      both; spaces or commas between
``^1.2``                >=1.2.0 <2.0.0 (``^0.2``: <0.3.0)
``~1.2``                >=1.2.0 <1.3.0 (``~1``: <2.0.0)
``1.x``, ``*``          any that begins so
``1.2 - 2.0``           >=1.2.0 <2.1.0
``a || b``              one or the other
======================  ========================================

A pre-release is only taken where a comparator names one of the same major.minor.patch, as npm has it.
Sources: semver.org 2.0.0, section 11; "Ranges" of npm's semver.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

_PRE = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-({_PRE}))?(?:\+[0-9A-Za-z.-]+)?")
_PART = r"0|[1-9]\d{0,15}|[xX*]"
_PARTIAL = rf"[v=]*({_PART})(?:\.({_PART})(?:\.({_PART})(?:-({_PRE}))?(?:\+[0-9A-Za-z.-]+)?)?)?"
_COMPARATOR = re.compile(rf"(\^|~>?|>=|<=|>|<|==?)?\s*{_PARTIAL}")
_HYPHEN = re.compile(rf"({_PARTIAL})\s+-\s+({_PARTIAL})")
MOST = 1000  # characters of a requirement

Identifier = tuple[int, int, str]


class BadVersion(ValueError):
    """Neither a version nor a range."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Sorts as semantic versions do: a pre-release before its release, numbers as numbers."""

    major: int
    minor: int
    patch: int
    release: int = 1  # 0 for a pre-release
    pre: tuple[Identifier, ...] = ()

    @property
    def triple(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch


def parse(text: str) -> Version:
    """Raises BadVersion."""
    found = _VERSION.fullmatch(text)
    if found is None:
        raise BadVersion(f"{text!r} is no semantic version, major.minor.patch")
    major, minor, patch, pre = found.groups()
    return _version([int(major), int(minor), int(patch)], pre)


def satisfies(version: str, requirement: str) -> bool:
    """Raises BadVersion for what is no version or no range."""
    found = parse(version)
    return any(_holds(found, comparators) for comparators in ranges(requirement))


@dataclass(frozen=True, slots=True)
class Comparator:
    operator: str  # >=, <=, >, <, =
    bound: Version


@lru_cache(maxsize=1024)
def ranges(requirement: str) -> tuple[tuple[Comparator, ...], ...]:
    """One of these must hold, and of it every comparator. Raises BadVersion."""
    if len(requirement) > MOST:
        raise BadVersion(f"a version requirement has at most {MOST} characters")
    return tuple(_range(each.strip(), requirement) for each in requirement.split("||"))


def lowest(requirements: Iterable[str]) -> str | None:
    """The lowest release that satisfies all; None where none does. Raises BadVersion."""
    wanted = [ranges(each) for each in requirements]
    found = {Version(0, 0, 0)}
    for comparator in (each for alternatives in wanted for comparators in alternatives for each in comparators):
        major, minor, patch = comparator.bound.triple
        found |= {Version(major, minor, patch), Version(major, minor, patch + 1)}
    suiting = (each for each in sorted(found) if all(any(_holds(each, one) for one in every) for every in wanted))
    return next((".".join(map(str, each.triple)) for each in suiting), None)


def _range(text: str, whole: str) -> tuple[Comparator, ...]:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen is not None:
        low, high = hyphen[1], hyphen[6]
        return (*_comparators(f">={low}"), *_comparators(f"<={high}"))
    rest, found = text.replace(",", " ").strip(), []
    while rest:
        match = _COMPARATOR.match(rest)
        if match is None or (match.end() < len(rest) and rest[match.end()] not in " <>=^~"):
            raise BadVersion(f"{whole!r} is no version requirement like '>=1.0.0 <2.0.0', '^1.2' or '1.x'")
        found += _comparators(match[0])
        rest = rest[match.end() :].strip()
    return tuple(found)


def _comparators(text: str) -> list[Comparator]:
    """What one term of a range comes to; nothing where it takes all."""
    match = _COMPARATOR.fullmatch(text)
    assert match is not None
    operator, *parts, pre = match.groups()
    given = [part for part in parts if part is not None]
    numbers = [int(part) for part in itertools.takewhile(str.isdigit, given)]
    if any(map(str.isdigit, given[len(numbers) :])) or (pre and len(numbers) < 3):
        raise BadVersion(f"{text!r}: after an x comes nothing but x")
    if not numbers:  # any, or with < and > none
        return [Comparator("<", _version([0], "0"))] if operator in ("<", ">") else []
    low = _version(numbers, pre)
    exact = len(numbers) == 3
    if operator in ("^", "~", "~>") or (operator in (None, "=", "==") and not exact):
        return [Comparator(">=", low), Comparator("<", _above(operator, numbers))]
    if operator in (None, "=", "=="):
        return [Comparator("=", low)]
    if not exact and operator == ">":  # beyond all that begin so
        return [Comparator(">=", replace(_above(None, numbers), release=1, pre=()))]
    if not exact and operator == "<=":
        return [Comparator("<", _above(None, numbers))]
    if not exact and operator == "<":
        return [Comparator("<", _version(numbers, "0"))]
    return [Comparator(operator, low)]


def _above(operator: str | None, numbers: list[int]) -> Version:
    """The first version that is too new, before all of its pre-releases."""
    if operator == "^":
        leading = next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)
    elif operator in ("~", "~>"):
        leading = min(1, len(numbers) - 1)
    else:
        leading = len(numbers) - 1
    return _version([*numbers[:leading], numbers[leading] + 1], "0")


def _holds(version: Version, comparators: tuple[Comparator, ...]) -> bool:
    if not all(_compares(version, each) for each in comparators):
        return False
    named = {each.bound.triple for each in comparators if not each.bound.release}
    return bool(version.release) or version.triple in named


def _compares(version: Version, comparator: Comparator) -> bool:
    bound = comparator.bound
    match comparator.operator:
        case ">=":
            return version >= bound
        case "<=":
            return version <= bound
        case ">":
            return version > bound
        case "<":
            return version < bound
    return version == bound


def _version(numbers: list[int], pre: str | None) -> Version:
    major, minor, patch = [*numbers, 0, 0][:3]
    if pre is None:
        return Version(major, minor, patch)
    parts = tuple((0, int(each), "") if each.isdigit() else (1, 0, each) for each in pre.split("."))
    return Version(major, minor, patch, 0, parts)
