"""External functions and SET: how an evaluation stops at a question, and goes on with the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from littoral.protocols.iotsql import (
    Asked,
    Context,
    EvaluationError,
    NoAnswer,
    Question,
    Rule,
    SqlError,
    compile_rule,
    compile_template,
)

ROLE = "'arn:aws:iam::000000000000:role/r'"
LAMBDA = "aws_lambda('arn:f', {'n': n})"


def context(payload: Any) -> Context:
    return Context("ward/7", json.dumps(payload).encode(), 1000)


def run(rule: Rule, context: Context, answer: Callable[[Question], Any]) -> Any:
    """As the rule engine does it; the result, or None where WHERE is not true."""
    while True:
        try:
            selected = rule.evaluate(context)
        except Asked as asked:
            context.answers[asked.question] = answer(asked.question)
        else:
            return None if selected is None else json.loads(selected.payload)


def test_each_call_is_asked_once_and_the_answers_may_be_asked_about() -> None:
    seen: list[tuple[str, list[Any]]] = []

    def answer(question: Question) -> Any:
        seen.append((question.function, question.list()))
        return {"state": {"limit": 5}} if question.function == "get_thing_shadow" else {"thing": "bed3"}

    limit = f"get_thing_shadow({LAMBDA}.thing, {ROLE}).state.limit"
    rule = compile_rule(f"SELECT {LAMBDA}.thing AS a, {LAMBDA} AS b FROM 'x' WHERE {limit} < n")
    assert rule.external
    assert run(rule, context({"n": 9}), answer) == {"a": "bed3", "b": {"thing": "bed3"}}
    assert seen == [("aws_lambda", ["arn:f", {"n": 9}]), ("get_thing_shadow", ["bed3"])]
    assert run(rule, context({"n": 4}), answer) is None


@pytest.mark.parametrize(
    ("expression", "questions"),
    [
        (LAMBDA, [("aws_lambda", ["arn:f", {"n": 1}])]),
        ("aws_lambda('arn:f', *)", [("aws_lambda", ["arn:f", {"n": 1}])]),
        (f"get_thing_shadow('t', 'named', {ROLE})", [("get_thing_shadow", ["t", "named"])]),
        (
            f"get_registry_data('ListThingGroupsForThing', 't', {ROLE})",
            [("get_registry_data", ["ListThingGroupsForThing", "t"])],
        ),
        (f"get_dynamodb('t', 'k', n, {ROLE})", [("get_dynamodb", ["t", "k", 1])]),
        (f"get_dynamodb('t', 'k', 'a', 's', 2.5, {ROLE})", [("get_dynamodb", ["t", "k", "a", "s", 2.5])]),
        (f"get_secret('s', 'SecretString', {ROLE})", [("get_secret", ["s", "SecretString"])]),
        (f"get_secret('s', 'SecretBinary', 'k', {ROLE})", [("get_secret", ["s", "SecretBinary", "k"])]),
        (f"get_secret('s', 'SecretString', n, {ROLE})", []),
        (f"get_dynamodb('t', n, 'a', {ROLE})", []),
        (f"get_dynamodb('t', 'k', no, {ROLE})", []),
        (f"get_thing_shadow(n, {ROLE})", []),  # a name that is no text is Undefined, and nothing is asked
        (f"get_thing_shadow(no, {ROLE})", []),
        ("aws_lambda(no, *)", []),
        ("aws_lambda('arn:f', no)", []),
        (f"CASE n WHEN 2 THEN {LAMBDA} ELSE 0 END", []),
    ],
)
def test_what_is_asked(expression: str, questions: list[Any]) -> None:
    seen: list[Any] = []

    def answer(question: Question) -> Any:
        seen.append((question.function, question.list()))
        return 7

    out = run(compile_rule(f"SELECT {expression} AS it FROM 'x'"), context({"n": 1}), answer)
    assert seen == questions
    assert out == ({"it": 7} if questions else {"it": 0} if "CASE" in expression else {})


def test_a_call_that_failed_fails_the_message_unless_there_is_a_default() -> None:
    def answer(question: Question) -> Any:
        return NoAnswer("it broke")

    with pytest.raises(EvaluationError, match=r"aws_lambda\(\) failed: it broke"):
        run(compile_rule(f"SELECT {LAMBDA} AS it FROM 'x'"), context({"n": 1}), answer)
    assert run(compile_rule(f"SELECT get_or_default({LAMBDA}, 3) AS it FROM 'x'"), context({"n": 1}), answer) == {
        "it": 3
    }
    assert run(compile_rule(f"SELECT get_or_default({LAMBDA}) AS it FROM 'x'"), context({"n": 1}), answer) == {}


def test_a_message_cannot_ask_without_end() -> None:
    rule = compile_rule("SELECT (SELECT aws_lambda('arn:f', i) AS r FROM l) AS it FROM 'x'")
    assert len(run(rule, context({"l": [{"i": i} for i in range(10)]}), lambda question: 1)["it"]) == 10
    with pytest.raises(EvaluationError, match="More than 10 calls"):
        run(rule, context({"l": [{"i": i} for i in range(11)]}), lambda question: 1)


def test_a_table_is_asked_once_for_a_message() -> None:
    twice = f"SELECT get_dynamodb('t', 'k', 1, {ROLE}) AS a, get_dynamodb('t', 'k', 2, {ROLE}) AS b FROM 'x'"
    with pytest.raises(EvaluationError, match="more than once"):
        run(compile_rule(twice), context({}), lambda question: 1)


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT get_registry_data('DeleteThing', t, {ROLE}) FROM 'x'",
        f"SELECT get_registry_data(api, t, {ROLE}) FROM 'x'",
        "SELECT get_thing_shadow('t', 'no role') FROM 'x'",
        "SELECT get_thing_shadow('t', role) FROM 'x'",
        f"SELECT get_thing_shadow({ROLE}) FROM 'x'",
        "SELECT aws_lambda('f') FROM 'x'",
        f"SELECT get_secret('s', {ROLE}) FROM 'x'",
        f"SELECT get_secret('s', 'Plain', {ROLE}) FROM 'x'",
        f"SELECT get_secret('s', kind, {ROLE}) FROM 'x'",
        f"SELECT machinelearning_predict('m', {ROLE}, *) FROM 'x'",
        f"SELECT get_dynamodb('t', 'k', {ROLE}) FROM 'x'",
        f"SELECT get_dynamodb('t', 'k', 1, 's', {ROLE}) FROM 'x'",
        "SET @a SELECT 1 FROM 'x'",
        "SET a = 1 SELECT a FROM 'x'",
        "SET @a = 1, @a = 2 SELECT @a FROM 'x'",
        "SET @a = @b, @b = 1 SELECT @a FROM 'x'",
        "SET @a = @a SELECT @a FROM 'x'",
        "SET @a = 1 SET @b = 2 SELECT @a FROM 'x'",
        f"SET @{'a' * 65} = 1 SELECT 1 FROM 'x'",
        "SELECT @a FROM 'x'",
        "SET @a = 1 SELECT @ a FROM 'x'",
    ],
)
def test_what_cannot_be_meant_or_is_not_here_is_refused(sql: str) -> None:
    with pytest.raises(SqlError):
        compile_rule(sql)


@pytest.mark.parametrize(
    ("sql", "payload", "expected"),
    [
        ("SET @f = (t - 30) * 2 SELECT @f AS f, t FROM 'x'", {"t": 75}, {"f": 90, "t": 75}),
        (
            "SET @s = d.sensors SELECT @s.hr AS hr, @s.spo2[1] AS spo2 FROM 'x'",
            {"d": {"sensors": {"hr": 80, "spo2": [97, 98]}}},
            {"hr": 80, "spo2": 98},
        ),
        ("SET @a = 2, @b = @a * @a SELECT (SELECT VALUE n * @b FROM l) AS l FROM 'x'", {"l": [{"n": 1}]}, {"l": [4]}),
        ("SET @b = b SELECT (SELECT VALUE b + @b FROM l) AS l FROM 'x'", {"b": 10, "l": [{"b": 1}]}, {"l": [11]}),
        ("SET @no = no SELECT @no AS a, isUndefined(@no) AS b FROM 'x'", {}, {"b": True}),
        ("SET @u = newuuid() SELECT @u = @u AS same FROM 'x'", {}, {"same": True}),
        ("SELECT set, value FROM 'x'", {"set": 1, "value": 2}, {"set": 1, "value": 2}),
        ("set @v = 1 select @v from 'x'", {}, {"v": 1}),
    ],
)
def test_variables_hold_what_they_were_set_to(sql: str, payload: Any, expected: Any) -> None:
    selected = compile_rule(sql).evaluate(context(payload))
    assert selected is not None and json.loads(selected.payload) == expected


def test_where_sees_variables_and_two_rules_do_not_see_each_others() -> None:
    one = compile_rule("SET @a = n * 2 SELECT @a AS a FROM 'x' WHERE @a > 3")
    other = compile_rule("SET @a = n * 3 SELECT @a AS a FROM 'x'")
    shared = context({"n": 2})
    for rule, value in ((one, 4), (other, 6), (one, 4)):
        selected = rule.evaluate(shared)
        assert selected is not None and json.loads(selected.payload) == {"a": value}
    assert one.evaluate(context({"n": 1})) is None


def test_what_where_does_not_need_is_not_asked_for_what_does_not_match() -> None:
    sql = f"SET @limit = top * 2, @f = {LAMBDA} SELECT @f AS f FROM 'x' WHERE n > @limit"
    rule = compile_rule(sql)
    assert rule.evaluate(context({"n": 1, "top": 2})) is None
    assert run(rule, context({"n": 5, "top": 2}), lambda question: "asked") == {"f": "asked"}


def test_templates_speak_of_the_statements_variables() -> None:
    rule = compile_rule("SET @u = newuuid(), @o = {'x': 1} SELECT @u AS u FROM 'x'")
    message = context({})
    selected = rule.evaluate(message)
    assert selected is not None
    key = compile_template("${@u}/${@o.x}", rule.variables).evaluate(message)
    assert key == json.loads(selected.payload)["u"] + "/1"
    for template in ("${@no}", "${aws_lambda('f', *)}", "${concat(aws_lambda('f', *), '')}"):
        with pytest.raises(SqlError):
            compile_template(template, rule.variables)
