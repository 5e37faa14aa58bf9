"""A short slice of what the fuzzers of topic rules do (fuzz/rules.py)."""

from __future__ import annotations

from fuzz.rules import rule_sql, rule_template, rule_times
from hypothesis import given, settings
from hypothesis import strategies as st

STATEMENTS = """SELECT |SET @x = |@x|VALUE | FROM |'a'| WHERE | AS | AND | NOT |CASE | WHEN | THEN | ELSE | END|a|b|.|
d.e|[|]|{|}|'k':|(|)|,|*|-|+|/|%|=|<>|<=|1|0.5|1e999|null|true|topic(2)|cast(| as int)|get(|abs(|newuuid()|concat(|
(SELECT |decode(|time_to_epoch(g, 'yyyy-MM-dd')|aws_lambda('f', *)|regexp_replace(|encode(*, 'base64')|${|$|
substring(|trunc(|power(|chr(|'base64'|'|"|@|\xff"""
WORDS = st.sampled_from(STATEMENTS.replace("\n", "").split("|"))
TEXTS = st.lists(WORDS | st.text(max_size=3), max_size=14).map("".join)
PATTERN = st.lists(st.sampled_from("yyyy yy MM MMM d DDD HH h a S VV z X ' [ ]".split()))


@settings(max_examples=300, derandomize=True)
@given(TEXTS.map(lambda text: text.encode("latin-1", "replace")) | st.binary(max_size=60))
def test_statements_and_templates(data: bytes) -> None:
    rule_sql(data)
    rule_template(data)


@settings(max_examples=200, derandomize=True)
@given(PATTERN, st.text(max_size=12))
def test_times(pattern: list[str], text: str) -> None:
    rule_times("".join(pattern).encode() + b"\xff" + text.encode("latin-1", "replace"))
