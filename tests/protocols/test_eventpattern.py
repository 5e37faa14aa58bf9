"""Event patterns: AWS's documented operators by example, and properties that hold of all events."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.eventpattern import PatternError, compile_pattern, parse_pattern

EXAMPLES: list[tuple[Any, Any, bool]] = [
    # exact values, of the same type only
    ({"ward": ["icu"]}, {"ward": "icu"}, True),
    ({"ward": ["icu"]}, {"ward": "ICU"}, False),
    ({"ward": ["icu", "or"]}, {"ward": "or", "bed": 7}, True),
    ({"bed": [7]}, {"bed": 7.0}, True),
    ({"bed": [7]}, {"bed": "7"}, False),
    ({"bed": [1]}, {"bed": True}, False),
    ({"on": [True]}, {"on": True}, True),
    ({"gone": [None]}, {"gone": None}, True),
    ({"gone": [None]}, {}, False),
    ({"text": [""]}, {"text": ""}, True),
    # nesting; all members must match
    ({"detail": {"ward": ["icu"], "bed": [7]}}, {"detail": {"ward": "icu", "bed": 7}}, True),
    ({"detail": {"ward": ["icu"], "bed": [7]}}, {"detail": {"ward": "icu", "bed": 8}}, False),
    ({"detail": {"ward": ["icu"]}}, {"detail": "icu"}, False),
    # arrays in the event: one element suffices; an element must match as a whole
    ({"tags": ["red"]}, {"tags": ["blue", "red"]}, True),
    ({"tags": ["red"]}, {"tags": []}, False),
    ({"l": {"a": [1], "b": [2]}}, {"l": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, True),
    ({"l": {"a": [1], "b": [4]}}, {"l": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, False),
    # operators
    ({"s": [{"prefix": "ic"}]}, {"s": "icu"}, True),
    ({"s": [{"prefix": {"equals-ignore-case": "IC"}}]}, {"s": "icu"}, True),
    ({"s": [{"suffix": ".png"}]}, {"s": "a.png"}, True),
    ({"s": [{"suffix": ".png"}]}, {"s": "a.jpg"}, False),
    ({"s": [{"equals-ignore-case": "ICU"}]}, {"s": "icU"}, True),
    ({"s": [{"wildcard": "a*b*c"}]}, {"s": "axxbyyc"}, True),
    ({"s": [{"wildcard": "a*b*c"}]}, {"s": "axxc"}, False),
    ({"s": [{"wildcard": "a\\*c"}]}, {"s": "a*c"}, True),
    ({"s": [{"wildcard": "a\\*c"}]}, {"s": "abc"}, False),
    ({"n": [{"numeric": [">", 0, "<=", 5]}]}, {"n": 5}, True),
    ({"n": [{"numeric": [">", 0, "<=", 5]}]}, {"n": 0}, False),
    ({"n": [{"numeric": ["=", 3.018e2]}]}, {"n": 301.8}, True),
    ({"n": [{"numeric": ["<", 10]}]}, {"n": "5"}, False),
    ({"n": [{"numeric": ["<", 10]}]}, {"n": True}, False),
    ({"s": [{"anything-but": "icu"}]}, {"s": "or"}, True),
    ({"s": [{"anything-but": ["icu", "or"]}]}, {"s": "or"}, False),
    ({"s": [{"anything-but": [100, 200]}]}, {"s": 300}, True),
    ({"s": [{"anything-but": {"prefix": "in"}}]}, {"s": "init"}, False),
    ({"s": [{"anything-but": {"prefix": "in"}}]}, {"s": "out"}, True),
    ({"s": [{"anything-but": {"suffix": [".a", ".b"]}}]}, {"s": "x.b"}, False),
    ({"s": [{"anything-but": "icu"}]}, {}, False),
    ({"s": [{"exists": True}]}, {"s": None}, True),
    ({"s": [{"exists": True}]}, {}, False),
    ({"s": [{"exists": False}]}, {}, True),
    ({"s": [{"exists": False}]}, {"s": 1}, False),
    ({"a": {"b": [{"exists": False}]}}, {}, True),
    ({"a": {"b": [{"exists": False}]}}, {"a": {"c": 1}}, True),
    ({"a": {"b": [{"exists": False}]}}, {"a": {"b": 1}}, False),
    ({"a": {"b": [{"exists": False}], "c": [1]}}, {}, False),
    ({"ip": [{"cidr": "10.0.0.0/24"}]}, {"ip": "10.0.0.255"}, True),
    ({"ip": [{"cidr": "10.0.0.0/24"}]}, {"ip": "10.0.1.0"}, False),
    ({"ip": [{"cidr": "10.0.0.0/24"}]}, {"ip": "somewhere"}, False),
    # $or
    ({"$or": [{"a": [1]}, {"b": [2]}]}, {"b": 2}, True),
    ({"$or": [{"a": [1]}, {"b": [2]}]}, {"a": 2, "b": 1}, False),
    ({"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"a": 1}, False),
    ({"d": {"$or": [{"a": [1]}, {"b": [{"prefix": "x"}]}]}}, {"d": {"b": "xy"}}, True),
]


@pytest.mark.parametrize(("pattern", "event", "expected"), EXAMPLES)
def test_examples(pattern: Any, event: Any, expected: bool) -> None:
    assert parse_pattern(json.dumps(pattern))(event) is expected


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "7", "{", '{"a": 1}', '{"a": []}', '{"a": {}}', '{"a": [[1]]}', '{"a": [NaN]}',
        '{"a": [1], "a": [2]}', '{"a": [{"starts": "x"}]}', '{"a": [{"prefix": "x", "suffix": "y"}]}',
        '{"a": [{"prefix": ""}]}', '{"a": [{"prefix": 7}]}', '{"a": [{"exists": "yes"}]}',
        '{"a": [{"numeric": []}]}', '{"a": [{"numeric": [">"]}]}', '{"a": [{"numeric": ["!", 1]}]}',
        '{"a": [{"numeric": [">", 5, "<", 1]}]}', '{"a": [{"numeric": ["<", 1, ">", 0]}]}',
        '{"a": [{"numeric": [">", 6000000000]}]}', '{"a": [{"numeric": [">", "1"]}]}',
        '{"a": [{"anything-but": []}]}', '{"a": [{"anything-but": [null]}]}',
        '{"a": [{"anything-but": {"exists": true}}]}',
        '{"a": [{"wildcard": "a**b"}]}', '{"a": [{"wildcard": "a\\\\b"}]}', '{"a": [{"cidr": "x"}]}',
        '{"$or": [{"a": [1]}]}', '{"$or": {"a": [1]}}', '{"$or": [{"a": [1]}, {}]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        parse_pattern(text)


SCALARS = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)
EVENTS = st.dictionaries(st.text("abc", min_size=1, max_size=1), VALUES, max_size=3)
WORDS = st.text("ab*", max_size=6)


@given(EVENTS, SCALARS)
def test_anything_but_is_the_opposite_of_equality_for_a_value_that_is_there(event: dict[str, Any], wanted: Any) -> None:
    if not isinstance(wanted, str | int) or isinstance(wanted, bool):
        return
    found = event.get("a")
    if "a" not in event or isinstance(found, dict | list):
        return
    same = compile_pattern({"a": [wanted]})(event)
    assert compile_pattern({"a": [{"anything-but": wanted}]})(event) is not same


@given(EVENTS)
def test_exists_and_its_opposite_never_agree_on_leaves(event: dict[str, Any]) -> None:
    there = compile_pattern({"a": [{"exists": True}]})(event)
    absent = compile_pattern({"a": [{"exists": False}]})(event)
    assert there != absent


@given(EVENTS, st.lists(SCALARS, min_size=1, max_size=3), st.lists(SCALARS, min_size=1, max_size=3))
def test_members_are_and_elements_and_choices_are_or(event: dict[str, Any], one: list[Any], other: list[Any]) -> None:
    a, b = compile_pattern({"a": one}), compile_pattern({"b": other})
    assert compile_pattern({"a": one, "b": other})(event) == (a(event) and b(event))
    assert compile_pattern({"$or": [{"a": one}, {"b": other}]})(event) == (a(event) or b(event))
    assert compile_pattern({"a": one + other})(event) == any(
        compile_pattern({"a": [each]})(event) for each in one + other
    )


@given(st.text("ab", max_size=8), WORDS.filter(lambda word: word and "**" not in word))
def test_a_wildcard_is_a_shells_star(text: str, pattern: str) -> None:
    assert compile_pattern({"a": [{"wildcard": pattern}]})({"a": text}) == fnmatch.fnmatchcase(text, pattern)


@given(VALUES, EVENTS)
def test_a_pattern_is_compiled_or_refused_and_never_fails_on_an_event(pattern: Any, event: dict[str, Any]) -> None:
    try:
        matches = compile_pattern(pattern)
    except PatternError:
        return
    assert matches(event) in {True, False}
