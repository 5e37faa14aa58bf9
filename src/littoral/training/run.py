"""One run of a training job: from its folder to its results, or to where it was interrupted.

The way of one run, which ``work`` is the list of:

1. A folder of its own, laid out as SageMaker's ``/opt/ml``.
2. Code, channels and checkpoints come from their buckets.
3. The toolkit starts in the sandbox and becomes the script. What it prints goes to the log and past the metrics; once a
   second its checkpoints are looked at, its time, and now and then the size of its folder.
4. Who is asked to end gets SIGTERM, and SIGKILL when patience is over.
5. What it left in ``model`` and ``output/data`` goes to its bucket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from littoral.aws.service import ServiceError
from littoral.training import job as names
from littoral.training import leftovers
from littoral.training.channels import NotBrought, bring, bring_file
from littoral.training.checkpoints import Checkpoints, Where
from littoral.training.job import Job
from littoral.training.leftovers import Left, Whole
from littoral.training.metrics import Metrics
from littoral.training.ports import CannotRun, Objects, Program, Said, Sandbox
from littoral.training.wanted import code_of, split

log = logging.getLogger(__name__)

HOST: Final = "algo-1"
LOOK: Final = 1.0  # seconds
WEIGHED: Final = 5  # looks between two at the size of the folder
LAST_LINES: Final = 10  # of the log, for who wants to know why it failed
WRITABLE: Final = ("code", "model", "output", "output/data", "checkpoints")
READ: Final = ("input", "input/config", "input/data")


@dataclass(frozen=True, slots=True)
class Outside:
    """What the site hands in."""

    objects: Objects
    sandbox: Sandbox
    say: Said
    environment: Callable[[], Mapping[str, str]]  # credentials and addresses, for scripts that have a network


class Failed(Exception):
    """The job has failed; the message is its FailureReason."""


class Run:
    """``changed`` keeps the job; it raises nothing. ``patience``: seconds between SIGTERM and SIGKILL."""

    def __init__(
        self,
        job: Job,
        outside: Outside,
        folder: Path,
        changed: Callable[[Job], Awaitable[None]],
        clock: Callable[[], float],
        patience: float,
    ) -> None:
        self.job = job
        self.asked = ""  # to end, and why: names of ``job``
        self._outside = outside
        self._folder = folder
        self._ml = folder / "ml"
        self._changed = changed
        self._clock = clock
        self._patience = patience
        self._preparing: asyncio.Task[None] | None = None
        self._checkpoints: Checkpoints | None = None
        self._program: Program | None = None
        self._full = False  # its folder took more than the volume has
        self._began = 0.0  # of the script
        self._killed_at: float | None = None
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def end(self, why: str, patience: float | None = None) -> None:
        """Ask it to end: STOPPED, INTERRUPTED, MAX_RUNTIME, MAX_WAIT. Whoever asked first is heard; but a run that is
        stopped does not come back, and the least patience counts."""
        until = time.monotonic() + (self._patience if patience is None else patience)
        self._killed_at = until if self._killed_at is None else min(until, self._killed_at)
        if self.asked:
            self.asked = why if (self.asked, why) == (names.INTERRUPTED, names.STOPPED) else self.asked
            return
        self.asked = why
        if self._program is not None:
            self._program.terminate()
        elif self._preparing is not None:
            self._preparing.cancel()

    async def work(self) -> bool:
        """Whether it is over; False where it was interrupted. Raises nothing but CancelledError, after which nothing
        of it runs."""
        try:
            return await self._work()
        except Failed as problem:
            await self._over(names.FAILED, failure=str(problem))
        except (OSError, ServiceError) as problem:
            log.exception("training job %s", self.job.name)
            await self._over(names.FAILED, failure=f"InternalServerError: {problem}")
        finally:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return True

    async def _work(self) -> bool:
        job = self.job
        self._preparing = asyncio.get_running_loop().create_task(self._prepare())
        try:
            await self._preparing
        except asyncio.CancelledError:
            if not self._preparing.cancelled() or not self.asked:
                self._preparing.cancel()
                raise
        status = None if self.asked else await self._train()
        if status is not None and self._checkpoints is not None:
            await self._checkpoints.look(last=True)
        if self._interrupted(status):
            return False
        if status is None:
            await self._over(names.STOPPED, secondary=self.asked)
            return True
        failure = self._failure(status)
        job.enter(names.UPLOADING, self._clock())
        await self._changed(job)
        try:
            await self._give(model=failure is None)
        except (ServiceError, OSError) as problem:
            raise Failed(failure or f"ClientError: Artifact upload failed: {problem}") from problem
        if failure is not None:
            raise Failed(failure)
        await self._over(names.STOPPED if self.asked else names.COMPLETED, secondary=self.asked)
        return True

    async def _over(self, status: str, *, secondary: str = "", failure: str = "") -> None:
        self.job.end(status, self._clock(), secondary=secondary, failure=failure)
        await self._changed(self.job)

    # ----------------------------------------------------------------------------------------------- 1 and 2

    async def _prepare(self) -> None:
        """Raises Failed."""
        job, objects = self.job, self._outside.objects
        job.enter(names.DOWNLOADING, self._clock())
        await self._changed(job)
        await asyncio.to_thread(self._lay)
        room = job.volume
        try:
            code = code_of(job.wanted)
            if code is not None:
                await bring_file(objects, code, self._ml / "input/sourcedir.tar.gz")
            for channel in job.wanted.get("InputDataConfig", ()):
                uri, name = channel["DataSource"]["S3DataSource"]["S3Uri"], channel["ChannelName"]
                (self._ml / "input/data" / name).mkdir()
                brought = await bring(objects, uri, self._ml / "input/data" / name, room)
                if not brought and not any(True for _ in objects.keys(*split(uri))):
                    raise NotBrought(f"there is nothing at {uri}")
                room -= brought
            self._checkpoints = self._resumed()
            if self._checkpoints is not None:
                await bring(objects, self._where_checkpoints(), self._ml / "checkpoints", room)
        except NotBrought as problem:
            raise Failed(f"ClientError: Data download failed: {problem}") from problem
        await asyncio.to_thread(self._hand_over)
        if self._checkpoints is not None:
            self._checkpoints.begin()

    def _lay(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in (*READ, *WRITABLE):
            (self._ml / name).mkdir(parents=True)
        (self._folder / "work").mkdir()
        config = self._ml / "input/config"
        wanted = self.job.wanted
        resources = {
            "current_host": HOST,
            "hosts": [HOST],
            "current_instance_type": wanted["ResourceConfig"].get("InstanceType", "local"),
            "current_group_name": "homogeneousCluster",
            "network_interface_name": "lo",
        }
        channels = {each["ChannelName"]: _of_channel(each) for each in wanted.get("InputDataConfig", ())}
        algorithm = wanted["AlgorithmSpecification"]
        entrypoint = algorithm.get("ContainerEntrypoint", [])
        about = {
            "name": self.job.name,
            "arn": self.job.arn,
            "entrypoint": [*entrypoint, *algorithm.get("ContainerArguments", [])] if entrypoint else [],
            "environment": wanted.get("Environment", {}),
            "workers": self.job.workers,
        }
        files = {
            "hyperparameters": wanted.get("HyperParameters", {}),
            "inputdataconfig": channels,
            "resourceconfig": resources,
            "job": about,
        }
        for name, content in files.items():
            (config / f"{name}.json").write_text(json.dumps(content))

    def _where_checkpoints(self) -> str:
        uri = str(self.job.wanted["CheckpointConfig"]["S3Uri"])
        return uri if uri.endswith("/") else f"{uri}/"

    def _resumed(self) -> Checkpoints | None:
        if "CheckpointConfig" not in self.job.wanted:
            return None
        where = Where(*split(self._where_checkpoints()))
        return Checkpoints(self._outside.objects, where, self._ml, "checkpoints")

    def _hand_over(self) -> None:
        """The folders that are the script's; others it may read."""
        self._folder.chmod(0o755)
        for each in (self._ml, self._ml / "input", self._ml / "input/config"):
            each.chmod(0o755)
        for name in ("input/data", "code", "model", "output", "checkpoints"):
            self._outside.sandbox.give(self._ml / name)

    # ----------------------------------------------------------------------------------------------- 3 and 4

    async def _train(self) -> int:
        """The script's wait status. Raises Failed."""
        job, sandbox = self.job, self._outside.sandbox
        job.enter(names.TRAINING, self._clock())
        await self._changed(job)
        network = not job.wanted.get("EnableNetworkIsolation", False)
        metrics = Metrics(job.wanted["AlgorithmSpecification"].get("MetricDefinitions", ()))
        stream = f"{job.name}/{HOST}-{int(self._clock())}"

        def heard(line: bytes) -> None:
            self._outside.say(stream, [line])
            text = line.decode("utf-8", "replace")
            self._last.append(text)
            job.saw(metrics.found(text), self._clock())

        environment = dict(self._outside.environment()) if network else {}
        try:
            program = await sandbox.start(
                self._folder / "work", self._ml, [sandbox.seen(self._ml)], environment, heard, network=network
            )
        except CannotRun as problem:
            raise Failed(f"InternalServerError: {problem}") from problem
        self._program, self._began = program, time.monotonic()
        if self.asked:  # meanwhile
            program.terminate()
        ending = asyncio.get_running_loop().create_task(program.ended())
        try:
            looks = 0
            while not ending.done():
                await asyncio.wait([ending], timeout=LOOK)
                looks += 1
                await self._look(weigh=looks % WEIGHED == 0)
            return ending.result()
        finally:
            job.spent += time.monotonic() - self._began
            ending.cancel()
            await program.close()

    async def _look(self, *, weigh: bool) -> None:
        assert self._program is not None
        job = self.job
        if self._checkpoints is not None:
            await self._checkpoints.look()
        if job.spent + time.monotonic() - self._began > job.longest:
            self.end(names.MAX_RUNTIME)
        if job.due is not None and self._clock() > job.due:
            self.end(names.MAX_WAIT)
        if weigh and await asyncio.to_thread(leftovers.occupied, self._ml) > job.volume:
            self._full = True
            self._program.kill()
        if self._killed_at is not None and time.monotonic() > self._killed_at:
            self._program.kill()

    def _interrupted(self, status: int | None) -> bool:
        """Also by whoever kills the program of a spot job from outside: so a machine takes back what it lent."""
        if self.asked:
            return self.asked == names.INTERRUPTED
        assert self._program is not None and status is not None
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9
        return killed and self.job.spot and not self._full and not self._program.over_memory

    def _failure(self, status: int) -> str | None:
        """FailureReason; None where there is none."""
        assert self._program is not None
        if self._full:
            return f"ClientError: the job's folder took more than the {self.job.volume // 1024**3} GB of its volume"
        if self._program.over_memory:
            return "AlgorithmError: the job took more memory than one may have here (train-memory)"
        if self.asked or status == 0:
            return None
        told = leftovers.read(self._ml, "output", "failure", most=names.MOST_REASON)
        how = f"ExitCode {os.waitstatus_to_exitcode(status)}"
        if told is not None:
            return f"AlgorithmError: {told.decode('utf-8', 'replace').strip()}, {how}"
        last = "\n".join(self._last).strip()
        return f"AlgorithmError: ExecuteUserScriptError: {how}\n{last[-(names.MOST_REASON - 100) :]}"

    # ----------------------------------------------------------------------------------------------- 5

    async def _give(self, *, model: bool) -> None:
        """Raises ServiceError, OSError."""
        compressed = self.job.wanted["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
        parts = [("model", ("model",))] if model else []
        for name, steps in [*parts, ("output", ("output", "data"))]:
            if name == "output" and not self._there(*steps):
                continue
            if compressed:
                await self._give_packed(name, steps)
            else:
                await self._give_each(name, steps)
        if model:
            self.job.artifacts = f"{self.job.output}/model{'.tar.gz' if compressed else '/'}"

    def _there(self, *steps: str) -> bool:
        with leftovers.beneath(self._ml, *steps) as folder:
            return bool(leftovers.files(folder))

    async def _give_packed(self, name: str, steps: tuple[str, ...]) -> None:
        archive = self._folder / "work" / f"{name}.tar.gz"
        await asyncio.to_thread(leftovers.pack, self._ml, steps, archive)
        bucket, key = split(f"{self.job.output}/{archive.name}")
        with archive.open("rb") as file:
            about = os.fstat(file.fileno())
            body = Whole(file, Left(archive.name, about.st_size, about.st_mtime_ns))
            await self._outside.objects.put(bucket, key, body, about.st_size)

    async def _give_each(self, name: str, steps: tuple[str, ...]) -> None:
        with leftovers.beneath(self._ml, *steps) as folder:
            for left in leftovers.files(folder):
                assert folder is not None
                bucket, key = split(f"{self.job.output}/{name}/{left.name}")
                with leftovers.opened(folder, left) as file:
                    await self._outside.objects.put(bucket, key, Whole(file, left), left.size)


def _of_channel(channel: Mapping[str, Any]) -> dict[str, str]:
    told = {"TrainingInputMode": "File", "RecordWrapperType": "None"}
    source = channel["DataSource"]["S3DataSource"]
    told["S3DistributionType"] = source.get("S3DataDistributionType", "FullyReplicated")
    return told | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})
