"""DynamoDB's language: numbers and their order, conditions, updates, projections, and what is refused how."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.protocols.dynamodb import numbers
from littoral.protocols.dynamodb.bindings import Bindings
from littoral.protocols.dynamodb.conditions import compile_condition
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keycondition import after_prefix, compile_key_condition
from littoral.protocols.dynamodb.keys import Attribute, Schema, segment
from littoral.protocols.dynamodb.projections import compile_projection
from littoral.protocols.dynamodb.updates import compile_update
from littoral.protocols.dynamodb.values import equal, item_size, settle_item

ITEM = {
    "p": "a",
    "n": 5,
    "said": "hello",
    "list": [1, {"x": 2}, "three"],
    "map": {"in": {"deep": 7}},
    "set": {"a", "b"},
}


def item(given: dict[str, Any]) -> dict[str, Any]:
    found = {name: TypeSerializer().serialize(value) for name, value in given.items()}
    settle_item(found)
    return found


def plain(given: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeDeserializer().deserialize(value) for name, value in given.items()}


def bound(names: dict[str, str] | None, values: dict[str, Any]) -> Bindings:
    return Bindings(
        names, {f":{name}": TypeSerializer().serialize(v) for name, v in values.items()} or None, expressions=True
    )


def holds(text: str, names: dict[str, str] | None = None, /, **values: Any) -> bool:
    bindings = bound(names, values)
    test = compile_condition(text, bindings)
    bindings.finish()
    return test(item(ITEM))


def updated(text: str, names: dict[str, str] | None = None, /, **values: Any) -> dict[str, Any]:
    bindings = bound(names, values)
    change = compile_update(text, bindings, ("p",))
    bindings.finish()
    before = item(ITEM)
    after = change.apply(before)
    assert before == item(ITEM), "the item that was there is left as it is"
    return plain(after)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("n = :v", {"v": Decimal("5.0")}),
        ("n <> :v", {"v": "5"}),
        ("absent <> :v", {"v": 1}),
        ("n between :a and :b", {"a": 5, "b": 6}),
        ("n IN (:a, :b)", {"a": 1, "b": 5}),
        ("NOT n < :v AND (said = :t OR n = :v)", {"v": 4, "t": "hello"}),
        ("n = :a OR n = :b AND absent = :b", {"a": 5, "b": 6}),  # AND binds tighter
        ("begins_with(said, :v)", {"v": "he"}),
        ("contains(said, :v)", {"v": "ll"}),
        ("contains(#s, :v)", {"v": "a"}),
        ("contains(#l, :v)", {"v": "three"}),
        ("attribute_type(#l, :v)", {"v": "L"}),
        ("attribute_exists(#m.#in.deep) AND attribute_not_exists(#m.x.y)", {}),
        ("size(said) = :v", {"v": 5}),
        ("size(#l) > size(#s)", {}),
        ("#l[1].x < #m.#in.deep", {}),
        ("(n) = :v", {"v": 5}),
    ],
)
def test_conditions_that_hold(text: str, values: dict[str, Any]) -> None:
    names = {key: value for key, value in {"#l": "list", "#m": "map", "#s": "set", "#in": "in"}.items() if key in text}
    assert holds(text, names or None, **values)


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ("n = ", {}, 'Syntax error; token: "<EOF>"'),
        ("n == :v", {"v": 1}, "Syntax error"),
        ("size = :v", {"v": 1}, "reserved keyword: size"),
        ("n = :v", {"v": 1, "w": 2}, "unused in expressions: keys: {:w}"),
        ("n = :w", {"v": 1}, "not defined; attribute value: :w"),
        ("#n = :v", {"v": 1}, "not defined; attribute name: #n"),
        ("((n = :v))", {"v": 1}, "redundant parentheses"),
        ("n < :v", {"v": [1]}, "operator or function: <, operand type: L"),
        ("n BETWEEN :a AND :b", {"a": 2, "b": 1}, "upper bound to be greater"),
        ("attribute_type(n, :v)", {"v": "X"}, "Invalid attribute type name"),
        ("nofunction(n)", {}, "Invalid function name; function: nofunction"),
        ("begins_with(n)", {}, "number of operands: 1"),
        ("n = n", {}, "first operand must be distinct"),
        ("if_not_exists(n, :v) = :v", {"v": 1}, "not allowed"),
        (" AND ".join(["n = :v"] * 301), {"v": 1}, "too many operators"),
        ("n = :v" + " " * 5000, {"v": 1}, "expression size: 5006"),
    ],
)
def test_conditions_that_are_refused(text: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as refused:
        holds(text, **values)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "values", "changed"),
    [
        ("SET n = n + :v, said = :t", {"v": 2, "t": "x"}, {"n": 7, "said": "x"}),
        ("SET a = n, n = :v", {"v": 1}, {"a": 5, "n": 1}),  # operands see the item as it was
        ("SET a = if_not_exists(a, :v) - :w", {"v": 1, "w": 3}, {"a": -2}),
        ("SET #l = list_append(:v, #l)", {"v": [0]}, {"list": [0, 1, {"x": 2}, "three"]}),
        ("SET #l[9] = :v, #l[0] = :v", {"v": 8}, {"list": [8, {"x": 2}, "three", 8]}),
        ("REMOVE #l[0], #l[1]", {}, {"list": ["three"]}),
        ("SET #m.#in.deep = :v REMOVE said", {"v": 1}, {"map": {"in": {"deep": 1}}, "said": None}),
        ("ADD n :v, #s :s", {"v": Decimal("0.5"), "s": {"c"}}, {"n": Decimal("5.5"), "set": {"a", "b", "c"}}),
        ("DELETE #s :s", {"s": {"a", "z"}}, {"set": {"b"}}),
        ("DELETE #s :s", {"s": {"a", "b"}}, {"set": None}),
        ("ADD fresh :v", {"v": 3}, {"fresh": 3}),
    ],
)
def test_updates(text: str, values: dict[str, Any], changed: dict[str, Any]) -> None:
    names = {key: value for key, value in {"#l": "list", "#m": "map", "#s": "set", "#in": "in"}.items() if key in text}
    wanted = {name: value for name, value in {**ITEM, **changed}.items() if value is not None}
    assert updated(text, names or None, **values) == wanted


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ("SET p = :v", {"v": 1}, "This attribute is part of the key"),
        ("SET a = b", {}, "does not exist in the item"),
        ("SET n.x = :v", {"v": 1}, "invalid for update"),
        ("SET a = :v SET b = :v", {"v": 1}, "can only be used once"),
        ("SET a = :v, a.b = :v", {"v": 1}, "overlap"),
        ("SET a.b = :v, a[1] = :v", {"v": 1}, "conflict"),
        ("SET n = n + :v", {"v": "1"}, "operand type: S"),
        ("ADD said :v", {"v": 1}, "incorrect data type"),
        ("DELETE n :v", {"v": 1}, "operand type: NUMBER"),
        ("SET a = :v + :w", {"v": Decimal("1e50"), "w": 1}, "Number overflow"),
        ("FLY a", {}, "Syntax error"),
        ("SET a = size(n)", {}, "not allowed in an update expression"),
    ],
)
def test_updates_that_are_refused(text: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as refused:
        updated(text, **values)
    assert words in str(refused.value)


def test_a_projection_keeps_what_is_named_without_gaps() -> None:
    bindings = Bindings({"#l": "list", "#m": "map", "#in": "in"}, None, expressions=True)
    project, _ = compile_projection("n, #l[2], #l[1].x, #m.#in, absent, said.x", bindings)
    assert plain(project(item(ITEM))) == {"n": 5, "list": [{"x": 2}, "three"], "map": {"in": {"deep": 7}}}


decimals = st.builds(
    lambda digits, sign, exponent: Decimal(f"{sign}{digits}e{exponent}"),
    st.integers(0, 10**38 - 1),
    st.sampled_from(["", "-"]),
    st.integers(-130, 80),
)


@settings(max_examples=300)
@given(decimals, decimals)
def test_the_order_of_encoded_numbers_is_the_order_of_numbers(one: Decimal, other: Decimal) -> None:
    left, right = numbers.canonical(str(one)), numbers.canonical(str(other))
    assert Decimal(left) == one
    first, second = numbers.ordered(left), numbers.ordered(right)
    assert (first < second, first == second) == (one < other, one == other)
    assert (left == right) == (one == other), "equal numbers have one spelling"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1" * 39, "38 significant"),
        ("1e126", "overflow"),
        ("1e-131", "underflow"),
        ("x", "numeric value"),
        ("", "numeric"),
    ],
)
def test_numbers_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        numbers.canonical(text)


@given(st.binary(min_size=1, max_size=4), st.binary(max_size=5))
def test_a_prefix_ends_where_the_next_begins(prefix: bytes, text: bytes) -> None:
    end = after_prefix(prefix)
    assert text.startswith(prefix) == (text >= prefix and (end is None or text < end))


@given(st.integers(1, 300))
def test_segments_share_all_partitions(total: int) -> None:
    spans = [segment(index, total) for index in range(total)]
    assert spans[0][0] == bytes(8)
    assert spans[-1][1] is None
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("c = :v", "missed key schema element: p"),
        ("p = :v AND x = :v", "missed key schema element: c"),
        ("p > :v", "not supported"),
        ("p = :v AND p = :v", "one condition per key"),
        ("p = :v OR c = :v", "Invalid operator used in KeyConditionExpression: OR"),
        ("p = :v AND c <> :v", "Invalid operator used in KeyConditionExpression: <>"),
        ("p = :v AND c.x = :v", "nested attributes"),
    ],
)
def test_key_conditions_that_are_refused(text: str, words: str) -> None:
    schema = Schema(Attribute("p", "S"), Attribute("c", "S"))
    with pytest.raises(Invalid) as refused:
        compile_key_condition(text, Bindings(None, {":v": {"S": "x"}}, expressions=True), schema)
    assert words in str(refused.value)


def test_sets_are_equal_in_any_order_and_sizes_are_counted_in_bytes() -> None:
    assert equal({"L": [{"SS": ["a", "b"]}]}, {"L": [{"SS": ["b", "a"]}]})
    assert not equal({"SS": ["a"]}, {"NS": ["1"]})
    assert item_size({"a": {"S": "é"}, "b": {"BOOL": True}, "m": {"M": {"k": {"N": "123"}}}}) == 3 + 2 + (
        1 + 3 + 1 + 3 + 1
    )
