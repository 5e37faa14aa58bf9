"""Hosts on other machines: a worker is another process here, with its own data folder, that dials in as from afar."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site.conftest import up

from .conftest import Lab, lab_of
from .test_hosts import TALKS, of_parts

LITTORAL = (sys.executable, "-m", "littoral")
SPREAD = {"sagemaker_spread_enabled": "true"}


class Worker:
    """``littoral worker join``."""

    def __init__(self, lab: Lab, folder: Path, name: str, *options: str) -> None:
        self.name = name
        self.folder = folder / name
        self.bundle = folder / f"{name}.bundle"
        self._log = (folder / f"{name}.log").open("wb+")
        if not self.bundle.exists():
            words = ("worker", "bundle", name, "--out", str(self.bundle), "--data-dir", str(lab.folder))
            done = subprocess.run([*LITTORAL, *words], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
        words = ("worker", "join", str(self.bundle), "--data-dir", str(self.folder), *options)
        self.process = subprocess.Popen([*LITTORAL, *words], stdout=subprocess.PIPE, stderr=self._log, text=True)

    def ready(self) -> Worker:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", self.log()
        return self

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def end(self, how: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        found = self.process.wait(60)
        self._log.seek(0, os.SEEK_END)
        return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A region with one processor for training."""
    folder = tmp_path_factory.mktemp("machines") / "place"
    running = up(folder, "--train-workers", "1")
    yield lab_of(running, folder)
    assert running.process.stop() == 0, running.process.log_end()


@pytest.fixture
def worker(small: Lab, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(name: str, *options: str) -> Worker:
        made.append(Worker(small, tmp_path, name, *options))
        return made[-1].ready()

    yield make
    for each in made:
        each.end(signal.SIGKILL)


def hosts(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


def test_hosts_on_two_machines_find_one_another_and_nothing_else(small: Lab, worker: Callable[..., Worker]) -> None:
    machine = worker("far", "--train-workers", "2")
    small.create(
        "talks",
        TALKS,
        ResourceConfig=hosts(3),
        InputDataConfig=of_parts(small),
        EnableNetworkIsolation=True,
        Environment={"PLACE": small.place.api.rpartition(":")[2]},
    )
    job = small.ended("talks")
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"] + "\n".join(small.printed("talks"))
    made = small.model("talks")
    assert sorted(made) == ["algo-1.json", "algo-2.json", "algo-3.json", "same"]
    assert made["same"] == b"algo-1"
    told = [json.loads(made[f"algo-{at}.json"]) for at in (1, 2, 3)]
    assert [each["name"] for each in told] == ["algo-1", "algo-2", "algo-3"]
    assert [each["files"] for each in told] == [["a"], ["b"], ["c"]]
    assert sorted(line for line in small.printed("talks") if not line.startswith("Invoking")) == [
        *("alone", "alone", "alone", "heard algo-2", "heard algo-3")
    ]
    assert machine.end() == 0, machine.log()
    assert list(machine.folder.rglob("*")) == [machine.folder / "training"]
