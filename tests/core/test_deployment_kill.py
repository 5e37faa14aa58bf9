"""kill -9 of a real core at any moment of its deployments: what it has is the old one or the new one, whole."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from littoral.core.applying import ACTIVE
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.tour.places import PlaceProcess
from tests.core.world import CORE, RegionPlace, until

COMPONENTS = ("com.example.A", "com.example.B")
ROUNDS = 5
LONGEST = 2.5  # seconds from the deployment to the kill; a deployment takes about as long
PORTS = ("--port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0", "--insecure-no-sandbox")


def recipe(name: str, version: str) -> bytes:
    made = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "Manifests": [
            {
                "Platform": {"os": "linux"},
                "Lifecycle": {"run": "cat {artifacts:path}/words > {work:path}/ran"},
                "Artifacts": [{"URI": f"s3://parts/{name}/{version}/words"}],
            }
        ],
    }
    return json.dumps(made).encode()


async def publish(region: RegionPlace, version: str) -> None:
    for name in COMPONENTS:
        words = f"{name} {version}".encode() * 50_000  # more than a read has
        await region.call("s3", "put_object", Bucket="parts", Key=f"{name}/{version}/words", Body=words)
        await region.call("greengrassv2", "create_component_version", inlineRecipe=recipe(name, version))


async def deploy(region: RegionPlace, version: str) -> str:
    wanted = {name.replace(".", "__"): {"componentVersion": version} for name in COMPONENTS}
    return await region.deploy(**wanted)


async def active(folder: Path) -> dict[str, Any]:
    """What a core that does not run would start with."""
    store = await EmbeddedStore.open(folder / "store")
    try:
        found: dict[str, Any] = await Documents(store.records("core"), "deployment/").get(ACTIVE) or {}
        return found
    finally:
        await store.close()


async def whole(folder: Path, allowed: set[str]) -> None:
    """Both components are of one of these versions, with the artifacts that go with it."""
    found = (await active(folder)).get("components", {})
    versions = {each["version"] for each in found.values()}
    assert len(versions) <= 1 and versions <= allowed, found
    assert set(found) in (set(), set(COMPONENTS))
    for name in found:
        (version,) = versions
        (words,) = (folder / "components/packages/artifacts" / name).glob(f"{version}-*/words")
        assert words.read_bytes() == f"{name} {version}".encode() * 50_000


@pytest.mark.slow
async def test_a_core_killed_in_its_deployment_has_the_old_or_the_new(region: RegionPlace, tmp_path: Path) -> None:
    certificate, key = await region.core_identity()
    for name, data in (("certificate", certificate), ("key", key), ("ca", region.authority.certificate_pem)):
        (tmp_path / f"{name}.pem").write_bytes(data)
    await region.call("s3", "create_bucket", Bucket="parts")
    folder, chance = tmp_path / "core", random.Random(11)
    options = (
        *("--upstream", f"mqtts://127.0.0.1:{region.device_port}", "--ca", str(tmp_path / "ca.pem")),
        *("--certificate", str(tmp_path / "certificate.pem"), "--private-key", str(tmp_path / "key.pem")),
    )
    allowed: set[str] = set()
    for number in range(1, ROUNDS + 1):
        version = f"1.0.{number}"
        await publish(region, version)
        core = PlaceProcess(CORE, "core", folder, [*PORTS, *options], {})
        try:
            await asyncio.to_thread(core.wait_ready)
            deployment = await deploy(region, version)
            await asyncio.sleep(chance.uniform(0, LONGEST))
        finally:
            core.kill()
        allowed.add(version)
        await whole(folder, allowed)
    core = PlaceProcess(CORE, "core", folder, [*PORTS, *options], {})
    try:
        await asyncio.to_thread(core.wait_ready)
        assert await region.outcome(deployment) == "SUCCEEDED"
        for name in COMPONENTS:
            ran = folder / "components/work" / name / "ran"
            await until(lambda ran=ran, name=name: ran.read_text() == f"{name} {version}" * 50_000)
    finally:
        core.stop()
    await whole(folder, {version})
