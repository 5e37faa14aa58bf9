"""Models on a core: a deployment brings them, devices ask them over the core's broker by paho, the link up or down."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.core.modelserver.settings import NAME, models_of
from littoral.core.recipe import BadComponent
from littoral.protocols.mqtt.topics import BadTopic
from littoral.tour.link import Link as Cable
from tests.core.modelworld import PATIENT, ROWS, TOPICS, Device, at, bring, deployed, processes
from tests.core.world import CorePlace, RegionPlace, until
from tests.models.nets import linear


async def asked_until(device: Device, body: bytes, over: asyncio.Task[str]) -> list[Any]:
    """The answers to what is asked, twenty at a time, until a change is over, and once after it."""
    answers: list[Any] = []
    last = False
    while not last:
        last, before = over.done(), len(device.heard)
        for _ in range(20):
            device.say("ward/bed/7/window", body)
        await until(lambda: len(device.heard) == before + 20, PATIENT)  # noqa: B023 - in this turn
        answers += [each for _, each in device.heard[before:]]
    return answers


async def test_a_deployment_brings_a_model_that_is_asked_by_messages_with_the_link_down_too(
    region: RegionPlace, place: CorePlace, cable: Cable
) -> None:
    await region.call("s3", "create_bucket", Bucket="models")
    assert "ward.model, which is not deployed" in await deployed(region, "")
    await bring(region, "1.0.0", linear(2.0))
    assert await deployed(region, "1.0.0") == "SUCCEEDED"
    body = json.dumps({"id": "a", **ROWS}).encode()
    async with at(place) as device:
        answer = await device.asks(body, "9")
        assert (answer["id"], answer["model_name"], answer["model_version"]) == ("a", "ward", "1.0.0")
        assert answer["outputs"][0]["data"] == [3, 5, 7, 9]
        for wrong, word in (
            (b"{", "JSON"),
            (body.replace(b"FP32", b"INT8"), "FP32"),
            (body.replace(b"[1, 4]", b"[1, 3]"), "3"),
            (body.replace(b"[1, 2", b"[NaN, 2"), "NaN"),
        ):
            said = await device.asks(wrong)
            assert list(said) == ["error"] and word in said["error"]

        await bring(region, "2.0.0", b"no model at all")
        outcome = await deployed(region, "2.0.0")
        assert outcome.startswith("FAILED") and "ward of ward.model 2.0.0" in outcome
        await bring(region, "2.0.1", linear(5.0), later=linear(6.0))
        assert "SHA-256 differs" in await deployed(region, "2.0.1")
        assert (await device.asks(body))["model_version"] == "1.0.0"

        await bring(region, "3.0.0", linear(3.0))
        changing = asyncio.create_task(deployed(region, "3.0.0"))
        versions = [each["model_version"] for each in await asked_until(device, body, changing)]
        assert await changing == "SUCCEEDED"
        assert {"1.0.0", "3.0.0"} >= set(versions) and versions[-1] == "3.0.0"  # and no error among them
        assert (await device.asks(body))["outputs"][0]["data"] == [4, 7, 10, 13]
        assert len(processes()) == 1
    cable.cut()
    await place.stop()
    assert processes() == []
    await place.start()
    async with at(place) as device:
        await device.answered(body)
        assert (await device.asks(body))["model_version"] == "3.0.0"
        cable.restore()
        assert await deployed(region, "3.0.0", **{"in": "ward/#"}) == "SUCCEEDED"
        before = len(device.heard)
        for number in range(3):  # the server hears all of these topics, but not itself
            device.say("ward/9", body)
            await until(lambda: len(device.heard) > before + number)  # noqa: B023 - in this turn
        assert len(device.heard) == before + 3
    await region.outcome(await region.deploy())
    await until(lambda: not processes())


@pytest.mark.parametrize(
    "entry",
    [
        {"component": ""},
        {"component": 7},
        {"more": "x"},
        {"in": "ward/#/x"},
        {"in": ""},
        {"in": "$aws/things/+/x"},
        {"out": "ward/+"},
        {"out": "ward/$2"},
        {"out": "ward/$0"},
        {"out": "$aws/$1"},
        {"out": ""},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(entry: dict[str, Any]) -> None:
    assert models_of({"models": {"ward": TOPICS}})
    with pytest.raises(BadComponent, match="ward"):
        models_of({"models": {"ward": TOPICS | entry}})


async def test_the_region_refuses_it_before_it_is_a_deployment(region: RegionPlace, place: CorePlace) -> None:
    with pytest.raises(ClientError, match="no wildcard") as refused:
        await deployed(region, "", out="ward/$3")
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="begin with littoral"):
        recipe = {"RecipeFormatVersion": "2020-01-25", "ComponentName": NAME, "ComponentVersion": "1.0.0"}
        await region.call("greengrassv2", "create_component_version", inlineRecipe=json.dumps(recipe).encode())


def test_an_answer_goes_where_the_wildcards_lead_and_never_to_topics_of_the_place() -> None:
    (model,) = models_of({"models": {"ward": TOPICS | {"in": "a/+/b/#", "out": "$2/of/$1"}}})
    assert model.topic_of("a/1/b/2/3") == "2/3/of/1"
    assert model.topic_of("a//b") == "/of/"
    with pytest.raises(BadTopic, match="the place's own"):
        model.topic_of("a/1/b/$aws/things")
