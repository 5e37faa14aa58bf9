"""What fuzzers feed: each target takes bytes, and raises where something is wrong.

``make fuzz TARGET=seclang SECONDS=60`` runs one under atheris (``run.py``); the tests run all of them with a bounded
number of hypothesis' examples (test_fuzz.py in tests/edge/waf, tests/net and tests/things/broker, test_iotsql_fuzz.py
in tests/protocols).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from fuzz.http1 import http_requests, http_response
from fuzz.mqtt import mqtt
from fuzz.rules import rule_sql, rule_template, rule_times
from littoral.edge.waf.crs.engine import Engine
from littoral.edge.waf.crs.program import Program
from littoral.edge.waf.crs.ruleset import NoRuleSet, Source
from littoral.edge.waf.crs.seclang import Unreadable, read
from littoral.edge.waf.crs.transaction import Transaction
from littoral.edge.waf.transformations import PRE_PARSE, WAF
from littoral.edge.waf.view import View
from littoral.net.message import BytesBody, Headers, Peer, Request

KINDS = [
    b"application/x-www-form-urlencoded",
    b"application/json",
    b"text/xml",
    b"multipart/form-data; boundary=a",
    b"",
]


def view_of(data: bytes) -> View:
    """A request whose query, cookie and body are parts of ``data``; the first byte chooses the content type."""
    kind = KINDS[data[0] % len(KINDS)] if data else b""
    query, cookie, body = [*data[1:].split(b"\xff", 2), b"", b""][:3]
    headers = [(b"host", b"a.example"), (b"cookie", cookie), (b"content-type", kind), (b"user-agent", b"Mozilla/5.0")]
    target = "/x?" + query.decode("latin-1").replace(" ", "+")
    asked = Request("POST", target, Headers(headers), BytesBody(body), Peer("192.0.2.1", 1))
    return View(asked, 0.0, 0, body)


def seclang(data: bytes) -> None:
    """Text is rules, or Unreadable; rules that were read can run."""
    try:
        engine = Engine(read({"a.conf": data.decode("latin-1")}), {})
    except Unreadable:
        return
    engine.run(Transaction(view_of(b"\0a=1' or 1=1&b=<x>\xfft=1\xffbody"), {}), engine.rules)


@cache
def program() -> Program | None:
    try:
        return Program(Source.open(), 4)
    except NoRuleSet:
        return None


def rule_set(data: bytes) -> None:
    """The sieve says of any request what the exact engine says (where the Core Rule Set is installed)."""
    judging = program()
    if judging is not None:
        assert judging.judge(view_of(data)).denied == judging.exactly(view_of(data)).denied


def transformations(data: bytes) -> None:
    """None fails, none grows beyond six times."""
    for table in (WAF, PRE_PARSE):
        for name, transform in table.items():
            assert len(transform(data)) <= 6 * len(data) + 64, name


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        seclang,
        rule_set,
        transformations,
        rule_sql,
        rule_template,
        rule_times,
        http_requests,
        http_response,
        mqtt,
    )
}
