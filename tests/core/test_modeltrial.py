"""A new version of a model on trial: it counts if it answers as the one that serves, or the deployment goes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.core.modelserver.comparing import Comparison, bounds_of
from littoral.core.modelserver.ports import NotServed
from littoral.core.modelserver.settings import NAME
from littoral.core.modelserver.trial import Trial
from littoral.core.recipe import BadComponent
from tests.core.modelworld import PATIENT, ROWS, TOPICS, Device, at, bring, deployed
from tests.core.programs import deploy_to_group, merge
from tests.core.test_groups import executions, group, status_is
from tests.core.world import CORE, CorePlace, RegionPlace, until
from tests.models.nets import failing, linear

BODY = json.dumps(ROWS).encode()
SAMPLES = BODY + b"\n\n" + BODY.replace(b"[1, 2", b"[-1, 7") + b'\n{"inputs": 7}\n'
ONE_FIRST = {
    "jobExecutionsRolloutConfig": {"maximumPerMinute": 1},
    "abortConfig": {
        "criteriaList": [
            {"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 100, "minNumberOfExecutedThings": 1}
        ]
    },
}


async def asked_while(device: Device, over: asyncio.Task[str]) -> list[Any]:
    """What a bed that asks all the time is answered until a deployment is over."""
    answers = []
    while not over.done():
        answers.append(await device.asks(BODY))
    return answers


async def grouped(region: RegionPlace, version: str, **trial: Any) -> str:
    """A deployment to the group of three cores: the job."""
    server = merge(models={"ward": TOPICS | {"trial": trial}})
    components = {NAME: server, "ward.model": version}
    return await deploy_to_group(region, "wards", components, iotJobConfiguration=ONE_FIRST)


async def ended(region: RegionPlace, job: str) -> dict[str, Any] | None:
    """Its deployment on the core, once it is over."""
    for each in (await region.call("greengrassv2", "list_effective_deployments", coreDeviceThingName=CORE))[
        "effectiveDeployments"
    ]:
        if each["deploymentId"] == job and each["coreDeviceExecutionStatus"] in ("SUCCEEDED", "FAILED"):
            return dict(each)
    return None


async def test_one_core_of_three_finds_out_and_goes_back_and_the_others_never_get_it(
    region: RegionPlace, place: CorePlace
) -> None:
    await region.call("s3", "create_bucket", Bucket="models")
    for thing in ("ward8-core", "ward9-core"):
        await region.call("iot", "create_thing", thingName=thing)
    await group(region, "wards", CORE, "ward8-core", "ward9-core")
    await bring(region, "1.0.0", linear(2.0))
    first = await grouped(region, "1.0.0", questions=4)  # there is none yet to be compared with
    assert (await over(region, first))["coreDeviceExecutionStatus"] == "SUCCEEDED"
    versions = (
        ("2.0.0", linear(2.5), {"samples": "samples.jsonl", "mean": 0.05}, "drift: mean 0."),
        ("2.0.1", failing(), {"questions": 4}, "1 of 1 questions failed: the model failed"),
        ("2.0.2", linear(2.001), {"questions": 1, "seconds": 0.2}, "not over in 0.2 seconds"),
    )
    async with at(place) as device:
        for version, data, trial, wrong in versions:
            await bring(region, version, data, samples__jsonl=SAMPLES)
            job = await grouped(region, version, **trial)
            if "questions" in trial and "seconds" not in trial:
                await asked_until(device, lambda: ended(region, job))  # noqa: B023 - in this turn
            found = await over(region, job)
            assert found["coreDeviceExecutionStatus"] == "FAILED" and wrong in found["reason"]
            assert (await device.asks(BODY))["model_version"] == "1.0.0"
            await until(lambda: status_is(region, job, "CANCELED"))  # noqa: B023 - in this turn
            (told,) = await executions(region, job)
            assert told["thingArn"].endswith(CORE)
            described = await region.call("iot", "describe_job_execution", jobId=job, thingName=CORE)
            details = described["execution"]["statusDetails"]["detailsMap"]
            assert details["detailed-deployment-status"] == "FAILED_ROLLBACK_COMPLETE"

        await bring(region, "3.0.0", linear(2.001), samples__jsonl=SAMPLES)
        job = await grouped(region, "3.0.0", samples="samples.jsonl", questions=4, mean=0.05, p95=0.05)
        answers = await asked_until(device, lambda: ended(region, job))
        assert (await over(region, job))["coreDeviceExecutionStatus"] == "SUCCEEDED"
        assert [each["model_version"] for each in answers[:4]] == ["1.0.0"] * 4
        assert (await device.asks(BODY))["model_version"] == "3.0.0"


async def over(region: RegionPlace, job: str) -> dict[str, Any]:
    return dict(await until(lambda: ended(region, job), PATIENT))


async def asked_until(device: Device, condition: Callable[[], Awaitable[object]]) -> list[Any]:
    """What a bed that asks all the time is answered."""
    answers: list[Any] = []
    while not await condition():
        answers.append(await device.asks(BODY))
        assert "outputs" in answers[-1]
    return answers


async def test_a_core_that_ends_in_a_trial_begins_it_anew(region: RegionPlace, place: CorePlace) -> None:
    await region.call("s3", "create_bucket", Bucket="models")
    await bring(region, "1.0.0", linear(2.0))
    trial = {"trial": {"questions": 3, "mean": 0.05}}
    assert await deployed(region, "1.0.0", **trial) == "SUCCEEDED"
    await bring(region, "2.0.0", linear(7.0))
    changing = asyncio.create_task(deployed(region, "2.0.0", **trial))
    await until(lambda: on_trial(place), PATIENT)
    await place.stop()
    await place.start()
    async with at(place) as device:
        await device.answered(BODY)
        await until(lambda: on_trial(place), PATIENT)

        async def done() -> bool:
            return changing.done()

        await asked_until(device, done)
        assert "drift" in await changing
        assert (await device.asks(BODY))["model_version"] == "1.0.0"


def on_trial(place: CorePlace) -> bool:
    played: Any = place.core.deployments._applying._played[NAME]
    return "ward" in played._running and played._running["ward"].trial is not None


def answer(*numbers: Any, datatype: str = "FP32", shape: list[int] | None = None) -> bytes:
    output = {"name": "y", "datatype": datatype, "shape": shape or [len(numbers)], "data": numbers}
    return json.dumps({"outputs": [output]}).encode()


def compared(wanted: int = 1, **bounds: float) -> Comparison:
    made = bounds_of("ward", {"questions": 1, **bounds})
    assert made is not None
    return Comparison(made, wanted)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1), st.floats(0.0, 3.0))
def test_the_distance_of_scaled_answers_is_the_scale(numbers: list[int], share: float) -> None:
    comparison = compared()
    for _ in range(3):
        comparison.answered(answer(*numbers), answer(*(each * (1 + share) for each in numbers)))
    expected = share if any(numbers) else 0.0
    assert comparison.distances() == [pytest.approx(expected, rel=1e-6, abs=1e-6)] * 3


def test_mean_and_p95_are_over_the_questions() -> None:
    def drifted(far: int, **bounds: float) -> str:
        comparison = compared(100, **bounds)
        for number in range(100):
            comparison.answered(answer(1.0), answer(2.0 if number < far else 1.0))
        return comparison.verdict

    assert drifted(5, p95=0.5) == "" and "p95 1" in drifted(6, p95=0.5)
    assert drifted(10, mean=0.1) == "" and "mean 0.11" in drifted(11, mean=0.1)
    assert drifted(100) == ""  # only errors count where no distance is said


def test_what_has_no_distance_is_an_error_and_too_many_end_the_trial() -> None:
    for wrong in (
        answer(1.0, 2.0),
        answer(1, datatype="INT64"),
        answer("a"),
        answer(10**400),
        b"{}",
        b"[",
        b'{"outputs": [{}]}',
        b'{"outputs": []}',
    ):
        comparison = compared(1)
        comparison.answered(answer(1.0), wrong)
        assert comparison.verdict and comparison.over
    lenient = compared(10, errors=0.2)
    for number in range(3):
        assert not lenient.over
        lenient.failing(f"reason {number}")
    assert lenient.over and lenient.verdict == "3 of 3 questions failed: reason 0"


def test_texts_differ_or_do_not_and_nothing_is_infinitely_far_from_something() -> None:
    texts = compared(mean=0.1)
    texts.answered(answer("a", "b", datatype="BYTES"), answer("a", "c", datatype="BYTES"))
    assert texts.distances() == [pytest.approx(0.5**0.5)]
    zero = compared(mean=1e9)
    zero.answered(answer(0.0), answer(1e-9))
    assert "inf" in zero.verdict


@pytest.mark.parametrize(
    ("samples", "word"),
    [
        (b"", "0 requests"),
        (b"\n", "0 requests"),
        (b"wrong\n", "nothing that the version before answers: no"),
        (b"x\n" * 10_001, "10001 requests"),
        (None, "cannot be read"),
    ],
)
async def test_samples_that_say_nothing_judge_nothing(tmp_path: Path, samples: bytes | None, word: str) -> None:
    bounds = bounds_of("ward", {"samples": "x"})
    assert bounds is not None
    file = tmp_path / "samples"
    if samples is not None:
        file.write_bytes(samples)

    async def no(_: bytes) -> bytes:
        raise NotServed("no")

    with pytest.raises(NotServed, match=word):
        await Trial(bounds, no, no, file).passed()


@pytest.mark.parametrize(
    "trial",
    [
        {},
        7,
        {"questions": 0},
        {"questions": 1.5},
        {"questions": True},
        {"questions": 10_001},
        {"samples": 7},
        {"questions": 1, "mean": -1},
        {"questions": 1, "p95": "much"},
        {"questions": 1, "errors": 1.5},
        {"questions": 1, "seconds": 1e9},
        {"questions": 1, "more": 1},
    ],
)
def test_a_trial_that_cannot_be_is_refused(trial: Any) -> None:
    with pytest.raises(BadComponent, match="trial of ward"):
        bounds_of("ward", trial)
