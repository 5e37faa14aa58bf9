"""Components that are programs, for tests: recipes in few words, and their deployments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tests.core.world import ACCOUNT, REGION, RegionPlace

IDLE = "exec sleep 1000"


def recipe(
    name: str,
    version: str = "1.0.0",
    *,
    needs: Mapping[str, str | tuple[str, str]] | None = None,
    defaults: Mapping[str, Any] | None = None,
    artifacts: list[dict[str, Any]] | None = None,
    **lifecycle: Any,
) -> dict[str, Any]:
    """``needs`` gives, for each component, a version requirement and perhaps SOFT."""
    manifest: dict[str, Any] = {"Platform": {"os": "linux"}, "Lifecycle": lifecycle or {"run": IDLE}}
    if artifacts is not None:
        manifest["Artifacts"] = artifacts
    made: dict[str, Any] = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "ComponentConfiguration": {"DefaultConfiguration": dict(defaults or {})},
        "Manifests": [manifest],
    }
    if needs:
        pairs = {other: each if isinstance(each, tuple) else (each, "HARD") for other, each in needs.items()}
        made["ComponentDependencies"] = {
            other: {"VersionRequirement": requirement, "DependencyType": kind}
            for other, (requirement, kind) in pairs.items()
        }
    return made


async def create(region: RegionPlace, name: str, version: str = "1.0.0", **more: Any) -> str:
    """The ARN of the component version."""
    text = yaml.safe_dump(recipe(name, version, **more)).encode()
    return str((await region.call("greengrassv2", "create_component_version", inlineRecipe=text))["arn"])


def group_arn(name: str) -> str:
    return f"arn:aws:iot:{REGION}:{ACCOUNT}:thinggroup/{name}"


async def deploy_to_group(region: RegionPlace, group: str, components: Mapping[str, Any], **more: Any) -> str:
    """Components by name, with a version or with all that CreateDeployment takes."""
    named = {name: {"componentVersion": each} if isinstance(each, str) else each for name, each in components.items()}
    made = await region.call("greengrassv2", "create_deployment", targetArn=group_arn(group), components=named, **more)
    return str(made["deploymentId"])


def merge(**configuration: Any) -> dict[str, Any]:
    return {"componentVersion": "1.0.0", "configurationUpdate": {"merge": json.dumps(configuration)}}
