"""kill -9 of a real core at any moment of deployments made on it: old or new, whole; what was taken is not lost."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from littoral.net.pki import Authority
from littoral.tour.places import PlaceProcess
from tests.core.programs import recipe
from tests.core.test_deployment_kill import COMPONENTS, PORTS, whole
from tests.core.world import CORE, until

ROUNDS = 4
LONGEST = 3.0  # seconds from the command's start to the kill
STEPS = {"bootstrap": "echo once >> {work:path}/bootstrapped", "run": "cat {artifacts:path}/words > {work:path}/ran"}


def bring(folder: Path, version: str) -> list[str]:
    """What the command is told."""
    folder.mkdir()
    (folder / "recipes").mkdir()
    merge: list[str] = []
    for name in COMPONENTS:
        (folder / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(recipe(name, version, **STEPS)))
        own = folder / "artifacts" / name / version
        own.mkdir(parents=True)
        (own / "words").write_text(f"{name} {version}" * 50_000)
        merge += ["--merge", f"{name}={version}"]
    return ["--recipe-dir", str(folder / "recipes"), "--artifact-dir", str(folder / "artifacts"), *merge]


def littoral(core: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "littoral", "core", *words, "--data-dir", str(core)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(command: subprocess.Popen[str]) -> str:
    words, problems = command.communicate(timeout=60)
    assert command.returncode in (0, 1), problems
    return words


@pytest.mark.slow
async def test_a_core_killed_in_a_local_deployment_has_the_old_or_the_new(tmp_path: Path) -> None:
    pair = Authority.load_or_create(tmp_path / "ca", "nowhere").issue_server(["localhost"])
    (tmp_path / "certificate.pem").write_bytes(pair.certificate)
    (tmp_path / "key.pem").write_bytes(pair.private_key)
    options = [
        *(*PORTS, "--upstream", "mqtts://127.0.0.1:1"),
        *("--certificate", str(tmp_path / "certificate.pem"), "--private-key", str(tmp_path / "key.pem")),
    ]
    folder, chance, allowed, taken = tmp_path / "core", random.Random(13), {""}, [""]
    for number in range(1, ROUNDS + 1):
        version = f"1.0.{number}"
        core = PlaceProcess(CORE, "core", folder, options, {})
        try:
            await asyncio.to_thread(core.wait_ready)
            command = littoral(folder, "deploy", "--no-wait", *bring(tmp_path / version, version))
            await asyncio.sleep(chance.uniform(0.3, LONGEST))
        finally:
            core.kill()
        allowed.add(version)
        if (await asyncio.to_thread(said, command)).startswith("local deployment"):
            taken.append(version)
        await whole(folder, allowed)
    core = PlaceProcess(CORE, "core", folder, options, {})
    try:
        await asyncio.to_thread(core.wait_ready)
        again = littoral(folder, "deploy", *bring(tmp_path / "last", "1.1.0"))
        assert (await asyncio.to_thread(said, again)).endswith("SUCCEEDED\n")
        made = json.loads(await asyncio.to_thread(said, littoral(folder, "deployments", "--json")))
        assert len(made) >= len(taken) and {each["status"] for each in made} == {"SUCCEEDED"}, made
        for name in COMPONENTS:
            work = folder / "components/work" / name
            await until(lambda work=work, name=name: (work / "ran").read_text() == f"{name} 1.1.0" * 50_000, 60)
            # at least once for each version that was taken; again only where the kill came before it was noted
            times = len((work / "bootstrapped").read_text().split())
            assert len(taken) <= times <= len(made) + ROUNDS, (times, taken)
    finally:
        core.stop()
    await whole(folder, {"1.1.0"})
    assert not list((folder / "components/local").iterdir())
