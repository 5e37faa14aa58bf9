"""A short slice of what the fuzzers do (fuzz/targets.py), and what they have found."""

from __future__ import annotations

import pytest
from fuzz.targets import rule_set, seclang, transformations
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.edge.waf.crs.engine import Engine
from littoral.edge.waf.crs.seclang import Unreadable, read

WORDS = st.sampled_from(
    [
        b"SecRule ",
        b"SecAction ",
        b"SecMarker ",
        b"SecRuleUpdateTargetById ",
        b"ARGS",
        b"|",
        b"!",
        b"&",
        b":/",
        b"/",
        b'"',
        b"@rx ",
        b"@ipMatch ",
        b"@validateByteRange ",
        b"@pmFromFile ",
        b"@eq ",
        b"(",
        b"id:1",
        b"id:x",
        b",",
        b"chain",
        b"phase:1",
        b"setvar:tx.a=+1",
        b"deny",
        b"t:lowercase",
        b"%{tx.a}",
        b" ",
        b"\n",
        b"1",
        b"ctl:ruleRemoveById=x",
    ]
)
BYTES = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"' or 1=1", b"<a", b"%u0041", b"\xff", b"${", b"a=", b"&", b"\\x41", b"{"])).map(
        b"".join
    ),
)


@settings(max_examples=300)
@given(st.lists(WORDS, max_size=14).map(b"".join))
def test_any_text_is_rules_or_unreadable(text: bytes) -> None:
    seclang(text)


@settings(max_examples=60, deadline=None)
@given(BYTES)
def test_any_request_is_judged_as_exactly(data: bytes) -> None:
    rule_set(data)


@settings(max_examples=100)
@given(BYTES)
def test_any_bytes_are_transformed(data: bytes) -> None:
    transformations(data)


@pytest.mark.parametrize(
    "text",
    [
        "SecMarker",
        "SecAction",
        "SecRule ARGS",
        'SecAction "id:x"',
        'SecRule ARGS:/(/ "@rx a" "id:1"',
        "SecRuleUpdateTargetById x ARGS",
        'SecAction "id:1,ctl:ruleRemoveById=1-5"',
    ],
)
def test_what_lacks_a_word_or_a_number_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        read({"a.conf": text})


@pytest.mark.parametrize("operator", ["@ipMatch x", "@validateByteRange 1-x", "@validateByteRange 0-900", "@pmf gone"])
def test_a_rule_whose_operator_cannot_be_read_is_left_out(operator: str) -> None:
    engine = Engine(read({"a.conf": f'SecRule ARGS "{operator}" "id:7,phase:1"'}), {})
    assert (engine.rules, list(engine.left_out)) == ([], [7])
