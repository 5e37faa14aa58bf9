"""Deployments made on the device: recipes and artifacts from folders, link or no link, beside those from above."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from littoral.core.local.brought import BadArtifacts, BadRecipes, take
from littoral.core.local.orders import LocalDeployment
from littoral.core.recipe import BadComponent
from littoral.tour.link import Link as Cable
from tests.core.programs import IDLE, create, deploy_to_group, recipe
from tests.core.test_groups import group, outcome, running
from tests.core.world import CORE, CorePlace, RegionPlace, until

HELLO = "com.example.Hello"


def bring(folder: Path, name: str, version: str = "1.0.0", files: dict[str, str] | None = None, **more: Any) -> Path:
    """A folder with ``recipes`` and ``artifacts``, as a developer has it."""
    (folder / "recipes").mkdir(parents=True, exist_ok=True)
    (folder / "recipes" / f"{name}-{version}.yaml").write_text(yaml.safe_dump(recipe(name, version, **more)))
    for place, text in (files or {}).items():
        file = folder / "artifacts" / name / version / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


async def made(core: CorePlace, folder: Path | None = None, **more: Any) -> LocalDeployment:
    """One that is over. ``more`` is of CreateLocalDeployment's document."""
    orders = core.core.deployments.local
    paths = {"recipeDirectoryPath": str(folder / "recipes")} if folder is not None else {}
    if folder is not None and (folder / "artifacts").exists():
        paths["artifactsDirectoryPath"] = str(folder / "artifacts")
    identifier = await orders.create({**paths, **more})
    await until(lambda: orders.get(identifier).status not in ("QUEUED", "IN_PROGRESS"), 90)
    await until(lambda: not (core.folder / "components/local" / identifier).exists())
    return orders.get(identifier)


def add(**components: str) -> dict[str, Any]:
    """Names with __ for the dots."""
    return {"rootComponentVersionsToAdd": {name.replace("__", "."): each for name, each in components.items()}}


def work(core: CorePlace, name: str, file: str) -> Path:
    return core.folder / "components/work" / name / file


async def test_a_component_of_a_folder_runs_with_the_cable_out(place: CorePlace, cable: Cable, tmp_path: Path) -> None:
    cable.cut()
    await until(lambda: not place.core.link.stats.connected)
    script = "cat {artifacts:path}/words {artifacts:path}/deep/more {artifacts:decompressedPath}/packed/inside > ran"
    listed = [{"URI": "s3://some-bucket/where/packed.zip", "Unarchive": "ZIP", "Permission": {"Read": "ALL"}}]
    folder = bring(
        tmp_path, HELLO, files={"words": "one ", "deep/more": "two "}, artifacts=listed, run=f"{script}; {IDLE}"
    )
    with zipfile.ZipFile(folder / "artifacts" / HELLO / "1.0.0" / "packed.zip", "w") as archive:
        archive.writestr("inside", "three")
    done = await made(place, folder, **add(com__example__Hello="1.0.0"))
    assert (done.status, done.detail, done.reason) == ("SUCCEEDED", "SUCCESSFUL", "")
    assert work(place, HELLO, "ran").read_text() == "one two three"
    shown = {"name": HELLO, "version": "1.0.0", "state": "RUNNING", "root": True, "local": True}
    assert place.core.deployments.listed() == [shown]

    bring(tmp_path, HELLO, files={"words": "other "}, artifacts=listed, run=f"{script}; {IDLE}")  # of the same version
    assert (await made(place, folder, **add(com__example__Hello="1.0.0"))).status == "SUCCEEDED"
    assert work(place, HELLO, "ran").read_text() == "other two three"

    await place.stop()
    await place.start()
    assert running(place) == {HELLO: "1.0.0"}
    assert (await made(place, rootComponentsToRemove=[HELLO])).status == "SUCCEEDED"
    assert running(place) == {}


async def test_local_components_stay_through_deployments_from_above(
    region: RegionPlace, place: CorePlace, cable: Cable, tmp_path: Path
) -> None:
    await group(region, "ward", CORE)
    for version in ("1.0.0", "2.0.0"):
        await create(region, "cloudy", version)
    first = await deploy_to_group(region, "ward", {"cloudy": "1.0.0"})
    assert (await outcome(region, first))["coreDeviceExecutionStatus"] == "SUCCEEDED"
    folder = bring(tmp_path, "local", needs={"part": ">=1.0.0", "cloudy": "*"})
    bring(folder, "part", "1.0.0")
    bring(folder, "part", "1.2.0")
    cable.cut()
    done = await made(place, folder, **add(local="1.0.0"))
    assert done.status == "SUCCEEDED", done.reason
    assert running(place) == {"cloudy": "1.0.0", "local": "1.0.0", "part": "1.2.0"}
    assert {each["name"] for each in place.core.deployments.listed() if each["root"]} == {"cloudy", "local"}

    cable.restore()
    second = await deploy_to_group(region, "ward", {"cloudy": "2.0.0"})
    assert (await outcome(region, second))["coreDeviceExecutionStatus"] == "SUCCEEDED"
    assert running(place) == {"cloudy": "2.0.0", "local": "1.0.0", "part": "1.2.0"}
    bring(folder, "cloudy", "1.0.0")  # what the group pins, one cannot have otherwise
    refused = await made(place, folder, **add(cloudy="1.0.0"))
    assert (refused.status, refused.detail) == ("FAILED", "FAILED_NO_STATE_CHANGE")
    unmet = ("NO_AVAILABLE_COMPONENT_VERSION", "COMPONENT_VERSION_REQUIREMENTS_NOT_MET")
    assert refused.stack == ("DEPLOYMENT_FAILURE", *unmet)
    assert "=1.0.0 for LOCAL_DEPLOYMENT" in refused.reason and "=2.0.0 for thinggroup/ward" in refused.reason

    of_group = await made(place, rootComponentsToRemove=["cloudy"], groupName="ward", **add(part="1.2.0"))
    assert of_group.status == "SUCCEEDED", of_group.reason
    assert running(place) == {"cloudy": "2.0.0", "local": "1.0.0", "part": "1.2.0"}  # local needs it still
    assert {each["name"] for each in place.core.deployments.listed() if each["root"]} == {"part", "local"}


async def test_what_is_nowhere_fails_at_once_with_the_cable_out(place: CorePlace, cable: Cable, tmp_path: Path) -> None:
    cable.cut()
    done = await made(place, **add(com__example__Nowhere="1.0.0"))
    assert (done.status, done.detail) == ("FAILED", "FAILED_NO_STATE_CHANGE")
    assert done.stack == ("DEPLOYMENT_FAILURE", "NO_AVAILABLE_COMPONENT_VERSION", "NETWORK_ERROR")
    assert "not on this device" in done.reason and "=1.0.0 for LOCAL_DEPLOYMENT" in done.reason
    folder = bring(tmp_path, HELLO, artifacts=[{"URI": "s3://some-bucket/missing"}])
    done = await made(place, folder, **add(com__example__Hello="1.0.0"))
    assert done.status == "FAILED" and "some-bucket/missing" in done.reason
    assert done.stack == ("DEPLOYMENT_FAILURE", "ARTIFACT_DOWNLOAD_ERROR", "IO_ERROR", "IO_READ_ERROR")


async def test_what_the_place_above_has_not_is_said_in_one_line_of_words(place: CorePlace) -> None:
    done = await made(place, **add(com__example__Nowhere="1.0.0"))
    wanted = "A version of com.example.Nowhere that is =1.0.0 for LOCAL_DEPLOYMENT"
    assert done.reason == f"the place above answered 404: {wanted} does not exist"


async def test_a_recipe_of_the_place_above_is_fetched_for_a_local_deployment(
    region: RegionPlace, place: CorePlace
) -> None:
    await create(region, "cloudy", "1.0.0")
    await until(lambda: place.core.link.stats.connected)
    assert (await made(place, **add(cloudy="1.0.0"))).status == "SUCCEEDED"
    assert running(place) == {"cloudy": "1.0.0"}
    assert [each["local"] for each in place.core.deployments.listed()] == [False]


async def test_configurations_are_merged_and_reset_one_after_the_other(place: CorePlace, tmp_path: Path) -> None:
    folder = bring(tmp_path, HELLO, defaults={"limit": 1, "of": {"a": 1, "b": 2}}, needs={"part": "*"})
    bring(folder, "part", defaults={"rate": 1})
    first = {HELLO: {"MERGE": {"limit": 5, "of": {"a": 7}}}, "part": {"MERGE": {"rate": 9}}}
    assert (await made(place, folder, componentToConfiguration=first, **add(com__example__Hello="1.0.0"))).reason == ""
    second = {HELLO: {"MERGE": {"limit": 6}, "RESET": ["of/a/"]}}
    assert (await made(place, componentToConfiguration=second)).reason == ""
    assert (await made(place)).reason == ""
    nucleus = place.core.deployments._nucleus

    def configuration(name: str) -> Any:
        found = nucleus.configuration(name)
        assert found is not None
        return found.value

    assert configuration(HELLO) == {"limit": 6, "of": {"a": 1, "b": 2}} and configuration("part") == {"rate": 9}
    stranger = await made(place, componentToConfiguration={"nobody": {"MERGE": {"x": 1}}})
    assert stranger.status == "FAILED" and "nobody" in stranger.reason
    assert stranger.stack == ("DEPLOYMENT_FAILURE", "COMPONENT_METADATA_NOT_VALID_IN_DEPLOYMENT")


async def test_what_breaks_is_rolled_back_or_left_as_is_asked(place: CorePlace, tmp_path: Path) -> None:
    good = bring(
        tmp_path / "good", HELLO, "1.0.0", {"words": "good"}, run=f"cat {{artifacts:path}}/words > ran; {IDLE}"
    )
    assert (await made(place, good, **add(com__example__Hello="1.0.0"))).status == "SUCCEEDED"
    bad = bring(tmp_path / "bad", HELLO, "1.1.0", run="echo bad > ran; exit 1")
    done = await made(place, bad, **add(com__example__Hello="1.1.0"))
    assert (done.status, done.detail) == ("FAILED", "FAILED_ROLLBACK_COMPLETE")
    assert done.stack == ("DEPLOYMENT_FAILURE", "COMPONENT_UPDATE_ERROR", "COMPONENT_BROKEN")
    await until(lambda: running(place) == {HELLO: "1.0.0"} and work(place, HELLO, "ran").read_text() == "good")
    left = await made(place, bad, failureHandlingPolicy="DO_NOTHING", **add(com__example__Hello="1.1.0"))
    assert (left.status, left.detail, left.stack) == ("FAILED", "FAILED_ROLLBACK_NOT_REQUESTED", done.stack)
    assert running(place) == {HELLO: "1.1.0"}
    assert (await made(place, good, **add(com__example__Hello="1.0.0"))).status == "SUCCEEDED"  # it can be mended


async def test_one_that_waits_outlives_its_core_and_can_be_canceled(place: CorePlace, tmp_path: Path) -> None:
    orders = place.core.deployments.local
    folder = bring(tmp_path, HELLO, run=f"echo $$ > ran; {IDLE}", install="sleep 2")
    paths = {"recipeDirectoryPath": str(folder / "recipes")}
    first = await orders.create({**paths, **add(com__example__Hello="1.0.0")})
    await until(lambda: orders.get(first).status == "IN_PROGRESS")
    second = await orders.create({"rootComponentsToRemove": [HELLO]})
    third = await orders.create({"rootComponentsToRemove": [HELLO]})
    with pytest.raises(BadComponent, match="IN_PROGRESS"):
        await orders.cancel(first)
    await orders.cancel(second)
    await orders.cancel(third)
    fourth = await orders.create({**paths, **add(com__example__Hello="1.0.0")})
    await place.stop()
    await place.start()
    orders = place.core.deployments.local
    await until(lambda: orders.get(fourth).status == "SUCCEEDED")
    states = {each.id: each.status for each in orders.listed()}
    assert states == {fourth: "SUCCEEDED", third: "CANCELED", second: "CANCELED", first: "SUCCEEDED"}
    await until(lambda: running(place) == {HELLO: "1.0.0"} and not list((place.folder / "components/local").iterdir()))


@pytest.mark.parametrize(
    "document",
    [
        {"recipeDirectoryPath": "relative"},
        {"artifactsDirectoryPath": "/tmp"},
        {"recipeDirectoryPath": "/nowhere/at/all"},
        {"rootComponentVersionsToAdd": {"a": "1.x"}},
        {"rootComponentVersionsToAdd": ["a"]},
        {"rootComponentsToRemove": "a"},
        {"rootComponentsToRemove": ["nobody"]},
        {"componentToConfiguration": {"a": {"merge": {}}}},
        {"componentToConfiguration": {"a": {"MERGE": []}}},
        {"failureHandlingPolicy": "HOPE"},
        {"somethingElse": 1},
        {"groupName": "g" * 129},
        {"groupName": "two words"},
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(place: CorePlace, document: dict[str, Any]) -> None:
    with pytest.raises(BadComponent):
        await place.core.deployments.local.create(document)
    assert place.core.deployments.local.listed() == []
    local = place.folder / "components/local"
    assert not local.exists() or not list(local.iterdir())


def test_links_and_strange_recipes_are_refused(tmp_path: Path) -> None:
    folder = bring(tmp_path, HELLO, files={"words": "x"})
    (folder / "artifacts" / HELLO / "1.0.0" / "key").symlink_to("/etc/passwd")
    with pytest.raises(BadArtifacts, match="is a link"):
        take(folder / "recipes", folder / "artifacts", tmp_path / "into")
    for number, text in enumerate(("{", "[]", json.dumps(recipe("../up")), json.dumps(recipe("a", "one")))):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "recipe.json").write_text(text)
        with pytest.raises(BadRecipes):
            take(tmp_path / str(number), None, tmp_path / f"into{number}")
