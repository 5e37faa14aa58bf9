"""Policies: the grammar by table, the decisions against a naive model."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.protocols.iam.wildcards import wildcard
from littoral.protocols.iotpolicy import Grants, Policy, PolicyError

ARN = "arn:aws:iot:us-east-1:000000000000:"


def policy(*statements: dict[str, Any]) -> Policy:
    return Policy.parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def statement(action: Any, resource: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def allows(statements: list[dict[str, Any]], action: str, resource: str, **variables: Any) -> bool:
    named = {name.replace("__", ":").replace("_", "."): value for name, value in variables.items()}
    return Grants([policy(*statements)], named).allows(action, resource)


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("topic/ward/7", "topic/ward/7", True),
        ("topic/ward/7", "topic/ward/77", False),
        ("topic/ward/*", "topic/ward/7/bed/1", True),
        ("topic/ward/*", "topic/ward/", True),
        ("topic/ward/*", "topic/ward", False),
        ("topic/*/bed", "topic/a/b/bed", True),
        ("topic/room?", "topic/room1", True),
        ("topic/room?", "topic/room", False),
        ("topicfilter/ward/+/bed", "topicfilter/ward/+/bed", True),
        ("topicfilter/ward/+/bed", "topicfilter/ward/7/bed", False),  # MQTT's wildcards are ordinary here
        ("topicfilter/ward/#", "topicfilter/ward/x", False),
        ("topicfilter/ward/*", "topicfilter/ward/#", True),
        ("topic/a.c", "topic/abc", False),
        ("topic/x", "topicfilter/x", False),
    ],
)
def test_resources_match_by_star_and_question_mark_only(pattern: str, resource: str, matches: bool) -> None:
    assert allows([statement("iot:Publish", ARN + pattern)], "iot:Publish", ARN + resource) is matches


@pytest.mark.parametrize(
    ("granted", "asked", "matches"),
    [
        ("iot:Publish", "iot:Publish", True),
        ("iot:publish", "iot:Publish", True),
        ("iot:*", "iot:Receive", True),
        ("*", "iot:Receive", True),
        ("iot:*Shadow", "iot:GetThingShadow", True),
        ("iot:Publish", "iot:Subscribe", False),
        (["iot:Connect", "iot:Publish"], "iot:Publish", True),
    ],
)
def test_actions_match(granted: Any, asked: str, matches: bool) -> None:
    assert allows([statement(granted, "*")], asked, ARN + "topic/x") is matches


def test_nothing_is_allowed_unless_said_and_deny_wins_wherever_it_stands() -> None:
    deny = statement("iot:Publish", ARN + "topic/ward/secret", "Deny")
    allow = statement("iot:Publish", ARN + "topic/ward/*")
    for order in ([deny, allow], [allow, deny]):
        assert not allows(order, "iot:Publish", ARN + "topic/ward/secret")
        assert allows(order, "iot:Publish", ARN + "topic/ward/7")
    assert not Grants([], {}).allows("iot:Publish", ARN + "topic/x")


def test_variables_are_replaced_and_their_text_is_never_a_wildcard() -> None:
    rule = [statement("iot:Publish", ARN + "topic/${iot:ClientId}/*")]
    assert allows(rule, "iot:Publish", ARN + "topic/bed3/hr", iot__clientid="bed3")
    assert not allows(rule, "iot:Publish", ARN + "topic/bed4/hr", iot__clientid="bed3")
    assert not allows(rule, "iot:Publish", ARN + "topic/bed4/hr", iot__clientid="*")
    assert allows(rule, "iot:Publish", ARN + "topic/*/hr", iot__clientid="*")
    assert not allows(rule, "iot:Publish", ARN + "topic//hr")  # no value: matches nothing


def test_thing_attributes_are_variables() -> None:
    rule = [statement("iot:Publish", ARN + "topic/${iot:Connection.Thing.Attributes[ward]}/x")]
    grants = Grants([policy(*rule)], {"iot:connection.thing.attributes[ward]": "7"})
    assert grants.allows("iot:Publish", ARN + "topic/7/x")
    assert not grants.allows("iot:Publish", ARN + "topic/8/x")


@pytest.mark.parametrize(
    ("condition", "variables", "holds"),
    [
        ({"StringEquals": {"iot:ClientId": ["a", "b"]}}, {"iot:clientid": "b"}, True),
        ({"StringEquals": {"iot:ClientId": "a"}}, {"iot:clientid": "b"}, False),
        ({"StringEquals": {"iot:ClientId": "a"}}, {}, False),
        ({"StringEqualsIfExists": {"iot:ClientId": "a"}}, {}, True),
        ({"StringNotEquals": {"iot:ClientId": ["a", "b"]}}, {"iot:clientid": "b"}, False),
        ({"StringNotEquals": {"iot:ClientId": "a"}}, {}, True),
        ({"StringLike": {"iot:ClientId": "bed-?"}}, {"iot:clientid": "bed-3"}, True),
        ({"StringNotLike": {"iot:ClientId": "bed-*"}}, {"iot:clientid": "bed-3"}, False),
        ({"StringEqualsIgnoreCase": {"iot:ClientId": "BED"}}, {"iot:clientid": "bed"}, True),
        ({"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}}, {"iot:connection.thing.isattached": "true"}, True),
        ({"Bool": {"iot:Connection.Thing.IsAttached": True}}, {"iot:connection.thing.isattached": "false"}, False),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "10.1.2.3"}, True),
        ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::1"]}}, {"aws:sourceip": "127.0.0.1"}, False),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "127.0.0.1"}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "local"}, False),
        ({"StringEquals": {"iot:ClientId": "${iot:Connection.Thing.ThingName}"}},
         {"iot:clientid": "t", "iot:connection.thing.thingname": "t"}, True),
        ({"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["PersistentConnect"]}},
         {"iot:connectattributes": ("PersistentConnect",)}, True),
        ({"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["PersistentConnect"]}},
         {"iot:connectattributes": ("PersistentConnect", "LastWill")}, False),
        ({"ForAllValues:StringEquals": {"iot:ConnectAttributes": []}}, {"iot:connectattributes": ()}, True),
        ({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}},
         {"iot:connectattributes": ("PersistentConnect", "LastWill")}, True),
        ({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}, {"iot:connectattributes": ()}, False),
        ({"StringEquals": {"iot:ClientId": "a"}, "Bool": {"x": "true"}}, {"iot:clientid": "a", "x": "false"}, False),
    ],
)  # fmt: skip
def test_conditions(condition: dict[str, Any], variables: dict[str, Any], holds: bool) -> None:
    grants = Grants([policy(statement("iot:Connect", "*", Condition=condition))], variables)
    assert grants.allows("iot:Connect", ARN + "client/x") is holds


GOOD = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"Version":"2012-10-17"}',
        '{"Version":"2008-10-17","Statement":[]}',
        '{"Version":"2012-10-17","Statement":[]}',
        '{"Version":"2012-10-17","Statement":"x"}',
        '{"Version":"2012-10-17","Statement":["x"]}',
        '{"Version":"2012-10-17","Version":"2012-10-17","Statement":{}}',
        json.dumps({"Version": "2012-10-17", "Statement": GOOD, "Extra": 1}),
        "[" * 100_000,
        *(
            json.dumps({"Version": "2012-10-17", "Statement": {**GOOD, **change}})
            for change in (
                {"Effect": "allow"},
                {"Effect": None},
                {"Action": []},
                {"Action": 1},
                {"Action": "Publish"},
                {"Action": "iot:Publish Me"},
                {"Resource": []},
                {"Resource": "topic/x"},
                {"Resource": "arn:aws:iot:us-east-1:0:topic/${iot:ClientId"},
                {"NotAction": "iot:Connect"},
                {"Principal": "*"},
                {"Condition": []},
                {"Condition": {"StringEquals": "x"}},
                {"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}},
                {"Condition": {"ForSomeValues:StringEquals": {"a": "b"}}},
                {"Condition": {"IpAddress": {"aws:SourceIp": "nowhere"}}},
                {"Condition": {"StringEquals": {"a": 1}}},
            )
        ),
    ],
)
def test_what_is_malformed_or_would_not_be_enforced_is_refused(document: str) -> None:
    with pytest.raises(PolicyError):
        Policy.parse(document)


def test_a_pattern_of_many_stars_does_not_take_for_ever() -> None:
    # Without atomic groups this would outlast the universe, and the time limit of the suite.
    grants = Grants([policy(statement("iot:Publish", ARN + "topic/" + "*a" * 60))], {})
    assert not grants.allows("iot:Publish", ARN + "topic/" + "a" * 250 + "b")


@cache
def naive(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive(pattern[1:], text) or (bool(text) and naive(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@settings(max_examples=400, deadline=None)
@given(st.text("ab*?+#/.\n", max_size=10), st.text("ab+#/.*\n", max_size=10))
def test_the_matcher_agrees_with_a_naive_one(pattern: str, text: str) -> None:
    import re

    assert (re.fullmatch(wildcard(pattern), text) is not None) is naive(pattern, text)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "*", "a*", "?"])), max_size=6),
    st.sampled_from(["a", "b", "ab", ""]),
)
def test_decisions_agree_with_deny_over_allow_over_nothing(rules: list[tuple[bool, str]], topic: str) -> None:
    statements = [statement("iot:Publish", ARN + "topic/" + p, "Allow" if allow else "Deny") for allow, p in rules]
    matching = [allow for allow, pattern in rules if naive(pattern, topic)]
    granted = bool(statements) and allows(statements, "iot:Publish", ARN + "topic/" + topic)
    assert granted is (bool(matching) and all(matching))
