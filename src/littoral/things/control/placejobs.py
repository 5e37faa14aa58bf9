"""Jobs that this place itself makes, for another capability: continuous ones, in a namespace of theirs.

They are seen by the jobs API as any other. What is asked for twice is done once, for whoever asks may have crashed
between two steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from littoral.protocols.jobs.execution import REMOVED, Execution
from littoral.things.control import jobsettings
from littoral.things.control.errors import not_found
from littoral.things.jobs import Job, Jobs, Progress
from littoral.things.jobs.facts import CONTINUOUS, RUNNING, Settings
from littoral.things.jobs.progress import canceled
from littoral.things.names import Names
from littoral.things.registry import Registry

Json = dict[str, Any]


class PlaceJobs:
    def __init__(self, jobs: Jobs, progress: Progress, registry: Registry, names: Names) -> None:
        self._jobs = jobs
        self._progress = progress
        self._registry = registry
        self._names = names

    async def create(
        self, job_id: str, namespace: str, group: str, document: str, configuration: Mapping[str, Any], now: float
    ) -> None:
        """For a thing group, that of its ARN. ``configuration`` has ``jobExecutionsRolloutConfig``, ``abortConfig`` and
        ``timeoutConfig`` as CreateJob has them. Durable on return. Raises ServiceError."""
        name = self._names.name_in("thinggroup", group)
        if name is None or name not in self._registry.groups:
            raise not_found(f"{group} is no thing group here")
        settings = jobsettings.settings(
            Settings(),
            presigned=None,
            retry=None,
            rollout=configuration.get("jobExecutionsRolloutConfig"),
            abort=configuration.get("abortConfig"),
            timeout=configuration.get("timeoutConfig"),
        )
        job = Job(job_id, (group,), CONTINUOUS, document, now, now, settings=settings, namespace=namespace)
        async with self._progress.changing:
            if job_id not in self._jobs.table:
                await self._progress.put(job)

    async def cancel(self, job_id: str, now: float) -> None:
        """For things that have not begun. Durable on return."""
        async with self._progress.changing:
            job = self._jobs.table.get(job_id)
            if job is not None and job.status == RUNNING:
                await self._progress.put(canceled(job, now, None, None, force=False))

    def status(self, job_id: str) -> str | None:
        """CANCELED, COMPLETED when nothing is left to be done, else IN_PROGRESS; None where there is no such job."""
        job = self._jobs.table.get(job_id)
        if job is None:
            return None
        executions = self._jobs.executions.of_job(job_id).values()
        done = executions and not any(one.pending for one in executions)
        return "COMPLETED" if job.status == RUNNING and done else job.status

    def executions(self, thing: str) -> Iterable[Execution]:
        return [one for one in self._jobs.executions.of_thing(thing) if one.status != REMOVED]

    def arn(self, job_id: str) -> str:
        return self._names.arn("job", job_id)

    def groups_of(self, thing: str) -> list[str]:
        """Those above them, too."""
        return self._registry.groups_of(thing)

    def things_in(self, group: str) -> list[str]:
        """Of the ARN of a group."""
        return self._registry.things_in(self._names.name_in("thinggroup", group) or "")

    def is_thing(self, name: str) -> bool:
        return name in self._registry.things
