"""``Training``: the capability as the site sees it.

training = await Training.open(store.records("training"), folder, outside, cores=2, region="us-east-1", account="…")
training.api                     # for botocore's service "sagemaker", beside others'
await training.start()           # jobs that a stop or a crash interrupted go on
await training.close()           # what runs is interrupted, and goes on at the next start
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from littoral.net.ongoing import Ongoing
from littoral.store.contract import Records, StoreError
from littoral.store.documents import Documents
from littoral.training import job as names
from littoral.training.api import TrainingApi
from littoral.training.elsewhere.offers import Offers
from littoral.training.job import Job
from littoral.training.run import HASTE, Outside, Run
from littoral.training.tagging import Tags
from littoral.training.turns import Room, choose, needs

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds
PATIENCE = 120.0  # seconds between SIGTERM and SIGKILL, as on SageMaker
PAGE = 1000


class Training(Ongoing):
    """Made by ``open``."""

    def __init__(
        self,
        documents: Documents,
        jobs: dict[str, Job],
        folder: Path,
        outside: Outside,
        cores: int,
        prefix: str,
        clock: Callable[[], float],
        patience: float,
    ) -> None:
        self.jobs = jobs
        self.cores = cores
        self.offers = Offers()
        self._documents = documents
        self._folder = folder
        self._outside = outside
        self._prefix = prefix
        self._clock = clock
        self._patience = patience
        self._waiting: dict[str, Job] = {}
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unsaved: dict[str, Job] = {}
        self._closing = False
        self.api = TrainingApi(self, outside.objects.has)

    @classmethod
    async def open(
        cls,
        records: Records,
        folder: Path,
        outside: Outside,
        *,
        cores: int,
        region: str,
        account: str,
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE,
    ) -> Self:
        """``cores``: workers at once, all jobs together. Raises StoreError."""
        documents = Documents(records, "job/")
        jobs: dict[str, Job] = {}
        after = ""
        while page := await documents.scan(after=after, limit=PAGE):
            jobs |= {key: Job(**document) for key, document in page}
            after = page[-1][0]
        prefix = f"arn:aws:sagemaker:{region}:{account}:training-job/"
        return cls(documents, jobs, folder, outside, cores, prefix, clock, patience)

    async def begin(self) -> None:
        """Jobs that a stop or a crash interrupted go on."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        for job in self.jobs.values():
            if job.over:
                continue
            if job.status == names.STOPPING:
                job.end(names.STOPPED, self._clock())
                await self._keep(job)
                continue
            if job.secondary not in {names.STARTING, names.INTERRUPTED}:
                job.enter(names.INTERRUPTED, self._clock())
                await self._keep(job)
            self._waiting[job.name] = job
        self.start()
        self.offers.changed = self._turn
        self.offers.start()
        self._turn()

    async def close(self) -> None:
        """Returns when no process is left."""
        self._closing = True
        await super().close()
        for run in self._runs.values():
            run.end(names.INTERRUPTED, HASTE)
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self.offers.close()

    # ----------------------------------------------------------------------------------------------- for the API

    async def create(self, name: str, wanted: dict[str, Any], tags: Tags, now: float) -> Job:
        """Durable on return."""
        job = Job(name, self._prefix + name, now, wanted, tags=tags)
        job.enter(names.STARTING, now)
        self.jobs[name] = job
        try:
            await self._documents.put(name, job.document())
        except BaseException:
            del self.jobs[name]
            raise
        self._waiting[name] = job
        self._turn()
        return job

    async def stop(self, job: Job) -> None:
        """Durable on return; it ends when its script has ended."""
        job.stop(self._clock())
        run = self._runs.get(job.name)
        if run is not None:
            run.end(names.STOPPED)
        else:
            self._waiting.pop(job.name, None)
            job.end(names.STOPPED, self._clock())
        await self._documents.put(job.name, job.document())

    async def tag(self, job: Job, tags: Tags) -> None:
        """These and no others; durable on return."""
        before, job.tags = job.tags, tags
        try:
            await self._documents.put(job.name, job.document())
        except BaseException:
            job.tags = before
            raise

    async def delete(self, job: Job) -> None:
        await self._documents.delete(job.name)
        self.jobs.pop(job.name, None)

    # ----------------------------------------------------------------------------------------------- turns

    def _turn(self) -> None:
        if self._closing:
            return
        running = [run.job for run in self._runs.values() if not run.asked]
        leaving = [run.job for run in self._runs.values() if run.asked]
        begin, interrupt = choose(self._waiting.values(), running, leaving, Room(self.cores, len(self.offers.idle)))
        for job in interrupt:
            log.info("training job %s gives way", job.name)
            self._runs[job.name].end(names.INTERRUPTED)
        for job in begin:
            del self._waiting[job.name]
            offers = self.offers.take(needs(job, self.cores).away)
            run = Run(job, self._outside, self._folder / job.name, self._keep, self._clock, self._patience, offers)
            self._runs[job.name] = run
            self._tasks[job.name] = asyncio.get_running_loop().create_task(self._carry(run))

    async def _carry(self, run: Run) -> None:
        job = run.job
        over = await run.work()
        del self._runs[job.name], self._tasks[job.name]
        if not over:
            job.enter(names.INTERRUPTED, self._clock())
            self._waiting[job.name] = job
            await self._keep(job)
        self._turn()

    async def _work(self) -> None:
        """Once a second: spot jobs that have waited too long, and what the disk did not take."""
        while True:
            await asyncio.sleep(LOOK)
            now = self._clock()
            for job in list(self._waiting.values()):
                if job.due is not None and now > job.due:
                    del self._waiting[job.name]
                    job.end(names.STOPPED, now, secondary=names.MAX_WAIT)
                    await self._keep(job)
                    self._turn()
            for job in list(self._unsaved.values()):
                await self._keep(job)

    async def _keep(self, job: Job) -> None:
        """What cannot be kept now is tried again each second."""
        try:
            await self._documents.put(job.name, job.document())
        except StoreError as problem:
            log.warning("training job %s could not be kept: %s", job.name, problem)
            self._unsaved[job.name] = job
        else:
            self._unsaved.pop(job.name, None)
