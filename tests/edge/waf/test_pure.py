"""Transformations, detectors, JSON bodies, windows, capacity: without a place."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.edge.waf import jsonbody, sqli, xss
from littoral.edge.waf.addresses import AddressSet, number
from littoral.edge.waf.capacity import of_statement
from littoral.edge.waf.challenge import Tokens, worked
from littoral.edge.waf.patterns import PatternSet, literal
from littoral.edge.waf.ratelimit import MOST_KEYS, SlidingWindow
from littoral.edge.waf.transformations import PRE_PARSE, WAF, chain
from littoral.edge.waf.view import View
from littoral.net.message import BytesBody, Headers, Peer, Request

CASES: list[tuple[str, bytes, bytes]] = [
    ("NONE", b"A b", b"A b"),
    ("COMPRESS_WHITE_SPACE", b"a \t\n b\xa0c", b"a b c"),
    ("HTML_ENTITY_DECODE", b"&lt;a&gt; &quot;&#65;&#x42;&amp &nope;", b'<a> "AB& &nope;'),
    ("LOWERCASE", b"AbC", b"abc"),
    ("UPPERCASE", b"AbC", b"ABC"),
    ("CMD_LINE", b'C^AT  "/etc" ,x ;LS (a)', b"cat/etc x ls(a)"),
    ("URL_DECODE", b"a%20b+c%zz%41", b"a b c%zzA"),
    ("URL_DECODE_UNI", b"%u0041%uFF21%41", b"AAA"),
    ("BASE64_DECODE", b"YWJj", b"abc"),
    ("BASE64_DECODE", b"YW Jj", b"a"),
    ("BASE64_DECODE_EXT", b"YW J.j", b"abc"),
    ("HEX_DECODE", b"414243", b"ABC"),
    ("MD5", b"a", hashlib.md5(b"a").digest()),
    ("SHA256", b"a", hashlib.sha256(b"a").digest()),
    ("REPLACE_COMMENTS", b"a/*x*/b/*c", b"a b "),
    ("REMOVE_COMMENTS_CHAR", b"a/*x*/--b#", b"axb"),
    ("ESCAPE_SEQ_DECODE", rb"\x41\102\n\?\q", b"AB\n?\\q"),
    ("SQL_HEX_DECODE", b"x=0x414243", b"x=ABC"),
    ("CSS_DECODE", rb"ja\vascript \41 b", b"javascript Ab"),
    ("JS_DECODE", rb"\u0041\x42\103\n", b"ABC\n"),
    ("JS_DECODE_EXT", rb"\u{41}\u0042", b"AB"),
    ("NORMALIZE_PATH", b"/a//b/./c/../d", b"/a/b/d"),
    ("NORMALIZE_PATH", b"../a", b"../a"),
    ("NORMALIZE_PATH_WIN", b"\\a\\..\\b", b"/b"),
    ("REMOVE_NULLS", b"a\0b", b"ab"),
    ("REPLACE_NULLS", b"a\0b", b"a b"),
    ("UTF8_TO_UNICODE", "é".encode() + b"\xff", b"%u00e9\xff"),
    ("REMOVE_WHITESPACE", b" a b\t", b"ab"),
    ("TRIM", b" a ", b"a"),
    ("TRIM_LEFT", b" a ", b"a "),
    ("TRIM_RIGHT", b" a ", b" a"),
    ("CMD_LINE_WIN", b'c^m"D', b"cmd"),
    ("CMD_LINE_UNIX", b"c\\a't", b"cat"),
]


@pytest.mark.parametrize(("name", "given_value", "expected"), CASES)
def test_transformations(name: str, given_value: bytes, expected: bytes) -> None:
    assert WAF[name](given_value) == expected


@pytest.mark.parametrize("name", sorted(WAF))
@pytest.mark.parametrize("unit", [b" ", b";", b"\\", b"../"])
def test_the_time_of_a_transformation_is_linear(name: str, unit: bytes) -> None:
    """Two minutes a core for 64 KiB of spaces, where it is not: this test then runs out of time."""
    WAF[name](b"a" + unit * (65536 // len(unit)) + b"!")


@given(st.text("a ;,/(\t^'", max_size=40))
def test_a_command_line_has_no_spaces_before_slashes_and_brackets(text: str) -> None:
    spaced = re.sub(r"[ ;,\t]", " ", text.replace("^", "").replace("'", ""))
    assert WAF["CMD_LINE"](text.encode()).decode() == re.sub(r" {2,}", " ", re.sub(r" +(?=[/(])", "", spaced))


def test_each_transformation_of_the_model_is_there() -> None:
    from littoral.aws import models

    shape = models.service_model("wafv2").shape_for("TextTransformationType")
    assert set(shape.enum) == set(WAF) == {name for name, _, _ in CASES}
    assert set(models.service_model("wafv2").shape_for("PreParseTextTransformationType").enum) == set(PRE_PARSE)


def test_arguments_before_they_are_parsed() -> None:
    assert PRE_PARSE["COMBINE_DUPLICATE_QUERY_ARGS_BY_COMMA"](b"a=1&b=2&a=3") == b"a=1,3&b=2"
    assert PRE_PARSE["REPLACE_SEMICOLONS_WITH_AMPERSANDS"](b"a=1;b=2") == b"a=1&b=2"


@given(st.binary(max_size=400), st.lists(st.sampled_from(sorted(WAF)), max_size=4))
def test_no_transformation_fails_or_grows_beyond_six_times(value: bytes, names: list[str]) -> None:
    for name in names:
        made = WAF[name](value)
        assert len(made) <= max(6 * len(value), 32)
    chain(names)(value)


def test_hostile_values_take_no_long_time() -> None:
    """Linear: a hundred times the size is nothing like ten thousand times the time."""
    for seed in (b"\\", b"&", b"%", b"/*", b"../", b"'", b"a or ", b"<a ", b"&#", b"(", b"/", b"\\u", b"0x", b"--"):
        value = seed * (60000 // len(seed))
        start = time.process_time()
        for transform in WAF.values():
            transform(value)
        sqli.is_sqli(value, sensitive=True)
        xss.is_xss(value)
        assert time.process_time() - start < 5, seed


@pytest.mark.parametrize(
    "value",
    [
        b"1 or 1=1",
        b"x' or '1'='1",
        b'x" or "1"="1',
        b"admin'--",
        b"1; drop table users",
        b"drop table users",
        b"1 or drop table users",
        b"1 union select 1,2",
        b"1' and sleep(5)#",
        b"-1 union all select null,null--",
        b"1 order by 3--",
        b"'; exec xp_cmdshell('dir')--",
        b"1' where 5=5 and 7=7",
        b"1')) as t where 3=3 or elt(6=6,sleep(5))--",
        b"1)) as t where 4=4 union all select null--",
        b"') as t where 2=2;select pg_sleep(5)--",
        b"1,(select (case when (1=2) then 1 else 0 end))",
        b"if(1=2,1,0)",
        b"select * from users where id=1",
        b"1 and a=1",
        b"1')# rest",
        b"'||name||'",
        b"1||1--",
        b"x||a=1",
    ],
)
def test_sql_is_seen(value: bytes) -> None:
    assert sqli.is_sqli(value)


@pytest.mark.parametrize(
    "value",
    [
        b"O'Brien",
        b"it's a nice day and I like it",
        b"rock 'n' roll",
        b"select the best from our shop",
        b"2026-11-28",
        b"union of workers",
        b"Tom & Jerry's",
        b"ann@example.com",
        b"1-2-3",
        b"order by phone or mail",
        b"Drop echo where from :-)",
        b"Create a list of what comes from there",
        b"2#1728480492",
        b"752633752#1720537923694#0#1719312733038",
        b"1138||1662791102||1662787502||e00282f5",
        b"p238||page::1870765e38482&visit::sea444--8||kwd-1077",
        b"c2014694c0000fc||t=1357739178|et=730|cs=002213fd",
        b'D=pageName "||Cart|Remove-Item"',
        b'D=pageName "||Pay||NoWayToPay"',
        b'"Not/A)Brand"|v="8","Chromium"|v="126"',
        b'"10"-"25"',
        b'="}||{}|1',
        b'multipart/mixed; boundary="=====qmm3dku4ckl====="',
        b'*"****ga*or.s***e*:**"op***:"**R**P****o"*',
        b' 1 AND price.shown = 1)"}',
        b"select-one_select_change",
        b"select-flight/segment/1",
        b"DELETE 75oBC$",
        b"5 or 6",
        b"Boots ' / 36",
        b'Ann\x19s Pizza Menu " Order Ann\x19s Pizza Online "',
    ],
)
def test_text_is_no_sql(value: bytes) -> None:
    assert not sqli.is_sqli(value)


def test_markup_that_runs_is_seen_and_other_is_not() -> None:
    for value in (
        b"<script>alert(1)</script>",
        b"<img src=x onerror=alert(1)>",
        b'" onmouseover="alert(1)',
        b'<a href="javascript:alert(1)">',
        b"<svg/onload=alert(1)>",
        b"<iframe src=//x>",
    ):
        assert xss.is_xss(value), value
    for value in (b"<b>bold</b>", b"a < b = c", b"I <3 you", b"x=1&y=2", b"once upon a time"):
        assert not xss.is_xss(value), value


def test_json_up_to_where_it_breaks() -> None:
    found = [(each.path, each.text, each.is_key) for each in jsonbody.items(b'{"a": [1, {"b": "c"}], "d": null}')]
    assert found == [
        ("/a", b"a", True),
        ("/a/0", b"1", False),
        ("/a/1/b", b"b", True),
        ("/a/1/b", b"c", False),
        ("/d", b"d", True),
        ("/d", b"null", False),
    ]
    items = jsonbody.items(b'{"a": 1, oops')
    assert [next(items).text, next(items).text] == [b"a", b"1"]
    with pytest.raises(jsonbody.Broken):
        next(items)


@given(st.binary(max_size=200))
def test_any_body_is_read_or_broken(body: bytes) -> None:
    try:
        for each in jsonbody.items(body):
            assert isinstance(each.text, bytes)
    except jsonbody.Broken:
        pass


def test_literals_are_taken_as_they_are() -> None:
    patterns = [
        literal(b"a.b\xff", kind) for kind in ("EXACTLY", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "CONTAINS_WORD")
    ]
    found = PatternSet(patterns)
    assert found.match(b"a.b\xff") == 0b11111
    assert found.match(b"aXb\xff") == 0
    assert found.match(b"a.b\xffz") == 0b01010
    assert found.match(b"-a.b\xff-") == 0b11000


def test_address_sets() -> None:
    blocks = AddressSet(["192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32"])
    there = ["192.0.2.0", "192.0.2.255", "2001:db8::1", "::ffff:192.0.2.7"]
    assert [number(each) in blocks for each in there] == [True] * 4  # type: ignore[operator]
    assert [number(each) in blocks for each in ("192.0.3.0", "2001:db9::")] == [False, False]  # type: ignore[operator]
    assert number("nobody") is None


def test_a_window_slides_and_its_memory_is_bounded() -> None:
    window = SlidingWindow(60)
    assert [window.hit("a", 1000.0) for _ in range(3)] == [1, 2, 3]
    assert window.hit("a", 1090.0) == pytest.approx(1 + 3 * 0.5)  # half of the last window still counts
    assert window.hit("a", 1300.0) == 1
    for each in range(MOST_KEYS * 2):
        window.hit(f"k{each}", 1301.0)
        if each % 1000 == 0:
            window.hit("busy", 1301.0)
    assert len(window._now) <= MOST_KEYS
    assert "busy" in window.over(50, 1301.0)


def test_capacity_is_awss_table() -> None:
    def cost(kind: str, **members: Any) -> int:
        steps = [{"Priority": n, "Type": each} for n, each in enumerate(members.pop("steps", ["NONE"]))]
        return of_statement({kind: {"TextTransformations": steps, **members}}, lambda _: 0)

    path = {"FieldToMatch": {"UriPath": {}}}
    assert cost("ByteMatchStatement", PositionalConstraint="EXACTLY", **path) == 2
    assert cost("ByteMatchStatement", PositionalConstraint="CONTAINS", steps=["LOWERCASE", "TRIM"], **path) == 30
    assert cost("RegexPatternSetReferenceStatement", **path) == 25
    assert cost("SqliMatchStatement", SensitivityLevel="HIGH", FieldToMatch={"AllQueryArguments": {}}) == 40
    assert cost("XssMatchStatement", FieldToMatch={"JsonBody": {}}) == 80
    assert of_statement({"RateBasedStatement": {"CustomKeys": [{}, {}]}}, lambda _: 0) == 62


def test_a_token_counts_for_its_host_and_its_time() -> None:
    tokens = Tokens(b"key", ["shop.example"])

    def asking(cookie: str, host: str = "a.shop.example", now: float = 1000.0) -> View:
        headers = Headers.of([("host", host), ("cookie", f"aws-waf-token={cookie}")])
        return View(Request("GET", "/", headers, BytesBody(), Peer("192.0.2.1", 1)), now, 0)

    question, _ = tokens.question("challenge", "a.shop.example", 1000.0)
    answer = next(str(each) for each in range(10**7) if worked(question, str(each)))
    good = f"{question}.{answer}"
    assert tokens.accepts("challenge", asking(good), 300)
    assert tokens.accepts("challenge", asking(good, "b.shop.example"), 300)  # a token domain that both are of
    assert not tokens.accepts("challenge", asking(good, "other.example"), 300)
    assert not tokens.accepts("challenge", asking(good, now=1400.0), 300)
    assert not tokens.accepts("captcha", asking(good), 300)
    assert not tokens.accepts("challenge", asking(f"{question}.no"), 300)
    assert not Tokens(b"other key").accepts("challenge", asking(good), 300)
    assert tokens.read(asking("rubbish")).failure == "TOKEN_INVALID"
    question, text = tokens.question("captcha", "a.shop.example", 1000.0)
    words = "zero one two three four five six seven eight nine ten eleven twelve".split()
    first, _, second = text.split()
    assert tokens.accepts("captcha", asking(f"{question}.{words.index(first) + words.index(second)}"), 300)
    assert not tokens.accepts("captcha", asking(f"{question}.99"), 300)


@pytest.mark.parametrize(
    "text",
    [
        "Redistribution and use in source and binary forms",
        "Collapse and truncate the given text",
        'the complete text can be found in "/usr/share/common-licenses/GPL-2".',
        'the file "/etc/skel/index.html" is owned by "john"',
        "Update%20the%20docs%20to%20reflect%20it",
        "Select from coin script :-)",
        "Double free of pointer '<unknown>' in call to XtFree of TextAction.c",
        "Honours and legacy *In 1929, a novel told the story of Pushkin's death",
        'he was told that, "having your authority I expect to go ahead".',
        'sent me this email "AND IF IT WAS WORTH MY TIME I WOULD',
    ],
)
def test_prose_that_holds_words_of_sql_is_none(text: str) -> None:
    assert not sqli.is_sqli(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "delete from users",
        "drop table users; --",
        "insert into t(a) values (1)",
        "select name from users",
        "x or select 1",
        "x and (select 1)",
        "admin or a=1",
        "' and 'a' in 'abc",
        "x'<a>'y",
        "1 or '<a>'='<a>'",
        "1' having 1=1--",
        "1 having count(*) > 1",
        "1' or case when 1=1 then 1 else 0 end",
        "1' and exists (select 1)",
        "1 and x in (1, 2)",
    ],
)
def test_sql_in_few_words_is_some(text: str) -> None:
    assert sqli.is_sqli(text.encode())
