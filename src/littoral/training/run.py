"""One run of a training job: from its folder to its results, or to where it was interrupted.

The way of one run, which ``work`` is the list of:

1. A folder for each of its hosts, laid out as SageMaker's ``/opt/ml``.
2. Code, channels and checkpoints come from their buckets. The folder of a host on another machine goes there.
3. On each host the toolkit starts in the sandbox and becomes the script. What it prints goes to the log and past the
   metrics; once a second its checkpoints are looked at, its time, and now and then the size of its folder.
4. Who is asked to end gets SIGTERM, and SIGKILL when patience is over.
5. What it left in ``model`` and ``output/data`` goes to its bucket.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from littoral.aws.service import ServiceError
from littoral.net.message import BodyError
from littoral.training import hosts, leftovers
from littoral.training import job as names
from littoral.training.channels import NotBrought, bring, bring_file
from littoral.training.checkpoints import Checkpoints, Where
from littoral.training.elsewhere.offers import Offer
from littoral.training.elsewhere.spread import Spread, Spreading
from littoral.training.job import Job
from littoral.training.metrics import Metrics
from littoral.training.ports import CannotRun, Objects, Order, Program, Said, Sandbox
from littoral.training.results import give
from littoral.training.wanted import code_of, split

log = logging.getLogger(__name__)

LOOK: Final = 1.0  # seconds
WEIGHED: Final = 5  # looks between two at the size of the folder
HASTE: Final = 10.0  # seconds between SIGTERM and SIGKILL where a place itself is asked to end
LAST_LINES: Final = 10  # of the log, for who wants to know why it failed


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
        offers: Sequence[Offer] = (),
    ) -> None:
        """``offers``: of other machines, which its last hosts are to be on."""
        self.job = job
        self.asked = ""  # to end, and why: names of ``job``
        self._outside = outside
        self._folder = folder
        self._hosts = hosts.addresses(job.workers, spread=bool(offers))
        self._away = dict(zip(list(self._hosts)[job.workers - len(offers) :], offers, strict=True))
        self._roots = {host: folder / "ml" / host for host in self._hosts}
        self._held = ExitStack()
        self._changed = changed
        self._clock = clock
        self._patience = patience
        self._preparing: asyncio.Task[None] | None = None
        self._checkpoints: list[Checkpoints] = []  # of each host
        self._program: Program | None = None
        self._full = False  # its folder took more than the volume has
        self._began = 0.0  # of the script
        self._killed_at: float | None = None
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._metrics = Metrics(job.wanted["AlgorithmSpecification"].get("MetricDefinitions", ()))
        self._since = 0  # when it was begun, for its log
        self._spread: Spread | None = None  # where some of its hosts are on other machines

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
            self._held.close()
            for each in self._away.values():
                await each.close()
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
        if status is not None:
            for each in self._checkpoints:
                await each.look(last=True)
        if self._interrupted(status):
            return False
        if status is None:
            await self._over(names.STOPPED, secondary=self.asked)
            return True
        failure = self._failure(status)
        job.enter(names.UPLOADING, self._clock())
        await self._changed(job)
        try:
            roots = list(self._roots.values())
            await give(job, self._outside.objects, roots, self._folder / "work", model=failure is None)
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
        job = self.job
        self._since = int(self._clock())
        job.enter(names.DOWNLOADING, self._clock())
        await self._changed(job)
        await asyncio.to_thread(self._lay)
        try:
            for at, root in enumerate(self._roots.values()):
                await self._bring(root, (at, len(self._roots)))
        except NotBrought as problem:
            raise Failed(f"ClientError: Data download failed: {problem}") from problem
        await asyncio.to_thread(self._hand_over)
        if self._away:
            await self._send_away()
        for each in self._checkpoints:
            each.begin()

    async def _send_away(self) -> None:
        """Raises Failed."""
        wanted = Spreading(self.job.name, self._folder, self._hosts, self._away, self.job.volume)
        self._spread = Spread(wanted, self._heard)
        try:
            await self._spread.prepare()
        except (OSError, BodyError) as problem:
            raise Failed(f"InternalServerError: the folder of a host cannot be sent: {problem}") from problem

    def _lay(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        port = self._held.enter_context(hosts.meeting())
        for host, root in self._roots.items():
            hosts.lay(root, self.job, self._hosts, host, port)
        (self._folder / "work").mkdir()

    async def _bring(self, root: Path, share: tuple[int, int]) -> None:
        """What one host has; ``share``: which it is, of how many. Raises NotBrought."""
        wanted, objects = self.job.wanted, self._outside.objects
        room = self.job.volume
        code = code_of(wanted)
        if code is not None:
            await bring_file(objects, code, root / "input/sourcedir.tar.gz")
        for channel in wanted.get("InputDataConfig", ()):
            source, folder = channel["DataSource"]["S3DataSource"], root / "input/data" / channel["ChannelName"]
            folder.mkdir()
            shared = source.get("S3DataDistributionType") == "ShardedByS3Key"
            brought = await bring(objects, source["S3Uri"], folder, room, share if shared else (0, 1))
            if not brought and not any(True for _ in objects.keys(*split(source["S3Uri"]))):
                raise NotBrought(f"there is nothing at {source['S3Uri']}")
            room -= brought
        if "CheckpointConfig" in wanted:
            where = f"{wanted['CheckpointConfig']['S3Uri'].rstrip('/')}/"
            self._checkpoints.append(Checkpoints(objects, Where(*split(where)), root, "checkpoints"))
            await bring(objects, where, root / "checkpoints", room)

    def _hand_over(self) -> None:
        """The folders that are the script's; others it may read."""
        for each in (self._folder, self._folder / "ml"):
            each.chmod(0o755)
        for root in self._roots.values():
            for name in hosts.GIVEN:
                self._outside.sandbox.give(root / name)

    # ----------------------------------------------------------------------------------------------- 3 and 4

    async def _train(self) -> int:
        """The script's wait status. Raises Failed."""
        job, sandbox = self.job, self._outside.sandbox
        job.enter(names.TRAINING, self._clock())
        await self._changed(job)
        network = not job.wanted.get("EnableNetworkIsolation", False)
        environment = dict(self._outside.environment()) if network else {}
        try:
            if self._spread is not None:
                await self._spread.start(sandbox)
                program: Program = self._spread
            else:
                order = Order(self._folder / "work", self._folder / "ml", self._hosts, network)
                program = await sandbox.start(order, environment, self._heard)
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

    def _heard(self, host: str, line: bytes) -> None:
        """What a host prints."""
        self._outside.say(f"{self.job.name}/{host}-{self._since}", [line])
        text = line.decode("utf-8", "replace")
        self._last.append(text)
        self.job.saw(self._metrics.found(text), self._clock())

    async def _look(self, *, weigh: bool) -> None:
        assert self._program is not None
        job = self.job
        for each in self._checkpoints:
            await each.look()
        if job.spent + time.monotonic() - self._began > job.longest:
            self.end(names.MAX_RUNTIME)
        if job.due is not None and self._clock() > job.due:
            self.end(names.MAX_WAIT)
        if any(each.leaving for each in self._away.values()):
            self.end(names.INTERRUPTED, HASTE)
        if weigh and await asyncio.to_thread(self._heaviest) > job.volume:
            self._full = True
            self._program.kill()
        if self._killed_at is not None and time.monotonic() > self._killed_at:
            self._program.kill()

    def _heaviest(self) -> int:
        """Bytes of the host that has most."""
        return max(map(leftovers.occupied, self._roots.values()))

    def _interrupted(self, status: int | None) -> bool:
        """Also by whoever kills the program of a spot job from outside: so a machine takes back what it lent."""
        if self.asked:
            return self.asked == names.INTERRUPTED
        assert self._program is not None and status is not None
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9
        return killed and self.job.spot and not self._over_volume and not self._program.over_memory

    @property
    def _over_volume(self) -> bool:
        return self._full or any(each.over_volume for each in self._away.values())

    def _failure(self, status: int) -> str | None:
        """FailureReason; None where there is none."""
        assert self._program is not None
        if self._over_volume:
            return f"ClientError: the job's folder took more than the {self.job.volume // 1024**3} GB of its volume"
        if self._program.over_memory:
            return "AlgorithmError: the job took more memory than one may have here (train-memory)"
        if self.asked or status == 0:
            return None
        told = self._said_why()
        how = f"ExitCode {os.waitstatus_to_exitcode(status)}"
        if told is not None:
            return f"AlgorithmError: {told.decode('utf-8', 'replace').strip()}, {how}"
        last = "\n".join(self._last).strip()
        return f"AlgorithmError: ExecuteUserScriptError: {how}\n{last[-(names.MOST_REASON - 100) :]}"

    def _said_why(self) -> bytes | None:
        """What the first host that says so calls the reason of its failure."""
        said = (leftovers.read(each, "output", "failure", most=names.MOST_REASON) for each in self._roots.values())
        return next((each for each in said if each is not None), None)
