"""The greengrassv2 API through boto3, against a region of real parts: what it gives back and what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.aws.service import Call, Principal, ServiceError
from littoral.core.bridge import BRIDGE
from littoral.core.document import SHADOW, parse_desired
from littoral.core.greengrass import Greengrass
from littoral.core.recipetext import read
from littoral.net.message import BytesBody, Headers, Peer, Request
from littoral.store.embedded import EmbeddedStore
from tests.core.world import ACCOUNT, CORE, REGION, RegionPlace
from tests.support.commits import held

TARGET = f"arn:aws:iot:{REGION}:{ACCOUNT}:thing/{CORE}"
COMPONENTS = f"arn:aws:greengrass:{REGION}:{ACCOUNT}:components"


async def refusal(region: RegionPlace, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        await region.call("greengrassv2", operation, **members)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture
async def arn(region: RegionPlace) -> str:
    return await region.function()


async def test_component_versions_are_made_shown_listed_and_deleted(region: RegionPlace, arn: str) -> None:
    made = await region.component(arn, version="1.2.0", eventSources=[{"topic": "a", "type": "PUB_SUB"}])
    assert made["arn"] == f"{COMPONENTS}:ward.notes:versions:1.2.0"
    assert made["status"]["componentState"] == "DEPLOYABLE"
    await region.component(arn, version="1.10.0")
    await region.component(arn, name="other")
    assert (await refusal(region, "create_component_version", lambdaFunction=_source(arn, "1.2.0")))[0] == (
        "ConflictException"
    )

    described = await region.call("greengrassv2", "describe_component", arn=made["arn"])
    assert (described["componentName"], described["creationTimestamp"]) == ("ward.notes", made["creationTimestamp"])
    shown = await region.call("greengrassv2", "get_component", arn=made["arn"], recipeOutputFormat="JSON")
    recipe = json.loads(shown["recipe"])
    assert (recipe["ComponentType"], recipe["ComponentSource"]) == ("aws.greengrass.lambda", arn)
    shown = await region.call("greengrassv2", "get_component", arn=made["arn"], recipeOutputFormat="YAML")
    assert (shown["recipeOutputFormat"], read(shown["recipe"])) == ("YAML", recipe)
    versions = await region.call("greengrassv2", "list_component_versions", arn=f"{COMPONENTS}:ward.notes")
    assert [each["componentVersion"] for each in versions["componentVersions"]] == ["1.10.0", "1.2.0"]

    first = await region.call("greengrassv2", "list_components", maxResults=1)
    rest = await region.call("greengrassv2", "list_components", nextToken=first["nextToken"])
    found = first["components"] + rest["components"]
    assert [(each["componentName"], each["latestVersion"]["componentVersion"]) for each in found] == [
        ("other", "1.0.0"),
        ("ward.notes", "1.10.0"),
    ]
    assert "nextToken" not in rest
    assert (await region.call("greengrassv2", "list_components", scope="PUBLIC"))["components"] == []

    await region.call("greengrassv2", "delete_component", arn=made["arn"])
    for operation in ("describe_component", "get_component", "delete_component"):
        assert (await refusal(region, operation, arn=made["arn"]))[0] == "ResourceNotFoundException"


async def test_a_component_that_goes_while_they_are_listed_is_listed_or_not(region: RegionPlace, arn: str) -> None:
    made = await region.component(arn)
    with held(region.store._database) as commit:
        deleting = asyncio.create_task(region.call("greengrassv2", "delete_component", arn=made["arn"]))
        await asyncio.to_thread(commit.until_due)
        commit.after("FROM records")
        found = await region.call("greengrassv2", "list_components")
        assert commit.happened
        await deleting
    assert [each["componentName"] for each in found["components"]] in ([], ["ward.notes"])
    assert (await region.call("greengrassv2", "list_components"))["components"] == []


def _source(arn: str, version: str = "1.0.0", **parameters: Any) -> dict[str, Any]:
    return {
        "lambdaArn": arn,
        "componentName": "ward.notes",
        "componentVersion": version,
        **({"componentLambdaParameters": parameters} if parameters else {}),
    }


async def test_candidates_are_resolved_and_their_artifact_is_found(region: RegionPlace, arn: str) -> None:
    for version in ("1.0.0", "1.5.0", "2.0.0"):
        await region.component(arn, version=version)
    candidate = {"componentName": "ward.notes", "versionRequirements": {"x": ">=1.0.0 <2.0.0"}}
    found = await region.call(
        "greengrassv2",
        "resolve_component_candidates",
        platform={"name": "linux"},
        componentCandidates=[candidate],
    )
    (resolved,) = found["resolvedComponentVersions"]
    assert resolved["componentVersion"] == "1.5.0"
    artifact = await region.call(
        "greengrassv2",
        "get_component_version_artifact",
        arn=resolved["arn"],
        artifactName="lambda-artifact.zip",
    )
    assert artifact["preSignedUrl"].startswith(f"http://127.0.0.1:{region.api.port}/")
    candidate["versionRequirements"] = {"x": ">=3.0.0"}
    code, _ = await refusal(region, "resolve_component_candidates", componentCandidates=[candidate])
    assert code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ({"componentVersion": "1.0"}, "semantic version"),
        ({"componentName": "a b"}, "componentName"),
        ({"componentName": "aws.mine"}, "aws."),
        ({"componentDependencies": {"x": {"versionRequirement": "newest"}}}, "VersionRequirement of x"),
        ({"componentDependencies": {"aws.greengrass.Other": {"versionRequirement": "*"}}}, "aws.greengrass.Other"),
        (
            {"componentLambdaParameters": {"linuxProcessParams": {"containerParams": {"mountROSysfs": True}}}},
            "mountROSysfs",
        ),
        (
            {
                "componentLambdaParameters": {
                    "linuxProcessParams": {"containerParams": {"devices": [{"path": "/dev/x"}]}}
                }
            },
            "devices",
        ),
        (
            {
                "componentLambdaParameters": {
                    "linuxProcessParams": {"isolationMode": "NoContainer", "containerParams": {"memorySizeInKB": 65536}}
                }
            },
            "NoContainer",
        ),
    ],
)
async def test_components_that_would_not_run_as_they_say_are_refused(
    region: RegionPlace, arn: str, source: dict[str, Any], word: str
) -> None:
    code, message = await refusal(region, "create_component_version", lambdaFunction={**_source(arn), **source})
    assert code == "ValidationException"
    assert word in message
    assert (await region.call("greengrassv2", "list_components"))["components"] == []


async def test_other_components_are_refused(region: RegionPlace, arn: str) -> None:
    unversioned = _source(arn.rpartition(":")[0])
    assert (await refusal(region, "create_component_version", lambdaFunction=unversioned))[0] == "ValidationException"
    unknown = _source(arn.replace("notes", "nobody"))
    assert (await refusal(region, "create_component_version", lambdaFunction=unknown))[0] == "ResourceNotFoundException"
    code, message = await refusal(region, "create_component_version")
    assert (code, "lambdaFunction" in message) == ("ValidationException", True)


async def test_deployments_are_kept_listed_superseded_and_canceled(region: RegionPlace, arn: str) -> None:
    await region.component(arn)
    first = await region.deploy(ward__notes={"componentVersion": "1.0.0"})
    second = await region.deploy()
    listed = await region.call("greengrassv2", "list_deployments", targetArn=TARGET, historyFilter="ALL")
    assert [(each["deploymentId"], each["isLatestForTarget"]) for each in listed["deployments"]] == [
        (second, True),
        (first, False),
    ]
    latest = await region.call("greengrassv2", "list_deployments")
    assert [each["deploymentId"] for each in latest["deployments"]] == [second]
    found = await region.call("greengrassv2", "get_deployment", deploymentId=first)
    assert found["components"] == {"ward.notes": {"componentVersion": "1.0.0"}}
    assert (found["revisionId"], found["deploymentStatus"]) == ("1", "INACTIVE")
    shadow = await region.things.shadows.get(CORE, SHADOW)
    assert shadow is not None
    assert json.loads(shadow["state"]["desired"]["fleetConfig"])["deploymentId"] == second
    await region.call("greengrassv2", "cancel_deployment", deploymentId=second)
    assert (await refusal(region, "cancel_deployment", deploymentId=second))[0] == "ConflictException"
    assert (await region.effective())["coreDeviceExecutionStatus"] == "CANCELED"
    await region.call("greengrassv2", "delete_deployment", deploymentId=first)
    assert (await refusal(region, "get_deployment", deploymentId=first))[0] == "ResourceNotFoundException"
    token = {"targetArn": TARGET, "clientToken": "the-same-token"}
    again = [await region.call("greengrassv2", "create_deployment", **token) for _ in range(2)]
    assert again[0]["deploymentId"] == again[1]["deploymentId"]
    code, _ = await refusal(region, "delete_deployment", deploymentId=again[0]["deploymentId"])
    assert code == "ConflictException"


MERGE = {"mqttTopicMapping": {"x": {"topic": "a/#/b", "source": "LocalMqtt", "target": "IotCore"}}}


@pytest.mark.parametrize(
    ("members", "code", "word"),
    [
        ({"targetArn": TARGET.replace("thing/", "thinggroup/")}, "ResourceNotFoundException", "thing group"),
        ({"parentTargetArn": TARGET.replace("thing/", "thinggroup/")}, "ValidationException", "parentTargetArn"),
        ({"targetArn": "arn:aws:s3:::x"}, "ValidationException", "targetArn"),
        ({"components": {"none": {"componentVersion": "1.0.0"}}}, "ResourceNotFoundException", "none 1.0.0"),
        ({"components": {"aws.greengrass.Nothing": {"componentVersion": "2.0.0"}}}, "ValidationException", BRIDGE),
        (
            {
                "components": {
                    BRIDGE: {"componentVersion": "2.0.0", "configurationUpdate": {"merge": json.dumps(MERGE)}}
                }
            },
            "ValidationException",
            "topic of x",
        ),
        (
            {"components": {BRIDGE: {"componentVersion": "2.0.0", "configurationUpdate": {"reset": ["x"]}}}},
            "ValidationException",
            "JSON pointer",
        ),
        (
            {"components": {BRIDGE: {"componentVersion": "2.0.0", "runWith": {"posixUser": "root"}}}},
            "ValidationException",
            "runWith",
        ),
        (
            {"iotJobConfiguration": {"timeoutConfig": {"inProgressTimeoutInMinutes": 1}}},
            "ValidationException",
            "thing groups",
        ),
    ],
)
async def test_deployments_that_would_not_do_what_they_say_are_refused(
    region: RegionPlace, members: dict[str, Any], code: str, word: str
) -> None:
    found, message = await refusal(region, "create_deployment", **{"targetArn": TARGET, **members})
    assert found == code
    assert word in message
    listed = await region.call("greengrassv2", "list_deployments", historyFilter="ALL")
    assert listed["deployments"] == []
    assert await region.things.shadows.get(CORE, SHADOW) is None


async def test_unknown_names_and_bad_pages(region: RegionPlace) -> None:
    for operation, members in (
        ("get_deployment", {"deploymentId": "none"}),
        ("get_core_device", {"coreDeviceThingName": "none"}),
        ("list_installed_components", {"coreDeviceThingName": "none"}),
        ("list_effective_deployments", {"coreDeviceThingName": "none"}),
    ):
        assert (await refusal(region, operation, **members))[0] == "ResourceNotFoundException", operation
    none = await region.call("greengrassv2", "list_component_versions", arn=f"{COMPONENTS}:none")
    assert none["componentVersions"] == []  # AWS's gdk asks so before it publishes the first
    assert (await refusal(region, "list_components", nextToken="nonsense"))[0] == "ValidationException"
    assert (await refusal(region, "describe_component", arn="nonsense"))[0] == "ValidationException"


class Broken:
    """Shadows of which the first update fails, as in a crash before it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.working = False

    async def update(self, thing: str, shadow_name: str, desired: Mapping[str, Any]) -> None:
        if not self.working:
            raise RuntimeError("the place dies here")
        self.told.append((thing, json.loads(desired["fleetConfig"])["configurationArn"]))


class NoJobs:
    """A place without any."""

    def executions(self, thing: str) -> list[Any]:
        return []

    def is_thing(self, name: str) -> bool:
        return False


def _call() -> Call:
    request = Request("POST", "/", Headers(), BytesBody(), Peer("127.0.0.1", 1))
    return Call("greengrassv2", "CreateDeployment", REGION, ACCOUNT, Principal("key", "A"), "r", request, 1000.0)


async def test_a_deployment_that_a_crash_kept_from_its_shadow_is_delivered_at_the_start(tmp_path: Any) -> None:
    store = await EmbeddedStore.open(tmp_path)
    shadows = Broken()

    def made() -> Greengrass:
        return Greengrass(store.records("g"), shadows, None, None, NoJobs(), lambda *_: True)  # type: ignore[arg-type]

    with pytest.raises(RuntimeError):
        await made().create_deployment(_call(), target_arn=TARGET)
    shadows.working = True
    region = made()
    await region.start()
    assert shadows.told == [(CORE, f"arn:aws:greengrass:{REGION}:{ACCOUNT}:configuration:thing/{CORE}:1")]
    await region.deliver_pending()
    assert len(shadows.told) == 1
    await region.close()
    await store.close()


async def test_a_deployment_that_its_shadow_refuses_is_none(tmp_path: Any) -> None:
    store = await EmbeddedStore.open(tmp_path)

    class Refusing:
        async def update(self, thing: str, shadow_name: str, desired: Mapping[str, Any]) -> None:
            raise ServiceError("ResourceNotFoundException", "no such thing")

    region = Greengrass(store.records("g"), Refusing(), None, None, NoJobs(), lambda *_: True)  # type: ignore[arg-type]
    with pytest.raises(ServiceError):
        await region.create_deployment(_call(), target_arn=TARGET)
    assert await region.list_deployments(_call(), history_filter="ALL") == {"deployments": []}
    with pytest.raises(ServiceError):
        await region.list_effective_deployments(_call(), core_device_thing_name=CORE)
    await store.close()


async def test_what_a_core_reports_is_shown_and_nonsense_is_survived(region: RegionPlace) -> None:
    deployment = await region.deploy()
    arn = f"arn:aws:greengrass:{REGION}:{ACCOUNT}:configuration:thing/{CORE}:1"
    nonsense: tuple[dict[str, Any], ...] = ({"status": 5, "components": "x"}, {"statusDetails": "x"})
    for part in nonsense:
        await region.things.shadows.update(CORE, SHADOW, {"reported": part})
    report = {
        "ggcVersion": "0.1",
        "fleetConfigurationArnForStatus": arn,
        "status": "FAILED",
        "statusDetails": {"failureCause": "because", "errorStack": ["A_CODE", 5, "no code"], "errorTypes": "x"},
    }
    await region.things.shadows.update(CORE, SHADOW, {"reported": report})
    assert await region.outcome(deployment) == "FAILED: because"
    assert (await region.effective())["statusDetails"] == {"errorStack": ["A_CODE"], "errorTypes": []}


async def test_policies_are_shown_with_their_defaults_and_zero_seconds_are_none(region: RegionPlace) -> None:
    policies = {"componentUpdatePolicy": {"timeoutInSeconds": 0}}
    made = await region.call("greengrassv2", "create_deployment", targetArn=TARGET, deploymentPolicies=policies)
    shown = await region.call("greengrassv2", "get_deployment", deploymentId=made["deploymentId"])
    assert shown["deploymentPolicies"] == {
        "failureHandlingPolicy": "ROLLBACK",
        "componentUpdatePolicy": {"timeoutInSeconds": 0, "action": "NOTIFY_COMPONENTS"},
        "configurationValidationPolicy": {"timeoutInSeconds": 30},
    }
    kept = await region.things.shadows.get(CORE, SHADOW)
    assert kept is not None
    wanted = parse_desired(kept["state"]["desired"])
    assert wanted is not None and (wanted.notify_timeout, wanted.validation_timeout) == (0.0, 30.0)
    negative = {"configurationValidationPolicy": {"timeoutInSeconds": -1}}
    code, _ = await refusal(region, "create_deployment", targetArn=TARGET, deploymentPolicies=negative)
    assert code == "ValidationException"


async def test_a_function_for_other_devices_is_no_candidate(region: RegionPlace, arn: str) -> None:
    for version, architecture in (("1.0.0", "amd64"), ("2.0.0", "aarch64")):
        platforms = [{"name": "bed", "attributes": {"os": "linux", "architecture": architecture}}]
        source = {**_source(arn, version), "componentPlatforms": platforms}
        made = await region.call("greengrassv2", "create_component_version", lambdaFunction=source)
        shown = await region.call("greengrassv2", "get_component", arn=made["arn"])
        assert [each["Platform"] for each in json.loads(shown["recipe"])["Manifests"]] == [platforms[0]["attributes"]]
    resolved = await region.call(
        "greengrassv2",
        "resolve_component_candidates",
        platform={"attributes": {"os": "linux", "architecture": "amd64"}},
        componentCandidates=[{"componentName": "ward.notes", "versionRequirements": {"thing": "*"}}],
    )
    assert [each["componentVersion"] for each in resolved["resolvedComponentVersions"]] == ["1.0.0"]
