"""Keeping one shadow the same on two sides, the core's and the place's above: what is to be written where. Pure.

Owns: the three-way merge by what was last the same (the *base*), AWS's rule of conflicts, directions, deletions, and
what is known after a crash. Refuses to know: where shadows are kept, how they are asked for, when.

The way of one reconciling: read both sides, ``plan``, keep what the plan says is pending, write above, write here (each
only if its version is still the one that was read), keep ``Plan.goal`` as the new base. Killed anywhere between, the
next plan knows by the pending one what may have been written already: a side that moved on is held against what was
read *and* what was meant to be written, so that our own writing is not taken for a change by others.

=================  =========================================================================================
changed since the base   outcome
=================  =========================================================================================
one side           that side's value goes to the other
both, differently  ``aws``: above wins in ``desired``, here in ``reported``; ``cloud``, ``device``: that side wins
deleted / changed  the change holds, and makes the shadow again
deleted / not      deleted on both
=================  =========================================================================================

Objects are merged name by name, everything else as a whole. Source: "Shadow merge conflict behavior" in the AWS IoT
Greengrass V2 guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from littoral.protocols.shadow import SECTIONS, same

Json = Any
State = Mapping[str, Mapping[str, Json]]
"""Sections by name; those that are empty are absent."""

Rule = Literal["aws", "cloud", "device"]
Direction = Literal["betweenDeviceAndCloud", "deviceToCloud", "cloudToDevice"]
RULES: Final = ("aws", "cloud", "device")
DIRECTIONS: Final = ("betweenDeviceAndCloud", "deviceToCloud", "cloudToDevice")


@dataclass(frozen=True, slots=True)
class Side:
    """A shadow as it was read. ``state`` None: there is none, and the version says nothing."""

    state: State | None = None
    version: int = 0

    def to_json(self) -> Json:
        return [self.state, self.version]

    @classmethod
    def from_json(cls, found: Json) -> Side:
        return cls(*found)


@dataclass(frozen=True, slots=True)
class Pending:
    """What a plan was made of and for; whether it was carried out is not known. ``goals``: the plan's is the last;
    before it those of earlier plans that were sent above for the same version and may still arrive."""

    here: Side
    above: Side
    goals: tuple[State | None, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of one shadow's synchronising. ``here`` and ``above`` are the versions that the base had."""

    base: State | None = None
    here: int = 0
    above: int = 0
    pending: Pending | None = None

    def to_json(self) -> Json:
        pending = self.pending
        kept = pending and [pending.here.to_json(), pending.above.to_json(), list(pending.goals)]
        return {"base": self.base, "here": self.here, "above": self.above, "pending": kept}

    @classmethod
    def from_json(cls, found: Json) -> Record:
        kept = found["pending"]
        pending = kept and Pending(Side.from_json(kept[0]), Side.from_json(kept[1]), tuple(kept[2]))
        return cls(found["base"], found["here"], found["above"], pending)


@dataclass(frozen=True, slots=True)
class Write:
    """``patch`` for an update request's ``state``, or None to delete. To be made only where the version is still that
    one; 0: there was none, make it."""

    patch: Mapping[str, Json] | None
    version: int


@dataclass(frozen=True, slots=True)
class Plan:
    goal: State | None  # what both sides are to be, or with one direction the side written to
    here: Write | None
    above: Write | None
    pending: Pending


def plan(
    record: Record,
    here: Side,
    above: Side,
    rule: Rule = "aws",
    direction: Direction = "betweenDeviceAndCloud",
) -> Plan:
    """What makes both sides the same."""
    goal = _goal(record, here, above, rule, direction)
    to_above, to_here = _write(above, goal), _write(here, goal)
    before = record.pending
    if before is not None and to_above is None and above.state and above.version == before.above.version:
        # What was sent may still arrive: that the version moves on makes it come to nothing.
        to_above = Write(dict(above.state), above.version)
    in_doubt = before.goals if before is not None and above.version == before.above.version else ()
    return Plan(goal, to_here, to_above, Pending(here, above, (*in_doubt, goal)))


def finished(plan: Plan, here: int, above: int) -> Record:
    """All of it is written: these are the versions now."""
    return Record(plan.goal, here, above)


def _goal(record: Record, here: Side, above: Side, rule: Rule, direction: Direction) -> State | None:
    if direction == "deviceToCloud":
        return here.state
    if direction == "cloudToDevice":
        return above.state
    pending = record.pending
    otherwise = record.base
    bases_here: tuple[State | None, ...] = (record.base,)
    bases_above = bases_here
    if pending is not None:
        otherwise = pending.goals[-1]
        bases_here = _bases(pending.here, here, (otherwise,))
        bases_above = _bases(pending.above, above, pending.goals)
    if here.state is None or above.state is None:
        return _one_gone(here.state, above.state, bases_here, bases_above)
    merged: dict[str, Mapping[str, Json]] = {}
    for section in SECTIONS:
        value = _merge(
            here.state.get(section, {}),
            above.state.get(section, {}),
            [(base or {}).get(section, {}) for base in bases_here],
            [(base or {}).get(section, {}) for base in bases_above],
            (otherwise or {}).get(section, {}),
            here_wins=rule == "device" or (rule == "aws" and section == "reported"),
        )
        if value:
            merged[section] = value
    return merged


def _bases(read: Side, now: Side, goals: tuple[State | None, ...]) -> tuple[State | None, ...]:
    """What the side may be without anybody but us having changed it."""
    if read.state is not None and now.state is not None:
        if now.version == read.version:
            return (read.state,)
        if now.version == read.version + 1:
            return (now.state,) if any(same(now.state, goal) for goal in goals) else (read.state,)
    return (read.state, *goals)


def _one_gone(
    here: State | None, above: State | None, bases_here: Sequence[State | None], bases_above: Sequence[State | None]
) -> State | None:
    """One side at least has no shadow."""
    left = here if above is None else above
    left_bases, gone_bases = (bases_here, bases_above) if above is None else (bases_above, bases_here)
    deleted = not any(base is None for base in gone_bases)
    return None if left is None or (deleted and not _changed(left, left_bases)) else left


_MISSING: Final = object()


def _merge(
    here: Json, above: Json, bases_here: Sequence[Json], bases_above: Sequence[Json], otherwise: Json, here_wins: bool
) -> Json:
    if isinstance(here, Mapping) and isinstance(above, Mapping):
        return _merge_objects(here, above, bases_here, bases_above, otherwise, here_wins)
    changed_here, changed_above = _changed(here, bases_here), _changed(above, bases_above)
    if changed_here and changed_above:
        return here if here_wins else above
    if changed_here or changed_above:
        return here if changed_here else above
    return otherwise


def _merge_objects(
    here: Mapping[str, Json],
    above: Mapping[str, Json],
    bases_here: Sequence[Json],
    bases_above: Sequence[Json],
    otherwise: Json,
    here_wins: bool,
) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for name in (*here, *(each for each in above if each not in here)):
        value = _merge(
            here.get(name, _MISSING),
            above.get(name, _MISSING),
            [_inside(base, name) for base in bases_here],
            [_inside(base, name) for base in bases_above],
            _inside(otherwise, name),
            here_wins,
        )
        if value is not _MISSING:
            result[name] = value
    return result


def _inside(value: Json, name: str) -> Json:
    return value.get(name, _MISSING) if isinstance(value, Mapping) else _MISSING


def _changed(value: Json, bases: Sequence[Json]) -> bool:
    return not any(same(value, base) for base in bases)


def _write(side: Side, goal: State | None) -> Write | None:
    if side.state is None:
        return None if goal is None else Write(dict(goal), 0)
    if goal is None:
        return Write(None, side.version)
    patch = {name: goal[name] if name not in side.state else None for name in _either(side.state, goal)}
    for name in patch:
        if name in side.state and name in goal:
            patch[name] = difference(side.state[name], goal[name])
    patch = {name: change for name, change in patch.items() if change != {}}
    return Write(patch, side.version) if patch else None


def difference(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    """The change that a shadow merges into ``before`` to become ``after``; null removes."""
    change: dict[str, Json] = {}
    for name in _either(before, after):
        old, new = before.get(name, _MISSING), after.get(name, _MISSING)
        if new is _MISSING:
            change[name] = None
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            if inner := difference(old, new):
                change[name] = inner
        elif not same(old, new):
            change[name] = new
    return change


def _either(left: Mapping[str, Json], right: Mapping[str, Json]) -> list[str]:
    return [*left, *(name for name in right if name not in left)]
