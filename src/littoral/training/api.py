"""SageMaker's API of training jobs (botocore's "sagemaker"; other operations of it are other capabilities').

An unknown job is a ValidationException, as SageMaker says it and its waiters expect, not the model's ResourceNotFound.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sized
from typing import Any, Final, Protocol

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.training.job import IN_PROGRESS, Job
from littoral.training.tagging import Given, Tags, TagsApi, checked
from littoral.training.wanted import check, invalid

PAGE: Final = 10  # SageMaker's default
NOTES: Final = (
    "InstanceType, TrainingImage and RoleArn are labels: scripts run in the place's Python, one worker a processor, "
    "without a network on machines that joined, too; "
    "S3Prefix channels in File mode (FastFile is downloaded, too)"
)
Order = Callable[[Job], Any]
_ORDERS: Final[dict[str, Order]] = {
    "Name": lambda job: (job.name,),
    "CreationTime": lambda job: (job.created, job.name),
    "Status": lambda job: (job.status, job.name),
}


class Jobs(Protocol):
    """``Training``."""

    jobs: dict[str, Job]
    cores: int

    @property
    def offers(self) -> Sized:
        """Hosts of other machines."""

    async def create(self, name: str, wanted: dict[str, Any], tags: Tags, now: float) -> Job: ...

    async def stop(self, job: Job) -> None: ...

    async def delete(self, job: Job) -> None: ...

    async def tag(self, job: Job, tags: Tags) -> None: ...


class TrainingApi(TagsApi):
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/"""

    def __init__(self, jobs: Jobs, has_bucket: Callable[[str], bool]) -> None:
        super().__init__(jobs)
        self._jobs = jobs
        self._has_bucket = has_bucket

    @operation(notes=NOTES)
    async def create_training_job(
        self,
        call: Call,
        *,
        training_job_name: str,
        algorithm_specification: dict[str, Any] | None = None,
        role_arn: str,
        output_data_config: dict[str, Any],
        hyper_parameters: dict[str, str] | None = None,
        input_data_config: list[dict[str, Any]] | None = None,
        resource_config: dict[str, Any] | None = None,
        stopping_condition: dict[str, Any] | None = None,
        checkpoint_config: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        enable_network_isolation: bool | None = None,
        enable_managed_spot_training: bool | None = None,
        enable_inter_container_traffic_encryption: bool | None = None,
        profiler_config: dict[str, Any] | None = None,
        tags: Given = (),
    ) -> Output:
        """Traffic between workers stays within the machine, and needs no encryption; between machines it has TLS."""
        if algorithm_specification is None:
            raise invalid("AlgorithmSpecification is needed")
        asked = {
            "AlgorithmSpecification": algorithm_specification,
            "RoleArn": role_arn,
            "OutputDataConfig": output_data_config,
            "HyperParameters": hyper_parameters,
            "InputDataConfig": input_data_config,
            "ResourceConfig": resource_config or {},
            "StoppingCondition": stopping_condition or {},
            "CheckpointConfig": checkpoint_config,
            "Environment": environment,
            "EnableNetworkIsolation": enable_network_isolation,
            "EnableManagedSpotTraining": enable_managed_spot_training,
            "EnableInterContainerTrafficEncryption": enable_inter_container_traffic_encryption,
            "ProfilerConfig": profiler_config,
        }
        wanted = {member: value for member, value in asked.items() if value is not None}
        check(wanted, self._has_bucket, self._jobs.cores, len(self._jobs.offers))
        if training_job_name in self._jobs.jobs:
            raise ServiceError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this name "
                f"already exists ({self._jobs.jobs[training_job_name].arn})",
                status=400,
            )
        job = await self._jobs.create(training_job_name, wanted, checked(tags), call.now)
        return {"TrainingJobArn": job.arn}

    @operation()
    async def describe_training_job(self, call: Call, *, training_job_name: str) -> Output:
        return self._job(training_job_name).describe()

    @operation()
    async def stop_training_job(self, call: Call, *, training_job_name: str) -> Output:
        """The script gets SIGTERM, and 120 seconds later SIGKILL; what it left in /opt/ml/model is kept."""
        job = self._job(training_job_name)
        if job.status != IN_PROGRESS:
            raise invalid(f"The request was rejected because the training job is in status {job.status}.")
        await self._jobs.stop(job)
        return {}

    @operation()
    async def delete_training_job(self, call: Call, *, training_job_name: str) -> Output:
        job = self._job(training_job_name)
        if not job.over:
            raise ServiceError("ResourceInUse", f"The training job is in status {job.status}.", status=400)
        await self._jobs.delete(job)
        return {}

    @operation()
    async def list_training_jobs(
        self,
        call: Call,
        *,
        next_token: str | None = None,
        max_results: int = PAGE,
        creation_time_after: float | None = None,
        creation_time_before: float | None = None,
        last_modified_time_after: float | None = None,
        last_modified_time_before: float | None = None,
        name_contains: str = "",
        status_equals: str | None = None,
        sort_by: str = "CreationTime",
        sort_order: str = "Ascending",
    ) -> Output:
        """A page goes on behind the job that the token names."""

        def fits(job: Job) -> bool:
            return (
                name_contains in job.name
                and status_equals in {None, job.status}
                and _within(job.created, creation_time_after, creation_time_before)
                and _within(job.modified, last_modified_time_after, last_modified_time_before)
            )

        if sort_by not in _ORDERS or sort_order not in {"Ascending", "Descending"}:
            raise invalid(f"SortBy {sort_by} {sort_order} is not known")
        found = sorted(filter(fits, self._jobs.jobs.values()), key=_ORDERS[sort_by], reverse=sort_order == "Descending")
        first = _behind(next_token, found)
        shown = found[first : first + max_results]
        told: Output = {"TrainingJobSummaries": [job.summary() for job in shown]}
        if first + len(shown) < len(found):
            told["NextToken"] = base64.urlsafe_b64encode(shown[-1].name.encode()).decode()
        return told

    def _job(self, name: str) -> Job:
        job = self._jobs.jobs.get(name)
        if job is None:
            raise invalid("Requested resource not found.")
        return job


def _within(moment: float, after: float | None, before: float | None) -> bool:
    return (after is None or moment > after) and (before is None or moment < before)


def _behind(token: str | None, found: list[Job]) -> int:
    """Raises ValidationException for a token of somebody's own making, or whose job went."""
    if not token:
        return 0
    try:
        name = base64.b64decode(token.encode(), b"-_", validate=True).decode()
        return next(at for at, job in enumerate(found) if job.name == name) + 1
    except (binascii.Error, ValueError, StopIteration):
        raise invalid("The NextToken is not valid.") from None
