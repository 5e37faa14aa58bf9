"""Components that need others: the versions that all requirements take, their order, what cannot be had together."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from littoral.core.bridge import BRIDGE
from littoral.core.recipe import BadComponent
from littoral.core.resolving import Chosen, Resolution, suits
from littoral.protocols.semver import parse
from tests.core.programs import create, recipe
from tests.core.world import CORE, CorePlace, RegionPlace

Shelf = dict[str, list[dict[str, Any]]]


def resolved(roots: dict[str, dict[str, str]], *recipes: dict[str, Any]) -> dict[str, str]:
    """As core and region do it together."""
    resolution = Resolution(roots)
    while asked := resolution.next():
        for name, requirements in asked.items():
            found = [
                each
                for each in recipes
                if each["ComponentName"] == name and suits(each["ComponentVersion"], requirements)
            ]
            if not found:
                raise BadComponent(f"{name}: {requirements}")
            best = max(found, key=lambda each: parse(each["ComponentVersion"]))
            resolution.take({name: Chosen(best["ComponentVersion"], best, "")})
    return resolution.versions


def versions(name: str, *each: str, **more: Any) -> list[dict[str, Any]]:
    return [recipe(name, version, **more) for version in each]


def test_the_newest_that_all_take_is_chosen_through_the_whole_graph() -> None:
    shelf = [
        recipe("app", needs={"lib": "^1.0", "log": "*"}),
        recipe("log", "2.0.0", needs={"lib": "<1.4.0"}),
        *versions("lib", "1.0.0", "1.3.9", "1.4.0", "2.0.0", needs={"base": ("1.x", "SOFT")}),
        *versions("base", "1.1.0", "1.2.0"),
    ]
    assert resolved({"thing/a": {"app": "1.0.0"}}, *shelf) == {
        "app": "1.0.0",
        "log": "2.0.0",
        "lib": "1.3.9",
        "base": "1.2.0",
    }


def test_what_a_version_that_was_given_up_needed_is_not_needed() -> None:
    shelf = [
        recipe("app", needs={"lib": "*", "late": "*"}),
        recipe("late", needs={"lib": "<2.0.0"}),
        recipe("lib", "1.0.0"),
        recipe("lib", "2.0.0", needs={"heavy": "*"}),
        recipe("heavy"),
    ]
    assert resolved({"thing/a": {"app": "1.0.0"}}, *shelf) == {"app": "1.0.0", "late": "1.0.0", "lib": "1.0.0"}


def test_a_deployments_own_version_is_a_pin_and_all_targets_count() -> None:
    shelf = [recipe("app", needs={"lib": ">=1.0.0"}), *versions("lib", "1.0.0", "2.0.0"), recipe("other")]
    roots = {"thing/a": {"app": "1.0.0"}, "thinggroup/g": {"lib": "1.0.0", "other": "1.0.0"}}
    assert resolved(roots, *shelf) == {"app": "1.0.0", "lib": "1.0.0", "other": "1.0.0"}
    with pytest.raises(BadComponent, match="lib"):
        resolved({"thing/a": {"lib": "1.0.0"}, "thinggroup/g": {"lib": "2.0.0"}}, *shelf)


def test_what_the_core_is_itself_is_not_asked_for_and_what_it_plays_has_the_version_asked_for() -> None:
    app = recipe("app", needs={"aws.greengrass.Nucleus": ">=2.5.0 <3.0.0", BRIDGE: "^2.2"})
    assert resolved({"t": {"app": "1.0.0"}}, app) == {"app": "1.0.0", BRIDGE: "2.2.0"}
    assert resolved({"t": {"app": "1.0.0", BRIDGE: "2.3.0"}}, app)[BRIDGE] == "2.3.0"
    with pytest.raises(BadComponent, match="at once"):
        resolved({"t": {"app": "1.0.0", BRIDGE: "1.0.0"}}, app)


async def test_dependencies_are_deployed_start_first_and_go_with_what_needed_them(
    region: RegionPlace, place: CorePlace
) -> None:
    order = place.folder / "order"
    await create(region, "app", needs={"lib": "^1.0"}, run=f"echo app >> {order}; exec sleep 1000")
    for version in ("1.0.0", "1.2.0", "2.0.0"):
        await create(region, "lib", version, startup=f"sleep 0.2; echo lib {version} >> {order}")
    assert await region.outcome(await region.deploy(app={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    assert order.read_text().split("\n")[:2] == ["lib 1.2.0", "app"]
    roots = await region.call("greengrassv2", "list_installed_components", coreDeviceThingName=CORE)
    assert [each["componentName"] for each in roots["installedComponents"]] == ["app"]
    whole = await region.call(
        "greengrassv2", "list_installed_components", coreDeviceThingName=CORE, topologyFilter="ALL"
    )
    assert {
        each["componentName"]: (each["componentVersion"], each["isRoot"]) for each in whole["installedComponents"]
    } == {
        "app": ("1.0.0", True),
        "lib": ("1.2.0", False),
    }
    assert await region.outcome(await region.deploy()) == "SUCCEEDED"
    assert place.core.deployments._nucleus.listed() == []


async def test_what_cannot_be_had_together_fails_and_says_who_asks(region: RegionPlace, place: CorePlace) -> None:
    await create(region, "app", needs={"lib": "^1.0"})
    await create(region, "lib", "2.0.0")
    components = {"app": {"componentVersion": "1.0.0"}, "lib": {"componentVersion": "2.0.0"}}
    outcome = await region.outcome(await region.deploy(**components))
    assert outcome.startswith("FAILED") and "^1.0 for app" in outcome and f"=2.0.0 for thing/{CORE}" in outcome
    unmet = ["NO_AVAILABLE_COMPONENT_VERSION", "COMPONENT_VERSION_REQUIREMENTS_NOT_MET"]
    assert (await region.effective())["statusDetails"]["errorStack"] == ["DEPLOYMENT_FAILURE", *unmet]
    assert place.core.deployments._nucleus.listed() == []


async def test_components_that_need_each_other_fail_the_deployment(region: RegionPlace, place: CorePlace) -> None:
    await create(region, "a", needs={"b": "*"})
    await create(region, "b", needs={"a": "*"})
    outcome = await region.outcome(await region.deploy(a={"componentVersion": "1.0.0"}))
    assert outcome.startswith("FAILED") and "depends on itself" in outcome
    stack = ["DEPLOYMENT_FAILURE", "COMPONENT_CIRCULAR_DEPENDENCY_ERROR"]
    told = (await region.effective())["statusDetails"]
    assert told == {"errorStack": stack, "errorTypes": ["REQUEST_ERROR"]}
    assert place.core.deployments._nucleus.listed() == []


async def test_candidates_are_of_the_platform_that_asks(region: RegionPlace) -> None:
    for version, os in (("1.0.0", "linux"), ("2.0.0", "windows")):
        made = recipe("app", version)
        made["Manifests"][0]["Platform"] = {"os": os}
        if os == "windows":
            with pytest.raises(ClientError, match="no manifest is for os linux"):
                await region.call(
                    "greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(made).encode()
                )
        else:
            made["Manifests"][0]["Platform"]["architecture"] = "amd64"
            await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(made).encode())

    async def asked(architecture: str) -> Any:
        return await region.call(
            "greengrassv2",
            "resolve_component_candidates",
            platform={"name": "x", "attributes": {"os": "linux", "architecture": architecture}},
            componentCandidates=[{"componentName": "app", "versionRequirements": {"x": "*"}}],
        )

    assert [each["componentVersion"] for each in (await asked("amd64"))["resolvedComponentVersions"]] == ["1.0.0"]
    with pytest.raises(ClientError) as refused:
        await asked("aarch64")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
