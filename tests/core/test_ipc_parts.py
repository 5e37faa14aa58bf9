"""The parts of the IPC by themselves: the RPC's rules, access, configuration, the states of a component."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.core.configuration import Configuration, NoSuchKey, Outdated
from littoral.core.ipc.access import allowed, covers
from littoral.core.nucleus.lifecycle import Lifecycle
from littoral.core.nucleus.recipe import filled, generic_of
from littoral.protocols.eventstream import Decoder, Kind, Message, Value, encode, text
from littoral.protocols.eventstreamrpc import Closed, Connect, Flag, MessageType, Request, ServerConnection
from littoral.protocols.mqtt.topics import matches


def message(kind: MessageType, stream: int = 0, flags: int = 0, payload: bytes = b"", **headers: str) -> bytes:
    numbers = {":message-type": int(kind), ":message-flags": flags, ":stream-id": stream}
    found = {name: Value(Kind.INT, value) for name, value in numbers.items()}
    return encode(
        Message({**found, **{name.replace("__", ":"): text(each) for name, each in headers.items()}}, payload)
    )


def sent(connection: ServerConnection) -> list[tuple[int, int, int, bytes]]:
    """Type, flags, stream and payload of what is to be sent."""
    found = [
        (*(int(each.headers[name].value) for name in (":message-type", ":message-flags", ":stream-id")), each.payload)  # type: ignore[call-overload]
        for each in Decoder().feed(bytes(connection.outgoing))
    ]
    connection.outgoing.clear()
    return found


CONNECT = message(MessageType.CONNECT, payload=b'{"authToken": "t"}', __version="0.1.0")


def connected() -> ServerConnection:
    made = ServerConnection()
    assert made.receive(CONNECT) == [Connect(b'{"authToken": "t"}')]
    made.accept()
    assert sent(made) == [(MessageType.CONNECT_ACK, Flag.CONNECTION_ACCEPTED, 0, b"")]
    return made


def test_an_operation_is_answered_with_events_until_it_is_closed() -> None:
    made = connected()
    asked = message(MessageType.APPLICATION_MESSAGE, 1, payload=b"{}", operation="aws#Go")
    assert made.receive(asked) == [Request(1, "aws#Go", b"{}")]
    made.message(1, "aws#GoResponse", {"a": 1})
    made.message(1, "aws#Event", {"b": 2})
    assert [each[:3] for each in sent(made)] == [(0, 0, 1), (0, 0, 1)]
    assert made.receive(message(MessageType.APPLICATION_MESSAGE, 1, Flag.TERMINATE_STREAM)) == [Closed(1)]
    made.message(1, "aws#Event", {"b": 3})
    assert sent(made) == []
    made.receive(message(MessageType.APPLICATION_MESSAGE, 2, operation="aws#Go"))
    made.error(2, "aws#Bad", {"message": "no"})
    assert sent(made) == [(MessageType.APPLICATION_ERROR, Flag.TERMINATE_STREAM, 2, b'{"message": "no"}')]
    assert made.receive(message(MessageType.APPLICATION_MESSAGE, 2, Flag.TERMINATE_STREAM)) == []
    made.receive(message(MessageType.PING, payload=b"p"))
    assert sent(made) == [(MessageType.PING_RESPONSE, 0, 0, b"p")]
    assert not made.broken


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(100),
        message(MessageType.APPLICATION_MESSAGE, 1, operation="aws#Go"),
        message(MessageType.PING),
        message(MessageType.CONNECT, __version="9.9.9"),
        CONNECT + CONNECT,
        encode(Message({}, b"")),
    ],
)
def test_what_breaks_the_rules_is_told_and_ends_the_connection(data: bytes) -> None:
    made = ServerConnection()
    made.receive(data)
    assert made.broken
    assert sent(made)[-1][0] == MessageType.PROTOCOL_ERROR
    assert made.receive(CONNECT) == []


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 50))
def test_no_bytes_raise(data: bytes, after: bool, size: int) -> None:
    made = connected() if after else ServerConnection()
    for start in range(0, len(data), size):
        made.receive(data[start : start + size])


ACCESS = {"s": {"1": {"operations": ["aws#A", 7], "resources": ["a/*", "b/${*}", 7, "c/+/d"]}, "2": 7}, "t": 7}


@pytest.mark.parametrize(
    ("service", "operation", "resource", "topic", "expected"),
    [
        ("s", "aws#A", "a/b/c", False, True),
        ("s", "aws#B", "a/b/c", False, False),
        ("t", "aws#A", "a/b/c", False, False),
        ("u", "aws#A", "a/b/c", False, False),
        ("s", "aws#A", "b/*", False, True),
        ("s", "aws#A", "b/x", False, False),
        ("s", "aws#A", "c/x/d", True, True),
        ("s", "aws#A", "c/+/d", True, True),
        ("s", "aws#A", "c/#", True, False),
        ("s", "aws#A", "c/x/d", False, False),
    ],
)
def test_access_is_what_a_policy_says(service: str, operation: str, resource: str, topic: bool, expected: bool) -> None:
    assert allowed(ACCESS, service, operation, resource, topic=topic) is expected


LEVELS = st.lists(st.sampled_from(["a", "b", "+"]), min_size=1, max_size=4)
FILTERS = st.builds(lambda levels, rest: "/".join([*levels, "#"] if rest else levels), LEVELS, st.booleans())


@given(FILTERS, FILTERS, st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map("/".join))
def test_a_filter_that_covers_another_matches_all_of_it(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic) or topic == wide.removesuffix("/#")


def test_configuration_holds_what_was_set_last() -> None:
    made = Configuration({"a": {"b": 1}}, at=5.0)
    heard: list[Any] = []
    end = made.watch(["a"], heard.append)
    made.update([], {"a": {"c": [1]}}, at=6.0)
    made.update(["a"], {"b": 1}, at=7.0)  # nothing new
    with pytest.raises(Outdated):
        made.update(["a"], {"b": 2, "d": 3}, at=6.5)
    assert made.value == {"a": {"b": 1, "c": [1]}}
    made.merge({"a": {"b": 9, "d": 4}}, at=6.5)  # a deployment's: what is younger holds
    assert made.value == {"a": {"b": 1, "c": [1], "d": 4}}
    made.fill({"a": {"b": 8, "e": 5}, "f": {}})
    assert made.value == {"a": {"b": 1, "c": [1], "d": 4, "e": 5}, "f": {}}
    end()
    made.update(["a", "x", "y"], {"z": None}, at=9.0)
    assert heard == [("a", "c"), ("a", "d")]
    kept = Configuration.of_document(json.loads(json.dumps(made.document())))
    assert kept.value == made.value
    with pytest.raises(Outdated):
        kept.update(["a", "x"], {"y": 1}, at=8.0)
    with pytest.raises(Outdated):
        kept.update([], {"a": {"x": {"y": {"z": {"w": 1}}}}}, at=8.0)
    with pytest.raises(NoSuchKey):
        kept.get(["a", "b", "c"])


VALUES = st.recursive(
    st.integers(0, 2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
)
TREES = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(st.lists(TREES, max_size=6))
def test_merging_in_order_is_greengrass_merge(trees: list[dict[str, Any]]) -> None:
    def merged(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
        found = dict(base)
        for key, value in update.items():
            held = found.get(key)
            found[key] = merged(held if isinstance(held, dict) else {}, value) if isinstance(value, dict) else value
        return found

    made, expected = Configuration(), {}
    for at, tree in enumerate(trees):
        made.update([], tree, float(at))
        expected = merged(expected, tree)
        assert made.value == expected
        assert Configuration.of_document(made.document()).value == expected


def test_the_third_error_within_an_hour_breaks_it() -> None:
    made = Lifecycle({"install", "run", "recover"})
    made.wanted = True
    for at in (0.0, 10.0, 4000.0, 4010.0):
        if made.state == "NEW":
            assert made.next() == "install"
            made.ended("install", well=True, now=at)
        assert made.next() == "run"
        made.began("run")
        made.ended("run", well=False, now=at)
        assert made.state == "ERRORED"
        assert made.next() == "recover"
        made.ended("recover", well=True, now=at)
    assert made.next() == "run"
    made.began("run")
    made.reported("ERRORED", 4020.0)
    assert (made.state, made.next()) == ("BROKEN", None)
    made.restart()
    assert made.next() == "run"


def test_a_startup_runs_when_it_has_ended_well_or_says_so() -> None:
    made = Lifecycle({"startup", "shutdown"}, installed=True)
    made.wanted = True
    assert made.next() == "startup"
    made.began("startup")
    assert made.state == "STARTING"
    made.reported("RUNNING", 0.0)
    assert made.state == "RUNNING"
    made.ended("startup", well=True, now=1.0)
    assert made.state == "RUNNING"
    assert made.stopping()
    made.stopped()
    assert (made.state, made.next()) == ("FINISHED", None)


def test_variables_are_filled_in() -> None:
    def value(component: str, kind: str, key: str) -> str | None:
        return f"<{component}|{kind}|{key}>" if key != "/no" else None

    assert filled("{configuration:/a/b} {other.One:artifacts:path} {work:path}", value) == (
        "<|configuration|/a/b> <other.One|artifacts|path> <|work|path>"
    )
    unknown = "{x} ${HOME} {configuration:/no} {work} {a b:path}"
    assert filled(unknown, value) == unknown


def test_a_recipe_without_manifests_has_one_lifecycle_for_all() -> None:
    head = {"RecipeFormatVersion": "2020-01-25", "ComponentName": "a", "ComponentVersion": "1.0.0"}
    made = generic_of({**head, "Lifecycle": {"Run": "x", "Setenv": {"A": 1}}}, {"os": "linux"})
    assert (made.steps["run"].script, made.steps["run"].environment) == ("x", {"A": "1"})
