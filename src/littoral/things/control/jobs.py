"""Jobs: made, shown, changed, cancelled, deleted. Their executions are in ``jobexecutions``, templates in
``jobtemplates``. What a job then does is ``things.jobs.progress``'s."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, modelled, operation
from littoral.protocols.jobs import execution as core
from littoral.protocols.jobs.windows import next_opening
from littoral.things.control import jobsettings, pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import exists, invalid, not_found
from littoral.things.control.tagging import TagList
from littoral.things.jobs import Job, Jobs, Progress, Template
from littoral.things.jobs.devices import JOB_ID
from littoral.things.jobs.facts import CONTINUOUS, DELETING, OVER, RUNNING, SCHEDULED, SNAPSHOT, Settings
from littoral.things.jobs.managed import MANAGED, ManagedTemplate
from littoral.things.jobs.progress import canceled

MAX_TARGETS = 100

Json = dict[str, Any]


wrong_state = modelled("InvalidStateTransitionException", 409)


class JobNoun(Noun):
    """``progress`` is set when the API is composed."""

    progress: Progress

    @property
    def jobs(self) -> Jobs:
        return self.progress.jobs

    def job(self, job_id: str) -> Job:
        found = self.jobs.table.get(job_id)
        if found is None:
            raise not_found(f"Job {job_id} cannot be found.")
        return found

    def template_of(self, arn: str) -> Template | ManagedTemplate:
        for managed in MANAGED.values():
            if arn == managed.arn(self.names.region):
                return managed
        name = self.names.name_in("jobtemplate", arn)
        found = self.jobs.templates.get(name) if name is not None else None
        if found is None:
            raise not_found(f"Job template {arn} cannot be found.")
        return found


class JobControl(JobNoun):
    @operation(notes="a document is read from its bucket once, now")
    async def create_job(
        self,
        call: Call,
        *,
        job_id: str,
        targets: Sequence[str],
        document_source: str | None = None,
        document: str | None = None,
        description: str | None = None,
        presigned_url_config: Json | None = None,
        target_selection: str = SNAPSHOT,
        job_executions_rollout_config: Json | None = None,
        abort_config: Json | None = None,
        timeout_config: Json | None = None,
        job_template_arn: str | None = None,
        job_executions_retry_config: Json | None = None,
        scheduling_config: Json | None = None,
        document_parameters: Mapping[str, str] | None = None,
        namespace_id: str = "",
        tags: TagList = (),
    ) -> Output:
        if not JOB_ID.fullmatch(job_id):
            raise invalid(f"Invalid job id: {job_id!r}")
        if namespace_id and not JOB_ID.fullmatch(namespace_id):
            raise invalid(f"Invalid namespace: {namespace_id!r}")
        template = None if job_template_arn is None else self.template_of(job_template_arn)
        parameters = jobsettings.parameters(template, document_parameters)
        if template is not None and document is None and document_source is None:
            text = template.document
        else:
            text = await jobsettings.document(document, document_source, self.jobs.objects)
        settings = jobsettings.settings(
            template.settings if isinstance(template, Template) else Settings(),
            presigned=presigned_url_config,
            rollout=job_executions_rollout_config,
            abort=abort_config,
            timeout=timeout_config,
            retry=job_executions_retry_config,
        )
        shown = description
        if shown is None:
            shown = template.description if isinstance(template, Template) else ""
        job = Job(
            job_id,
            self._targets((), targets),
            target_selection,
            text,
            call.now,
            call.now,
            settings=settings,
            description=shown,
            source=document_source,
            template=job_template_arn,
            parameters=parameters,
            namespace=namespace_id,
        )
        if scheduling_config is None and isinstance(template, Template) and template.windows:
            scheduling_config = {"maintenanceWindows": template.windows}
        job = _scheduled(job, scheduling_config or {}, call.now)
        async with self.progress.changing:
            if job_id in self.jobs.table:
                raise exists(f"Job {job_id} already exists.", self.names.arn("job", job_id), job_id)
            await self.tag_new(self.names.arn("job", job_id), call.now, tags)
            if target_selection == SNAPSHOT:
                await self.progress.remember(job)
            await self.progress.put(job)
        return self._named(job)

    def _named(self, job: Job) -> Output:
        named: Output = {"jobArn": self.names.arn("job", job.id), "jobId": job.id}
        return {**named, "description": job.description} if job.description else named

    def _targets(self, old: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
        """Raises ResourceNotFoundException for a thing or group that is not there."""
        for target in given:
            thing, group = self.names.name_in("thing", target), self.names.name_in("thinggroup", target)
            if thing is not None:
                self.thing(thing)
            elif group is not None:
                self.group(group)
            else:
                raise invalid(f"{target!r} is not the ARN of a thing or a thing group of this account and region")
        targets = tuple(dict.fromkeys((*old, *given)))
        if not 0 < len(targets) <= MAX_TARGETS:
            raise invalid(f"A job has 1 to {MAX_TARGETS} targets")
        return targets

    @operation(harmless={"beforeSubstitution"})
    async def describe_job(self, call: Call, *, job_id: str) -> Output:
        job = self.job(job_id)
        shown: Output = {
            **self._named(job),
            **jobsettings.described(job.settings),
            "targetSelection": job.selection,
            "status": job.status,
            "targets": list(job.targets),
            "createdAt": job.created,
            "lastUpdatedAt": job.updated,
            "jobProcessDetails": self._process(job),
            "isConcurrent": True,
        }
        optional = {
            "completedAt": job.completed,
            "reasonCode": job.reason,
            "comment": job.comment,
            "forceCanceled": job.forced or None,
            "jobTemplateArn": job.template,
            "documentParameters": job.parameters,
            "schedulingConfig": job.schedule or None,
            "namespaceId": job.namespace or None,
        }
        shown.update({name: value for name, value in optional.items() if value is not None})
        opens = next_opening(job.windows, call.now)
        if opens is not None and job.status in (RUNNING, SCHEDULED):
            when = datetime.datetime.fromtimestamp(opens, datetime.UTC)
            shown["scheduledJobRollouts"] = [{"startTime": f"{when:%Y-%m-%dT%H:%M:%SZ}"}]
        return {"job": shown, "documentSource": job.source} if job.source else {"job": shown}

    def _process(self, job: Job) -> Output:
        """How many things stand where."""
        counts = self.jobs.executions.counts(job.id)
        names = {
            "Canceled": core.CANCELED,
            "Succeeded": core.SUCCEEDED,
            "Failed": core.FAILED,
            "Rejected": core.REJECTED,
            "Queued": core.QUEUED,
            "InProgress": core.IN_PROGRESS,
            "Removed": core.REMOVED,
            "TimedOut": core.TIMED_OUT,
        }
        details: Output = {f"numberOf{name}Things": counts[status] for name, status in names.items()}
        return {**details, "processingTargets": list(job.targets)} if job.status == RUNNING else details

    @operation()
    async def get_job_document(self, call: Call, *, job_id: str, before_substitution: bool = False) -> Output:
        """``before_substitution``: with its placeholders; else with URLs in their place, as a device gets it."""
        job = self.job(job_id)
        return {"document": job.document if before_substitution else self.jobs.document(job_id)}

    @operation()
    async def list_jobs(
        self,
        call: Call,
        *,
        status: str | None = None,
        target_selection: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
        thing_group_name: str | None = None,
        thing_group_id: str | None = None,
    ) -> Output:
        """The newest first."""
        wanted_group = self._group_arn(thing_group_name, thing_group_id)
        rows = (
            (job.created, job.id, job)
            for job in self.jobs.table.values()
            if status in (None, job.status)
            and target_selection in (None, job.selection)
            and (wanted_group is None or wanted_group in job.targets)
        )
        found, token = pages.by_age(rows, next_token, False, pages.size(max_results))
        return pages.with_token({"jobs": [self._listed(job) for job in found]}, "nextToken", token)

    def _group_arn(self, name: str | None, group_id: str | None) -> str | None:
        if name is None and group_id is not None:
            name = next((group.name for group in self.registry.groups.values() if group.id == group_id), "")
        return None if name is None else self.names.arn("thinggroup", self.group(name).name)

    def _listed(self, job: Job) -> Output:
        listed: Output = {
            "jobArn": self.names.arn("job", job.id),
            "jobId": job.id,
            "targetSelection": job.selection,
            "status": job.status,
            "createdAt": job.created,
            "lastUpdatedAt": job.updated,
            "isConcurrent": True,
        }
        return listed if job.completed is None else {**listed, "completedAt": job.completed}

    # -------------------------------------------------------------------------------------------- changing

    @operation()
    async def update_job(
        self,
        call: Call,
        *,
        job_id: str,
        description: str | None = None,
        presigned_url_config: Json | None = None,
        job_executions_rollout_config: Json | None = None,
        abort_config: Json | None = None,
        timeout_config: Json | None = None,
        job_executions_retry_config: Json | None = None,
    ) -> Output:
        """A new timeout counts for what begins from now on."""
        async with self.progress.changing:
            job = self.job(job_id)
            if job.status in OVER or job.status == DELETING:
                raise invalid(f"A job that is {job.status} cannot be changed")
            settings = jobsettings.settings(
                job.settings,
                presigned=presigned_url_config,
                rollout=job_executions_rollout_config,
                abort=abort_config,
                timeout=timeout_config,
                retry=job_executions_retry_config,
            )
            shown = job.description if description is None else description
            await self.progress.put(replace(job, settings=settings, description=shown, updated=call.now))
        return {}

    @operation()
    async def associate_targets_with_job(
        self, call: Call, *, job_id: str, targets: Sequence[str], comment: str | None = None
    ) -> Output:
        async with self.progress.changing:
            job = self.job(job_id)
            if job.selection != CONTINUOUS or job.status != RUNNING:
                raise invalid("Targets are added to continuous jobs that are in progress only")
            more = self._targets(job.targets, targets)
            changed = replace(job, targets=more, comment=comment or job.comment, updated=call.now)
            await self.progress.put(changed)
        return self._named(job)

    @operation()
    async def cancel_job(
        self,
        call: Call,
        *,
        job_id: str,
        reason_code: str | None = None,
        comment: str | None = None,
        force: bool = False,
    ) -> Output:
        """What waits is cancelled; by ``force`` also what is in progress."""
        async with self.progress.changing:
            job = self.job(job_id)
            again = force and not job.forced and job.status == "CANCELED"
            if job.status not in (RUNNING, SCHEDULED) and not again:
                raise invalid(f"A job that is {job.status} cannot be cancelled")
            await self.progress.put(canceled(job, call.now, reason_code, comment, force=force))
        return self._named(job)

    @operation()
    async def delete_job(self, call: Call, *, job_id: str, force: bool = False) -> Output:
        """With its executions, a little later. One that is not over only by ``force``."""
        async with self.progress.changing:
            job = self.job(job_id)
            if job.status not in OVER and job.status != DELETING and not force:
                raise wrong_state(f"A job that is {job.status} is deleted by force only")
            await self.progress.put(replace(job, status=DELETING, updated=call.now))
        return {}


def _scheduled(job: Job, given: Json, now: float) -> Job:
    starts, ends = (
        jobsettings.moment(given.get("startTime"), "startTime"),
        jobsettings.moment(given.get("endTime"), "endTime"),
    )
    if starts is not None and starts < now:
        raise invalid("startTime lies in the past")
    if ends is not None and ends <= max(now, starts or now):
        raise invalid("endTime must lie after the start")
    if given.get("endBehavior") and ends is None:
        raise invalid("endBehavior needs an endTime")
    status = RUNNING if starts is None else SCHEDULED
    scheduled = replace(job, status=status, starts=starts, ends=ends, schedule=given)
    jobsettings.check_windows(scheduled.windows)
    return scheduled
