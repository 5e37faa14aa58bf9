"""Update expressions: an item in, the next one out (developer guide, "Update expressions").

All operands see the item as it was. Then SET, REMOVE, DELETE and ADD are done on a copy; no two touch one place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from littoral.protocols.dynamodb import numbers
from littoral.protocols.dynamodb.bindings import Bindings, Steps
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.parser import parse_update
from littoral.protocols.dynamodb.paths import check_apart, drop, find, finder, put
from littoral.protocols.dynamodb.syntax import Arithmetic, Function, Operand, Path, Slot
from littoral.protocols.dynamodb.values import SETS, Item, Value, kind

WHAT = "UpdateExpression"
NOT_THERE = "The provided expression refers to an attribute that does not exist in the item"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"
Compute = Callable[[Item], Value]
Found = Callable[[Item], Value | None]


@dataclass(frozen=True, slots=True)
class Change:
    """A compiled update."""

    sets: tuple[tuple[Steps, Compute], ...] = ()
    removes: tuple[Steps, ...] = ()
    adds: tuple[tuple[Steps, Value], ...] = ()
    deletes: tuple[tuple[Steps, Value], ...] = ()
    mismatch: str = WRONG_TYPE  # what is said where ADD or DELETE meets another type

    @property
    def paths(self) -> list[Steps]:
        return [*(steps for steps, _ in (*self.sets, *self.deletes, *self.adds)), *self.removes]

    @property
    def only_removes(self) -> bool:
        """Whether it leaves what is not there as it is."""
        return bool(self.removes or self.deletes) and not self.sets and not self.adds

    def apply(self, item: Item) -> Item:
        """Raises Invalid."""
        computed = [(steps, compute(item)) for steps, compute in self.sets]
        result = _copied(item, self.paths)
        for steps, value in sorted(computed, key=lambda pair: _place(pair[0])):
            put(result, steps, value)
        for steps in sorted(self.removes, key=_place, reverse=True):  # an index means what it meant at first
            drop(result, steps)
        for steps, value in self.deletes:
            _take_out(result, steps, value, self.mismatch)
        for steps, value in self.adds:
            _add_to(result, steps, value, self.mismatch)
        return result


def compile_update(text: str, bindings: Bindings, keys: tuple[str, ...]) -> Change:
    """``keys`` are the attributes that no update may change. Raises Invalid."""
    parsed = parse_update(text)

    def bound(path: Path) -> Steps:
        return bindings.path(path, WHAT)

    change = Change(
        tuple((bound(path), _compute(operand, bindings)) for path, operand in parsed.sets),
        tuple(bound(path) for path in parsed.removes),
        tuple((bound(path), _operand_of("ADD", bindings.value(slot, WHAT))) for path, slot in parsed.adds),
        tuple((bound(path), _operand_of("DELETE", bindings.value(slot, WHAT))) for path, slot in parsed.deletes),
    )
    check_apart(change.paths, WHAT)
    check_keys(change.paths, keys)
    return change


def check_keys(paths: list[Steps], keys: tuple[str, ...]) -> None:
    """Raises Invalid."""
    for steps in paths:
        if steps[0] in keys:
            raise Invalid(
                "One or more parameter values were invalid: Cannot update attribute "
                f"{steps[0]}. This attribute is part of the key"
            )


def _operand_of(clause: str, value: Value) -> Value:
    allowed = SETS | {"N"} if clause == "ADD" else SETS
    if kind(value) not in allowed:
        raise Invalid(
            f"Invalid UpdateExpression: Incorrect operand type for operator or function; operator: {clause}, "
            f"operand type: {_TYPE_WORDS.get(kind(value), kind(value))}"
        )
    return value


_TYPE_WORDS = {"S": "STRING", "N": "NUMBER", "B": "BINARY", "L": "LIST", "M": "MAP", "BOOL": "BOOLEAN", "NULL": "NULL"}


# ------------------------------------------------------------------------------------------------ operands of SET


def _compute(node: Operand, bindings: Bindings) -> Compute:
    found = _found(node, bindings)

    def compute(item: Item) -> Value:
        value = found(item)
        if value is None:
            raise Invalid(NOT_THERE)
        return value

    return compute


def _found(node: Operand, bindings: Bindings) -> Found:
    if isinstance(node, Slot):
        value = bindings.value(node, WHAT)
        return lambda _: value
    if isinstance(node, Path):
        return finder(bindings.path(node, WHAT))
    if isinstance(node, Arithmetic):
        return _sum(node, bindings)
    return _made(node, bindings)


def _sum(node: Arithmetic, bindings: Bindings) -> Compute:
    for each in (node.left, node.right):
        if isinstance(each, Slot):
            _check_constant(bindings.value(each, WHAT), node.sign, "N")
    left, right = _compute(node.left, bindings), _compute(node.right, bindings)
    minus = node.sign == "-"

    def compute(item: Item) -> Value:
        one, other = left(item), right(item)
        if kind(one) != "N" or kind(other) != "N":
            raise Invalid(WRONG_TYPE)
        return {"N": numbers.add(one["N"], other["N"], minus=minus)}

    return compute


def _made(node: Function, bindings: Bindings) -> Found:
    first, second = node.operands
    if node.name == "if_not_exists":
        if not isinstance(first, Path):
            raise Invalid(
                "Invalid UpdateExpression: Operator or function requires a document path; "
                "operator or function: if_not_exists"
            )
        steps, otherwise = bindings.path(first, WHAT), _found(second, bindings)
        return lambda item: find(item, steps) or otherwise(item)
    for each in node.operands:
        if isinstance(each, Slot):
            _check_constant(bindings.value(each, WHAT), "list_append", "L")
    left, right = _compute(first, bindings), _compute(second, bindings)

    def appended(item: Item) -> Value:
        one, other = left(item), right(item)
        if kind(one) != "L" or kind(other) != "L":
            raise Invalid(WRONG_TYPE)
        return {"L": one["L"] + other["L"]}

    return appended


def _check_constant(value: Value, name: str, wanted: str) -> None:
    if kind(value) != wanted:
        raise Invalid(
            "Invalid UpdateExpression: Incorrect operand type for operator or function; "
            f"operator or function: {name}, operand type: {kind(value)}"
        )


# ------------------------------------------------------------------------------------------------ on the copy


def _copied(item: Item, paths: list[Steps]) -> Item:
    result = dict(item)
    for name in {steps[0] for steps in paths if len(steps) > 1}:
        if name in result:
            result[name] = copy.deepcopy(result[name])
    return result


def _place(steps: Steps) -> tuple[str, ...]:
    """For sorting: the same list's indexes by number."""
    return tuple(step if isinstance(step, str) else f"{step:012d}" for step in steps)


def _add_to(item: Item, steps: Steps, value: Value, mismatch: str) -> None:
    before = find(item, steps)
    if before is None:
        put(item, steps, value)
        return
    name = kind(value)
    if kind(before) != name:
        raise Invalid(mismatch)
    if name == "N":
        put(item, steps, {"N": numbers.add(before["N"], value["N"])})
    elif name == "L":  # by AttributeUpdates only
        put(item, steps, {"L": before["L"] + value["L"]})
    else:
        put(item, steps, {name: list(dict.fromkeys([*before[name], *value[name]]))})


def _take_out(item: Item, steps: Steps, value: Value, mismatch: str) -> None:
    before = find(item, steps)
    if before is None:
        if len(steps) > 1:
            drop(item, steps)  # says whether the path is one
        return
    name = kind(value)
    if kind(before) != name:
        raise Invalid(mismatch)
    gone = set(value[name])
    left = [each for each in before[name] if each not in gone]
    if left:
        put(item, steps, {name: left})
    else:
        drop(item, steps)
