"""Tags, the service role and core devices that are taken off the list: the rest of boto3's greengrassv2."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.core.programs import create
from tests.core.world import ACCOUNT, CORE, REGION, CorePlace, RegionPlace, until

HERE = f"arn:aws:greengrass:{REGION}:{ACCOUNT}"


async def refused(region: RegionPlace, operation: str, **members: Any) -> str:
    with pytest.raises(ClientError) as problem:
        await region.call("greengrassv2", operation, **members)
    return str(problem.value.response["Error"]["Code"])


async def tags(region: RegionPlace, arn: str) -> dict[str, str]:
    found = await region.call("greengrassv2", "list_tags_for_resource", resourceArn=arn)
    return dict(found["tags"])


async def test_what_greengrass_has_can_be_tagged(region: RegionPlace) -> None:
    component = await create(region, "ward.Tagged")
    thing = f"arn:aws:iot:{REGION}:{ACCOUNT}:thing/{CORE}"
    made = await region.call("greengrassv2", "create_deployment", targetArn=thing, tags={"ward": "7", "bed": "1"})
    deployment = f"{HERE}:deployments:{made['deploymentId']}"
    for arn in (component, deployment):
        await region.call("greengrassv2", "tag_resource", resourceArn=arn, tags={"ward": "8", "cost": "x"})
        await region.call("greengrassv2", "untag_resource", resourceArn=arn, tagKeys=["cost", "none"])
    assert await tags(region, component) == {"ward": "8"}
    assert await tags(region, deployment) == {"ward": "8", "bed": "1"}
    shown = await region.call("greengrassv2", "get_deployment", deploymentId=made["deploymentId"])
    assert shown["tags"] == {"ward": "8", "bed": "1"}
    described = await region.call("greengrassv2", "describe_component", arn=component)
    assert described["tags"] == {"ward": "8"}


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"{HERE}:components:ward.Tagged", "ValidationException"),
        (f"{HERE}:components:ward.Tagged:versions:9.9.9", "ResourceNotFoundException"),
        (f"{HERE}:deployments:none", "ResourceNotFoundException"),
        (f"{HERE}:coreDevices:none", "ResourceNotFoundException"),
        ("arn:aws:iot:us-east-1:000000000000:thing/t", "ValidationException"),
    ],
)
async def test_what_is_not_there_has_no_tags(region: RegionPlace, arn: str, code: str) -> None:
    assert await refused(region, "list_tags_for_resource", resourceArn=arn) == code
    assert await refused(region, "tag_resource", resourceArn=arn, tags={"a": "b"}) == code


async def test_tags_have_their_limits(region: RegionPlace) -> None:
    arn = await create(region, "ward.Tagged")
    for wrong in ({"aws:mine": "x"}, {f"t{number}": "" for number in range(51)}):
        assert await refused(region, "tag_resource", resourceArn=arn, tags=wrong) == "ValidationException"
    assert await tags(region, arn) == {}


async def test_the_service_role_is_kept_until_it_is_taken_away(region: RegionPlace) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/Greengrass"
    assert await refused(region, "get_service_role_for_account") == "ResourceNotFoundException"
    assert await refused(region, "associate_service_role_to_account", roleArn="role") == "ValidationException"
    made = await region.call("greengrassv2", "associate_service_role_to_account", roleArn=role)
    found = await region.call("greengrassv2", "get_service_role_for_account")
    assert (found["roleArn"], found["associatedAt"]) == (role, made["associatedAt"])
    assert (await region.call("greengrassv2", "disassociate_service_role_from_account"))["disassociatedAt"]
    assert await refused(region, "get_service_role_for_account") == "ResourceNotFoundException"


async def associate(region: RegionPlace, *things: str, core: str = CORE) -> Any:
    entries = [{"thingName": each} for each in things]
    operation = "batch_associate_client_device_with_core_device"
    made = await region.call("greengrassv2", operation, coreDeviceThingName=core, entries=entries)
    return made["errorEntries"]


async def clients(region: RegionPlace) -> list[str]:
    operation = "list_client_devices_associated_with_core_device"
    found = await region.call("greengrassv2", operation, coreDeviceThingName=CORE)
    return [each["thingName"] for each in found["associatedClientDevices"]]


async def test_things_that_do_not_exist_are_no_client_devices(region: RegionPlace) -> None:
    for name in ("bed1", "bed2"):
        await region.call("iot", "create_thing", thingName=name)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        await associate(region, "bed1")  # the core is no thing yet
    await region.core_identity()
    wrong = await associate(region, "bed1", "nobody", "bed2")
    assert [(each["thingName"], each["code"]) for each in wrong] == [("nobody", "ResourceNotFoundException")]
    assert "nobody" in wrong[0]["message"]
    assert await clients(region) == ["bed1", "bed2"]


async def test_a_core_device_leaves_the_list_and_comes_back_when_it_tells_of_itself(
    region: RegionPlace, place: CorePlace
) -> None:
    async def listed() -> list[str]:
        found = await region.call("greengrassv2", "list_core_devices")
        return [each["coreDeviceThingName"] for each in found["coreDevices"]]

    await until(listed)
    arn = f"{HERE}:coreDevices:{CORE}"
    await region.call("greengrassv2", "tag_resource", resourceArn=arn, tags={"ward": "7"})
    await create(region, "ward.Idle")
    await region.outcome(await region.deploy(ward__Idle={"componentVersion": "1.0.0"}))
    shown = await region.call("greengrassv2", "get_core_device", coreDeviceThingName=CORE)
    assert shown["tags"] == {"ward": "7"}
    bed = [{"thingName": "bed1"}]
    await region.call("iot", "create_thing", thingName="bed1")
    await associate(region, "bed1")
    await region.call("greengrassv2", "delete_core_device", coreDeviceThingName=CORE)
    assert await listed() == []
    assert await clients(region) == []
    gone = "batch_disassociate_client_device_from_core_device"
    found = await region.call("greengrassv2", gone, coreDeviceThingName=CORE, entries=bed)
    assert [each["thingName"] for each in found["errorEntries"]] == ["bed1"]
    assert await refused(region, "delete_core_device", coreDeviceThingName=CORE) == "ResourceNotFoundException"
    assert await refused(region, "get_core_device", coreDeviceThingName=CORE) == "ResourceNotFoundException"
    await place.stop()
    await place.start()
    await until(listed)
    assert (await region.call("greengrassv2", "get_core_device", coreDeviceThingName=CORE))["tags"] == {}
