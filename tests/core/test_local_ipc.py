"""A component that deploys: Greengrass's IPC operations of the CLI, by AWS's own awsiotsdk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.core.programs import recipe
from tests.core.test_groups import running
from tests.core.test_local_deployments import HELLO, add, bring, made, work
from tests.core.world import CorePlace, until

NAME = "com.example.Deployer"
PROGRAM = """
import json, os, time
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import RunWithInfo, SystemResourceLimits
client = GreengrassCoreIPCClientV2()
here = os.getcwd()

def tried(act):
    try:
        act()
        return None
    except Exception as problem:
        return [type(problem).__name__, getattr(problem, "message", str(problem))]

def over(identifier):
    while True:
        found = client.get_local_deployment_status(deployment_id=identifier).deployment
        if found.status not in ("QUEUED", "IN_PROGRESS"):
            details = found.deployment_status_details
            return [found.status, details.detailed_deployment_status, details.deployment_failure_cause]
        time.sleep(0.05)

said = {}
made = client.create_local_deployment(
    recipe_directory_path=here + "/mine/recipes",
    artifacts_directory_path=here + "/mine/artifacts",
    root_component_versions_to_add={"com.example.Hello": "1.0.0"},
    component_to_configuration={"com.example.Hello": {"MERGE": {"greeting": "hi"}}},
)
said["first"] = over(made.deployment_id)
said["details"] = client.get_component_details(component_name="com.example.Hello").component_details.configuration
bad = client.create_local_deployment(root_component_versions_to_add={"com.example.None": "1.0.0"})
said["second"] = over(bad.deployment_id)[:2]
listed = client.list_local_deployments().local_deployments
said["listed"] = [[each.deployment_id in (made.deployment_id, bad.deployment_id), each.status] for each in listed[:2]]
said["created"] = listed[0].created_on
said["errors"] = [
    tried(lambda: client.create_local_deployment(recipe_directory_path=here + "/nowhere")),
    tried(lambda: client.create_local_deployment(root_components_to_remove=["com.example.None"])),
    tried(lambda: client.get_local_deployment_status(deployment_id="none")),
    tried(lambda: client.cancel_local_deployment(deployment_id=made.deployment_id)),
    tried(lambda: client.create_debug_password()),
    tried(lambda: client.stop_component(component_name="com.example.Hello")),
]
with open("said.new", "w") as file:
    json.dump(said, file)
os.rename("said.new", "said")
time.sleep(1000)
"""
ALLOWED = [
    f"aws.greengrass#{name}"
    for name in (
        *("CreateLocalDeployment", "ListLocalDeployments", "GetLocalDeploymentStatus", "CancelLocalDeployment"),
        *("GetComponentDetails", "CreateDebugPassword"),
    )
]


async def deployer(place: CorePlace, tmp_path: Path, operations: list[str]) -> dict[str, Any]:
    """What the component said in the end."""
    access = {"aws.greengrass.Cli": {"1": {"operations": operations, "resources": ["*"]}}}
    folder = bring(
        tmp_path,
        NAME,
        files={"program.py": PROGRAM},
        defaults={"accessControl": access},
        needs={"aws.greengrass.Cli": ">=2.6.0"},
        install="rm -rf mine && mkdir -p mine/recipes mine/artifacts/com.example.Hello/1.0.0 && "
        "cp {artifacts:path}/hello.yaml mine/recipes && echo words > mine/artifacts/com.example.Hello/1.0.0/words",
        run=f"exec {sys.executable} {{artifacts:path}}/program.py",
    )
    hello = recipe(HELLO, defaults={"greeting": "?"}, run="cat {artifacts:path}/words > ran; exec sleep 1000")
    (folder / "artifacts" / NAME / "1.0.0" / "hello.yaml").write_text(yaml.safe_dump(hello))
    done = await made(place, folder, **add(com__example__Deployer="1.0.0"))
    assert done.status == "SUCCEEDED", done.reason
    said = work(place, NAME, "said")
    await until(said.exists, 60)
    found: dict[str, Any] = json.loads(said.read_text())
    return found


async def test_a_component_deploys_by_the_ipc(place: CorePlace, tmp_path: Path) -> None:
    said = await deployer(place, tmp_path, ALLOWED)
    assert said["first"] == ["SUCCEEDED", "SUCCESSFUL", None]
    assert said["details"] == {"greeting": "hi"}
    assert said["second"] == ["FAILED", "FAILED_NO_STATE_CHANGE"]
    assert said["listed"] == [[True, "FAILED"], [True, "SUCCEEDED"]]
    assert len(said["created"]) == len("11/28/2026 09:00:00")
    names = [problem[0] for problem in said["errors"]]
    assert names == [
        *("InvalidRecipeDirectoryPathError", "InvalidArgumentsError", "ResourceNotFoundError"),
        *("InvalidArgumentsError", "ServiceError", "ServiceError"),
    ], said["errors"]
    assert running(place) == {NAME: "1.0.0", HELLO: "1.0.0"}
    assert work(place, HELLO, "ran").read_text() == "words\n"
