"""Tags of training jobs: at their making, and later (AddTags, DeleteTags, ListTags of SageMaker's API reference)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.training.job import Job
from littoral.training.wanted import invalid

MOST: Final = 50  # of one job
NOTES: Final = "of training jobs"
Tags = dict[str, str]
Given = Sequence[Mapping[str, str]]


class Tagged(Protocol):
    """``Training``."""

    jobs: dict[str, Job]

    async def tag(self, job: Job, tags: Tags) -> None:
        """These and no others; durable on return."""


class TagsApi:
    def __init__(self, jobs: Tagged) -> None:
        self._tagged = jobs

    @operation(notes=NOTES)
    async def add_tags(self, call: Call, *, resource_arn: str, tags: Given) -> Output:
        """A key that is there already has its value replaced."""
        job = self._of(resource_arn)
        merged = limited({**job.tags, **checked(tags)})
        await self._tagged.tag(job, merged)
        return {"Tags": listed(merged)}

    @operation(notes=NOTES)
    async def delete_tags(self, call: Call, *, resource_arn: str, tag_keys: Sequence[str]) -> Output:
        job = self._of(resource_arn)
        await self._tagged.tag(job, {key: value for key, value in job.tags.items() if key not in tag_keys})
        return {}

    @operation(notes=NOTES)
    async def list_tags(
        self, call: Call, *, resource_arn: str, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        """All at once: a page has 50 at least, and a job has no more."""
        if next_token:
            raise invalid("The NextToken is not valid.")
        return {"Tags": listed(self._of(resource_arn).tags)}

    def _of(self, arn: str) -> Job:
        found = next((job for job in self._tagged.jobs.values() if job.arn == arn), None)
        if found is not None:
            return found
        if ":training-job/" not in arn:
            raise ServiceError("NotImplemented", f"Only training jobs have tags here, not {arn}.", status=501)
        raise invalid("Requested resource not found.")


def checked(tags: Given) -> Tags:
    """Raises ValidationException."""
    found = {each["Key"]: each["Value"] for each in tags}
    if len(found) != len(tags):
        raise invalid("Duplicate tag keys found. Please note that Tag keys are case sensitive.")
    if any(key.lower().startswith("aws:") for key in found):
        raise invalid("Tag keys that begin with aws: are reserved.")
    return limited(found)


def limited(tags: Tags) -> Tags:
    """Raises ValidationException."""
    if len(tags) > MOST:
        raise invalid(f"A training job has at most {MOST} tags.")
    return tags


def listed(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
