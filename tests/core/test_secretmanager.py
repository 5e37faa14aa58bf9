"""Secrets of the region in a component, by awsiotsdk: fetched, kept encrypted, read with the cable out."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from littoral.core.recipe import BadComponent
from littoral.core.secretmanager import NAME, settings_of
from littoral.tour.link import Link as Cable
from tests.core.world import CorePlace, RegionPlace, until

READER = "com.example.Reader"
PROGRAM = """
import json, os, sys
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
client = GreengrassCoreIPCClientV2()
said = []
for asked in json.loads(sys.argv[1]):
    try:
        found = client.get_secret_value(**asked)
        value = found.secret_value
        said.append([value.secret_string or value.secret_binary.hex(), found.version_stage, found.secret_id])
    except Exception as problem:
        said.append([type(problem).__name__])
open("new", "w").write(json.dumps(said))
os.replace("new", "said")
client.close()
"""


async def prepare(region: RegionPlace) -> tuple[str, str]:
    """ARNs of two secrets; the first has two versions."""
    await region.role_alias()
    one = await region.call("secretsmanager", "create_secret", Name="pump/key", SecretString="old-rare-word")
    await region.call("secretsmanager", "put_secret_value", SecretId="pump/key", SecretString="new-rare-word")
    two = await region.call("secretsmanager", "create_secret", Name="other", SecretBinary=b"\x01\x02")
    return str(one["ARN"]), str(two["ARN"])


async def deploy(
    region: RegionPlace, secrets: list[Any], version: str = "", asked: Any = (), allowed: Any = (), every: Any = 0
) -> str:
    merge = json.dumps({"cloudSecrets": secrets, "periodicRefreshIntervalMin": every})
    wanted: dict[str, Any] = {NAME: {"componentVersion": "2.1.0", "configurationUpdate": {"merge": merge}}}
    if version:
        run = f"cat > program.py <<'EOF'\n{PROGRAM}\nEOF\nexec {sys.executable} program.py '{json.dumps(asked)}'"
        policy = {"1": {"operations": ["aws.greengrass#GetSecretValue"], "resources": list(allowed)}}
        recipe = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": READER,
            "ComponentVersion": version,
            "Manifests": [{"Platform": {"os": "linux"}, "Lifecycle": {"run": run}}],
        }
        await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(recipe).encode())
        merge = json.dumps({"accessControl": {NAME: policy}})
        wanted[READER] = {"componentVersion": version, "configurationUpdate": {"merge": merge}}
    return await region.outcome(await region.deploy(**wanted))


async def said(place: CorePlace) -> Any:
    file = place.folder / "components" / "work" / READER / "said"
    found = json.loads(await until(lambda: file.exists() and file.read_text()))
    file.unlink()
    return found


async def test_a_component_gets_what_it_may(
    region: RegionPlace, place: CorePlace, cable: Cable, caplog: pytest.LogCaptureFixture
) -> None:
    pump, other = await prepare(region)
    asked = [
        {"secret_id": pump},
        {"secret_id": "pump/key", "version_stage": "AWSPREVIOUS"},
        {"secret_id": "other"},
        {"secret_id": "nothing"},
        {"secret_id": pump, "version_stage": "nostage"},
    ]
    secrets = [{"arn": pump, "labels": ["AWSPREVIOUS"]}, {"arn": other.rpartition("-")[0]}]
    allowed = [pump, "nothing"]
    assert await deploy(region, secrets, "1.0.0", asked, allowed) == "SUCCEEDED"
    wanted = [
        ["new-rare-word", ["AWSCURRENT"], pump],
        ["old-rare-word", ["AWSPREVIOUS"], pump],
        *(["UnauthorizedError"], ["ResourceNotFoundError"], ["ResourceNotFoundError"]),
    ]
    assert await said(place) == wanted

    cable.cut()
    await until(lambda: not place.core.link.stats.connected)
    await region.call("secretsmanager", "put_secret_value", SecretId=pump, SecretString="newer-rare-word")
    await place.stop()
    await place.start()  # with no link: from what is here
    assert await said(place) == wanted
    cable.restore()
    await until(lambda: place.core.link.stats.connected)

    asked = [
        {"secret_id": pump, "refresh": True},
        {"secret_id": "other", "version_id": ""},
        {"secret_id": pump, "version_id": "x", "version_stage": "AWSCURRENT"},
    ]
    assert await deploy(region, secrets, "1.0.1", asked, [pump, other]) == "SUCCEEDED"
    assert await said(place) == [
        ["newer-rare-word", ["AWSCURRENT"], pump],
        ["0102", ["AWSCURRENT"], other],
        ["ServiceError"],
    ]

    assert await deploy(region, secrets[:1], every=0.001) == "SUCCEEDED"
    last = await region.call("secretsmanager", "put_secret_value", SecretId=pump, SecretString="newest-rare-word")

    async def fetched() -> bool:
        found = await place.store.records("core").scan("secretmanager/")
        return any(last["VersionId"].encode() in each.value for each in found)

    await until(fetched)  # with the link up all the time, and nobody asking
    assert await deploy(region, []) == "SUCCEEDED"
    assert not list(await place.store.records("core").scan("secretmanager/"))
    stored = [each for each in (place.folder / "store").iterdir() if each.is_file()]
    assert stored and not any(b"rare-word" in each.read_bytes() for each in stored)
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("littoral")]
    assert not any("rare-word" in each for each in ours)


async def test_a_secret_that_is_not_there_fails_the_deployment(region: RegionPlace, place: CorePlace) -> None:
    pump, _ = await prepare(region)
    assert await deploy(region, [{"arn": pump}]) == "SUCCEEDED"
    outcome = await deploy(region, [{"arn": pump}, {"arn": pump.replace("pump/key", "nothing")}])
    assert outcome.startswith("FAILED") and "ResourceNotFoundException" in outcome


@pytest.mark.parametrize("secrets", ["x", [{"labels": []}], [{"arn": "arn:aws:s3:::x"}], [{"arn": 1}]])
async def test_what_is_no_configuration_is_refused(region: RegionPlace, secrets: Any) -> None:
    with pytest.raises(ClientError, match="cloudSecrets"):
        await deploy(region, secrets)


@pytest.mark.parametrize("configuration", [{"periodicRefreshIntervalMin": each} for each in (-1, "5", True, 1e9)])
def test_a_period_that_is_none(configuration: Any) -> None:
    with pytest.raises(BadComponent, match="periodicRefreshIntervalMin"):
        settings_of(configuration)
