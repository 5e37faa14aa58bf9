"""Whether models and training jobs can be kept apart here, found by starting one of each, for ``littoral doctor``."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from littoral.functions.alone import Bench
from littoral.models.serving.answers import CannotServe
from littoral.models.serving.process import ModelProcess
from littoral.site.modelroom import confined
from littoral.site.settings import Settings
from littoral.site.training import TOOLKIT, TrainingSandbox
from littoral.training import hosts
from littoral.training.job import Job
from littoral.training.ports import CannotRun, Order

Tried = tuple[bool, str]  # whether it works, and what was met, in a line

NAMES = ("models", "training")
SECONDS = 60.0
MEMORY = 512 << 20
ROOM_SEEN = "files: Python and libraries only, nothing to write; no network"
ROOM = """
import socket, sys
def met(what, act):
    try:
        act()
    except OSError:
        return
    print(what)
met("files of the place are seen", lambda: open(sys.argv[1]))
met("files can be written", lambda: open("/tmp/littoral-doctor", "w"))
met("there is a network", lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5))
"""
JOB_SEEN = "files: its own folder of each host; hosts find one another; no network where it is to have none"
MET = "met: "  # begins what a job says of that
JOB = """
exec 2> /dev/null
test -e {secret} && echo met: files of the place are seen
touch /opt/ml/model/mine || echo met: its folder cannot be written
ls /opt/ml/algo-* && echo met: other hosts are seen
grep -q algo-2 /etc/hosts || echo met: hosts have no names
test $(grep -c : /proc/net/dev) = 1 || echo met: there is a network
exit 0
"""


async def tried(settings: Settings) -> dict[str, Tried]:
    """By names."""
    return {"models": await _safely(models), "training": await _safely(lambda: training(settings))}


async def _safely(act: Callable[[], Awaitable[Tried]]) -> Tried:
    try:
        async with asyncio.timeout(SECONDS):
            return await act()
    except (OSError, CannotRun, CannotServe) as problem:  # TimeoutError is one
        return False, str(problem) or f"nothing was heard for {SECONDS:g} seconds"


async def models() -> Tried:
    """A process in the room of models, and one that is ready for a model."""
    with tempfile.NamedTemporaryFile("w") as secret, socket.create_server(("127.0.0.1", 0)) as door:
        asked = await asyncio.create_subprocess_exec(
            *confined([sys.executable, "-I", "-c", ROOM, secret.name, str(door.getsockname()[1])]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.defpath},
        )
        told, _ = await asked.communicate()
    met = told.decode("utf-8", "replace").strip().splitlines()
    if met or asked.returncode:
        return False, ", ".join(met[-3:]) or f"status {asked.returncode}"
    await (await ModelProcess.start(confined)).close()
    return True, ROOM_SEEN


async def training(settings: Settings) -> Tried:
    """A job of two hosts, without a network."""
    heard: list[str] = []
    with tempfile.TemporaryDirectory(prefix="littoral-doctor-") as name, hosts.meeting() as port:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "secret").write_text("of the place")
        found, sandbox = hosts.addresses(2), TrainingSandbox(Bench(TOOLKIT, True, 2 * MEMORY), settings.train_python)
        for host in found:
            hosts.lay(folder / "ml" / host, _job(folder / "secret"), found, host, port)
            for each in hosts.GIVEN:
                sandbox.give(folder / "ml" / host / each)
        (folder / "work").mkdir()
        order = Order(folder / "work", folder / "ml", found, network=False)
        program = await sandbox.start(order, {}, lambda _, line: heard.append(line.decode("utf-8", "replace")))
        try:
            status = await program.ended()
        finally:
            await program.close()
    met = sorted({line.removeprefix(MET) for line in heard if line.startswith(MET)})
    return (True, JOB_SEEN) if not met and status == 0 else (False, ", ".join(met) or f"status {status}: {heard[-1:]}")


def _job(secret: Path) -> Job:
    wanted: dict[str, Any] = {
        "AlgorithmSpecification": {"ContainerEntrypoint": ["/bin/sh", "-c", JOB.format(secret=secret)]},
        "ResourceConfig": {"InstanceCount": 2},
    }
    return Job("littoral-doctor", "", 0.0, wanted)
