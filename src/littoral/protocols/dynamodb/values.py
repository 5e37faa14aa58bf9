"""Attribute values: what is refused, how large one is, which are equal, which comes first.

Sizes are those of the developer guide, "DynamoDB item sizes and formats".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from littoral.protocols.dynamodb import numbers
from littoral.protocols.dynamodb.errors import Invalid

Value = dict[str, Any]
Item = dict[str, Value]

LARGEST_ITEM = 400 * 1024
LONGEST_NAME = 65535  # bytes
DEEPEST = 32
TYPES = frozenset(("S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"))
SETS = frozenset(("SS", "NS", "BS"))
ORDERED = frozenset(("S", "N", "B"))
_SET_OF = {"SS": "string", "NS": "number", "BS": "binary"}


def kind(value: Value) -> str:
    return next(iter(value))


def settle(value: Value, depth: int = 0) -> None:
    """Check one, and write its numbers in their one spelling, in place. Raises Invalid."""
    if len(value) != 1:
        if not value:
            raise Invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
        raise Invalid(
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes"
        )
    ((name, given),) = value.items()
    if name == "N":
        value["N"] = numbers.canonical(given)
    elif name in SETS:
        _settle_set(name, value)
    elif name in {"L", "M"}:
        if depth >= DEEPEST - 1 and given:
            raise Invalid(
                "Nesting Levels have exceeded supported limits: "
                "Attributes in the item have nested levels beyond supported limit"
            )
        if name == "M":
            for inner in given:
                check_name(inner)
        for each in given if name == "L" else given.values():
            settle(each, depth + 1)
    elif name == "NULL" and given is not True:
        raise Invalid(
            "One or more parameter values were invalid: Null attribute value types must have the value of true"
        )


def _settle_set(name: str, value: Value) -> None:
    members = value[name]
    if not members:
        raise Invalid(f"One or more parameter values were invalid: An {_SET_OF[name]} set  may not be empty")
    if name == "NS":
        members = value["NS"] = [numbers.canonical(each) for each in members]
    if len(set(members)) != len(members):
        if name == "NS":
            raise Invalid("Input collection contains duplicates")
        shown = ", ".join(each if isinstance(each, str) else "binary" for each in members)[:200]
        raise Invalid(f"One or more parameter values were invalid: Input collection [{shown}] contains duplicates.")


def settle_item(item: Item) -> None:
    """Raises Invalid."""
    for name, value in item.items():
        check_name(name)
        settle(value)


def check_name(name: str) -> None:
    """Raises Invalid."""
    if not name:
        raise Invalid("One or more parameter values were invalid: Empty attribute name")
    if len(name) > LONGEST_NAME // 4 and len(name.encode()) > LONGEST_NAME:
        raise Invalid(
            "One or more parameter values were invalid: Attribute name is too large, "
            f"must be at most {LONGEST_NAME} bytes"
        )


def size(value: Value) -> int:
    """Bytes."""
    ((name, given),) = value.items()
    if name == "S":
        return len(given) if given.isascii() else len(given.encode())
    if name == "N":
        return numbers.size(given)
    if name == "B":
        return len(given)
    if name == "M":
        return 3 + sum(len(key.encode()) + size(each) + 1 for key, each in given.items())
    if name == "L":
        return 3 + sum(size(each) + 1 for each in given)
    if name in SETS:
        single = {"SS": "S", "NS": "N", "BS": "B"}[name]
        return sum(size({single: each}) for each in given)
    return 1


def item_size(item: Item) -> int:
    return sum(len(name.encode()) + size(value) for name, value in item.items())


def equal(left: Value, right: Value) -> bool:
    """Numbers are canonical, so only sets need more than the comparison of what is written."""
    if left == right:
        return True
    name = kind(left)
    if name != kind(right) or name not in {"SS", "NS", "BS", "L", "M"}:
        return False
    one, other = left[name], right[name]
    if len(one) != len(other):
        return False
    if name in SETS:
        return set(one) == set(other)
    if name == "L":
        return all(map(equal, one, other))
    return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)


def order(value: Value) -> tuple[str, Any] | None:
    """What values of one type are compared by; None for a type that has no order. Python orders text by code points,
    which is the order of its UTF-8."""
    name = kind(value)
    if name not in ORDERED:
        return None
    return name, Decimal(value["N"]) if name == "N" else value[name]
