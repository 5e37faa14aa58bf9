"""Recipes as those who publish components of Greengrass write them: unquoted dates, steps with a capital or without a
word, names of AWS's labs, loose requirements, AWS's components that are the core itself, another component's work
folder, a configuration within a heredoc."""

from __future__ import annotations

from tests.core.world import CorePlace, RegionPlace

AUTH = b"""---
RecipeFormatVersion: 2020-01-25
ComponentName: aws.greengrass.labs.example.auth
ComponentVersion: 1.0.4
ComponentDescription: Makes a password
ComponentPublisher: Somebody
Manifests:
  - Name: Linux
    Platform:
      os: /linux|darwin/
      architecture: /amd64|aarch64/
      runtime: '*'
    Lifecycle:
      Install:
        Script: echo "adminAuth" > auth.js
      Run:
"""
EDITOR = b"""---
RecipeFormatVersion: 2020-01-25
ComponentName: aws.greengrass.labs.example
ComponentVersion: 3.0.2
ComponentConfiguration:
  DefaultConfiguration:
    headless: "false"
    from: 12:30
ComponentDependencies:
  aws.greengrass.TokenExchangeService:
    VersionRequirement: ">0.0.0"
  aws.greengrass.DiskSpooler:
    VersionRequirement: "^1.0.0"
  aws.greengrass.LambdaManager:
    VersionRequirement: ">=2.0.0 <3.0.0"
    DependencyType: SOFT
  aws.greengrass.labs.example.auth:
    VersionRequirement: "~1.0.0"
    DependencyType: HARD
Manifests:
  - Lifecycle:
      Setenv:
        FLOWS: flows.json
      Install:
        Timeout: 60
        Script: |-
          cat > settings.js <<EOF
          { "flowFile": "$FLOWS", "disableEditor": {configuration:/headless}, "from": "{configuration:/from}" }
          EOF
          cat {aws.greengrass.labs.example.auth:work:path}/auth.js >> settings.js
      Run:
        Script: |-
          exec sleep 1000
"""


async def test_they_deploy_and_run_unchanged(region: RegionPlace, place: CorePlace) -> None:
    await region.role_alias()
    for recipe in (AUTH, EDITOR):
        await region.call("greengrassv2", "create_component_version", inlineRecipe=recipe)
    deployed = await region.deploy(aws__greengrass__labs__example={"componentVersion": "3.0.2"})
    assert await region.outcome(deployed) == "SUCCEEDED"
    settings = place.folder / "components" / "work" / "aws.greengrass.labs.example" / "settings.js"
    assert settings.read_text() == (
        '{ "flowFile": "flows.json", "disableEditor": false, "from": "12:30" }\nadminAuth\n'
    )
    states = {each["name"]: each["state"] for each in place.core.deployments.listed()}
    assert states["aws.greengrass.labs.example.auth"] == "FINISHED"
    assert states["aws.greengrass.labs.example"] == "RUNNING"
