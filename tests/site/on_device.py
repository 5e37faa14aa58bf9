"""A region and a core as processes, the core with one program deployed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from littoral.tour.places import PlaceProcess
from littoral.tour.provision import CORE, Cloud, authority, policies, thing, wait_deployed
from tests.site.conftest import FREE_PORTS, Running

NAME = "ward.Alarm"
# What a program reaches: its core's socket, and not its core's keys.
TRIES = """
import os, socket
connection = socket.socket(socket.AF_UNIX)
connection.connect(os.environ["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"])
print("reached the socket")
try:
    open("../../../credentials")
except PermissionError:
    print("reached no key")
"""
RECIPE = {
    "RecipeFormatVersion": "2020-01-25",
    "ComponentName": NAME,
    "ComponentVersion": "1.0.0",
    "Manifests": [
        {
            "Platform": {"os": "linux"},
            "Lifecycle": {"run": f"{sys.executable} -c {shlex.quote(TRIES)}; echo awake as $$; exec sleep 1000"},
        }
    ],
}


def cloud_of(region: Running) -> Cloud:
    return Cloud(region.api, region.access_key, region.secret_key)


def a_core(region: Running, folder: Path, *more: str) -> PlaceProcess:
    """Ready, with the program running; ``more`` flags."""
    cloud = cloud_of(region)
    policies(cloud)
    identity = thing(cloud, CORE, "core", folder, authority(region.api, folder / "ca.pem"))
    deployment = deploy(cloud, CORE)
    options = (
        *("--upstream", f"mqtts://127.0.0.1:{region.port('mqtt-tls')}", "--ca", str(identity.ca)),
        *("--certificate", str(identity.certificate), "--private-key", str(identity.private_key)),
    )
    core = PlaceProcess(CORE, "core", folder / "core", [*FREE_PORTS, *options, *more], {})
    try:
        core.wait_ready()
        wait_deployed(cloud, deployment)
    except BaseException:
        core.stop()
        raise
    return core


def deploy(cloud: Cloud, core: str) -> str:
    greengrass = cloud.client("greengrassv2")
    greengrass.create_component_version(inlineRecipe=json.dumps(RECIPE).encode())
    return str(
        greengrass.create_deployment(
            targetArn=f"arn:aws:iot:us-east-1:000000000000:thing/{core}",
            components={NAME: {"componentVersion": "1.0.0"}},
        )["deploymentId"]
    )


def littoral(*words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a person types it."""
    env = {**os.environ, **({"HOME": str(home)} if home else {})}
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        env.pop(name, None)
    command = [sys.executable, "-m", "littoral", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=env, check=False)
