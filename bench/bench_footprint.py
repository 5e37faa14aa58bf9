"""What an idle core takes: resident memory of all its processes, and the time from its start to ready.

A region and a core as processes; the core has nothing deployed at first, then a program that sleeps, then a function
beside it, which nobody calls: its keeper and spare cells are there. Each is read once idle (/proc/PID/smaps_rollup; the
program's own memory is not the core's). "Resident" counts a page that two processes share twice, "proportional" once.
The start is told as CPU time, too, for a busy machine stretches the wall clock. Peer: mosquitto where it is installed,
which is a broker and nothing else; nothing of Greengrass runs here (its nucleus asks for Java, 96 MB and the cloud).
"""

from __future__ import annotations

import io
import json
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from littoral.site.settings import read_credentials
from littoral.tour.places import PlaceProcess
from littoral.tour.provision import CORE, Cloud, authority, policies, thing, wait_deployed
from servers import children, cpu, find, free_port, started

GOAL_MEMORY, GOAL_START = 80.0, 2.0  # MiB, s
PORTS = ("--port", "0", "--edge-port", "0", "--edge-tls-port", "0", "--mqtt-port", "0", "--mqtt-tls-port", "0")
NAME, FUNCTION = "bench.Idle", "bench.Function"
RECIPE = {
    "RecipeFormatVersion": "2020-01-25",
    "ComponentName": NAME,
    "ComponentVersion": "1.0.0",
    "Manifests": [{"Platform": {"os": "linux"}, "Lifecycle": {"run": "exec sleep 1000"}}],
}


def family(pid: int) -> Iterator[int]:
    """A process and what it started, without components."""
    if b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes():
        return
    yield pid
    for child in children(pid):
        yield from family(child)


def memory(pid: int) -> tuple[float, float]:
    """MiB resident, and the proportional share of it."""
    rss = pss = 0
    for each in family(pid):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:]
        kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        rss, pss = rss + kib["Rss"], pss + kib["Pss"]
    return rss / 1024, pss / 1024


def deploy(cloud: Cloud, *components: str) -> str:
    """Its id."""
    created = cloud.client("greengrassv2").create_deployment(
        targetArn=f"arn:aws:iot:us-east-1:000000000000:thing/{CORE}",
        components={each: {"componentVersion": "1.0.0"} for each in components},
    )
    return str(created["deploymentId"])


def function(cloud: Cloud) -> None:
    """A component of it, for who calls it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", "def handler(event, context): return event")
    made = cloud.client("lambda").create_function(
        FunctionName="idle",
        Role="arn:aws:iam::000000000000:role/idle",
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": archive.getvalue()},
        Publish=True,
    )
    parameters = {"maxInstancesCount": 1, "timeoutInSeconds": 10, "pinned": False}
    source = {"lambdaArn": made["FunctionArn"], "componentName": FUNCTION, "componentVersion": "1.0.0"}
    cloud.client("greengrassv2").create_component_version(
        lambdaFunction={**source, "componentLambdaParameters": parameters}
    )


def idle(pid: int) -> str:
    time.sleep(3)
    rss, pss = memory(pid)
    return f"{rss:.1f} MiB resident ({pss:.1f} proportional), goal {GOAL_MEMORY:g}"


def place(name: str, kind: str, folder: Path, *options: str) -> tuple[PlaceProcess, int, float]:
    """Started; its process, and the CPU time until it was ready."""
    running = PlaceProcess(name, kind, folder, [*PORTS, *options], {"PYTHONDONTWRITEBYTECODE": ""})
    running.wait_ready()
    return running, running.pid, cpu(running.pid)


def mosquitto() -> None:
    program = find("mosquitto")
    if program is None:
        print("mosquitto is not installed (apt: mosquitto)")
        return
    with started([program, "-p", str(free_port())], None, quiet=True) as process:
        time.sleep(1)
        print(f"mosquitto, idle: {memory(process.pid)[0]:.1f} MiB resident")


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        region, pid, seconds = place("region", "region", folder / "region")
        try:
            print(f"region, without an edge: {memory(pid)[0]:.1f} MiB resident, ready after {seconds:.2f} s of CPU")
            cloud = Cloud(region.urls["api"], *read_credentials(folder / "region" / "credentials"))
            policies(cloud)
            identity = thing(cloud, CORE, "core", folder, authority(region.urls["api"], folder / "ca.pem"))
            greengrass = cloud.client("greengrassv2")
            greengrass.create_component_version(inlineRecipe=json.dumps(RECIPE).encode())
            options = (
                *("--upstream", region.urls["mqtt-tls"], "--ca", str(identity.ca)),
                *("--certificate", str(identity.certificate), "--private-key", str(identity.private_key)),
            )
            deployment = ""
            for again in (False, True):  # the second start is one with a deployment
                core, pid, seconds = place(CORE, "core", folder / "core", *options)
                try:
                    if not again:
                        print(f"core, idle, nothing deployed: {idle(pid)}")
                        deployment = deploy(cloud, NAME)
                    wait_deployed(cloud, deployment)
                    if again:
                        took = core.ready_after
                        print(f"core, start: ready after {took:.2f} s, {seconds:.2f} s of CPU, goal {GOAL_START:g} s")
                        print(f"core, idle, a program: {idle(pid)}")
                        function(cloud)
                        wait_deployed(cloud, deploy(cloud, NAME, FUNCTION))
                        print(f"core, idle, a program and a function: {idle(pid)}")
                finally:
                    core.stop()
        finally:
            region.stop()
    mosquitto()


if __name__ == "__main__":
    main()
