"""What is remembered of rules never changes what they say: ladders against each rule asked by itself."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.edge.waf import sqli, transformations
from littoral.edge.waf.ladder import MOST_OF_HEADS, REMEMBERED, Ladder, Rung
from littoral.edge.waf.reading import leaves_label, needs_label, reads
from littoral.edge.waf.statements import Compiler, Test
from littoral.edge.waf.view import View
from littoral.net.message import BytesBody, Headers, Peer, Request
from tests.edge.waf.place import text
from tests.edge.waf.place import transformations as steps

QUERY: dict[str, Any] = {"AllQueryArguments": {}}
STATEMENTS: list[dict[str, Any]] = [
    {"IPSetReferenceStatement": {"ARN": "set"}},
    text(b"YWRtaW4=", {"UriPath": {}}, "CONTAINS", "URL_DECODE", "LOWERCASE"),
    text(b"Ym90", {"SingleHeader": {"Name": "User-Agent"}}),
    {"AndStatement": {"Statements": [text(b"YQ=="), text(b"Yg==", {"SingleHeader": {"Name": "x"}})]}},
    {"NotStatement": {"Statement": text(b"YQ==", {"QueryString": {}})}},
    {"SqliMatchStatement": {"FieldToMatch": QUERY, "TextTransformations": steps("URL_DECODE")}},
    {"SqliMatchStatement": {"FieldToMatch": QUERY, "TextTransformations": steps("BASE64_DECODE")}},
    {"XssMatchStatement": {"FieldToMatch": QUERY, "TextTransformations": steps("URL_DECODE")}},
    {
        "SizeConstraintStatement": {
            "FieldToMatch": {"QueryString": {}},
            "ComparisonOperator": "GT",
            "Size": 9,
            "TextTransformations": steps(),
        }
    },
    text(b"YQ==", {"Method": {}}, "EXACTLY", "LOWERCASE"),
    text(b"dGhlbWU=", {"Cookies": {"MatchPattern": {"All": {}}, "MatchScope": "ALL", "OversizeHandling": "CONTINUE"}}),
    # of the query: what a plain one can match, what it cannot, and what only looks as if it could not
    text(b"YT0=", {"QueryString": {}}),  # a=
    text(b"dW5pb24gc2VsZWN0", QUERY, "CONTAINS", "URL_DECODE", "LOWERCASE"),  # union select
    text(b"PA==", {"QueryString": {}}, "CONTAINS", "HTML_ENTITY_DECODE"),  # <
    text(b"PA==", {"QueryString": {}}, "CONTAINS", "BASE64_DECODE"),
    {
        "RegexMatchStatement": {
            "RegexString": "(or|and) [0-9]+=[0-9]+",
            "FieldToMatch": {"QueryString": {}},
            "TextTransformations": steps("URL_DECODE"),
        }
    },
    {
        "SizeConstraintStatement": {
            "FieldToMatch": {"QueryString": {}},
            "ComparisonOperator": "GE",
            "Size": 513,
            "TextTransformations": steps(),
        }
    },
    {"LabelMatchStatement": {"Scope": "LABEL", "Key": "bad"}},
]
WORDS = st.sampled_from(
    [
        "a",
        "b",
        "admin",
        "%41dmin",
        "bot",
        "' or 1=1--",
        "<script>",
        "JyBvciAxPTEtLQ==",
        "x=",
        "&",
        "",
        "lt",
        "a=",
        "b" * 256,
    ]
)
TEXTS = st.lists(st.one_of(WORDS, st.just("b" * 256)), max_size=4).map("".join)


def compiled() -> list[Test]:
    compiler = Compiler({"set": ["192.0.2.0/25"]}, {})
    tests = [compiler.test(each, "own:") for each in STATEMENTS]
    compiler.finish()
    compiled.slots = compiler.slots  # type: ignore[attr-defined]
    return tests


@cache
def shared() -> tuple[list[Test], Ladder, list[int]]:
    tests, passed = compiled(), []

    def rung(place: int) -> Rung:
        return Rung(lambda _view: passed.append(place), tests[place], reads(STATEMENTS[place]))

    return tests, Ladder([rung(place) for place in range(len(tests))]), passed


def seen(path: str, query: str, agent: str, cookie: str, host: str, method: str) -> View:
    target = f"/{path}?{query}" if query else f"/{path}"
    headers = [(b"user-agent", agent.encode()), (b"cookie", cookie.encode()), (b"x", agent.encode())]
    made = Request(method, target, Headers(headers), BytesBody(b""), Peer(host, 1))
    return View(made, 0.0, compiled.slots)  # type: ignore[attr-defined]


@settings(max_examples=150)
@given(TEXTS, TEXTS, TEXTS, TEXTS, st.sampled_from(["192.0.2.1", "192.0.2.200", "::1"]), st.sampled_from(["GET", "A"]))
def test_the_rules_that_match_are_run_in_their_order(
    path: str, query: str, agent: str, cookie: str, host: str, method: str
) -> None:
    tests, ladder, passed = shared()
    asked = path, query, agent, cookie, host, method
    expected = [place for place, test in enumerate(tests) if test(seen(*asked))]
    for _ in range(2):  # the second time from memory
        passed.clear()
        assert ladder.climb(seen(*asked)) is None
        assert passed == expected


def test_what_depends_on_more_than_the_head_is_asked_each_time() -> None:
    assert reads(STATEMENTS[-1]) is None
    assert reads(text(b"YQ==", {"Body": {}})) is None
    assert reads({"GeoMatchStatement": {"CountryCodes": ["DE"]}}) is None
    both = {"OrStatement": {"Statements": [STATEMENTS[0], STATEMENTS[-1]]}}
    assert reads(both) is None
    assert reads(STATEMENTS[3]) == {"path", "header x"}


def test_memory_is_bounded() -> None:
    tests = compiled()
    ladder = Ladder([Rung(lambda _view: None, tests[at], reads(STATEMENTS[at])) for at in (1, 2, 8)])
    for number in range(REMEMBERED + 10):
        ladder.climb(seen(f"p{number}", f"q{number}", f"a{number}", "", "::1", "GET"))
    ladder.climb(seen("x" * 5000, "", "", "", "::1", "GET"))
    ladder.climb(seen("", "", "y" * 5000, "", "::1", "GET"))
    assert len(ladder._of_targets[0].known) == 11
    assert len(ladder._heads) + sum(len(each.paths) for each in ladder._heads.values()) <= MOST_OF_HEADS
    assert not any(len(path) > 1024 for each in ladder._heads.values() for path in each.paths)
    assert not any(len(dict(head[-1])[b"user-agent"]) > 4096 for head in ladder._heads)


def test_a_request_is_known_to_pass_when_it_came_twice_and_only_with_that_head() -> None:
    ladder = Ladder([Rung(lambda _view: None, compiled()[1], reads(STATEMENTS[1]))])
    asked = ["a", "q", "agent", "", "::1", "GET"]
    for expected in (False, False, True):
        view = seen(*asked)
        known = ladder.known(view)
        assert (view.request.target in known.passed) is expected
        ladder.pass_again(view, known)
    for place in range(6):
        other = asked.copy()
        other[place] = "2001:db8::1" if place == 4 else other[place] + "b"
        view = seen(*other)
        assert view.request.target not in ladder.known(view).passed


def test_a_rule_that_needs_a_label_is_asked_where_one_may_be_left() -> None:
    label: dict[str, Any] = {"LabelMatchStatement": {"Scope": "LABEL", "Key": "k"}}
    other = STATEMENTS[0]
    assert needs_label(label)
    assert needs_label({"AndStatement": {"Statements": [other, label]}})
    assert not needs_label({"OrStatement": {"Statements": [other, label]}})
    assert not needs_label({"NotStatement": {"Statement": label}})
    assert leaves_label({"NotStatement": {"Statement": {"GeoMatchStatement": {"CountryCodes": ["DE"]}}}})
    assert not leaves_label(other)
    asked: list[str] = []

    def test(_view: View) -> bool:
        asked.append("label")
        return False

    def rung(*, labels: bool, needs: bool) -> Rung:
        return Rung(lambda _view: None, test if needs else None, None, labels, needs)

    view = seen("", "", "", "", "::1", "GET")
    Ladder([rung(labels=False, needs=False), rung(labels=True, needs=True)]).climb(view)
    assert asked == []
    Ladder([rung(labels=True, needs=False), rung(labels=True, needs=True)]).climb(view)
    Ladder([rung(labels=True, needs=True)], labelled=True).climb(view)
    assert asked == ["label", "label"]


@given(st.text("0123456789abcdefABCDEFxbeorselctunif", max_size=24))
def test_a_word_is_no_sql_whichever_way_it_is_read(word: str) -> None:
    readings = [sqli.shape(word)]
    assert not any(sqli._SHAPES.search(each) for each in readings)
    for name in transformations.LEAVES_WORDS:
        assert (transformed := transformations.WAF[name](word.encode())) == b"" or transformed.isalnum()
