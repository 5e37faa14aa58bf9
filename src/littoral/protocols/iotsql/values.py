"""The types of the language and AWS's conversion tables.

Values are Python's JSON values and ``UNDEFINED``. Numbers: AWS computes with 34 decimal digits; here an Int is exact
up to 34 digits and a Decimal is a double (docs/decisions/2026-11-23-things-rules.md). "With SQL V2, numeric values
that are whole numbers, such as 10.0, are processed as an Int" (iot-sql-data-types): ``number`` does that.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, Union, cast

MAX_INT = 10**34  # "Int: 34 digits maximum"
_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE]-?\d+)?", re.ASCII)


class Undefined:
    """Not a value: what a missing attribute or a failed conversion gives. Left out of JSON."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __copy__(self) -> Undefined:
        return self

    def __deepcopy__(self, memo: object) -> Undefined:
        return self


UNDEFINED: Final = Undefined()
Value = Union[str, int, float, bool, None, Undefined, list["Value"], dict[str, "Value"]]  # noqa: UP007 - recursive


class _NotJson(ValueError):
    pass


def _refuse_constant(name: str) -> float:
    raise _NotJson(name)


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False).encode


def parse_json(data: bytes) -> Value:
    """Strict JSON in UTF-8 or UNDEFINED: no NaN, no number too big for JSON readers, no bottomless nesting."""
    try:
        return cast(Value, _decoder.decode(data.decode()))
    except (ValueError, RecursionError):
        return UNDEFINED


def to_json(value: Value) -> str:
    """Compact JSON. Raises ValueError for what JSON cannot hold (an infinite number in the payload)."""
    return _encode(value)


def number(value: float) -> Value:
    """A computed number: whole ones become Int, the unrepresentable Undefined."""
    if type(value) is int:
        return value if -MAX_INT < value < MAX_INT else _beyond(value)
    if not math.isfinite(value):
        return UNDEFINED
    return int(value) if value.is_integer() and abs(value) < MAX_INT else value


def _beyond(value: int) -> Value:
    try:
        return float(value)
    except OverflowError:
        return UNDEFINED


def decimal(value: Value) -> int | float | None:
    """The "to decimal" conversion; None stands for Undefined (Null also becomes useless to arithmetic)."""
    kind = type(value)
    if kind is int:
        return cast(int, value)
    if kind is float:
        whole = number(cast(float, value))
        return whole if isinstance(whole, int | float) else None
    if kind is str and _DECIMAL.fullmatch(cast(str, value)):
        return _parsed(cast(str, value))
    return None


def _parsed(text: str) -> int | float | None:
    if len(text) > 340:  # beyond what a double holds, and int() of a long string is slow
        return None
    whole = number(int(text) if text.lstrip("-").isdigit() else float(text))
    return whole if isinstance(whole, int | float) else None


def integer(value: Value) -> int | None:
    """The "to int" conversion as functions use it: rounded down to the nearest Int."""
    found = decimal(value)
    return None if found is None else math.floor(found)


def boolean(value: Value) -> bool | None:
    if type(value) is bool:
        return value
    if type(value) is str:
        return {"true": True, "false": False}.get(value.lower())
    return None


def string(value: Value) -> str | None:
    """The "to string" conversion; None stands for Undefined, which Null becomes too."""
    kind = type(value)
    if kind is str:
        return cast(str, value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is float:
        return number_text(cast(float, value))
    if kind is list or kind is dict:
        try:
            return to_json(value)
        except ValueError:
            return None
    return None


def number_text(value: float) -> str:
    whole = number(value)
    return str(whole).replace("e", "E") if not isinstance(whole, Undefined) else "0"


def equal(left: Value, right: Value) -> bool:
    """``=`` of two defined values. Unlike Python's, true is not 1, at any depth."""
    kinds = type(left), type(right)
    if kinds == (dict, dict):
        a, b = cast(dict[str, Value], left), cast(dict[str, Value], right)
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if kinds == (list, list):
        c, d = cast(list[Value], left), cast(list[Value], right)
        return len(c) == len(d) and all(map(equal, c, d))
    if bool in kinds and kinds[0] is not kinds[1]:
        return False
    return cast(bool, cast(Any, left) == cast(Any, right))


def get_item(collection: Value, key: Value) -> Value:
    """``get()``: arrays and strings by position, objects by name."""
    if type(collection) is dict:
        return collection.get(key, UNDEFINED) if type(key) is str else UNDEFINED
    if type(collection) is list or type(collection) is str:
        position = integer(key)
        if position is not None and 0 <= position < len(collection):
            return collection[position]
    return UNDEFINED
