"""The parameters from before expressions: Expected, the filters, AttributeUpdates, KeyConditions.

They become the closures that expressions become (developer guide, "Legacy conditional parameters").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littoral.protocols.dynamodb.conditions import Get, Test, begins, compared, contains, shown
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keycondition import Clause, Span, span
from littoral.protocols.dynamodb.keys import Schema
from littoral.protocols.dynamodb.updates import Change, check_keys
from littoral.protocols.dynamodb.values import ORDERED, SETS, Value, check_name, kind, order, settle

Conditions = Mapping[str, Mapping[str, Any]]
MISMATCH = "Type mismatch for attribute to update"
WRONG = "One or more parameter values were invalid: "
_SIGNS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_COUNTS = {"NULL": 0, "NOT_NULL": 0, "BETWEEN": 2, "IN": None}
OPERATORS = frozenset((*_SIGNS, *_COUNTS, "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH"))
_KEY_SIGNS = {
    "EQ": "=",
    "LT": "<",
    "LE": "<=",
    "GT": ">",
    "GE": ">=",
    "BETWEEN": "BETWEEN",
    "BEGINS_WITH": "begins_with",
}


def expected(given: Conditions, joined: str | None) -> Test:
    """Raises Invalid."""
    return _joined([_expected(name, each) for name, each in given.items()], joined)


def filtered(given: Conditions, joined: str | None) -> Test:
    """Of a QueryFilter or ScanFilter. Raises Invalid."""
    return _joined([_condition(name, each) for name, each in given.items()], joined)


def _joined(tests: list[Test], joined: str | None) -> Test:
    if joined == "OR":
        return lambda item: any(test(item) for test in tests)
    return lambda item: all(test(item) for test in tests)


def _expected(name: str, given: Mapping[str, Any]) -> Test:
    exists, value = given.get("Exists"), given.get("Value")
    if "ComparisonOperator" in given or "AttributeValueList" in given:
        if exists is not None:
            raise Invalid(f"{WRONG}Exists and ComparisonOperator cannot be used together for Attribute: {name}")
        if value is not None:
            if "AttributeValueList" in given:
                raise Invalid(f"{WRONG}Value and AttributeValueList cannot be used together for Attribute: {name}")
            given = {**given, "AttributeValueList": [value]}
        if "ComparisonOperator" not in given:
            raise Invalid(f"{WRONG}AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}")
        return _condition(name, given)
    if exists is False:
        if value is not None:
            raise Invalid(f"{WRONG}Value cannot be used when Exists is set to false for Attribute: {name}")
        return lambda item: name not in item
    if value is None:
        what = "Exists is set to true" if exists else "Exists is set to null"
        raise Invalid(f"{WRONG}Value must be provided when {what} for Attribute: {name}")
    settle(value)
    return compared("=", _attribute(name), lambda _: value)


def _condition(name: str, given: Mapping[str, Any]) -> Test:
    operator, values = _checked(name, given)
    found = _attribute(name)
    if operator in {"NULL", "NOT_NULL"}:
        return lambda item: (name in item) is (operator == "NOT_NULL")
    if operator in _SIGNS:
        return compared(_SIGNS[operator], found, _constant(values[0]))
    if operator == "BETWEEN":
        low, high = compared(">=", found, _constant(values[0])), compared("<=", found, _constant(values[1]))
        return lambda item: low(item) and high(item)
    if operator == "IN":
        options = [compared("=", found, _constant(each)) for each in values]
        return lambda item: any(option(item) for option in options)
    if operator == "BEGINS_WITH":
        return lambda item: begins(found(item), values[0])
    wanted = operator == "CONTAINS"
    return lambda item: name in item and contains(found(item), values[0]) is wanted


def _checked(name: str, given: Mapping[str, Any]) -> tuple[str, list[Value]]:
    operator, values = given.get("ComparisonOperator"), list(given.get("AttributeValueList") or [])
    if operator not in OPERATORS:
        raise Invalid(
            f"1 validation error detected: Value '{str(operator)[:50]}' at '{name}.member.comparisonOperator' failed "
            f"to satisfy constraint: Member must satisfy enum value set: [{', '.join(sorted(OPERATORS))}]"
        )
    for each in values:
        settle(each)
    wanted = _COUNTS.get(operator, 1)
    if len(values) != wanted if wanted is not None else not values:
        raise Invalid(f"{WRONG}Invalid number of argument(s) for the {operator} ComparisonOperator")
    _check_types(operator, values)
    return str(operator), values


def _check_types(operator: str, values: list[Value]) -> None:
    kinds = [kind(each) for each in values]
    allowed: frozenset[str] | None = None
    if operator in {"LT", "LE", "GT", "GE", "BETWEEN", "CONTAINS", "NOT_CONTAINS", "IN"}:
        allowed = ORDERED if operator not in {"CONTAINS", "NOT_CONTAINS"} else ORDERED | {"BOOL", "NULL"}
    elif operator == "BEGINS_WITH":
        allowed = frozenset(("S", "B"))
    if allowed is not None:
        for each in kinds:
            if each not in allowed:
                raise Invalid(f"{WRONG}ComparisonOperator {operator} is not valid for {each} AttributeValue type")
    if len(set(kinds)) > 1:
        raise Invalid(f"{WRONG}AttributeValues inside AttributeValueList must be of same type")
    if operator == "BETWEEN":
        low, high = order(values[0]), order(values[1])
        if low is not None and high is not None and low > high:
            raise Invalid(
                "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound: "
                f"{shown(values[0])}, {shown(values[1])}"
            )


def _attribute(name: str) -> Get:
    return lambda item: item.get(name)


def _constant(value: Value) -> Get:
    return lambda _: value


def key_span(given: Conditions, schema: Schema) -> Span:
    """Of KeyConditions. Raises Invalid."""
    clauses = []
    for name, each in given.items():
        operator, values = _checked(name, each)
        if operator not in _KEY_SIGNS:
            raise Invalid("Attempted conditional constraint is not an indexable operation")
        clauses.append(Clause(name, _KEY_SIGNS[operator], tuple(values)))
    return span(clauses, schema)


def update(given: Mapping[str, Mapping[str, Any]], keys: tuple[str, ...]) -> Change:
    """Of AttributeUpdates. Raises Invalid."""
    sets: list[Any] = []
    removes: list[tuple[str]] = []
    adds: list[Any] = []
    deletes: list[Any] = []
    check_keys([(name,) for name in given], keys)
    for name, each in given.items():
        check_name(name)
        action, value = each.get("Action", "PUT"), each.get("Value")
        if value is not None:
            settle(value)
        elif action != "DELETE":
            raise Invalid(f"{WRONG}Only DELETE action is allowed when no attribute value is specified")
        if action == "PUT":
            sets.append(((name,), _constant(value)))  # type: ignore[arg-type]
        elif action == "DELETE":
            if value is None:
                removes.append((name,))
            else:
                _check_action(action, value, SETS)
                deletes.append(((name,), value))
        elif action == "ADD":
            _check_action(action, value, SETS | {"N", "L"})  # type: ignore[arg-type]
            adds.append(((name,), value))
        else:
            raise Invalid(f"{WRONG}Action {str(action)[:50]!r} of {name} is none of ADD, PUT, DELETE")
    return Change(tuple(sets), tuple(removes), tuple(adds), tuple(deletes), MISMATCH)


def _check_action(action: str, value: Value, allowed: frozenset[str]) -> None:
    if kind(value) not in allowed:
        raise Invalid(f"{WRONG}{action} action is not supported for the type {kind(value)}")
