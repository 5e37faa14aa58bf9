"""Components have a say before an update: asked, deferring, judging configurations. And what updates make of these."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from littoral.core.configuration import Configuration, Update, pointed
from littoral.core.consulting import Consulting
from littoral.core.document import Deployment
from littoral.core.planning import Active
from littoral.core.recipe import BadComponent


def deployment(**more: Any) -> Deployment:
    return Deployment("arn", "d", {}, **more)


async def test_an_update_waits_for_whoever_defers_and_not_for_the_silent_beyond_the_timeout() -> None:
    consulting = Consulting()
    asked: list[str] = []
    answers = {"a": [0.01, 0.0], "b": [0.0, 0.0]}

    def ask(name: str) -> Any:
        def told(event: Mapping[str, Any]) -> None:
            (kind,) = event
            asked.append(f"{name} {kind}")
            if kind == "preUpdateEvent":
                assert consulting.defer(name, "d", answers[name].pop(0))

        return told

    ends = [consulting.on_update(name, ask(name)) for name in answers]
    await consulting.notify(deployment())
    consulting.updated(deployment())
    assert sorted(asked) == [
        *["a postUpdateEvent"],
        *["a preUpdateEvent"] * 2,
        "b postUpdateEvent",
        *["b preUpdateEvent"] * 2,
    ]
    assert not consulting.defer("a", "d", 1.0)
    for end in ends:
        end()
    consulting.on_update("silent", lambda event: None)
    await consulting.notify(deployment(notify_timeout=0.01))
    await consulting.notify(deployment(notify=False, notify_timeout=1000.0))


async def test_whoever_goes_is_not_waited_for() -> None:
    consulting = Consulting()
    end = consulting.on_update("a", lambda event: None)
    asking = asyncio.ensure_future(consulting.notify(deployment(notify_timeout=1000.0)))
    await asyncio.sleep(0)
    end()
    await asking


async def test_a_configuration_that_is_refused_or_not_judged_fails() -> None:
    consulting = Consulting()
    seen: list[Any] = []

    def judge(event: Mapping[str, Any]) -> None:
        proposed = event["validateConfigurationUpdateEvent"]["configuration"]
        seen.append(proposed)
        consulting.judged("a", "d", None if proposed["limit"] < 10 else "too high")

    consulting.on_validation("a", judge)
    await consulting.validate(deployment(), {"a": {"limit": 1}, "b": {"limit": 99}})
    with pytest.raises(BadComponent, match="a: too high"):
        await consulting.validate(deployment(), {"a": {"limit": 10}})
    assert seen == [{"limit": 1}, {"limit": 10}]
    consulting.on_validation("silent", lambda event: None)
    with pytest.raises(BadComponent, match="in time by silent"):
        await consulting.validate(deployment(validation_timeout=0.01), {"silent": {}})


def test_a_reset_goes_before_the_merge_and_leaves_what_was_set_later() -> None:
    defaults = {"a": 1, "deep": {"x": 1, "y": 2}, "list": [1]}
    made = Configuration()
    made.fill(defaults)
    made.apply(Update((), {"a": 2, "deep": {"x": 9, "new": {"z": 1}}}, 10.0), defaults)
    made.update(["deep"], {"y": 7}, 30.0)
    told: list[Any] = []
    made.watch([], told.append)
    made.apply(Update((pointed("/deep"), pointed("/list"), pointed("/none/at/all")), {"b": 1}, 20.0), defaults)
    assert made.value == {"a": 2, "deep": {"x": 1, "y": 7}, "list": [1], "b": 1}
    assert ("b",) in told and ("a",) not in told
    made.apply(Update((pointed(""),), {}, 20.0), defaults)  # it was applied
    assert made.value["b"] == 1
    made.apply(Update((pointed(""),), {"c": 1}, 40.0), defaults)
    assert made.value == {**defaults, "c": 1}
    assert pointed("/a~1b/~0c") == ("a/b", "~c")


def test_a_configuration_goes_back_to_what_it_was() -> None:
    made = Configuration({"a": 1, "b": {"c": 2}})
    kept = made.document()
    made.apply(Update((), {"a": 5, "b": {"d": 3}}, 10.0), {})
    told: list[Any] = []
    made.watch([], told.append)
    made.replace(kept)
    assert made.value == {"a": 1, "b": {"c": 2}} and made.applied == 0.0
    assert sorted(told) == [("a",), ("b", "d")]
    made.apply(Update((), {"a": 6}, 5.0), {})
    assert made.value["a"] == 6


def test_several_revisions_come_to_one_configuration() -> None:
    def after(*given: dict[str, Any]) -> Any:
        active = Active()
        for each in given:
            active = active.merging(Deployment("arn", "", {"c": each}))
        return active.merged["c"]

    first, second = {"merge": '{"a": {"x": 1, "y": 2}, "b": 1}'}, {"reset": ["/a/x"], "merge": '{"b": 2}'}
    assert after(first, second) == {"a": {"y": 2}, "b": 2}
    assert after(first, second, {"reset": [""]}) == {}
