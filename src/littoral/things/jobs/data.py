"""The API of botocore's service ``iot-jobs-data``: the device's side of jobs over HTTPS.

Callers are users with access keys and devices with certificates on the device port, whose policies decide about the
thing: ``iot:DescribeJobExecution`` and its kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.jobs.execution import JobsError, Update
from littoral.things.jobs.service import Jobs

Authorise = Callable[[Call, str, str, str], None]

_ERRORS: Final = {
    "InvalidRequest": ("InvalidRequestException", 400),
    "InvalidTopic": ("InvalidRequestException", 400),
    "VersionMismatch": ("InvalidRequestException", 400),  # the model has no error of its own for it
    "ResourceNotFound": ("ResourceNotFoundException", 404),
    "InvalidStateTransition": ("InvalidStateTransitionException", 409),
    "TerminalStateReached": ("TerminalStateException", 410),
}


def modelled(error: JobsError) -> ServiceError:
    code, status = _ERRORS[error.code]
    return ServiceError(code, f"{error.code}: {error.message}", status=status)


class IotJobsData:
    """What boto3's ``client("iot-jobs-data")`` talks to. ``authorise`` raises ServiceError."""

    def __init__(self, jobs: Jobs, authorise: Authorise) -> None:
        self._jobs = jobs
        self._authorise = authorise

    @operation()
    async def get_pending_job_executions(self, call: Call, *, thing_name: str) -> Output:
        self._authorise(call, "iot:GetPendingJobExecutions", "thing", thing_name)
        return self._jobs.pending(thing_name)

    @operation()
    async def describe_job_execution(
        self,
        call: Call,
        *,
        thing_name: str,
        job_id: str,
        include_job_document: bool = True,
        execution_number: int | None = None,
    ) -> Output:
        """``$next`` is the next pending one."""
        self._authorise(call, "iot:DescribeJobExecution", "thing", thing_name)
        try:
            found = self._jobs.describe(thing_name, job_id, document=include_job_document, number=execution_number)
        except JobsError as error:
            raise modelled(error) from None
        return _execution(found)

    @operation()
    async def start_next_pending_job_execution(
        self,
        call: Call,
        *,
        thing_name: str,
        status_details: Mapping[str, str] | None = None,
        step_timeout_in_minutes: int | None = None,
    ) -> Output:
        self._authorise(call, "iot:StartNextPendingJobExecution", "thing", thing_name)
        try:
            found = await self._jobs.start_next(thing_name, status_details, step_timeout_in_minutes)
        except JobsError as error:
            raise modelled(error) from None
        return _execution(found)

    @operation()
    async def update_job_execution(
        self,
        call: Call,
        *,
        thing_name: str,
        job_id: str,
        status: str,
        status_details: Mapping[str, str] | None = None,
        step_timeout_in_minutes: int | None = None,
        expected_version: int | None = None,
        include_job_execution_state: bool = False,
        include_job_document: bool = False,
        execution_number: int | None = None,
    ) -> Output:
        self._authorise(call, "iot:UpdateJobExecution", "thing", thing_name)
        expected = expected_version or None  # the model's 0 is "not given"
        asked = Update(status, status_details, expected, step_timeout_in_minutes, execution_number)
        try:
            execution = await self._jobs.update(thing_name, job_id, asked)
        except JobsError as error:
            raise modelled(error) from None
        answer: Output = {"executionState": execution.state()} if include_job_execution_state else {}
        return {**answer, "jobDocument": self._jobs.document(job_id)} if include_job_document else answer


def _execution(found: dict[str, Any] | None) -> Output:
    """Here the document is text."""
    if found is None:
        return {}
    document = found.pop("jobDocument", None)
    return {"execution": found if document is None else {**found, "jobDocument": json.dumps(document)}}
