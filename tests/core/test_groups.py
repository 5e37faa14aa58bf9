"""Deployments to thing groups: jobs of their own namespace, merged on each core, rolled out as the job says."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from tests.core.programs import create, deploy_to_group, group_arn
from tests.core.world import CORE, CorePlace, RegionPlace, until


async def group(region: RegionPlace, name: str, *things: str) -> None:
    await region.call("iot", "create_thing_group", thingGroupName=name)
    for thing in things:
        await region.call("iot", "add_thing_to_thing_group", thingGroupName=name, thingName=thing)


async def outcome(region: RegionPlace, deployment: str) -> dict[str, Any]:
    """As the region shows it for the core, once it is over there."""

    async def finished() -> dict[str, Any] | None:
        try:
            found = await region.call("greengrassv2", "list_effective_deployments", coreDeviceThingName=CORE)
        except ClientError as problem:  # a core that has not said a word yet is none
            assert problem.response["Error"]["Code"] == "ResourceNotFoundException"
            return None
        for each in found["effectiveDeployments"]:
            if each["deploymentId"] == deployment:
                over = each["coreDeviceExecutionStatus"] not in ("QUEUED", "IN_PROGRESS")
                return dict(each) if over else None
        return None

    return dict(await until(finished))


def running(core: CorePlace) -> dict[str, str]:
    return {each.name: each.version for each in core.core.deployments._nucleus.listed()}


async def status(region: RegionPlace, deployment: str) -> str:
    return str((await region.call("greengrassv2", "get_deployment", deploymentId=deployment))["deploymentStatus"])


async def test_deployments_of_the_thing_and_of_its_groups_run_together(region: RegionPlace, place: CorePlace) -> None:
    for name, version in (("a", "1.0.0"), ("b", "1.0.0"), ("b", "2.0.0"), ("c", "1.0.0")):
        await create(region, name, version)
    await group(region, "ward", CORE)
    await group(region, "hospital", CORE)
    assert await region.outcome(await region.deploy(a={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    first = await deploy_to_group(region, "ward", {"b": "1.0.0"})
    done = await outcome(region, first)
    assert (done["coreDeviceExecutionStatus"], done["iotJobId"]) == ("SUCCEEDED", first)
    assert running(place) == {"a": "1.0.0", "b": "1.0.0"}
    job = await region.call("iot", "describe_job", jobId=first)
    assert (job["job"]["targetSelection"], job["job"]["namespaceId"]) == ("CONTINUOUS", "aws-gg-deployment")
    await until(lambda: status_is(region, first, "COMPLETED"))

    assert (await outcome(region, await deploy_to_group(region, "hospital", {"c": "1.0.0"})))[
        "coreDeviceExecutionStatus"
    ] == "SUCCEEDED"
    clash = await outcome(region, await deploy_to_group(region, "hospital", {"c": "1.0.0", "b": "2.0.0"}))
    assert clash["coreDeviceExecutionStatus"] == "FAILED"
    assert "=1.0.0 for thinggroup/ward" in clash["reason"] and "=2.0.0 for thinggroup/hospital" in clash["reason"]
    assert running(place) == {"a": "1.0.0", "b": "1.0.0", "c": "1.0.0"}

    second = await deploy_to_group(region, "ward", {"b": "2.0.0"})
    assert (await outcome(region, second))["coreDeviceExecutionStatus"] == "SUCCEEDED"
    assert running(place) == {"a": "1.0.0", "b": "2.0.0", "c": "1.0.0"}
    assert await status(region, first) == "INACTIVE"
    listed = await region.call("greengrassv2", "list_deployments", targetArn=group_arn("ward"), historyFilter="ALL")
    assert [(each["deploymentId"], each["revisionId"]) for each in listed["deployments"]] == [
        (second, "2"),
        (first, "1"),
    ]
    cores = await region.call("greengrassv2", "list_core_devices", thingGroupArn=group_arn("ward"))
    assert [each["coreDeviceThingName"] for each in cores["coreDevices"]] == [CORE]

    await region.call("iot", "remove_thing_from_thing_group", thingGroupName="hospital", thingName=CORE)
    assert await region.outcome(await region.deploy(a={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    assert running(place) == {"a": "1.0.0", "b": "2.0.0"}


async def status_is(region: RegionPlace, deployment: str, wanted: str) -> bool:
    return await status(region, deployment) == wanted


async def test_a_thing_that_joins_later_gets_the_deployment_and_a_restart_keeps_it(
    region: RegionPlace, place: CorePlace
) -> None:
    await create(region, "a")
    await group(region, "ward")
    made = await deploy_to_group(region, "ward", {"a": "1.0.0"})
    assert await status(region, made) == "ACTIVE"
    await region.call("iot", "add_thing_to_thing_group", thingGroupName="ward", thingName=CORE)
    assert (await outcome(region, made))["coreDeviceExecutionStatus"] == "SUCCEEDED"
    await place.stop()
    await place.start()
    await until(lambda: running(place) == {"a": "1.0.0"})


async def test_a_deployment_that_is_canceled_does_not_reach_a_core_that_was_away(
    region: RegionPlace, place: CorePlace
) -> None:
    for version in ("1.0.0", "2.0.0"):
        await create(region, "a", version)
    await group(region, "ward", CORE)
    await place.stop()
    first = await deploy_to_group(region, "ward", {"a": "1.0.0"})
    await until(lambda: executions(region, first))
    await region.call("greengrassv2", "cancel_deployment", deploymentId=first)
    await until(lambda: execution_is(region, first, "CANCELED"))
    assert await status(region, first) == "CANCELED"
    await place.start()
    second = await deploy_to_group(region, "ward", {"a": "2.0.0"})
    assert (await outcome(region, second))["coreDeviceExecutionStatus"] == "SUCCEEDED"
    assert running(place) == {"a": "2.0.0"}
    assert (await outcome(region, first))["coreDeviceExecutionStatus"] == "CANCELED"


async def executions(region: RegionPlace, job: str) -> list[dict[str, Any]]:
    return list((await region.call("iot", "list_job_executions_for_job", jobId=job))["executionSummaries"])


async def execution_is(region: RegionPlace, job: str, wanted: str) -> bool:
    return [each["jobExecutionSummary"]["status"] for each in await executions(region, job)] == [wanted]


async def test_failures_abort_the_job_and_the_core_says_why(region: RegionPlace, place: CorePlace) -> None:
    await create(region, "a", run="exit 3")
    await group(region, "ward", CORE)
    abort = {
        "criteriaList": [
            {"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 50.0, "minNumberOfExecutedThings": 1}
        ]
    }
    made = await deploy_to_group(
        region,
        "ward",
        {"a": "1.0.0"},
        iotJobConfiguration={"abortConfig": abort, "jobExecutionsRolloutConfig": {"maximumPerMinute": 10}},
    )
    done = await outcome(region, made)
    assert (done["coreDeviceExecutionStatus"], "broken: a" in done["reason"]) == ("FAILED", True)
    broken = ["DEPLOYMENT_FAILURE", "COMPONENT_UPDATE_ERROR", "COMPONENT_BROKEN"]
    assert done["statusDetails"] == {"errorStack": broken, "errorTypes": ["USER_COMPONENT_ERROR"]}
    await until(lambda: status_is(region, made, "CANCELED"))
    assert running(place) == {}


async def test_do_nothing_leaves_what_is_broken_in_place(region: RegionPlace, place: CorePlace) -> None:
    await create(region, "a", run="exit 3")
    await create(region, "b")
    await group(region, "ward", CORE)
    made = await deploy_to_group(
        region,
        "ward",
        {"a": "1.0.0", "b": "1.0.0"},
        deploymentPolicies={"failureHandlingPolicy": "DO_NOTHING"},
    )
    assert (await outcome(region, made))["coreDeviceExecutionStatus"] == "FAILED"
    assert {each.name: each.state for each in place.core.deployments._nucleus.listed()} == {
        "a": "BROKEN",
        "b": "RUNNING",
    }

    async def unhealthy() -> bool:
        core = await region.call("greengrassv2", "get_core_device", coreDeviceThingName=CORE)
        return bool(core["status"] == "UNHEALTHY")

    await until(unhealthy)
    found = await region.call("greengrassv2", "list_installed_components", coreDeviceThingName=CORE)
    states = {each["componentName"]: each["lifecycleState"] for each in found["installedComponents"]}
    assert states == {"a": "BROKEN", "b": "RUNNING"}


async def test_a_subdeployment_takes_the_place_of_its_parents(region: RegionPlace, place: CorePlace) -> None:
    for version in ("1.0.0", "2.0.0"):
        await create(region, "a", version)
    await group(region, "ward", CORE)
    await group(region, "repair", CORE)
    assert (await outcome(region, await deploy_to_group(region, "ward", {"a": "1.0.0"})))[
        "coreDeviceExecutionStatus"
    ] == "SUCCEEDED"
    made = await deploy_to_group(region, "repair", {"a": "2.0.0"}, parentTargetArn=group_arn("ward"))
    assert (await outcome(region, made))["coreDeviceExecutionStatus"] == "SUCCEEDED"
    assert running(place) == {"a": "2.0.0"}
    listed = await region.call("greengrassv2", "list_deployments", parentTargetArn=group_arn("ward"))
    assert [each["deploymentId"] for each in listed["deployments"]] == [made]


async def test_a_job_of_another_namespace_is_not_told_to_who_asks_without_it(region: RegionPlace) -> None:
    await region.call("iot", "create_thing", thingName="plain")
    told: list[str] = []
    region.things.broker.tap("$aws/things/plain/jobs/#", lambda publication: told.append(publication.topic))
    for job, more in (("spaced", {"namespaceId": "own"}), ("open", {})):
        target = "arn:aws:iot:us-east-1:000000000000:thing/plain"
        await region.call("iot", "create_job", jobId=job, targets=[target], document=json.dumps({}), **more)
    prefix = "$aws/things/plain/jobs"
    await until(lambda: len(told) == 4)
    assert sorted(told) == [
        f"{prefix}/notify",
        f"{prefix}/notify-namespace-own",
        f"{prefix}/notify-next",
        f"{prefix}/notify-next-namespace-own",
    ]
    jobs = region.things.place_jobs._jobs
    assert [each["jobId"] for each in jobs.pending("plain")["queuedJobs"]] == ["open"]
    found = jobs.describe("plain", "$next", namespace="own")
    assert found is not None and found["jobId"] == "spaced"
