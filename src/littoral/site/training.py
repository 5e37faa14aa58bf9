"""Training jobs in a region: their buckets, their log and their sandbox, from the other capabilities."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from littoral import training
from littoral.functions.alone import Bench, Program, Python, python_of
from littoral.functions.capacity import affordable_memory
from littoral.functions.isolation import tunnel
from littoral.functions.keeper import ENVIRONMENT, KeeperGone
from littoral.net.message import Body
from littoral.objects import Objects
from littoral.site.foundation import Foundation
from littoral.site.local import Local
from littoral.training.ports import CannotRun, Heard, Order

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
TOOLKIT = Path(training.__file__).parent / "toolkit"


class TrainingObjects:
    """For training: what it reads and writes of buckets."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def has(self, bucket: str) -> bool:
        return self._objects.has_bucket(bucket)

    def keys(self, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
        return self._objects.keys(bucket, prefix)

    def chunks(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        return self._objects.chunks(bucket, key)

    async def put(self, bucket: str, key: str, body: Body, size: int) -> None:
        await self._objects.put_body(bucket, key, body, size)


class TrainingSandbox:
    """For training: the cells of functions, with the Python of the settings."""

    def __init__(self, bench: Bench, program: Path | None) -> None:
        self.isolated = bench.isolated
        self._bench = bench
        self._program = program
        self._python: Python | None = None

    def give(self, folder: Path) -> None:
        self._bench.give(folder)

    async def check(self) -> None:
        """Before there is a job: whether hosts can be alone here, and there is a Python. Raises CannotRun."""
        try:
            self._python = await python_of(self._program)
            os.close(tunnel.opened())
        except KeeperGone as problem:
            raise CannotRun(str(problem)) from problem
        except OSError as problem:
            raise CannotRun(f"{tunnel.DEVICE} cannot be used: {problem.strerror}") from problem

    async def start(self, order: Order, environment: Mapping[str, str], heard: Heard) -> Program:
        try:
            if self._python is None:
                self._python = await python_of(self._program)
            environment = {**environment, **_surroundings(self._bench.seen(self._python))}
            return await self._bench.start(self._python, order, "train.py", environment, heard)
        except KeeperGone as problem:
            raise CannotRun(str(problem)) from problem


def _surroundings(python: Path) -> dict[str, str]:
    path = f"{python.parent}{os.pathsep}{ENVIRONMENT['PATH']}"
    return {"PATH": path, "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}  # noqa: S108 - the cell's own


async def open_training(base: Foundation, local: Local) -> training.Training:
    """Closed before what it stands on. Raises StoreError."""
    settings = base.place.settings
    memory = affordable_memory() if settings.train_memory is None else settings.train_memory * 1024 * 1024
    bench = Bench(TOOLKIT, not settings.insecure_no_sandbox, memory)
    outside = training.Outside(
        TrainingObjects(local.objects),
        TrainingSandbox(bench, settings.train_python),
        partial(_say, local),
        lambda: base.function_env,
    )
    made = await training.Training.open(
        base.store.records("training"),
        base.runtime / "training",
        outside,
        cores=settings.train_workers or len(os.sched_getaffinity(0)),
        region=settings.region,
        account=settings.account,
    )
    base.place.part(made.close)
    return made


def _say(local: Local, stream: str, lines: Sequence[bytes]) -> None:
    local.functions.logs.append(LOG_GROUP, stream, *lines)
