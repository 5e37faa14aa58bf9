"""The Runtime API's decisions: whatever a runtime asks, and in whatever order, an event is answered once or never."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.functions.runtimeapi import BASE, Event, Reply, RuntimeApi, Wanted, error_object, recognise

NAMES = ("one", "two")


def event(name: str) -> Event:
    return Event(name, 0, "arn", b"", "trace", b"{}")


STEP = st.one_of(
    st.tuples(st.just("offer"), st.sampled_from(NAMES)),
    st.tuples(st.just("ask"), st.just("")),
    st.tuples(st.sampled_from(("response", "error", "init-error", "stream")), st.sampled_from((*NAMES, "other"))),
    st.tuples(st.just("end"), st.just("")),
)


@given(st.lists(STEP, max_size=30))
def test_every_event_that_is_handed_out_is_settled_at_most_once(steps: list[tuple[str, str]]) -> None:
    api = RuntimeApi()
    running: str | None = None
    asked = streams = False
    for step, name in steps:
        before = api.state
        if step == "offer":
            api.offer(event(name))
        elif step == "ask":
            problem = api.ask()
            assert (problem is None) == (before in ("init", "done", "waiting"))
            asked = asked or problem is None
        elif step == "end":
            if streams:  # the rim ends what it began, nothing else
                api.end_stream()
                assert api.state == "done"
                streams, running = False, None
        else:
            wanted = Wanted("response" if step == "stream" else step, name)  # type: ignore[arg-type]
            problem = api.stream(wanted) if step == "stream" else api.settle(wanted)
            if step == "init-error":
                assert (problem is None) == (before == "init")
                assert api.state == ("ended" if before == "init" else before)
            elif running is None or streams:
                assert problem is not None and problem.status == 403
            elif name != running:
                assert problem is not None and problem.status == 400 and api.state == "running"
            elif step == "stream":
                assert problem is None and api.state == "streams"
                streams = True
            else:
                assert problem is None and api.state == "done"
                running = None
        given_out = api.hand_out()
        if given_out is not None:
            assert running is None and asked and api.state == "running"
            running = given_out.request_id


@given(st.sampled_from(("GET", "POST", "PUT", "\x00")), st.text(max_size=60))
def test_any_method_and_path_get_an_answer(method: str, path: str) -> None:
    for each in (path, BASE + path, f"{BASE}invocation/{path}/response"):
        found = recognise(method, each)
        assert isinstance(found, Wanted) or found.status in (404, 405)


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=20)))
def test_an_error_is_an_object_whatever_was_sent(body: bytes, kind: str | None) -> None:
    made = json.loads(error_object(body, kind))
    assert isinstance(made, dict)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", BASE + "invocation/a/response", 405), ("POST", BASE + "invocation/next", 405), ("GET", "/", 404)],
)
def test_what_is_not_there(method: str, path: str, status: int) -> None:
    found = recognise(method, path)
    assert isinstance(found, Reply) and found.status == status
