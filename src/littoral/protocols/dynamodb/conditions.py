"""Condition and filter expressions as closures over an item (developer guide, "Condition and filter expressions")."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from littoral.protocols.dynamodb.bindings import Bindings, Steps
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.parser import parse_condition
from littoral.protocols.dynamodb.paths import finder
from littoral.protocols.dynamodb.syntax import (
    Between,
    Both,
    Compare,
    Condition,
    Either,
    Function,
    In,
    Not,
    Operand,
    Path,
    Slot,
)
from littoral.protocols.dynamodb.values import ORDERED, SETS, TYPES, Item, Value, equal, kind, order

Test = Callable[[Item], bool]
Get = Callable[[Item], Value | None]
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compile_condition(text: str, bindings: Bindings, what: str = "ConditionExpression") -> Test:
    """Raises Invalid."""
    return _Compiler(bindings, what).test(parse_condition(text, what))


def compile_filter(text: str, bindings: Bindings, keys: tuple[str, ...]) -> Test:
    """A filter says nothing of the key. Raises Invalid."""
    compiler = _Compiler(bindings, "FilterExpression")
    found = compiler.test(parse_condition(text, "FilterExpression"))
    for steps in compiler.paths:
        if steps[0] in keys:
            raise Invalid(
                f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {steps[0]}"
            )
    return found


class _Compiler:
    def __init__(self, bindings: Bindings, what: str) -> None:
        self._bindings = bindings
        self._what = what
        self.paths: list[Steps] = []

    def test(self, node: Condition) -> Test:
        if isinstance(node, Compare):
            return self._compare(node)
        if isinstance(node, Both):
            parts = [self.test(each) for each in node.parts]
            return lambda item: all(part(item) for part in parts)
        if isinstance(node, Either):
            parts = [self.test(each) for each in node.parts]
            return lambda item: any(part(item) for part in parts)
        if isinstance(node, Not):
            inner = self.test(node.inner)
            return lambda item: not inner(item)
        if isinstance(node, Between):
            return self._between(node)
        if isinstance(node, In):
            return self._in(node)
        return self._function(node)

    # ------------------------------------------------------------------------------------------ comparisons

    def _compare(self, node: Compare) -> Test:
        if node.sign in _ORDERS:
            for each in (node.left, node.right):
                self._check_ordered(each, node.sign)
        left, right = self._get(node.left, node.sign), self._get(node.right, node.sign)
        if isinstance(node.left, Path) and node.left == node.right:
            raise self._wrong(
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {node.sign}, first operand: [{node.left.steps[0]}]"
            )
        return compared(node.sign, left, right)

    def _between(self, node: Between) -> Test:
        for each in (node.operand, node.low, node.high):
            self._check_ordered(each, "BETWEEN")
        value, low, high = (self._get(each, "BETWEEN") for each in (node.operand, node.low, node.high))
        if isinstance(node.low, Slot) and isinstance(node.high, Slot):
            self._check_bounds(self._bindings.value(node.low, self._what), self._bindings.value(node.high, self._what))
        at_least, at_most = compared(">=", value, low), compared("<=", value, high)
        return lambda item: at_least(item) and at_most(item)

    def _check_bounds(self, low: Value, high: Value) -> None:
        if kind(low) != kind(high):
            raise self._wrong(
                "The BETWEEN operator requires same data type for lower and upper bounds; "
                f"lower bound operand: AttributeValue: {shown(low)}, upper bound operand: AttributeValue: {shown(high)}"
            )
        first, second = order(low), order(high)
        if first is not None and second is not None and first > second:
            raise self._wrong(
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
                f"lower bound operand: AttributeValue: {shown(low)}, upper bound operand: AttributeValue: {shown(high)}"
            )

    def _in(self, node: In) -> Test:
        value = self._get(node.operand, "IN")
        options = [compared("=", value, self._get(each, "IN")) for each in node.options]
        return lambda item: any(option(item) for option in options)

    # ------------------------------------------------------------------------------------------ functions

    def _function(self, node: Function) -> Test:
        name = node.name
        if name in {"attribute_exists", "attribute_not_exists"}:
            found = finder(self._path(node.operands[0], name))
            return (
                (lambda item: found(item) is not None)
                if name == "attribute_exists"
                else (lambda item: found(item) is None)
            )
        if name == "attribute_type":
            return self._attribute_type(node)
        left, right = (self._get(each, name) for each in node.operands)
        if node.operands[0] == node.operands[1]:
            raise self._wrong(
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {name}, first operand: [{shown_operand(node.operands[0])}]"
            )
        if name == "contains":
            return lambda item: contains(left(item), right(item))
        for each in node.operands:
            self._check_type(each, name, frozenset(("S", "B")))
        return lambda item: begins(left(item), right(item))

    def _attribute_type(self, node: Function) -> Test:
        found = self._get(node.operands[0], node.name)
        wanted = node.operands[1]
        if not isinstance(wanted, Slot):
            raise self._wrong(
                "Incorrect operand type for operator or function; operator or function: attribute_type, "
                "operand must be an expression attribute value"
            )
        value = self._bindings.value(wanted, self._what)
        name = value.get("S")
        if name is None:
            raise self._wrong(_type_message("attribute_type", kind(value)))
        if name not in TYPES:
            raise self._wrong(f"Invalid attribute type name found; type: {name[:100]}, valid types: {{{_TYPES}}}")

        def test(item: Item) -> bool:
            value = found(item)
            return value is not None and name in value

        return test

    # ------------------------------------------------------------------------------------------ operands

    def _get(self, node: Operand, where: str) -> Get:
        if isinstance(node, Slot):
            value = self._bindings.value(node, self._what)
            return lambda _: value
        if isinstance(node, Path):
            return finder(self._bound(node))
        assert isinstance(node, Function)
        if node.name != "size":
            raise self._wrong(
                f"The function is not allowed to be used this way in an expression; function: {node.name}"
            )
        if isinstance(node.operands[0], Function):
            raise self._wrong(_type_message("size", "N"))
        self._check_type(node.operands[0], "size", TYPES - {"N", "BOOL", "NULL"})
        found = self._get(node.operands[0], where)
        return lambda item: size_of(found(item))

    def _path(self, node: Operand, function: str) -> Steps:
        if not isinstance(node, Path):
            raise self._wrong(f"Operator or function requires a document path; operator or function: {function}")
        return self._bound(node)

    def _bound(self, path: Path) -> Steps:
        steps = self._bindings.path(path, self._what)
        self.paths.append(steps)
        return steps

    def _check_ordered(self, node: Operand, sign: str) -> None:
        self._check_type(node, sign, ORDERED)

    def _check_type(self, node: Operand, name: str, allowed: frozenset[str]) -> None:
        if isinstance(node, Slot):
            given = kind(self._bindings.value(node, self._what))
            if given not in allowed:
                raise self._wrong(_type_message(name, given))

    def _wrong(self, message: str) -> Invalid:
        return Invalid(f"Invalid {self._what}: {message}")


def _type_message(name: str, given: str) -> str:
    return f"Incorrect operand type for operator or function; operator or function: {name}, operand type: {given}"


_TYPES = ", ".join(sorted(TYPES))


def compared(sign: str, left: Get, right: Get) -> Test:
    """``<>`` holds where one of them is missing; the others do not, nor between types."""
    if sign in {"=", "<>"}:
        wanted = sign == "="

        def same(item: Item) -> bool:
            one, other = left(item), right(item)
            return (one is not None and other is not None and equal(one, other)) is wanted

        return same
    decide = _ORDERS[sign]

    def ordered(item: Item) -> bool:
        one, other = left(item), right(item)
        if one is None or other is None:
            return False
        first, second = order(one), order(other)
        return first is not None and second is not None and first[0] == second[0] and decide(first[1], second[1])

    return ordered


def begins(value: Value | None, prefix: Value | None) -> bool:
    if value is None or prefix is None or kind(value) != kind(prefix) or kind(value) not in {"S", "B"}:
        return False
    name = kind(value)
    return bool(value[name].startswith(prefix[name]))


def contains(value: Value | None, member: Value | None) -> bool:
    """A text within a text, bytes within bytes, a member of a set, an element of a list."""
    if value is None or member is None:
        return False
    name, given = kind(value), kind(member)
    if name in {"S", "B"}:
        return given == name and member[name] in value[name]
    if name in SETS:
        return given == name[0] and member[given] in value[name]
    return name == "L" and any(equal(each, member) for each in value["L"])


def size_of(value: Value | None) -> Value | None:
    """The length of a text in bytes, of binary data, or how many a set, list or map holds."""
    if value is None or kind(value) in {"N", "BOOL", "NULL"}:
        return None
    given = value[kind(value)]
    return {"N": str(len(given.encode() if isinstance(given, str) else given))}


def shown(value: Value) -> str:
    ((name, given),) = value.items()
    return f"{{{name}:{str(given)[:100]}}}"


def shown_operand(node: Operand) -> str:
    return node.name if isinstance(node, Slot | Function) else ".".join(map(str, getattr(node, "steps", ())))
