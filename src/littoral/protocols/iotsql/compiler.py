"""Syntax to closures.

Theory: an expression becomes a function of (row, context), built once. A row is the JSON object in whose names the
expression speaks: the payload, or one element inside a nested SELECT. Operators follow AWS's tables
(iot-sql-operators) row by row: what a table calls "Other value" is Undefined, never an exception.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, cast

from littoral.protocols.iotsql import syntax
from littoral.protocols.iotsql.context import Context
from littoral.protocols.iotsql.functions import call
from littoral.protocols.iotsql.plain import remainder
from littoral.protocols.iotsql.syntax import Expression
from littoral.protocols.iotsql.values import (
    UNDEFINED,
    Value,
    boolean,
    decimal,
    equal,
    get_item,
    integer,
    number,
    string,
)

Row = dict[str, Value]
Closure = Callable[[Row, Context], Value]

_NUMBERS = frozenset((int, float))


def compile_expression(node: Expression) -> Closure:  # noqa: PLR0911 - one arm per kind of node
    match node:
        case syntax.Literal(value):
            return lambda row, context: value
        case syntax.Name(name):
            return lambda row, context: row.get(name, UNDEFINED)
        case syntax.Variable(definition):
            return lambda row, context: context.variables.get(definition, UNDEFINED)
        case syntax.Star():
            return lambda row, context: context.document
        case syntax.Member(of, name):
            return _member(compile_expression(of), name)
        case syntax.Item(of, index):
            return _item(compile_expression(of), compile_expression(index))
        case syntax.Unary(sign, operand):
            return _unary(sign, compile_expression(operand))
        case syntax.Binary(sign, left, right):
            return _binary(sign, compile_expression(left), compile_expression(right))
        case syntax.FunctionCall():
            return call(node, compile_expression)
        case syntax.Cast(inner, target):
            return _cast(compile_expression(inner), target)
        case syntax.Case(subject, branches, otherwise):
            return _case(subject, branches, otherwise)
        case syntax.ArrayLiteral(items):
            return _array([compile_expression(item) for item in items])
        case syntax.ObjectLiteral(members):
            return _object([(key, compile_expression(value)) for key, value in members])
        case syntax.Select():
            return _nested_select(node)


# ------------------------------------------------------------------------------------------------- access


def _member(of: Closure, name: str) -> Closure:
    def member(row: Row, context: Context) -> Value:
        value = of(row, context)
        return value.get(name, UNDEFINED) if type(value) is dict else UNDEFINED

    return member


def _item(of: Closure, index: Closure) -> Closure:
    return lambda row, context: get_item(of(row, context), index(row, context))


# ---------------------------------------------------------------------------------------------- operators


def _unary(sign: str, operand: Closure) -> Closure:
    def negation(row: Row, context: Context) -> Value:
        truth = boolean(operand(row, context))
        return UNDEFINED if truth is None else not truth

    def minus(row: Row, context: Context) -> Value:
        value = decimal(operand(row, context))
        return UNDEFINED if value is None else number(-value)

    return negation if sign == "NOT" else minus


def _binary(sign: str, left: Closure, right: Closure) -> Closure:
    if sign in ("AND", "OR"):
        return _logic(sign, left, right)
    if sign in ("=", "<>"):
        return _equality(sign == "=", left, right)
    if sign in _ORDER:
        return _order(_ORDER[sign], left, right)
    if sign == "+":
        return _plus(left, right)
    return _arithmetic(_ARITHMETIC[sign], left, right)


def _logic(sign: str, left: Closure, right: Closure) -> Closure:
    both = sign == "AND"

    def logic(row: Row, context: Context) -> Value:
        a, b = boolean(left(row, context)), boolean(right(row, context))
        if a is None or b is None:
            return UNDEFINED
        return (a and b) if both else (a or b)

    return logic


def _equality(wanted: bool, left: Closure, right: Closure) -> Closure:
    def equality(row: Row, context: Context) -> Value:
        a, b = left(row, context), right(row, context)
        if a is UNDEFINED or b is UNDEFINED:
            return UNDEFINED
        return equal(a, b) is wanted

    return equality


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _order(compare: Callable[[Any, Any], bool], left: Closure, right: Closure) -> Closure:
    def order(row: Row, context: Context) -> Value:
        a, b = left(row, context), right(row, context)
        if type(a) in _NUMBERS and type(b) in _NUMBERS:
            return compare(a, b)
        x, y = decimal(a), decimal(b)
        return UNDEFINED if x is None or y is None else compare(x, y)

    return order


def _plus(left: Closure, right: Closure) -> Closure:
    def plus(row: Row, context: Context) -> Value:
        a, b = left(row, context), right(row, context)
        if type(a) is str or type(b) is str:
            x, y = string(a), string(b)
            return UNDEFINED if x is None or y is None else x + y
        if type(a) in _NUMBERS and type(b) in _NUMBERS:
            return number(cast(float, a) + cast(float, b))
        return UNDEFINED

    return plus


def _arithmetic(compute: Callable[[float, float], Value], left: Closure, right: Closure) -> Closure:
    def arithmetic(row: Row, context: Context) -> Value:
        a, b = decimal(left(row, context)), decimal(right(row, context))
        if a is None or b is None:
            return UNDEFINED
        try:
            return compute(a, b)
        except (ArithmeticError, ValueError):
            return UNDEFINED

    return arithmetic


def divide(a: float, b: float) -> Value:
    """Int by Int is an Int, cut towards zero as in Java."""
    if type(a) is int and type(b) is int:
        quotient = abs(a) // abs(b)
        return number(quotient if (a < 0) == (b < 0) else -quotient)
    return number(a / b)


_ARITHMETIC: dict[str, Callable[[float, float], Value]] = {
    "-": lambda a, b: number(a - b),
    "*": lambda a, b: number(a * b),
    "/": divide,
    "%": lambda a, b: number(remainder(a, b)),
}


def _cast(inner: Closure, target: str) -> Closure:
    def to_number(value: Value) -> int | float | None:
        return int(value) if type(value) is bool else decimal(value)

    def cast_to(row: Row, context: Context) -> Value:
        value = inner(row, context)
        if target == "string":
            text = string(value)
            return UNDEFINED if text is None else text
        if target == "boolean":
            truth = value != 0 if type(value) in _NUMBERS else boolean(value)
            return UNDEFINED if truth is None else truth
        found = to_number(value)
        if found is None:
            return UNDEFINED
        whole = integer(found)
        return found if target == "decimal" or whole is None else number(whole)

    return cast_to


# ------------------------------------------------------------------------------------------------ clauses


def _case(
    subject: Expression, branches: tuple[tuple[Expression, Expression], ...], otherwise: Expression | None
) -> Closure:
    of = compile_expression(subject)
    arms = [(compile_expression(when), compile_expression(then)) for when, then in branches]
    last = compile_expression(otherwise) if otherwise is not None else None

    def case(row: Row, context: Context) -> Value:
        value = of(row, context)
        if value is UNDEFINED:  # "If v is Undefined, the result of the case statement is Undefined"
            return UNDEFINED
        for when, then in arms:
            candidate = when(row, context)
            if candidate is not UNDEFINED and equal(value, candidate):
                return then(row, context)
        return last(row, context) if last is not None else UNDEFINED

    return case


def _array(items: list[Closure]) -> Closure:
    def array(row: Row, context: Context) -> Value:
        return [value for item in items if (value := item(row, context)) is not UNDEFINED]

    return array


def _object(members: list[tuple[str, Closure]]) -> Closure:
    def build(row: Row, context: Context) -> Value:
        return {key: value for key, of in members if (value := of(row, context)) is not UNDEFINED}

    return build


def compile_selection(select: syntax.Select) -> Closure:
    """What a SELECT makes of one row. ``*`` stands for the row itself."""
    if select.value:
        only = select.items[0].expression
        return compile_expression(only) if only is not None else lambda row, context: row
    steps = [(item.path, compile_expression(item.expression) if item.expression else None) for item in select.items]

    def selection(row: Row, context: Context) -> Value:
        result: Row = {}
        for path, of in steps:
            if of is None:
                result.update(row)
            elif (value := of(row, context)) is not UNDEFINED:
                if len(path) == 1:
                    result[path[0]] = value
                else:
                    _place(result, path, value)
        return result

    return selection


def _place(result: Row, path: tuple[str, ...], value: Value) -> None:
    """``AS a.b.c``. Objects on the way are copied: they may belong to the payload, which other rules see."""
    for name in path[:-1]:
        inner = result.get(name)
        result[name] = result = dict(inner) if type(inner) is dict else {}
    result[path[-1]] = value


def _nested_select(select: syntax.Select) -> Closure:
    """Over an array: an array of what each element gives. Over an object: what that one gives."""
    assert select.source is not None
    source, shape = compile_expression(select.source), compile_selection(select)
    where = compile_expression(select.where) if select.where is not None else None

    def one(element: Value, context: Context) -> Value:
        row = element if type(element) is dict else {}
        if where is not None and boolean(where(row, context)) is not True:
            return UNDEFINED
        return shape(row, context)

    def nested(row: Row, context: Context) -> Value:
        value = source(row, context)
        if type(value) is dict:
            return one(value, context)
        if type(value) is list:
            return [found for element in value if (found := one(element, context)) is not UNDEFINED]
        return UNDEFINED

    return nested
