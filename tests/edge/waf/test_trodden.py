"""Trodden ways change no verdict and lose no count: a firewall that has seen much against one that has seen nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.edge.waf.guard import Firewall, Guard
from littoral.edge.waf.ladder import MOST_OF_HEADS
from littoral.edge.waf.sampling import A_TICK
from littoral.edge.waf.trodden import MOST
from littoral.edge.waf.verdict import Verdict
from littoral.edge.waf.webacl import compile_acl
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from tests.edge.waf.place import rule, text, visible
from tests.edge.waf.place import transformations as steps

HOST = b"shop.example"
AGENT: dict[str, Any] = {"SingleHeader": {"Name": "user-agent"}}
SIZE = {"FieldToMatch": {"QueryString": {}}, "ComparisonOperator": "GT", "Size": 600, "TextTransformations": steps()}
RULES = [
    rule("path", text(b"YWRtaW4=", {"UriPath": {}}, "CONTAINS", "URL_DECODE", "LOWERCASE")),  # admin
    rule("agent", text(b"Ym90", AGENT)),  # bot
    rule("query", text(b"PA==", {"QueryString": {}}, "CONTAINS", "URL_DECODE")),  # <
    rule("sql", {"SqliMatchStatement": {"FieldToMatch": {"AllQueryArguments": {}}, "TextTransformations": steps()}}),
    rule("long", {"SizeConstraintStatement": SIZE}),
    rule("method", text(b"UFVU", {"Method": {}}, "EXACTLY")),  # PUT
]


def limit(most: int, name: str = "slow", action: str = "Block") -> dict[str, Any]:
    return rule(name, {"RateBasedStatement": {"Limit": most, "AggregateKeyType": "IP"}}, action)


def firewall(*rules: dict[str, Any], groups: dict[str, Any] | None = None) -> Firewall:
    numbered = [{**each, "Priority": number} for number, each in enumerate(rules)]
    acl = {"Name": "a", "ARN": "a", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visible(), "Rules": numbered}
    made = Firewall(lambda: 1000.0, lambda: "id")
    made.use({HOST.decode(): Guard(compile_acl({"acl": acl, "groups": groups or {}}), "E1")})
    return made


def request(
    target: str = "/shop?a=1", agent: bytes = b"curl", method: str = "GET", peer: Peer | None = None
) -> Request:
    headers = Headers([(b"host", HOST), (b"user-agent", agent)])
    return Request(method, target, headers, BytesBody(), peer or Peer("192.0.2.1", 4000))


def verdict(made: Firewall, asked: Request) -> str:
    """The name of the rule that stopped it, or ""."""
    stopped: list[str] = []

    def refuse(said: Verdict) -> Response:
        stopped.append(said.mark.inner or said.mark.rule)
        return Response(403)

    made.admit(asked, lambda _: Response(200), refuse)
    return stopped[0] if stopped else ""


def walked(made: Firewall, times: int = A_TICK + 2, **how: Any) -> Firewall:
    for number in range(times):
        assert verdict(made, request(f"/shop?a={number}", **how)) == ""
    assert made._ways
    return made


SEASONED = walked(firewall(*RULES, limit(10**9)))
TARGETS = st.sampled_from(
    ["/shop", "/shop?a=7&b", "/shop?", "/admin?a=1", "/shop?a=%3c", "/shop?a=' or 1=1--", "/shop?a=1=1", "/SHOP?x"]
)


@settings(max_examples=200)
@given(
    st.one_of(TARGETS, st.integers(0, 700).map(lambda size: "/shop?" + "a" * size), st.text().map("/shop?".__add__)),
    st.sampled_from([b"curl", b"a bot"]),
    st.sampled_from(["GET", "PUT"]),
    st.sampled_from([4000, 4001]),
)
def test_what_is_known_of_a_way_is_true_of_what_comes_on_it(target: str, agent: bytes, method: str, port: int) -> None:
    asked = [request(target, agent, method, Peer("192.0.2.1", port)) for _ in range(2)]
    assert verdict(SEASONED, asked[0]) == verdict(firewall(*RULES), asked[1])


def test_most_requests_of_a_connection_need_no_view() -> None:
    made = walked(firewall(*RULES, limit(10**9)))
    ((guard, way),) = made._ways.values()
    before = guard.again
    assert way.leads(request("/shop?never=seen"))
    assert verdict(made, request("/shop?never=seen")) == ""
    assert guard.again == before + 1
    for other in (
        request("/other?never=seen"),
        request("/shop?never=%20seen"),
        request(agent=b"curl2"),
        request(method="HEAD"),
        request(peer=Peer("192.0.2.1", 4000, ja3="x")),
    ):
        assert not way.leads(other)
    carrying = request()
    carrying.body = BytesBody(b"x")
    assert not way.leads(carrying)


def test_a_way_is_closed_where_a_rule_may_match_any_query() -> None:
    made = firewall(rule("short", {"SizeConstraintStatement": {**SIZE, "ComparisonOperator": "LT", "Size": 2}}))
    for number in range(10, 10 + A_TICK + 2):
        assert verdict(made, request(f"/shop?{number}")) == ""
    assert verdict(made, request("/shop?7")) == "short"


def test_each_request_counts_once_for_each_rate() -> None:
    made = firewall(*RULES, limit(50, "counted", "Count"), limit(60))
    statuses = [verdict(made, request(f"/shop?a={number}")) for number in range(100)]
    assert statuses == [""] * 60 + ["slow"] * 40
    acl = made.guards[HOST].acl
    assert [list(rate.window._now.values()) for rate in acl.rates] == [[100], [100]]
    assert made.sampler.decisions["a", "counted", "COUNT"] == 50


def test_a_rate_in_a_group_does_what_the_group_says_there_too() -> None:
    inner = [{**limit(30), "Priority": 0}]
    group = {"g": {"Name": "g", "ARN": "g", "Rules": inner, "VisibilityConfig": visible()}}
    for override, expected in (({"None": {}}, "slow"), ({"Count": {}}, "")):
        reference = {"RuleGroupReferenceStatement": {"ARN": "g"}}
        named = {k: v for k, v in rule("group", reference).items() if k != "Action"}
        made = firewall({**named, "OverrideAction": override}, groups=group)
        assert [verdict(made, request("/same")) for _ in range(40)] == [""] * 30 + [expected] * 10


def test_ways_are_bounded_and_forgotten_with_their_heads_and_with_other_rules() -> None:
    made = walked(firewall(*RULES))
    for port in range(MOST + 10):
        peer = Peer("192.0.2.1", port)
        for _ in range(2):
            verdict(made, request("/shop?a=1", peer=peer))
    assert len(made._ways) <= MOST
    guard, _ = next(iter(made._ways.values()))
    guard.acl.rules._make_room(MOST_OF_HEADS)
    assert not any(way.leads(request("/shop?a=1")) for _, way in made._ways.values())
    made.use({HOST.decode(): guard})
    assert not made._ways
