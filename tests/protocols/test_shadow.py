"""Shadows: AWS's own examples, then properties of merge and delta over any JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.protocols import shadow
from littoral.protocols.shadow import NONE, Shadow, ShadowError, Updated

LITERALS = [
    "1e5",
    "1E+15",
    "-0",
    "-0.0",
    "1e-7",
    "123456789012345680.0",
    '"\\u00e9\\/"',
    '"é"',
    "null",
    "true",
    "[1e9,[]]",
    "{}",
]


def update(current: Shadow, state: Any, now: int = 100, **more: Any) -> Updated:
    return shadow.update(current, shadow.parse_update(json.dumps({"state": state, **more}).encode()), now)


def after(*states: Any) -> Shadow:
    current = NONE
    for step, state in enumerate(states):
        current = update(current, state, now=100 + step).shadow
    return current


def test_delta_is_what_is_desired_and_not_so_reported() -> None:
    current = after({"desired": {"color": "RED", "state": "STOP"}}, {"reported": {"color": "GREEN", "engine": "ON"}})
    document = shadow.get(current, "t", 200)
    assert document["state"]["delta"] == {"color": "RED", "state": "STOP"}
    assert document["metadata"]["delta"] == {"color": {"timestamp": 100}, "state": {"timestamp": 100}}
    assert (document["version"], document["timestamp"]) == (2, 200)


def test_delta_of_nested_objects_holds_the_path_to_the_root() -> None:
    desired = {"lights": {"color": {"r": 255, "g": 255, "b": 255}}}
    reported = {"lights": {"color": {"r": 255, "g": 0, "b": 255}}}
    assert shadow.delta(desired, reported) == {"lights": {"color": {"g": 255}}}


def test_an_array_is_replaced_and_compared_whole() -> None:
    current = after({"desired": {"c": ["R", "G"]}, "reported": {"c": ["R", "G"]}}, {"desired": {"c": ["R"]}})
    assert current.state == {"desired": {"c": ["R"]}, "reported": {"c": ["R", "G"]}}
    assert shadow.get(current, "t", 1)["state"]["delta"] == {"c": ["R"]}
    assert current.metadata["desired"] == {"c": [{"timestamp": 101}]}


def test_accepted_holds_only_what_was_asked_for_and_the_token() -> None:
    first = after({"desired": {"a": 1, "b": {"c": 2, "d": 3}}})
    updated = update(first, {"desired": {"b": {"c": 9, "d": None}}}, 300, clientToken="tok")
    assert updated.accepted == {
        "state": {"desired": {"b": {"c": 9, "d": None}}},
        "metadata": {"desired": {"b": {"c": {"timestamp": 300}}}},
        "version": 2,
        "timestamp": 300,
        "clientToken": "tok",
    }
    assert updated.documents["previous"]["version"] == 1
    assert updated.documents["current"]["state"] == {"desired": {"a": 1, "b": {"c": 9}}}
    assert updated.delta is not None and updated.delta["state"] == {"a": 1, "b": {"c": 9}}


def test_null_removes_an_attribute_a_section_or_all() -> None:
    current = after({"desired": {"a": 1}, "reported": {"a": 1, "b": 2}})
    assert update(current, {"reported": {"b": None}}).shadow.state["reported"] == {"a": 1}
    assert update(current, {"desired": None}).shadow.state == {"reported": {"a": 1, "b": 2}}
    assert update(current, {"desired": {"a": None}}).shadow.state == {"reported": {"a": 1, "b": 2}}
    cleared = update(current, None).shadow
    assert cleared.state == {} and cleared.version == 2 and cleared.exists


def test_another_version_is_a_conflict_and_the_current_one_passes() -> None:
    current = after({"desired": {"a": 1}})
    with pytest.raises(ShadowError) as refused:
        update(current, {"desired": {"a": 2}}, version=0, clientToken="x")
    assert refused.value.document(5) == {"code": 409, "message": "Version conflict", "timestamp": 5, "clientToken": "x"}
    assert update(current, {"desired": {"a": 2}}, version=1).shadow.version == 2


def test_the_version_goes_on_after_a_delete() -> None:
    current = after({"desired": {"a": 1}}, {"desired": {"a": 2}})
    remains, accepted = shadow.delete(current, "t", 50, "tok")
    assert accepted == {"version": 2, "timestamp": 50, "clientToken": "tok"}
    for operation in (shadow.get, shadow.delete):
        with pytest.raises(ShadowError) as refused:
            operation(remains, "t~s", 51)
        assert (refused.value.code, refused.value.message) == (404, "No shadow exists with name: 't~s'")
    assert update(remains, {"reported": {"b": 1}}).shadow.version == 3
    assert update(remains, {"reported": {"b": 1}}).shadow.state == {"reported": {"b": 1}}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value}
    return value


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        (b"", 400, "Invalid JSON"),
        (b"{", 400, "Invalid JSON"),
        (b"[]", 400, "Invalid JSON"),
        (b'{"state": {"desired": {"a": NaN}}}', 400, "Invalid JSON"),
        (b'{"state": {"desired": {"a": 1e999}}}', 400, "Invalid JSON"),
        (b"[" * 10_000, 400, "Invalid JSON"),
        (b"\xff\xfe{}", 415, "Unsupported documented encoding"),
        (b"{}", 400, "Missing required node: state"),
        (b'{"state": 1}', 400, "State node must be an object"),
        (b'{"state": {"desired": 1}}', 400, "Desired node must be an object"),
        (b'{"state": {"reported": []}}', 400, "Reported node must be an object"),
        (b'{"state": {"delta": {}}}', 400, "State contains an invalid node: 'delta'"),
        (b'{"state": {}, "version": "1"}', 400, "Invalid version"),
        (b'{"state": {}, "version": true}', 400, "Invalid version"),
        (b'{"state": {}, "version": -1}', 400, "Invalid version"),
        (b'{"state": {}, "clientToken": 1}', 400, "Invalid clientToken"),
        (json.dumps({"state": {}, "clientToken": "x" * 65}).encode(), 400, "Invalid clientToken"),
        (b'{"state": {"desired": {"a": [1, null]}}}', 400, "State contains an invalid node"),
        (b'{"state": {"desired": {"a": [{"b": [null]}]}}}', 400, "State contains an invalid node"),
        (json.dumps({"state": {"desired": nested(9)}}).encode(), 400, "JSON contains too many levels of nesting"),
        (json.dumps({"state": {"desired": {"a": "x" * 17_000}}}).encode(), 413, "The payload exceeds"),
    ],
)
def test_a_bad_request_gets_its_code(payload: bytes, code: int, message: str) -> None:
    with pytest.raises(ShadowError) as refused:
        shadow.parse_update(payload)
    assert refused.value.code == code
    assert refused.value.message.startswith(message)


def test_the_state_may_have_eight_levels_and_eight_kilobytes() -> None:
    assert update(NONE, {"desired": nested(8)}).shadow.exists
    room = shadow.MAX_DOCUMENT - len('{"desired":{"a":""}}')
    full = update(NONE, {"desired": {"a": "x" * room}}).shadow
    with pytest.raises(ShadowError) as refused:
        update(full, {"reported": {"b": 1}})
    assert refused.value.code == 413
    with pytest.raises(ShadowError):
        update(NONE, {"desired": {"a": "x" * (room + 1)}})


@given(st.lists(st.dictionaries(st.sampled_from('ab"\\é\n'), st.sampled_from(LITERALS), max_size=4), max_size=12))
def test_a_state_has_never_more_bytes_than_its_bound(changes: list[dict[str, str]]) -> None:
    current = NONE
    for number, change in enumerate(changes):
        members = ",".join(f"{json.dumps(name)}:{literal}" for name, literal in change.items())
        payload = f'{{"state":{{"{shadow.SECTIONS[number % 2]}":{{{members}}}}}}}'
        current = shadow.update(current, shadow.parse_update(payload.encode()), 1).shadow
        state = json.dumps(current.state, separators=(",", ":"), ensure_ascii=False).encode()
        assert current.bound is not None and len(state) <= current.bound


def test_the_token_of_a_get_is_read_and_other_content_ignored() -> None:
    assert shadow.parse_token(b"") is None
    assert shadow.parse_token(b"whatever") is None
    assert shadow.parse_token(b'{"clientToken": "a"}') == "a"


LEAF = st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "y"])
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
SECTION = st.dictionaries(NAMES, VALUES, max_size=3)
CHANGE = st.dictionaries(NAMES, st.none() | VALUES, max_size=3)


def shape(value: Any) -> Any:
    """The value with every leaf replaced, to compare state with metadata."""
    if isinstance(value, dict):
        return {name: shape(child) for name, child in value.items()}
    return [shape(child) for child in value] if isinstance(value, list) else "leaf"


def metadata_shape(value: Any) -> Any:
    if isinstance(value, list):
        return [metadata_shape(child) for child in value]
    if set(value) == {"timestamp"} and isinstance(value["timestamp"], int):
        return "leaf"
    return {name: metadata_shape(child) for name, child in value.items()}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.fixed_dictionaries({}, optional={"desired": CHANGE, "reported": CHANGE}), max_size=5))
def test_metadata_has_the_shape_of_the_state_and_no_null_is_kept(changes: list[Any]) -> None:
    current = after(*changes)
    assert current.version == len(changes)
    assert set(current.state) == set(current.metadata)
    for name, section in current.state.items():
        assert section
        assert metadata_shape(current.metadata[name]) == shape(section)
    assert "null" not in json.dumps(current.state)
    assert Shadow.from_json(json.loads(json.dumps(current.to_json()))) == current


@settings(max_examples=200, deadline=None)
@given(SECTION, SECTION)
def test_reporting_the_delta_leaves_none(desired: Any, reported: Any) -> None:
    current = after({"desired": desired, "reported": reported})
    difference = shadow.delta(current.state.get("desired"), current.state.get("reported"))
    settled = update(current, {"reported": difference})
    assert settled.delta is None


@settings(max_examples=200, deadline=None)
@given(SECTION, CHANGE)
def test_an_update_repeated_changes_nothing_but_the_version(section: Any, change: Any) -> None:
    once = after({"desired": section}, {"desired": change})
    twice = update(once, {"desired": change}).shadow
    assert twice.state == once.state and twice.version == once.version + 1


@settings(max_examples=200, deadline=None)
@given(SECTION)
def test_delta_of_equals_is_empty_and_of_nothing_reported_is_all(section: Any) -> None:
    assert shadow.delta(section, section) == {}
    assert shadow.delta(section, None) == section


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_parsed_or_refused_never_a_crash(payload: bytes) -> None:
    try:
        request = shadow.parse_update(payload)
    except ShadowError as error:
        assert error.code in (400, 413, 415)
    else:
        assert set(request.state) <= {"desired", "reported"}
