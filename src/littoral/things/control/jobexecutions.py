"""Executions of jobs, as operators see them."""

from __future__ import annotations

from collections.abc import Mapping

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.jobs import execution as core
from littoral.protocols.jobs.execution import Execution, JobsError
from littoral.things.control import pages
from littoral.things.control.errors import invalid, not_found
from littoral.things.control.jobs import JobNoun, wrong_state


class JobExecutions(JobNoun):
    def _execution(self, job_id: str, thing_name: str, number: int | None) -> Execution:
        found = self.jobs.executions.get(thing_name, job_id)
        if found is None or number not in (None, found.number):
            raise not_found(f"Thing {thing_name} has no such execution of job {job_id}.")
        return found

    @operation()
    async def describe_job_execution(
        self, call: Call, *, job_id: str, thing_name: str, execution_number: int | None = None
    ) -> Output:
        """The latest attempt; earlier ones are not kept."""
        found = self._execution(job_id, thing_name, execution_number)
        shown: Output = {
            **_times(found),
            "jobId": found.job,
            "status": found.status,
            "forceCanceled": found.forced,
            "statusDetails": {"detailsMap": dict(found.details)},
            "thingArn": self.names.arn("thing", found.thing),
            "executionNumber": found.number,
            "versionNumber": found.version,
        }
        left = core.seconds_left(found, call.now)
        return {"execution": shown if left is None else {**shown, "approximateSecondsBeforeTimedOut": left}}

    @operation()
    async def list_job_executions_for_job(
        self,
        call: Call,
        *,
        job_id: str,
        status: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> Output:
        self.job(job_id)
        start = pages.after(next_token)
        rows = (
            (thing, {"thingArn": self.names.arn("thing", thing), "jobExecutionSummary": _summary(one)})
            for thing, one in sorted(self.jobs.executions.of_job(job_id).items())
            if thing > start and status in (None, one.status)
        )
        found, token = pages.page(rows, pages.size(max_results))
        return pages.with_token({"executionSummaries": found}, "nextToken", token)

    @operation()
    async def list_job_executions_for_thing(
        self,
        call: Call,
        *,
        thing_name: str,
        status: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
        job_id: str | None = None,
    ) -> Output:
        """The latest first."""
        self.thing(thing_name)
        rows = (
            (one.queued, one.job, {"jobId": one.job, "jobExecutionSummary": _summary(one)})
            for one in self.jobs.executions.of_thing(thing_name)
            if status in (None, one.status) and job_id in (None, one.job)
        )
        found, token = pages.by_age(rows, next_token, False, pages.size(max_results))
        return pages.with_token({"executionSummaries": found}, "nextToken", token)

    @operation()
    async def cancel_job_execution(
        self,
        call: Call,
        *,
        job_id: str,
        thing_name: str,
        force: bool = False,
        expected_version: int | None = None,
        status_details: Mapping[str, str] | None = None,
    ) -> Output:
        def decide(found: Execution | None) -> Execution | None:
            if found is None:
                raise JobsError("ResourceNotFound", f"Thing {thing_name} has no execution of job {job_id}.")
            return core.cancel(found, call.now, force=force, expected=expected_version, details=status_details)

        try:
            await self.jobs.change(thing_name, job_id, decide)
        except JobsError as error:
            raise _modelled(error) from None
        return {}

    @operation()
    async def delete_job_execution(
        self, call: Call, *, job_id: str, thing_name: str, execution_number: int, force: bool = False
    ) -> Output:
        """One that is over; one in progress by force. One that waits is cancelled instead."""

        def decide(found: Execution | None) -> Execution | None:
            if found is None or found.number != execution_number:
                raise JobsError("ResourceNotFound", f"Thing {thing_name} has no such execution of job {job_id}.")
            if found.status == core.QUEUED or (found.pending and not force):
                raise JobsError("InvalidStateTransition", f"An execution that is {found.status} is not deleted")
            return None

        try:
            await self.progress.drop(thing_name, job_id, decide)
        except JobsError as error:
            raise _modelled(error) from None
        return {}


def _modelled(error: JobsError) -> ServiceError:
    if error.code == "InvalidStateTransition":
        return wrong_state(error.message)
    if error.code == "VersionMismatch":
        return ServiceError("VersionConflictException", error.message, status=409)
    return not_found(error.message) if error.code == "ResourceNotFound" else invalid(error.message)


def _times(found: Execution) -> Output:
    times = {"queuedAt": found.queued, "lastUpdatedAt": found.updated}
    return times if found.started is None else {**times, "startedAt": found.started}


def _summary(found: Execution) -> Output:
    return {
        **_times(found),
        "status": found.status,
        "executionNumber": found.number,
        "retryAttempt": found.retries,
    }
