"""The token exchange service: boto3 in a component, unchanged; the stream manager with the component's own token."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
import yaml

from littoral.core import tes
from littoral.core.streammanager import component
from tests.core.test_streammanager import port_of
from tests.core.world import ACCOUNT, CORE, CorePlace, RegionPlace, until

NAME = "com.example.Caller"
PROGRAM = """
import json, os, sys
import boto3
from stream_manager import StreamManagerClient
identity = boto3.client("sts").get_caller_identity()
s3 = boto3.client("s3")
s3.create_bucket(Bucket="readings")
s3.put_object(Bucket="readings", Key="a", Body=b"x" * 300000, Metadata={"core": os.environ["AWS_IOT_THING_NAME"]})
size = len(s3.get_object(Bucket="readings", Key="a")["Body"].read())
try:
    s3.get_object(Bucket="readings", Key="b")
except s3.exceptions.NoSuchKey as problem:
    missing = problem.response["Error"]["Code"]
with StreamManagerClient(port=int(sys.argv[1])) as client:
    streams = client.list_streams()
print(json.dumps({"arn": identity["Arn"], "size": size, "missing": missing, "streams": streams}), flush=True)
"""


async def deploy(region: RegionPlace, place: CorePlace, **more: Any) -> str:
    wanted = {
        tes.NAME.replace(".", "__"): {"componentVersion": "2.0.3"},
        component.NAME.replace(".", "__"): {
            "componentVersion": "2.2.0",
            "configurationUpdate": {"merge": json.dumps({"STREAM_MANAGER_SERVER_PORT": "0"})},
        },
    }
    return await region.outcome(await region.deploy(**wanted, **more))


async def test_boto3_in_a_component_is_a_client_of_the_place_above(region: RegionPlace, place: CorePlace) -> None:
    pytest.importorskip("stream_manager", reason="AWS's SDK: pip install --no-deps stream-manager")
    await region.role_alias()
    assert await deploy(region, place) == "SUCCEEDED"
    run = f"cat > program.py <<'EOF'\n{PROGRAM}\nEOF\nexec {sys.executable} program.py {port_of(place)}"
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": NAME,
        "ComponentVersion": "1.0.0",
        "Manifests": [{"Platform": {"os": "linux"}, "Lifecycle": {"run": run}}],
    }
    await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(recipe).encode())
    assert await deploy(region, place, com__example__Caller={"componentVersion": "1.0.0"}) == "SUCCEEDED"
    words = place.folder / "components" / "logs" / f"{NAME}.log"
    said = json.loads(await until(lambda: words.exists() and words.read_text()))
    assert said["arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/cores/")
    assert (said["size"], said["missing"], said["streams"]) == (300_000, "NoSuchKey", [])
    stored = await region.call("s3", "head_object", Bucket="readings", Key="a")
    assert stored["Metadata"] == {"core": CORE}


async def test_credentials_and_the_core_s_certificate_are_not_for_everybody(
    region: RegionPlace, place: CorePlace
) -> None:
    """Nobody without a token gets credentials, and nobody speaks as the core by its connection."""
    await region.role_alias()
    assert await deploy(region, place) == "SUCCEEDED"
    base = place.core.deployments._nucleus.environment[tes.ENDPOINT]

    def ask(path: str, **headers: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(urllib.request.Request(base + path, headers=headers), timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as problem:
            return problem.code, problem.read()

    async def status(path: str, **headers: str) -> int:
        return (await asyncio.to_thread(ask, path, **headers))[0]

    alias = "/role-aliases/GreengrassV2TokenExchangeRoleAlias/credentials"
    forged = "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"
    assert await status(tes.PROVIDER) == 403
    assert await status(tes.PROVIDER, Authorization="no token") == 403
    assert await status(alias) == 404
    assert await status(alias, Authorization=forged) in (400, 403)
    assert await status("/things/bed1/shadow", Authorization=forged) in (400, 403)
    assert await status("/things/bed1/shadow", Authorization="AWS4-") in (400, 403)
    place.core.deployments._nucleus._tokens["x"] = "a-token"
    code, body = await asyncio.to_thread(ask, tes.PROVIDER, Authorization="a-token")
    assert code == 200 and set(json.loads(body)) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    await region.call("iot", "delete_role_alias", roleAlias="GreengrassV2TokenExchangeRoleAlias")
    assert await status(tes.PROVIDER, Authorization="a-token") == 200  # what is held goes on holding
