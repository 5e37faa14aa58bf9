"""The Extensions API's decisions: in whatever order extensions ask, each gets its events once, and in order."""

from __future__ import annotations

import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.functions.extensionsapi import BASE, MOST, Extension, ExtensionsApi, recognise
from littoral.functions.runtimeapi import Reply

ABOUT = {"functionName": "f", "functionVersion": "1", "handler": "h", "accountId": "0"}
BOTH = b'{"events": ["INVOKE", "SHUTDOWN"]}'


def made(*external: str) -> ExtensionsApi:
    numbers = count(1)
    return ExtensionsApi(external, ABOUT, lambda: f"id{next(numbers)}")


def joined(api: ExtensionsApi, name: str, body: bytes = BOTH) -> str:
    reply = api.register(name, body, with_account=False)
    assert reply.status == 200
    return dict(reply.headers)["lambda-extension-identifier"]


def ask(api: ExtensionsApi, identifier: str) -> Extension:
    found = api.ask(identifier)
    assert isinstance(found, Extension)
    return found


def test_the_life_of_one() -> None:
    api = made("spy")
    assert not api.settled and not api.any
    identifier = joined(api, "spy")
    assert api.any and not api.settled
    spy = ask(api, identifier)
    assert api.settled and api.hand_out(spy) is None
    api.close_registration()
    api.invoke("r", 5, "arn", "Root=1")
    assert not api.settled
    event = api.hand_out(spy)
    assert event is not None and json.loads(event) == {
        "eventType": "INVOKE",
        "deadlineMs": 5,
        "requestId": "r",
        "invokedFunctionArn": "arn",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"},
    }
    assert not api.settled  # it is at work
    assert ask(api, identifier) is spy and api.settled
    api.shut_down("spindown", 9)
    event = api.hand_out(spy)
    assert event is not None
    assert json.loads(event) == {"eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 9}
    api.ended("spy", "")
    assert api.failure is None


def test_what_a_registration_is_told() -> None:
    api = made("spy")
    told = json.loads(api.register("spy", BOTH, with_account=False).body)
    assert told == {"functionName": "f", "functionVersion": "1", "handler": "h"}
    assert json.loads(api.register("inside", b"{}", with_account=True).body) == ABOUT


@pytest.mark.parametrize(
    ("name", "body", "status", "kind"),
    [
        (None, BOTH, 403, "Extension.MissingHeader"),
        ("spy", b"{", 400, "InvalidRequestFormat"),
        ("spy", b"[]", 400, "InvalidRequestFormat"),
        ("spy", b'{"events": [1]}', 400, "InvalidRequestFormat"),
        ("spy", b'{"events": 1}', 400, "InvalidRequestFormat"),
        ("spy", b'{"events": ["FLY"]}', 403, "Extension.InvalidEventType"),
        ("inside", BOTH, 403, "ShutdownEventNotSupportedForInternalExtension"),
        ("there", BOTH, 403, "Extension.AlreadyRegistered"),
    ],
)
def test_what_is_no_registration(name: str | None, body: bytes, status: int, kind: str) -> None:
    api = made("spy", "there")
    joined(api, "there")
    reply = api.register(name, body, with_account=False)
    assert (reply.status, json.loads(reply.body)["errorType"]) == (status, kind)


def test_there_is_an_end_to_registering() -> None:
    api = made()
    for number in range(MOST):
        joined(api, f"inside{number}", b"")
    assert api.register("one more", b"", with_account=False).status == 403
    closed = made("spy")
    closed.close_registration()
    assert closed.register("spy", BOTH, with_account=False).status == 403


def test_who_is_unknown_and_who_fails() -> None:
    api = made("spy")
    assert isinstance(api.ask(None), Reply) and isinstance(api.ask("id9"), Reply)
    identifier = joined(api, "spy")
    assert api.report(identifier, "init-error", None).status == 403
    assert api.failure is None
    assert api.report(identifier, "init-error", "Spy.Broken").status == 202
    api.ended("spy", "exit status 1")  # what came first counts
    assert api.failure == ("Spy.Broken", "spy: init error")
    crashed = made("spy")
    crashed.ended("spy", "")
    assert crashed.failure == ("Extension.Crash", "spy: exit status 0")


STEPS = st.lists(
    st.one_of(st.just(("invoke", 0)), st.tuples(st.sampled_from(("ask", "take")), st.integers(0, 2))), max_size=40
)


@given(STEPS)
def test_every_event_goes_once_and_in_order_to_each_who_wants_it(steps: list[tuple[str, int]]) -> None:
    api = made("a", "b", "c")
    names = [joined(api, "a"), joined(api, "b", b'{"events": ["INVOKE"]}'), joined(api, "c", b'{"events": []}')]
    sent = 0
    waits = [False] * 3
    got: list[list[str]] = [[], [], []]
    for step, who in steps:
        if step == "invoke":
            api.invoke(str(sent), 0, "arn", "")
            sent += 1
            continue
        if step == "ask":
            ask(api, names[who])
            waits[who] = True
        extension = api._extensions[names[who]]
        event = api.hand_out(extension)
        if event is not None:
            assert waits[who]
            waits[who] = False
            got[who].append(json.loads(event)["requestId"])
        assert extension.waits == waits[who]
    wanted = [str(number) for number in range(sent)]
    assert got[0] == wanted[: len(got[0])] and got[1] == wanted[: len(got[1])] and got[2] == []
    assert api.settled == (all(waits) and len(got[0]) == len(got[1]) == sent)


@given(st.sampled_from(("GET", "POST", "PUT", "\x00")), st.text(max_size=60))
def test_any_method_and_path_get_an_answer(method: str, path: str) -> None:
    for each in (path, BASE + path, BASE + "event/next"):
        found = recognise(method, each)
        assert found is None or isinstance(found, str) or found.status == 405
