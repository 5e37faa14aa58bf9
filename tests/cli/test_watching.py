"""What two looks at a place's metrics say."""

from __future__ import annotations

import pytest

from littoral.cli.watching import MOST, Look, difference, line, screen

BEFORE = """
littoral_mqtt_received_total 100
littoral_mqtt_sent_total 1000
littoral_mqtt_connections 3
littoral_iot_refused_total{action="iot:Publish",reason="IMPLICIT_DENY"} 4
littoral_rule_messages_total{rule="ward",result="matched"} 10
littoral_rule_messages_total{rule="quiet",result="matched"} 10
"""
AFTER = """
littoral_mqtt_received_total 105
littoral_mqtt_sent_total 1002
littoral_mqtt_dropped_total 7
littoral_mqtt_connections 5
littoral_mqtt_queued 9
littoral_iot_refused_total{action="iot:Publish",reason="IMPLICIT_DENY"} 5
littoral_iot_refused_total{reason="BAD_TOKEN_SIGNATURE",action="iot:Connect"} 12
littoral_iot_authorizer_answers_total{authorizer="gate",result="ADMITTED"} 2
littoral_rule_messages_total{rule="ward",result="matched"} 30
littoral_rule_messages_total{rule="ward",result="failure"} 1
littoral_rule_messages_total{rule="quiet",result="matched"} 10
"""


def seen(before: str = BEFORE, after: str = AFTER, seconds: float = 2.0) -> dict[str, object]:
    return difference(Look.read(100.0, before), Look.read(100.0 + seconds, after))


def test_counters_become_rates_and_gauges_stay() -> None:
    assert seen() == {
        "at": 102.0,
        "seconds": 2.0,
        "connections": 5,
        "sessions": 0,
        "subscriptions": 0,
        "queued": 9,
        "in": 2.5,
        "out": 1.0,
        "dropped": 7,
        "refused": [
            {"action": "iot:Connect", "reason": "BAD_TOKEN_SIGNATURE", "count": 12},
            {"action": "iot:Publish", "reason": "IMPLICIT_DENY", "count": 1},
        ],
        "authorizers": [{"authorizer": "gate", "result": "ADMITTED", "count": 2}],
        "rules": [{"rule": "ward", "matched": 10.0, "success": 0.0, "failure": 0.5}],
    }


def test_a_place_that_was_started_anew_counts_from_its_start() -> None:
    assert seen(AFTER, BEFORE.replace("} 4", "} 1"))["in"] == 50.0
    assert seen(AFTER, "")["refused"] == []


def test_the_forms_for_people() -> None:
    text = line(seen(), "12:00:00")
    assert text.startswith("12:00:00  connections 5  in 2.5/s  out 1/s  queued 9  dropped 7  refused 13  iot:Connect ")
    assert text.endswith("rule ward 10/s") and "\n" not in text
    shown = screen(seen(), "12:00:00", "http://place")
    for part in ("http://place  12:00:00", "BAD_TOKEN_SIGNATURE", "gate", "ward", "2.5"):
        assert part in shown
    many = "".join(f'littoral_iot_refused_total{{action="a{n}",reason="r"}} {n}\n' for n in range(1, MOST + 3))
    assert f"a{MOST + 2}" in screen(seen("", many), "", "") and "and 2 more" in screen(seen("", many), "", "")


def test_what_is_no_page_of_metrics_says_so() -> None:
    with pytest.raises(ValueError, match=r".+"):
        Look.read(0.0, "<html>not { here")
