"""What a job does in time: it begins, reaches its things at its rate, gives up, ends, is cancelled and deleted.

Theory: what a job should be is in its record; ``advance`` compares that with its executions and does what is missing.
It may be stopped anywhere and run again, so a job that was cancelled before a crash is cancelled to its end after it.
Where a rate left things out, or a moment is still to come, the job is looked at again.

The pace of the running minute is in memory: after a restart a minute begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from littoral.protocols.jobs import execution as core
from littoral.protocols.jobs.execution import Execution
from littoral.protocols.jobs.rollout import Pace, aborts
from littoral.protocols.jobs.windows import permitted
from littoral.store.contract import Records, StoreError
from littoral.store.documents import Documents
from littoral.things.jobs.facts import CANCELED, COMPLETED, CONTINUOUS, DELETING, RUNNING, SCHEDULED, Job
from littoral.things.jobs.service import Jobs
from littoral.things.names import Names
from littoral.things.registry import Registry

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks at timers and schedules
REST = 0.02  # seconds after a look, in which changes gather

Decide = Callable[[str, Execution | None], Execution | None]
"""Of a thing and its execution, if any: what the execution becomes; None for none."""


class Progress:
    """``wake`` after a job was made or changed; ``run`` does all of it until it is cancelled."""

    def __init__(self, jobs: Jobs, registry: Registry, names: Names, records: Records) -> None:
        self.jobs = jobs
        self._registry = registry
        self._names = names
        self._snapshots = Documents(records, "jobmembers/")
        self._members: dict[str, frozenset[str]] = {}
        self._paces: dict[str, Pace] = {}
        self._look: set[str] = set()
        self._later: set[str] = set()  # jobs that wait for their minute or their moment
        self.changing = asyncio.Lock()  # of job records
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        jobs.on_change = self.wake
        registry.on_fleet_change(self._fleet_changed)

    async def open(self) -> None:
        for key, document in await self._all_snapshots():
            self._members[key] = frozenset(document["things"])
        for job in self.jobs.table.values():
            self.wake(job.id)

    async def _all_snapshots(self) -> list[tuple[str, dict[str, list[str]]]]:
        found, after = [], ""
        while page := await self._snapshots.scan(after=after):
            found += page
            after = page[-1][0]
        return found

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="jobs")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self, job: str) -> None:
        self._look.add(job)
        self._awake.set()

    def _fleet_changed(self, thing: str) -> None:
        for job in self.jobs.table.values():
            if job.status == RUNNING and (job.selection == CONTINUOUS or not thing or thing in self.members(job)):
                self.wake(job.id)

    # ------------------------------------------------------------------------------------------------ members

    async def remember(self, job: Job) -> None:
        """Whom a snapshot is for. Durable on return, before the job itself."""
        things = self._in_targets(job)
        await self._snapshots.put(job.id, {"things": sorted(things)})
        self._members[job.id] = frozenset(things)

    def members(self, job: Job) -> frozenset[str]:
        return self._in_targets(job) if job.selection == CONTINUOUS else self._members.get(job.id, frozenset())

    def _in_targets(self, job: Job) -> frozenset[str]:
        found: set[str] = set()
        for target in job.targets:
            thing = self._names.name_in("thing", target)
            if thing is not None:
                found.add(thing)
            else:
                found.update(self._registry.things_in(self._names.name_in("thinggroup", target) or ""))
        return frozenset(found)

    # --------------------------------------------------------------------------------------------------- time

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreError as problem:
                log.warning("jobs wait for the disk: %s", problem)
                await asyncio.sleep(LOOK)
            except Exception:
                log.exception("a look at the jobs failed")
                await asyncio.sleep(LOOK)
            await asyncio.sleep(REST)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), LOOK)
            self._awake.clear()

    async def sweep(self) -> None:
        """Everything that is to be done at this moment."""
        now = self.jobs.clock()
        due = list(self.jobs.executions.due(now))
        await asyncio.gather(*(self.jobs.time_out(thing, job) for thing, job in due))
        while self._look or self._later:
            look, self._look = self._look | self._later, set()
            self._later = set()
            await asyncio.gather(*(self._one(job) for job in look))
            if not self._look:
                break

    async def _one(self, name: str) -> None:
        job = self.jobs.table.get(name)
        if job is None:
            return
        try:
            await self._advance(job, self.jobs.clock())
        except BaseException:
            self._later.add(name)  # it is not done
            raise

    # ---------------------------------------------------------------------------------------------------- steps

    async def _advance(self, job: Job, now: float) -> None:
        if job.status == SCHEDULED:
            if job.starts is None or job.starts <= now:
                await self._become(job, replace(job, status=RUNNING, updated=now))
            else:
                self._later.add(job.id)
        elif job.status == RUNNING:
            await self._roll_out(job, now)
        elif job.status == CANCELED:
            await self._cancel(job, now)
        elif job.status == DELETING:
            await self._delete(job)

    async def _roll_out(self, job: Job, now: float) -> None:
        executions = self.jobs.executions.of_job(job.id)
        members = self.members(job)
        gone = [thing for thing, one in executions.items() if one.pending and not self._belongs(thing, members)]
        await self._each(job, gone, lambda _, found: core.remove(found, now) if found is not None else None)
        if aborts(job.settings.criteria, self.jobs.executions.counts(job.id)):
            await self._become(job, canceled(job, now, "ABORT_CRITERIA_MET", None, force=False))
            return
        if job.ends is not None and not job.stopped:
            if job.ends <= now:
                await self._end(job, now)
                return
            self._later.add(job.id)
        waiting = [] if job.stopped else self._waiting(job, members, executions)
        counts = self.jobs.executions.counts(job.id)
        told, succeeded = counts.total(), counts[core.SUCCEEDED]
        pace = self._paces.get(job.id, Pace()).at(job.settings.rate, told, succeeded, now)
        batch = waiting[: pace.room] if permitted(job.windows, now) else []
        self._paces[job.id] = pace.after(len(batch))
        await self._each(job, batch, lambda thing, found: _queued(job.id, thing, found, now))
        if len(waiting) > len(batch):
            self._later.add(job.id)
        elif job.selection != CONTINUOUS or job.stopped:
            await self._complete(job, now)

    def _belongs(self, thing: str, members: frozenset[str]) -> bool:
        return thing in members and thing in self._registry.things

    def _waiting(self, job: Job, members: Iterable[str], executions: dict[str, Execution]) -> list[str]:
        """Things that are still to be told. In a continuous job one that left and came back is told again."""
        found = []
        for thing in members:
            had = executions.get(thing)
            anew = had is not None and had.status == core.REMOVED and job.selection == CONTINUOUS
            if thing in self._registry.things and (had is None or anew):
                found.append(thing)
        return sorted(found)

    async def _each(self, job: Job, things: Iterable[str], decide: Decide) -> None:
        """At once: they share commits."""

        def of(thing: str) -> Callable[[Execution | None], Execution | None]:
            return lambda found: decide(thing, found)

        await asyncio.gather(*(self.jobs.change(thing, job.id, of(thing)) for thing in things))

    async def _complete(self, job: Job, now: float) -> None:
        counts = self.jobs.executions.counts(job.id)
        if not any(counts[status] for status in core.PENDING):
            await self._become(job, replace(job, status=COMPLETED, completed=now, updated=now))
            self._paces.pop(job.id, None)

    async def _end(self, job: Job, now: float) -> None:
        """The moment of schedulingConfig's endTime."""
        behavior = job.schedule.get("endBehavior", "STOP_ROLLOUT")
        if behavior == "STOP_ROLLOUT":
            await self._become(job, replace(job, stopped=True, updated=now))
        else:
            await self._become(job, canceled(job, now, "END_TIME_REACHED", None, force=behavior == "FORCE_CANCEL"))

    async def _cancel(self, job: Job, now: float) -> None:
        """What waits, and by force what is in progress."""
        statuses = core.PENDING if job.forced else {core.QUEUED}
        things = [thing for thing, one in self.jobs.executions.of_job(job.id).items() if one.status in statuses]

        def decide(_: str, found: Execution | None) -> Execution | None:
            if found is None or found.status not in statuses:
                return found
            return core.cancel(found, now, force=job.forced)

        await self._each(job, things, decide)

    async def _delete(self, job: Job) -> None:
        await self._each(job, list(self.jobs.executions.of_job(job.id)), lambda _, found: None)
        await self.jobs.table.delete(job.id)
        await self._snapshots.delete(job.id)
        self._members.pop(job.id, None)
        self._paces.pop(job.id, None)
        await self.jobs.events.job(job, {}, self.jobs.clock(), deleted=True)

    async def _become(self, job: Job, changed: Job) -> None:
        """Unless somebody changed it meanwhile: then it is looked at anew."""
        async with self.changing:
            if self.jobs.table.get(job.id) is job:
                await self.put(changed)
        self.wake(job.id)

    async def drop(self, thing: str, job: str, decide: Callable[[Execution | None], Execution | None]) -> None:
        """Delete an execution, so that the thing is not told of the job anew. Raises what ``decide`` raises."""
        await self.jobs.change(thing, job, decide)
        members = self._members.get(job)
        if members is not None and thing in members:
            self._members[job] = members - {thing}
            await self._snapshots.put(job, {"things": sorted(members - {thing})})

    async def put(self, job: Job) -> None:
        """A job that was made or changed by a caller who holds ``changing``. Durable on return."""
        await self.jobs.table.put(job.id, job)
        self.wake(job.id)
        await self.jobs.events.job(job, self.jobs.executions.counts(job.id), self.jobs.clock())


def canceled(job: Job, now: float, reason: str | None, comment: str | None, *, force: bool) -> Job:
    return replace(job, status=CANCELED, reason=reason, comment=comment, forced=force, completed=now, updated=now)


def _queued(job: str, thing: str, found: Execution | None, now: float) -> Execution:
    if found is not None and found.status != core.REMOVED:
        return found
    return core.queued(job, thing, now, number=1 if found is None else found.number + 1)
