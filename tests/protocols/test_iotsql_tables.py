"""The compiler against a plain interpreter that is written from AWS's tables (operators, conversions, functions).

The interpreter walks a tree and knows nothing of the code under test; hypothesis makes trees and payloads, and both
have to agree on every one. Numbers are as this place has them: Int exact, Decimal a double, whole ones an Int.
The same trees at each run; ``LITTORAL_TREES=20000 pytest tests/protocols/test_iotsql_tables.py`` makes that many
others.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.protocols.iotsql import Context, compile_rule


class _Missing:
    def __repr__(self) -> str:
        return "Undefined"


MORE = os.environ.get("LITTORAL_TREES")
U = _Missing()  # Undefined
Tree = tuple[Any, ...]


# ----------------------------------------------------------------------------------------------------- conversions


def kind(value: Any) -> str:
    if value is U:
        return "Undefined"
    if value is None:
        return "Null"
    names = {bool: "Boolean", int: "Int", float: "Decimal", str: "String", list: "Array", dict: "Object"}
    return names[type(value)]


def normal(value: Any) -> Any:
    """Whole numbers are Int in SQL version 2016-03-23; what is no finite number is Undefined."""
    if type(value) is float:
        if not math.isfinite(value):
            return U
        return int(value) if value == int(value) else value
    return value


def to_decimal(value: Any) -> Any:
    if kind(value) in ("Int", "Decimal"):
        return normal(value)
    if kind(value) == "String" and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE]-?[0-9]+)?", value):
        return normal(float(value)) if re.search(r"[.eE]", value) else int(value)
    return U


def to_int(value: Any) -> Any:
    number = to_decimal(value)
    return U if number is U else math.floor(number)


def to_boolean(value: Any) -> Any:
    if kind(value) == "Boolean":
        return value
    if kind(value) == "String" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return U


def to_string(value: Any) -> Any:
    match kind(value):
        case "String":
            return value
        case "Boolean":
            return "true" if value else "false"
        case "Int" | "Decimal":
            return str(normal(value)).replace("e", "E")
        case "Array" | "Object":
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return U


# ------------------------------------------------------------------------------------------------------- operators


def logic(sign: str, left: Any, right: Any) -> Any:
    a, b = to_boolean(left), to_boolean(right)
    if U in (a, b):
        return U
    return a and b if sign == "AND" else a or b


def same(left: Any, right: Any) -> bool:
    kinds = {kind(left), kind(right)}
    if kinds <= {"Int", "Decimal"}:
        return bool(left == right)
    if len(kinds) > 1:
        return False
    if kinds == {"Array"}:
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if kinds == {"Object"}:
        return set(left) == set(right) and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def order(sign: str, left: Any, right: Any) -> Any:
    a, b = to_decimal(left), to_decimal(right)
    if U in (a, b):
        return U
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[sign]


def plus(left: Any, right: Any) -> Any:
    if "String" in (kind(left), kind(right)):
        a, b = to_string(left), to_string(right)
        return U if U in (a, b) else a + b
    if {kind(left), kind(right)} <= {"Int", "Decimal"}:
        return normal(normal(left) + normal(right))
    return U


def arithmetic(sign: str, left: Any, right: Any) -> Any:
    a, b = to_decimal(left), to_decimal(right)
    if U in (a, b) or (sign in "/%" and b == 0):
        return U
    whole = type(a) is int and type(b) is int
    if sign == "-":
        return normal(a - b)
    if sign == "*":
        return normal(a * b)
    if sign == "/":
        return (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1) if whole else normal(a / b)
    return (abs(a) % abs(b)) * (-1 if a < 0 else 1) if whole else normal(math.fmod(a, b))


def equality(sign: str, left: Any, right: Any) -> Any:
    return U if U in (kind_or_u(left), kind_or_u(right)) else same(left, right) is (sign == "=")


def kind_or_u(value: Any) -> Any:
    return U if value is U else kind(value)


# ------------------------------------------------------------------------------------------------------- functions


def of_number(compute: Callable[..., Any]) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        numbers = [to_decimal(argument) for argument in arguments]
        return U if any(each is U for each in numbers) else normal(compute(*numbers))

    return function


def of_int(compute: Callable[[int, int], int]) -> Callable[[Any, Any], Any]:
    def function(a: Any, b: Any) -> Any:
        x, y = to_int(a), to_int(b)
        return U if x is U or y is U else compute(x, y)

    return function


def of_text(compute: Callable[..., Any]) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        texts = [to_string(argument) for argument in arguments]
        return U if any(each is U for each in texts) else compute(*texts)

    return function


def get(collection: Any, key: Any) -> Any:
    if kind(collection) == "Object":
        return collection.get(key, U) if kind(key) == "String" else U
    if kind(collection) in ("Array", "String"):
        index = to_int(key)
        return U if index is U or not 0 <= index < len(collection) else collection[index]
    return U


def substring(text: Any, start: Any, end: Any) -> Any:
    whole, first, last = to_string(text), to_int(start), to_int(end)
    if U in (whole, first, last):
        return U
    clamp = lambda index: min(max(index, 0), len(whole))  # noqa: E731 - as the page says it
    return whole[clamp(first) : clamp(last)] if clamp(first) < clamp(last) else ""


def concat(a: Any, b: Any) -> Any:
    if "Array" in (kind(a), kind(b)):
        return [each for part in (a, b) if part is not U for each in (part if kind(part) == "Array" else [part])]
    if "String" in (kind(a), kind(b)):
        return plus(a, b)
    return U


FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, of_number(abs)),
    "bitand": (2, of_int(lambda a, b: a & b)),
    "bitor": (2, of_int(lambda a, b: a | b)),
    "bitxor": (2, of_int(lambda a, b: a ^ b)),
    "ceil": (1, of_number(math.ceil)),
    "concat": (2, concat),
    "endswith": (2, of_text(lambda a, b: a.endswith(b))),
    "floor": (1, of_number(math.floor)),
    "get": (2, get),
    "indexof": (2, of_text(lambda a, b: a.find(b))),
    "isnull": (1, lambda value: value is None),
    "isundefined": (1, lambda value: value is U),
    "length": (1, of_text(len)),
    "lower": (1, of_text(str.lower)),
    "mod": (2, lambda a, b: arithmetic("%", a, b)),
    "nanvl": (2, lambda a, b: b if a is U or a is None else a),
    "remainder": (2, lambda a, b: arithmetic("%", a, b)),
    "sign": (1, of_number(lambda value: (value > 0) - (value < 0))),
    "startswith": (2, of_text(lambda a, b: a.startswith(b))),
    "substring": (3, substring),
    "upper": (1, of_text(str.upper)),
}


def cast(value: Any, target: str) -> Any:
    if target == "string":
        return to_string(value)
    if target == "boolean":
        return value != 0 if kind(value) in ("Int", "Decimal") else to_boolean(value)
    number = int(value) if kind(value) == "Boolean" else to_decimal(value)
    return math.floor(number) if target == "int" and number is not U else number


# --------------------------------------------------------------------------------------------------- trees, walked


def interpret(tree: Tree, row: Any) -> Any:
    def of(inner: Tree) -> Any:
        return interpret(inner, row)

    match tree:
        case "literal", value:
            return normal(value)
        case "name", name:
            return row.get(name, U)
        case "not", inner:
            truth = to_boolean(of(inner))
            return U if truth is U else not truth
        case "minus", inner:
            number = to_decimal(of(inner))
            return U if number is U else normal(-number)
        case "AND" | "OR" as sign, left, right:
            return logic(sign, of(left), of(right))
        case "=" | "<>" as sign, left, right:
            return equality(sign, of(left), of(right))
        case "<" | "<=" | ">" | ">=" as sign, left, right:
            return order(sign, of(left), of(right))
        case "+", left, right:
            return plus(of(left), of(right))
        case "-" | "*" | "/" | "%" as sign, left, right:
            return arithmetic(sign, of(left), of(right))
        case "call", name, arguments:
            return FUNCTIONS[name][1](*[of(argument) for argument in arguments])
        case "cast", inner, target:
            return cast(of(inner), target)
        case "member", inner, name:
            value = of(inner)
            return value.get(name, U) if kind(value) == "Object" else U
        case "item", inner, index:
            return get(of(inner), of(index))
        case "array", items:
            return [value for item in items if (value := of(item)) is not U]
        case "object", members:
            return {key: value for key, item in members if (value := of(item)) is not U}
        case "case", subject, branches, otherwise:
            value = of(subject)
            if value is U:
                return U
            for when, then in branches:
                candidate = of(when)
                if candidate is not U and same(value, candidate):
                    return of(then)
            return U if otherwise is None else of(otherwise)
        case "select", inner, where, source:
            return nested(inner, where, of(source))
    raise AssertionError(tree)


def nested(inner: Tree, where: Tree | None, source: Any) -> Any:
    def one(element: Any) -> Any:
        row = element if kind(element) == "Object" else {}
        if where is not None and to_boolean(interpret(where, row)) is not True:
            return U
        return interpret(inner, row)

    if kind(source) == "Object":
        return one(source)
    if kind(source) == "Array":
        return [value for element in source if (value := one(element)) is not U]
    return U


def written(tree: Tree) -> str:
    match tree:
        case "literal", str(text):
            return "'" + text.replace("'", "''") + "'"
        case "literal", value:
            return json.dumps(value)
        case "name", name:
            return str(name)
        case "not", inner:
            return f"(NOT {written(inner)})"
        case "minus", inner:
            return f"(-{written(inner)})"
        case "call", name, arguments:
            return f"{name}({', '.join(map(written, arguments))})"
        case "cast", inner, target:
            return f"cast({written(inner)} AS {target})"
        case "member", inner, name:
            return f"({written(inner)}).{name}"
        case "item", inner, index:
            return f"({written(inner)})[{written(index)}]"
        case "array", items:
            return f"[{', '.join(map(written, items))}]"
        case "object", members:
            return "{" + ", ".join(f"'{key}': {written(item)}" for key, item in members) + "}"
        case "case", subject, branches, otherwise:
            arms = " ".join(f"WHEN {written(when)} THEN {written(then)}" for when, then in branches)
            return f"CASE {written(subject)} {arms}" + (f" ELSE {written(otherwise)}" if otherwise else "") + " END"
        case "select", inner, where, source:
            condition = f" WHERE {written(where)}" if where else ""
            return f"(SELECT VALUE {written(inner)} FROM ({written(source)}){condition})"
        case sign, left, right:
            return f"({written(left)} {sign} {written(right)})"
    raise AssertionError(tree)


# ------------------------------------------------------------------------------------------------------ both at once

NAMES = ("a", "b", "c", "d")
TEXTS = st.sampled_from(["", "x", "it's", "true", "FALSE", "0", "-1.5", "5E-1", "12", "1.", "+1", " 1", "€"])
NUMBERS = st.integers(-20, 20) | st.integers(-40, 40).map(lambda quarter: quarter / 4)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
PAYLOADS = st.dictionaries(
    st.sampled_from(NAMES),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        max_leaves=6,
    ),
)
LITERALS = (st.none() | st.booleans() | st.integers(0, 20) | st.integers(0, 40).map(lambda q: q / 4) | TEXTS).map(
    lambda value: ("literal", value)
)
LEAVES = st.sampled_from(NAMES).map(lambda name: ("name", name)) | LITERALS
SIGNS = st.sampled_from(["AND", "OR", "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"])


def larger(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    pairs = st.tuples(inner, inner)
    calls = st.sampled_from(sorted(FUNCTIONS)).flatmap(
        lambda name: st.tuples(st.just("call"), st.just(name), st.tuples(*[inner] * FUNCTIONS[name][0]))
    )
    return st.one_of(
        st.tuples(SIGNS, inner, inner),
        st.tuples(st.just("not"), inner),
        st.tuples(st.just("minus"), inner),
        calls,
        st.tuples(st.just("cast"), inner, st.sampled_from(["string", "int", "decimal", "boolean"])),
        st.tuples(st.just("member"), inner, st.sampled_from(NAMES)),
        st.tuples(st.just("item"), inner, inner),
        st.tuples(st.just("array"), st.lists(inner, max_size=3).map(tuple)),
        st.tuples(st.just("object"), st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=2).map(tuple)),
        st.tuples(st.just("case"), inner, st.lists(pairs, min_size=1, max_size=2).map(tuple), st.none() | inner),
        st.tuples(st.just("select"), inner, st.none() | inner, inner),
    )


TREES = st.recursive(LEAVES, larger, max_leaves=8)


def shown(value: Any) -> Any:
    """As JSON holds it: numbers by value, so that 1.0 is 1."""
    return json.dumps(_normal_all(value), sort_keys=True)


def _normal_all(value: Any) -> Any:
    if isinstance(value, list):
        return [_normal_all(each) for each in value]
    if isinstance(value, dict):
        return {key: _normal_all(each) for key, each in value.items()}
    return normal(value)


@settings(max_examples=int(MORE or 300), derandomize=not MORE)
@given(TREES, PAYLOADS)
def test_the_compiler_says_what_the_tables_say(tree: Tree, payload: dict[str, Any]) -> None:
    selected = compile_rule(f"SELECT {written(tree)} AS it FROM 'x'").evaluate(
        Context("x", json.dumps(payload).encode(), 0)
    )
    assert selected is not None
    found, expected = json.loads(selected.payload), interpret(tree, payload)
    assert shown(found) == shown({} if expected is U else {"it": expected})


@settings(max_examples=int(MORE or 100), derandomize=not MORE)
@given(TREES, PAYLOADS)
def test_where_lets_through_what_is_true(tree: Tree, payload: dict[str, Any]) -> None:
    rule = compile_rule(f"SELECT * FROM 'x' WHERE {written(tree)}")
    found = rule.evaluate(Context("x", json.dumps(payload).encode(), 0)) is not None
    assert found is (to_boolean(interpret(tree, payload)) is True)


# ------------------------------------------------------------------------------- AWS's comparison tables, row by row

EXAMPLES = {
    "Int": 3,
    "Decimal": 2.5,
    "Boolean": True,
    "String": "x",
    "Array": [1],
    "Object": {"k": 1},
    "Null": None,
    "Undefined": U,
}


@pytest.mark.parametrize("left", EXAMPLES)
@pytest.mark.parametrize("right", EXAMPLES)
def test_mismatched_types_are_different_and_undefined_stays_undefined(left: str, right: str) -> None:
    payload = {name: value for name, value in (("l", EXAMPLES[left]), ("r", EXAMPLES[right])) if value is not U}
    sql = "SELECT l = r AS eq, l <> r AS ne, l < r AS lt, l AND r AS both FROM 'x'"
    selected = compile_rule(sql).evaluate(Context("x", json.dumps(payload).encode(), 0))
    assert selected is not None
    found = json.loads(selected.payload)
    numbers = {left, right} <= {"Int", "Decimal"}
    if "Undefined" in (left, right):
        assert "eq" not in found and "ne" not in found
    else:
        assert found["eq"] is (left == right) and found["ne"] is (left != right)
    assert ("lt" in found) is numbers
    assert ("both" in found) is (left == right == "Boolean")


CASTS = {  # "Cast to decimal", "Cast to int", "Cast to Boolean", "Cast to string"
    "Int": (3, 3, 3, True, "3"),
    "zero": (0, 0, 0, False, "0"),
    "Decimal": (-2.5, -2.5, -3, True, "-2.5"),
    "whole Decimal": (10.0, 10, 10, True, "10"),
    "large Decimal": (1.5e300, 1.5e300, 1.5e300, True, "1.5E+300"),
    "true": (True, 1, 1, True, "true"),
    "false": (False, 0, 0, False, "false"),
    "number": ("-1.2", -1.2, -2, U, "-1.2"),
    "exponent": ("5E-1", 0.5, 0, U, "5E-1"),
    "truth": ("TRUE", U, U, True, "TRUE"),
    "text": ("x", U, U, U, "x"),
    "plus": ("+1", U, U, U, "+1"),
    "Array": ([1, "a", None, True], U, U, U, '[1,"a",null,true]'),
    "Object": ({"k": "v", "n": 1}, U, U, U, '{"k":"v","n":1}'),
    "Null": (None, U, U, U, U),
}


@pytest.mark.parametrize("row", CASTS)
def test_casts_are_those_of_the_tables(row: str) -> None:
    value, *expected = CASTS[row]
    casts = ("decimal", "int", "boolean", "string")
    sql = ", ".join(f"cast(v AS {target}) AS {target}" for target in casts)
    selected = compile_rule(f"SELECT {sql} FROM 'x'").evaluate(Context("x", json.dumps({"v": value}).encode(), 0))
    assert selected is not None
    found = json.loads(selected.payload)
    assert [found.get(target, U) for target in casts] == expected


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (("String", "Nvarchar", "Text", "Ntext", "varchar"), "3"),
        (("Int", "Integer", "Decimal", "Double"), 3),
        (("Bool", "Boolean"), True),
    ],
)
def test_types_have_the_names_that_aws_lists(names: tuple[str, ...], target: Any) -> None:
    for name in names:
        selected = compile_rule(f"SELECT cast(3 AS {name}) AS it FROM 'x'").evaluate(Context("x", b"{}", 0))
        assert selected is not None and json.loads(selected.payload) == {"it": target}
