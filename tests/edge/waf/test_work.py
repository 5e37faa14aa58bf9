"""What a request may cost the firewall: counted in work, with what then decides, and long requests beside the loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.edge.waf import jsonbody
from littoral.edge.waf.crs.bodies import content_of
from littoral.edge.waf.crs.groups import LIMIT, Groups
from littoral.edge.waf.crs.program import Program
from littoral.edge.waf.crs.ruleset import NoRuleSet, Source
from littoral.edge.waf.fields import values_of
from littoral.edge.waf.guard import Firewall, Guard
from littoral.edge.waf.ladder import Step
from littoral.edge.waf.statements import Compiler
from littoral.edge.waf.verdict import Mark, Verdict
from littoral.edge.waf.view import View
from littoral.edge.waf.webacl import compile_acl
from littoral.edge.waf.work import BEGINNING, LONG, MOST, Exhausted
from littoral.net.message import Answer, BytesBody, Headers, Peer, Request, Response
from tests.edge.waf.place import rule, text, visible

JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
DEEP = (b"[" * 500 + b"1," * 40000)[:65536]  # 32,000 values, each with a name of a thousand characters
PROSE = b"text=" + b"I+like+it%2C+and+my+sister+does%2C+too.+" * 1600


@cache
def groups() -> Groups:
    try:
        return Groups(Source.open())
    except NoRuleSet as problem:
        pytest.skip(f"{problem}")


@cache
def program() -> Program:
    return Program(groups().source, 1)


def request(body: bytes = b"", kind: bytes = JSON, *more: tuple[bytes, bytes], target: str = "/") -> Request:
    headers = [(b"host", b"shop.example"), (b"user-agent", b"Mozilla/5.0"), (b"accept", b"*/*"), *more]
    headers += [(b"content-type", kind), (b"content-length", b"%d" % len(body))] if body else []
    return Request("POST" if body else "GET", target, Headers(headers), BytesBody(body), Peer("192.0.2.7", 1))


def view(body: bytes, kind: bytes = JSON) -> View:
    return View(request(body, kind), 0.0, 0, body)


def test_a_body_whose_values_have_long_names_costs_no_more_than_any_may() -> None:
    keys = b'{"' + b"k" * 30000 + b'":[' + b"1," * 15000
    for body in (DEEP, keys, DEEP[:16384]):
        hostile = view(body)
        assert program().judge(hostile).exhausted
        assert hostile.left > -2 * 65536, "what comes after is not done"


def test_a_long_text_is_looked_at_to_the_end() -> None:
    for body, kind in ((PROSE, FORM), (json.dumps([{"n": n, "x": n / 7} for n in range(2000)]).encode(), JSON)):
        ordinary = view(body, kind)
        found = program().judge(ordinary)
        assert not (found.exhausted or found.denied)
        assert 0 < MOST - ordinary.left < MOST
    assert program().judge(view(PROSE + b"&id=1'+OR+'1'='1", FORM)).denied


def test_what_is_no_json_or_too_deep_is_looked_at_as_text() -> None:
    for before in (b'{"a": 1, oops ', b"[" * 600):
        assert program().judge(view(before + b'"1\' UNION SELECT user, password FROM users -- "')).denied
    assert not program().judge(view(b'{"a": "fine"} and so on')).denied


def test_json_that_is_longer_than_what_is_looked_at_is_still_json() -> None:
    """Its quotes and braces are no code; the value that it is cut in is looked at as far as it goes."""

    def said(body: bytes, *, is_cut: bool = True) -> list[bytes]:
        return [
            value for _, value in content_of(body, "application/json", lambda _units: None, is_cut=is_cut).arguments
        ]

    start = b'{"a": "x", "b": ['
    for end, begun in ((b'"it\\"s', b'it"s'), (b"tr", b"tr"), (b"", b""), (b' "c",', b""), (b'"\\u00', b"\\u00")):
        values = [b"x", b"c", begun] if b"c" in end else [b"x", begun]
        assert said(start + end) == values
        assert said(start + end, is_cut=False) == [*values[:-1], start + end]
    for broken in (b'{"a": 1} and more', b'{"a": oops "', b'{"a": 1]', b"[" * 600):
        assert said(broken)[-1] == broken
    attack = b'{"a": "fine", "b": "1\' UNION SELECT user, password FROM users WHERE'
    cut = View(request(attack), 0.0, 0, attack, truncated=True)
    assert program().judge(cut).denied


@settings(max_examples=40)
@given(
    st.recursive(st.integers() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_paths_lead_to_the_values(document: Any) -> None:
    for each in jsonbody.items(json.dumps(document).encode()):
        found = document
        for step in each.path.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found[int(name)] if isinstance(found, list) else found[name]
        if not each.is_key:
            assert each.text.decode("utf-8", "surrogatepass") == (
                found if isinstance(found, str) else json.dumps(found)
            )


@pytest.mark.parametrize("said, found", [("MATCH", True), ("NO_MATCH", False), ("CONTINUE", None)])
def test_once_all_is_spent_oversize_handling_decides(said: str, found: bool | None) -> None:
    spent = view(b'["' + b"a" * 20000 + b'"]')
    spent.left = 0
    body = values_of({"Body": {"OversizeHandling": said}})(spent)
    pattern = {"MatchPattern": {"All": {}}, "MatchScope": "ALL", "OversizeHandling": said}
    values = values_of({"JsonBody": pattern})(spent)
    if found is None:
        assert body == (spent.body[:BEGINNING],) and values == []
    else:
        assert body is found and values is found
    with pytest.raises(Exhausted):
        spent.spend(0)


def managed(*overridden: str) -> dict[str, Any]:
    overrides = [{"Name": name, "ActionToUse": {"Count": {}}} for name in overridden]
    return {"VendorName": "OWASP", "Name": "CoreRuleSetPL1", "RuleActionOverrides": overrides}


def group(setting: dict[str, Any]) -> dict[str, Any]:
    statement = {"ManagedRuleGroupStatement": setting}
    return {"Name": "g", "Statement": statement, "OverrideAction": {"None": {}}, "VisibilityConfig": visible()}


def test_the_rule_of_a_group_that_stands_for_it_can_be_made_to_count() -> None:
    for overridden, reply in (((), 403), ((LIMIT,), None)):
        judge = groups().step(Compiler({}, {}), managed(*overridden), group(managed()))
        hostile = view(DEEP)
        verdict = judge(hostile)
        assert (verdict and verdict.reply and verdict.reply.status) == reply
        assert verdict is None or (verdict.mark.rule, verdict.mark.action) == (LIMIT, "BLOCK")
        assert hostile.labels == ["awswaf:managed:owasp:crs:inspection_limit"]


def test_what_is_long_is_looked_at_beside_the_loop_and_the_rest_within() -> None:
    threads: list[bool] = []

    def step_of(compiler: Compiler, _setting: Any, _rule: Any) -> Step:
        compiler.needs_body = True

        def step(view: View) -> Verdict | None:
            threads.append(threading.current_thread() is threading.main_thread())
            return Verdict("BLOCK", Mark("bad", "m", True)) if b"bad" in view.body + view.query else None

        return step

    after = rule("after", text("YWZ0ZXI=", {"Body": {}}))  # "after"
    rules = [{**group(managed()), "Priority": 0}, {**after, "Priority": 1}]
    acl = {"Name": "a", "ARN": "a", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visible(), "Rules": rules}
    firewall = Firewall(lambda: 1000.0, lambda: "id")
    firewall.use({"shop.example": Guard(compile_acl({"acl": acl}, managed=step_of), "E1")})

    async def asked(made: Request) -> tuple[int, bytes]:
        async def onward(passed: Request) -> Response:
            return Response(200, body=await passed.body.read())

        answer: Answer | Awaitable[Answer] | None = firewall.admit(made, onward, lambda said: Response(403))
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer is None:
            return 200, b""
        assert isinstance(answer, Response) and isinstance(answer.body, bytes)
        return answer.status, answer.body

    async def every() -> list[tuple[int, bytes]]:
        long = b"x" * LONG
        return [
            await asked(each)
            for each in (
                request(b"small"),
                request(long),
                request(b"and after it"),
                request(long + b"after"),
                request(target="/?q=" + "a" * LONG),
                request(target="/?q=a"),
            )
        ]

    found = asyncio.run(every())
    assert found == [(200, b"small"), (200, b"x" * LONG), (403, b""), (403, b""), (200, b""), (200, b"")]
    assert threads == [True, False, True, False, False, True]
