"""What a recipe may state of platforms, selections, steps and variables: the recipe reference, case by case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from littoral.core.nucleus.manifest import EVERYWHERE
from littoral.core.nucleus.recipe import Generic, artifacts_of, generic_of
from littoral.core.recipe import BadComponent
from tests.core.programs import recipe

DEVICE = {"os": "linux", "architecture": "amd64", "architecture.detail": "x86_64", "com.example.Radio": "lora"}


def made(platform: Mapping[str, str] = DEVICE, *manifests: Mapping[str, Any], **whole: Any) -> Generic:
    return generic_of({**recipe("a"), "Manifests": list(manifests), **whole}, platform)


def step(**platform: Any) -> dict[str, Any]:
    return {"Platform": platform, "Lifecycle": {"Run": "this"}}


@pytest.mark.parametrize(
    ("wanted", "suits"),
    [
        ({}, True),
        ({"os": "linux"}, True),
        ({"os": "windows"}, False),
        ({"os": "/windows|linux/"}, True),
        ({"os": "/win.*/"}, False),
        ({"os": "*", "architecture": "amd64"}, True),
        ({"architecture.detail": "/x86_.*/"}, True),
        ({"com.example.Radio": "lora"}, True),
        ({"com.example.Radio": "/.+/"}, True),
        ({"com.example.Camera": "*"}, True),
        ({"com.example.Camera": "/.+/"}, False),
        ({"runtime": "*"}, True),
        ({"runtime": "aws_nucleus_lite"}, False),
    ],
)
def test_a_manifest_is_for_devices_whose_attributes_suit(wanted: dict[str, str], suits: bool) -> None:
    other = {"Lifecycle": {"Run": "other"}}
    assert made(DEVICE, step(**wanted), other).steps["run"].script == ("this" if suits else "other")
    assert made(EVERYWHERE, step(**wanted)).steps["run"].script == "this"
    if not suits:
        with pytest.raises(BadComponent, match="no manifest is for os linux, architecture amd64"):
            made(DEVICE, step(**wanted))


@pytest.mark.parametrize("wanted", [{"os": "/(/"}, {"os": 1}, {"os": ["linux"]}])
def test_an_attribute_is_a_text_or_an_expression(wanted: dict[str, Any]) -> None:
    with pytest.raises(BadComponent):
        made(DEVICE, step(**wanted))


GLOBAL = {
    "Setenv": {"all": "kept"},
    "key1": {"Install": "one", "Run": {"Script": {"key3": "deep", "all": "flat"}}},
    "key2": {"Install": "two"},
    "all": {"Install": "three", "Run": {"Script": {"key1": "one", "all": "rest"}}},
}


@pytest.mark.parametrize(
    ("selections", "install", "run"),
    [
        (["key1", "key3"], "one", "deep"),
        (["key1", "all"], "one", "flat"),
        (["key2"], "two", None),
        (["none", "key2"], "two", None),
        (["all"], "three", "rest"),
        (None, "three", "rest"),
    ],
)
def test_selection_keys_choose_sections_of_the_global_lifecycle(
    selections: list[str] | None, install: str, run: str | None
) -> None:
    mine = {"Platform": {"os": "linux"}, **({"Selections": selections} if selections else {})}
    others = {"Platform": {"os": "windows"}, "Selections": ["key1", "key2", "key3"]}
    found = made(DEVICE, mine, others, Lifecycle=GLOBAL).steps
    assert found["install"].script == install
    assert (found["run"].script if "run" in found else None) == run


def test_sections_under_no_key_are_for_all() -> None:
    whole = {"Install": {"Script": {"key1": "one", "all": "rest"}}, "Run": "plain", "key1": {"Run": "other"}}
    plain, keyed = {"Platform": {"os": "linux"}}, {"Platform": {"os": "windows"}, "Selections": ["key1"]}
    found = made(DEVICE, plain, keyed, Lifecycle=whole).steps
    assert (found["install"].script, found["run"].script) == ("rest", "plain")
    assert made({"os": "windows"}, plain, keyed, Lifecycle=whole).steps["run"].script == "other"
    own = {**plain, "Lifecycle": {"Run": "own"}, "Selections": ["key1"]}
    assert made(DEVICE, own, Lifecycle=whole).steps["run"].script == "own"  # a manifest's own goes before


def test_a_step_may_leave_its_settings_to_the_configuration() -> None:
    steps = made(
        DEVICE,
        {
            "Lifecycle": {
                "Bootstrap": {"Script": "b", "Timeout": "30"},
                "Install": {"Script": "i", "Timeout": "{configuration:/limit}", "Skipif": "exists {work:path}/done"},
                "Startup": {"script": "s", "requiresPrivilege": "{configuration:/root}"},
            }
        },
    ).steps
    assert (steps["bootstrap"].timeout, steps["install"].timeout) == (30.0, "{configuration:/limit}")
    assert (steps["startup"].privileged, steps["install"].privileged) == ("{configuration:/root}", "false")


@pytest.mark.parametrize(
    "written",
    [
        {"Script": "x", "Timeout": "soon"},
        {"Script": "x", "Timeout": 0},
        {"Script": "x", "Timeout": True},
        {"Script": "x", "Skipif": "maybe"},
        {"Script": "x", "Skipif": "onpath"},
        {"Script": "x", "RequiresPrivilege": 1},
        {"Script": "x", "Sing": True},
        {},
        {"Timeout": 3},
    ],
)
def test_a_step_that_says_something_else_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(BadComponent):
        made(DEVICE, {"Lifecycle": {"Run": written, "Install": "x"}}).steps["run"]


@pytest.mark.parametrize(
    ("permission", "mode"),
    [
        ({}, 0o400),
        ({"Execute": "ALL"}, 0o555),
        ({"Read": "NONE", "Execute": "OWNER"}, 0o500),
        ({"Read": "ALL", "Execute": "OWNER"}, 0o544),
        ({"Read": "NONE"}, 0),
    ],
)
def test_what_may_be_run_may_be_read(permission: dict[str, str], mode: int) -> None:
    (found,) = artifacts_of("a", {"Artifacts": [{"URI": "s3://parts/x", "Permission": permission}]})
    assert found.mode == mode
