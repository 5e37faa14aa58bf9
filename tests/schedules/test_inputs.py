"""What a target gets, without IO."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.schedules.inputs import InputError, at_path, check_target, fill, render

EVENT = {
    "id": "1",
    "time": "2026-11-23T10:00:00Z",
    "resources": ["arn:a", "arn:b"],
    "detail": {"ward": 'i"cu', "bed": 7, "tags": {"a b": True}},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", EVENT),
        ("$.detail.bed", 7),
        ("$.resources[1]", "arn:b"),
        ("$.detail.tags['a b']", True),
        ("$.detail.none.deeper", None),
        ("$.resources[9]", None),
        ("$.detail[0]", None),
    ],
)
def test_paths(path: str, expected: Any) -> None:
    assert at_path(EVENT, path) == expected


def transformed(template: str, **paths: str) -> Any:
    target = {"Id": "1", "InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
    check_target(target)
    return json.loads(render(EVENT, target, "arn:aws:events:us-east-1:0:rule/r"))


def test_a_template_is_filled_inside_and_outside_of_quotes() -> None:
    paths = {"ward": "$.detail.ward", "bed": "$.detail.bed", "none": "$.no"}
    assert transformed('"ward <ward>, bed <bed>, <none>"', **paths) == 'ward i"cu, bed 7, '
    assert transformed('{"w": <ward>, "b": <bed>, "n": <none>, "t": "\\"<bed>"}', **paths) == {
        "w": 'i"cu',
        "b": 7,
        "n": None,
        "t": '"7',
    }
    assert transformed("<aws.events.event.json>") == EVENT
    assert transformed('"<aws.events.rule-name> <aws.events.event.ingestion-time>"') == f"r {EVENT['time']}"


def test_constants_parts_and_whole_events() -> None:
    assert render(EVENT, {"Input": '{"a":  1}'}) == b'{"a":  1}'
    assert json.loads(render(EVENT, {"InputPath": "$.detail"})) == EVENT["detail"]
    assert json.loads(render(EVENT, {})) == EVENT


@pytest.mark.parametrize(
    "target",
    [
        {"Input": "{"},
        {"Input": "1", "InputPath": "$"},
        {"InputPath": "detail"},
        {"InputPath": "$..detail"},
        {"InputTransformer": {"InputTemplate": "<unknown>"}},
        {"InputTransformer": {"InputTemplate": "no json <a>", "InputPathsMap": {"a": "$.a"}}},
        {"InputTransformer": {"InputTemplate": "<aws.x>", "InputPathsMap": {"aws.x": "$.a"}}},
        {"InputTransformer": {"InputTemplate": "<a>", "InputPathsMap": {"a": "a"}}},
    ],
)
def test_what_is_no_input_is_refused(target: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        check_target({"Id": "1", **target})


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(VALUES)
def test_a_filled_template_is_json_whatever_the_value(value: Any) -> None:
    filled = json.loads(fill('{"bare": <v>, "quoted": "x<v>y"}', {"v": value}))
    assert filled["bare"] == value
    assert filled["quoted"].startswith("x") and filled["quoted"].endswith("y")
