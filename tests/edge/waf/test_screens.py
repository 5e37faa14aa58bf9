"""What is left out as doing nothing does nothing: chains held against themselves, masks against each condition asked
of the value by itself."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.edge.waf.crs.engine import Engine, Link
from littoral.edge.waf.crs.kinds import Kind
from littoral.edge.waf.crs.operators import TRANSFORMATIONS
from littoral.edge.waf.crs.ruleset import NoRuleSet, Source
from littoral.edge.waf.crs.seclang import read
from littoral.edge.waf.reach import REACH, Classes, needed
from littoral.edge.waf.transformations import PRE_PARSE, WAF, composed

EVERY = sorted({*WAF.values(), *PRE_PARSE.values(), *TRANSFORMATIONS.values()}, key=lambda each: each.__name__)
PIECES = st.sampled_from(
    b"a|Z|0x41|%41|%u0041|%|+| |\t|\n|\xa0|\0|\\x41|\\u0041|\\41|\\|&lt;|&#60;|&|/*|*/|*|--|-|#|..|.|/|//|./|;|,|^|"
    b"'|\"|\xc3\xa9|\xff|(|=|<script>|select|union|${|etc/passwd".split(b"|")
)
VALUES = st.one_of(st.lists(PIECES, max_size=8).map(b"".join), st.binary(max_size=24))


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(EVERY), max_size=5).map(tuple), VALUES)
def test_a_chain_gives_the_same_without_the_steps_that_are_not_needed(steps: tuple, value: bytes) -> None:
    assert composed(needed(steps, frozenset(value)))(value) == composed(steps)(value)
    assert composed(needed(steps, Classes(steps).of(value)))(value) == composed(steps)(value)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(REACH, key=lambda each: each.__name__)), VALUES)
def test_a_transformation_adds_no_byte_but_those_that_are_said(step, value: bytes) -> None:  # type: ignore[no-untyped-def]
    assert set(step(value)) <= set(value) | REACH[step].adds
    assert REACH[step].needs.intersection(value) or step(value) == value


MULTI = """
SecRule ARGS "@rx <script" "id:1,multiMatch,t:none,t:urlDecodeUni,t:htmlEntityDecode,t:lowercase"
SecRule ARGS "!@rx ^[a-z<]*$" "id:2,multiMatch,t:none,t:lowercase,t:removeWhitespace"
SecRule ARGS "!@rx a" "id:3,t:none,t:lowercase,t:urlDecode"
SecRule ARGS "!@contains a" "id:4,t:none,t:lowercase,t:cmdLine,t:normalisePath"
SecRule ARGS "@pm etc/passwd select" "id:5,t:none,t:hexDecode,t:urlDecode"
SecRule ARGS "@endsWith a" "id:6,multiMatch,t:none,t:cssDecode,t:trim"
SecRule ARGS "@eq 3" "id:7,t:none,t:length"
"""


@cache
def links(whose: str) -> list[Link]:
    if whose == "made up":
        engine = Engine(read({"a.conf": MULTI}), {})
    else:
        try:
            source = Source.open()
        except NoRuleSet as problem:
            pytest.skip(f"{problem}")
        engine = Engine(source.entries(), source.data())
    return [link for each in engine.rules for link in each.links if link.test is not None]


@cache
def kind(whose: str) -> Kind:
    made = Kind()
    for number, link in enumerate(links(whose)):
        assert link.test is not None
        made.add(link.condition, link.test, link.argument, 1 << number)
    made.build()
    return made


def asked_one_by_one(whose: str, value: bytes) -> int:
    return sum(
        1 << number
        for number, link in enumerate(links(whose))
        if link.test is not None and link.match(value, link.test) is not None
    )


def unbounded(_units: int) -> None:
    """Who looks at one value may spend what it takes."""


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_a_mask_is_what_each_condition_says_alone(value: bytes) -> None:
    assert kind("made up").mask(value, unbounded) == asked_one_by_one("made up", value)


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_a_mask_is_what_each_condition_of_the_core_rule_set_says_alone(value: bytes) -> None:
    assert kind("debian's").mask(value, unbounded) == asked_one_by_one("debian's", value)
