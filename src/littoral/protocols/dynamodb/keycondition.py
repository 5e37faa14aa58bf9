"""KeyConditionExpression: the one partition and the span of sort keys that a Query reads.

``partition = :v`` and at most one condition on the sort key, by AND, in either order, the value on either side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from littoral.protocols.dynamodb.bindings import Bindings
from littoral.protocols.dynamodb.conditions import shown
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keys import EMPTY, Schema, encoded, partition
from littoral.protocols.dynamodb.parser import parse_condition
from littoral.protocols.dynamodb.syntax import Between, Both, Compare, Condition, Function, Operand, Path, Slot
from littoral.protocols.dynamodb.values import Value, kind

WHAT = "KeyConditionExpression"
_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
NOT_SUPPORTED = "Query key condition not supported"


@dataclass(frozen=True, slots=True)
class Span:
    """Of one partition: sort keys from ``low`` up to, not including, ``high``; None is without bound."""

    partition: bytes
    low: bytes = b""
    high: bytes | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """What is said of one key attribute. ``sign`` is a comparator, BETWEEN or begins_with."""

    name: str
    sign: str
    values: tuple[Value, ...]


def compile_key_condition(text: str, bindings: Bindings, schema: Schema) -> Span:
    """Raises Invalid."""
    node = parse_condition(text, WHAT)
    return span(list(_clauses(node, bindings)), schema)


def span(clauses: list[Clause], schema: Schema) -> Span:
    """Raises Invalid."""
    names = [clause.name for clause in clauses]
    if len(clauses) > 2 or len(set(names)) != len(names):
        if len(clauses) > 2 and len(set(names)) == len(names):
            raise Invalid("Conditions can be of length 1 or 2 only")
        raise Invalid("KeyConditionExpressions must only contain one condition per key")
    given = {clause.name: clause for clause in clauses}
    first = given.pop(schema.hash.name, None)
    if first is None:
        raise Invalid(f"Query condition missed key schema element: {schema.hash.name}")
    if first.sign != "=":
        raise Invalid(NOT_SUPPORTED)
    _check(schema.hash.name, schema.hash.type, first.values)
    where = partition(first.values[0])
    if not given:
        return Span(where)
    if schema.range is None or schema.range.name not in given:
        missed = schema.range.name if schema.range is not None else next(iter(given))
        raise Invalid(f"Query condition missed key schema element: {missed}")
    second = given[schema.range.name]
    _check(schema.range.name, schema.range.type, second.values)
    return _spanned(where, second)


def _spanned(where: bytes, clause: Clause) -> Span:
    texts = [encoded(value) for value in clause.values]
    first = texts[0]
    if clause.sign == "=":
        return Span(where, first, first + b"\0")
    if clause.sign == "<":
        return Span(where, b"", first)
    if clause.sign == "<=":
        return Span(where, b"", first + b"\0")
    if clause.sign == ">":
        return Span(where, first + b"\0")
    if clause.sign == ">=":
        return Span(where, first)
    if clause.sign == "BETWEEN":
        if first > texts[1]:
            raise Invalid(
                f"Invalid {WHAT}: The BETWEEN operator requires upper bound to be greater than or equal to lower bound;"
                f" lower bound operand: AttributeValue: {shown(clause.values[0])}, "
                f"upper bound operand: AttributeValue: {shown(clause.values[1])}"
            )
        return Span(where, first, texts[1] + b"\0")
    if kind(clause.values[0]) == "N":
        raise Invalid(
            f"Invalid {WHAT}: Incorrect operand type for operator or function; "
            "operator or function: begins_with, operand type: N"
        )
    return Span(where, first, after_prefix(first))


def after_prefix(prefix: bytes) -> bytes | None:
    """The least bytes that are greater than all that begin with ``prefix``; None where there are none."""
    cut = prefix.rstrip(b"\xff")
    return cut[:-1] + bytes((cut[-1] + 1,)) if cut else None


def _check(name: str, wanted: str, values: Iterable[Value]) -> None:
    for value in values:
        if kind(value) != wanted:
            raise Invalid(
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
            )
        if not value[wanted]:
            raise Invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
                f"empty {EMPTY[wanted]} value. Key: {name}"
            )


def _clauses(node: Condition, bindings: Bindings) -> Iterable[Clause]:
    if isinstance(node, Both):
        for part in node.parts:
            yield from _clauses(part, bindings)
    elif isinstance(node, Compare):
        yield _compare(node, bindings)
    elif isinstance(node, Between):
        yield _clause(node.operand, "BETWEEN", (node.low, node.high), bindings)
    elif isinstance(node, Function) and node.name == "begins_with":
        yield _clause(node.operands[0], "begins_with", node.operands[1:], bindings)
    else:
        name = (
            node.name if isinstance(node, Function) else {"Either": "OR", "Not": "NOT", "In": "IN"}[type(node).__name__]
        )
        raise Invalid(f"Invalid {WHAT}: Invalid operator used in {WHAT}: {name}")


def _compare(node: Compare, bindings: Bindings) -> Clause:
    if node.sign == "<>":
        raise Invalid(f"Invalid {WHAT}: Invalid operator used in {WHAT}: <>")
    if isinstance(node.left, Slot):
        return _clause(node.right, _TURNED[node.sign], (node.left,), bindings)
    return _clause(node.left, node.sign, (node.right,), bindings)


def _clause(operand: Operand, sign: str, values: tuple[Operand, ...], bindings: Bindings) -> Clause:
    if not isinstance(operand, Path):
        raise Invalid(f"Invalid {WHAT}: {_WRONG}")
    steps = bindings.path(operand, WHAT)
    if len(steps) > 1:
        raise Invalid(f"Invalid {WHAT}: KeyConditionExpressions cannot have conditions on nested attributes")
    found = []
    for value in values:
        if not isinstance(value, Slot):
            raise Invalid(f"Invalid {WHAT}: {_WRONG}")
        found.append(bindings.value(value, WHAT))
    return Clause(str(steps[0]), sign, tuple(found))


_WRONG = "Invalid condition in KeyConditionExpression: an operand must be a key attribute, the other a value"
