"""A real region, and scripts that are trained in it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.site.conftest import ROLE, Running, up

PATIENCE = 100.0  # seconds until somebody is given up


def until(happened: Callable[[], Any]) -> Any:
    """What it gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def tar_of(files: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


@dataclass
class Lab:
    """A region with a bucket for training."""

    place: Running
    folder: Path

    def __post_init__(self) -> None:
        self.sagemaker = self.place.client("sagemaker", parameter_validation=False)
        self.s3 = self.place.client("s3")
        self.logs = self.place.client("logs")

    def request(self, name: str, script: str | dict[str, str], **further: Any) -> dict[str, Any]:
        """The input of CreateTrainingJob; the code is put into the bucket."""
        files = script if isinstance(script, dict) else {"train.py": script}
        self.s3.put_object(Bucket="lab", Key=f"code/{name}.tar.gz", Body=tar_of(files))
        own = further.pop("HyperParameters", {})
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingInputMode": "File", **further.pop("Algorithm", {})},
            "RoleArn": ROLE,
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"s3://lab/code/{name}.tar.gz",
                **own,
            },
            "OutputDataConfig": {"S3OutputPath": "s3://lab/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **further,
        }

    def create(self, name: str, script: str | dict[str, str], **further: Any) -> str:
        return str(self.sagemaker.create_training_job(**self.request(name, script, **further))["TrainingJobArn"])

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return found

    def ended(self, name: str) -> dict[str, Any]:
        """When it is over."""

        def over() -> dict[str, Any] | None:
            found = self.describe(name)
            return found if found["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"} else None

        found: dict[str, Any] = until(over)
        return found

    def printed(self, name: str) -> list[str]:
        """All lines of its log, of all runs."""
        found = self.logs.filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/", limit=10_000
        )
        return [each["message"] for each in found["events"]]

    def says(self, name: str, text: str) -> None:
        """When a line of its log has the text."""

        def said() -> bool:
            try:
                return any(text in line for line in self.printed(name))
            except self.logs.exceptions.ResourceNotFoundException:
                return False

        until(said)

    def model(self, name: str) -> dict[str, bytes]:
        """The files of a job's model."""
        where = self.describe(name)["ModelArtifacts"]["S3ModelArtifacts"]
        return self.packed(where)

    def packed(self, uri: str) -> dict[str, bytes]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        data = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]

    def told(self, name: str) -> Any:
        """What a script left as ``told.json``."""
        return json.loads(self.model(name)["told.json"])


def lab_of(place: Running, folder: Path) -> Lab:
    """A place in its data folder, with a bucket."""
    lab = Lab(place, folder)
    lab.s3.create_bucket(Bucket="lab")
    return lab


LITTORAL = (sys.executable, "-m", "littoral")


class Worker:
    """``littoral worker join``."""

    def __init__(
        self, lab: Lab, folder: Path, name: str, *options: str, endpoint: str = "", within: tuple[str, ...] = ()
    ) -> None:
        """``within``: a command that runs one within something."""
        self.name = name
        self.folder = folder / name
        self.bundle = folder / f"{name}.bundle"
        self._log = (folder / f"{name}.log").open("wb+")
        if not self.bundle.exists():
            words: tuple[str, ...] = (
                "worker",
                "bundle",
                name,
                "--out",
                str(self.bundle),
                "--data-dir",
                str(lab.folder),
            )
            words += ("--endpoint", endpoint) if endpoint else ()
            done = subprocess.run([*LITTORAL, *words], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
        words = ("worker", "join", str(self.bundle), "--data-dir", str(self.folder), *options)
        self.process = subprocess.Popen(
            [*within, *LITTORAL, *words], stdout=subprocess.PIPE, stderr=self._log, text=True
        )

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


def workers_of(lab: Lab, folder: Path) -> Iterator[Callable[..., Worker]]:
    """Makes machines, which are gone at the end."""
    made: list[Worker] = []

    def make(name: str, *options: str) -> Worker:
        made.append(Worker(lab, folder, name, *options))
        return made[-1].ready()

    yield make
    for each in made:
        each.end(signal.SIGKILL)


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("training") / "place"
    running = up(folder, "--train-workers", "2")
    yield lab_of(running, folder)
    assert running.process.stop() == 0, running.process.log_end()
