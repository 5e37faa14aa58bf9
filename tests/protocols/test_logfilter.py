"""Filter patterns against messages: each row says whether it matches, and what is no pattern is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.protocols.logfilter import PatternError, compile_pattern

EVENT = json.dumps(
    {
        "level": "error",
        "took": 12.5,
        "count": 404,
        "ok": True,
        "bad": False,
        "user": None,
        "ip": "10.0.7.9",
        "tags": [{"name": "ward"}, {"name": "bed"}],
        "inner": {"a.b": 1, "text": 'say "hi"'},
    }
)


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR", "[ERROR 400] BAD", True),
        ("ERROR", "an error", False),
        ("ERROR", "ERRORCODE: 1", True),
        ("ERROR BAD", "[ERROR 400] BAD", True),
        ("ERROR WORSE", "[ERROR 400] BAD", False),
        ('"BAD REQUEST"', "x BAD REQUEST y", True),
        ('"BAD REQUEST"', "REQUEST BAD", False),
        ('"a \\"q\\""', 'a "q" b', True),
        ("?ERROR ?WARN", "WARN: low", True),
        ("?ERROR ?WARN", "INFO: high", False),
        ("ERROR -Exiting", "ERROR Exiting", False),
        ("ERROR -Exiting", "ERROR Running", True),
        ('-"END RequestId"', "START RequestId: 1", True),
        ('-"END RequestId"', "END RequestId: 1", False),
    ],
)
def test_terms(pattern: str, message: str, expected: bool) -> None:
    assert compile_pattern(pattern)(message) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.level = "error" }', True),
        ("{ $.level = error }", True),
        ('{$.level="err*"}', True),
        ('{ $.level != "error" }', False),
        ('{ $.level != "warn" }', True),
        ('{ $.missing != "warn" }', False),
        ("{ $.took > 12 }", True),
        ("{ $.took >= 12.5 && $.took <= 1.25e1 }", True),
        ("{ $.took < -1 }", False),
        ("{ $.count = 404 }", True),
        ("{ $.count = 4* }", True),
        ("{ $.count != 404 }", False),
        ('{ $.count = "404" }', False),
        ("{ $.ip = 10.0.* }", True),
        ("{ $.ip = 10.1.* }", False),
        ("{ $.ip = *.0*.9 }", True),
        ("{ $.ip = 10.0*.0.7.9 }", False),
        ("{ $.ok IS TRUE }", True),
        ("{ $.ok = 1 }", False),
        ("{ $.bad IS FALSE }", True),
        ("{ $.bad is true }", False),
        ("{ $.user IS NULL }", True),
        ("{ $.level IS NULL }", False),
        ("{ $.missing IS NULL }", False),
        ("{ $.level IS NOT NULL }", True),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.user NOT EXISTS }", False),
        ("{ $.user EXISTS }", True),
        ('{ $.tags[1].name = "bed" }', True),
        ('{ $.tags[0].name = "bed" }', False),
        ('{ $.tags[*].name = "bed" }', True),
        ('{ $.tags[9].name = "bed" }', False),
        ('{ $.inner["a.b"] = 1 }', True),
        ("{ $.*.text EXISTS }", True),
        ('{ $.inner.text = "say \\"hi\\"" }', True),
        ("{ $.count = 1 || ($.ok IS TRUE && $.took > 1) }", True),
        ("{ $.count = 1 || $.ok IS TRUE && $.took > 100 }", False),
        ("{ ($.count = 1 || $.ok IS TRUE) && $.took > 100 }", False),
    ],
)
def test_json(pattern: str, expected: bool) -> None:
    matches = compile_pattern(pattern)
    assert matches(EVENT) is expected
    assert matches("no json {") is False
    assert matches("[1]") is False


LINE = '10.0.7.9 - ada [23/Nov/2026 10:00:00] "GET /index.html" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ip, id, user, time, request, status, bytes]", True),
        ("[ip, id, user]", False),
        ("[ip, ..., bytes]", True),
        ("[..., status, bytes]", True),
        ("[ip, id, user, time, request, status, bytes, ...]", True),
        ("[a, b, c, d, e, f, g, h, ...]", False),
        ("[..., status = 4*, bytes]", True),
        ("[..., status = 404, bytes > 1000]", True),
        ("[..., status = 404, bytes > 2000]", False),
        ("[..., request = *index.html*, status, bytes]", True),
        ("[ip, id, user != ada, ...]", False),
        ("[ip = 10.* && ip != 10.0.7.9, ...]", False),
        ('[ip, id, user = "ada" || user = "bob", ...]', True),
    ],
)
def test_fields(pattern: str, expected: bool) -> None:
    assert compile_pattern(pattern)(LINE) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "{" + "(" * 400 + "}",
        "a-b c", "a.b", '"open', "?a b", "?a -b", "%a.b%", "{ $.a = %x% }", "{", "{}", "{ $.a }", "{ $.a = }",
        "{ $.a > x }", "{ a = 1 }", "{ $.a = 1 && }", "{ ($.a = 1 }", "{ $.a = 1 ) }", "{ $.a IS 4 }", "{ $ = 1 }",
        "{ $.a = 1 $.b = 2 }", "[", "[]", "[a,]", "[..., ...]", "[a, b = ]", "[a, b = 1 && c = 2]",
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


@given(st.text(alphabet='{}[]$.*="&|()<>!? -%aIS1,\\', max_size=40), st.text(max_size=40))
def test_any_text_is_a_pattern_or_refused(pattern: str, message: str) -> None:
    try:
        matches = compile_pattern(pattern)
    except PatternError:
        return
    assert matches(message) in (True, False)
    assert matches(EVENT) in (True, False)


def test_deep_documents_do_not_match_and_do_not_fail() -> None:
    assert compile_pattern("{ $.a = 1 }")('{"a":' * 200_000) is False
