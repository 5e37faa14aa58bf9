"""What is fed to the SQL of topic rules: statements, templates and time patterns, with messages."""

from __future__ import annotations

import json

from littoral.protocols.iotsql import (
    Asked,
    Context,
    EvaluationError,
    Rule,
    Selected,
    SqlError,
    compile_rule,
    compile_template,
)
from littoral.protocols.iotsql.timeparse import TimePattern

PAYLOAD = b'{"a": 1, "b": [{"c": "x"}, 2.5, null], "d": {"e": "true"}, "f": "12", "g": "2020-04-03"}'


def parted(data: bytes) -> tuple[str, bytes]:
    """Text, and the payload after the first 0xff, or one with everything in it."""
    text, _, payload = data.partition(b"\xff")
    return text.decode("latin-1"), payload or PAYLOAD


def rule_sql(data: bytes) -> None:
    """A statement is refused, or runs: to JSON, to the payload as it was, or to an error of this message."""
    text, payload = parted(data)
    for sql in (text, f"SELECT {text} AS it FROM 'a'", f"SELECT * FROM 'a' WHERE {text}"):
        context = Context("ward/7/bed", payload, 1_600_000_000_000, account="000000000000")
        try:
            rule = compile_rule(sql)
            selected = answered(rule, context)
        except (SqlError, EvaluationError):
            continue
        if selected is not None and selected.is_json:
            json.loads(selected.payload)


def answered(rule: Rule, context: Context) -> Selected | None:
    """What comes out when external functions say something; they are asked at most ten times."""
    while True:
        try:
            return rule.evaluate(context)
        except Asked as asked:
            context.answers[asked.question] = {"a": 1}


def rule_template(data: bytes) -> None:
    text, payload = parted(data)
    try:
        compile_template(text).evaluate(Context("ward/7/bed", payload, 1_600_000_000_000))
    except (SqlError, EvaluationError):
        return


def rule_times(data: bytes) -> None:
    """A pattern is refused, or reads any text as a moment or as none."""
    text, moment = parted(data)
    try:
        pattern = TimePattern(text)
    except ValueError:
        return
    pattern.milliseconds(moment.decode("latin-1"))
