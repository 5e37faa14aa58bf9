"""Amazon EventBridge Scheduler (2021-06-30): schedules and their groups.

A schedule's role is kept and shown; the place asks no policy of it, as it does of no role.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.schedule import At, ScheduleError, parse, zone_of
from littoral.schedules.api.common import check_arn, check_honoured, page, validation
from littoral.schedules.inputs import InputError, check_json
from littoral.schedules.jobs import DEFAULT, Group, Job, Jobs
from littoral.schedules.outbox import Targets

PAGE = 100
HONOURED = ("Arn", "RoleArn", "Input", "RetryPolicy", "KinesisParameters")
MOST_TAGS = 50


class SchedulerApi:
    """All operations of botocore's service "scheduler" that Littoral has."""

    def __init__(self, jobs: Jobs, targets: Targets) -> None:
        self._jobs = jobs
        self._targets = targets

    @operation(notes="functions and streams; DeadLetterConfig, universal and other targets are refused")
    async def create_schedule(
        self,
        call: Call,
        *,
        name: str,
        schedule_expression: str,
        target: dict[str, Any],
        flexible_time_window: dict[str, Any],
        group_name: str = DEFAULT,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        description: str = "",
        schedule_expression_timezone: str = "UTC",
        state: str = "ENABLED",
        action_after_completion: str = "NONE",
        client_token: str = "",
    ) -> Output:
        job = self._made(
            Job(name, group_name, schedule_expression, target, call.now, call.now, token=client_token),
            (start_date, end_date),
            description,
            schedule_expression_timezone,
            state,
            flexible_time_window,
            action_after_completion,
        )
        async with self._jobs.lock:
            self._jobs.group(group_name)
            before = self._jobs.find(group_name, name)
            if before is not None:
                if client_token and before.token == client_token:
                    return {"ScheduleArn": self._jobs.arn(before)}
                raise ServiceError("ConflictException", f"Schedule {name} already exists.", status=409)
            _check_future(job, call.now)
            await self._jobs.put(job)
        return {"ScheduleArn": self._jobs.arn(job)}

    @operation(harmless={"ClientToken"})
    async def update_schedule(
        self,
        call: Call,
        *,
        name: str,
        schedule_expression: str,
        target: dict[str, Any],
        flexible_time_window: dict[str, Any],
        group_name: str = DEFAULT,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        description: str = "",
        schedule_expression_timezone: str = "UTC",
        state: str = "ENABLED",
        action_after_completion: str = "NONE",
    ) -> Output:
        """Replaces the whole schedule, as at AWS: what is not given takes its default."""
        async with self._jobs.lock:
            before = self._jobs.get(group_name, name)
            fresh = Job(name, group_name, schedule_expression, target, before.created, call.now, token=before.token)
            job = self._made(
                fresh,
                (start_date, end_date),
                description,
                schedule_expression_timezone,
                state,
                flexible_time_window,
                action_after_completion,
            )
            _check_future(job, call.now)
            await self._jobs.put(job)
        return {"ScheduleArn": self._jobs.arn(job)}

    @operation()
    async def get_schedule(self, call: Call, *, name: str, group_name: str = DEFAULT) -> Output:
        job = self._jobs.get(group_name, name)
        shown: Output = {
            **self._listed(job),
            "ScheduleExpression": job.expression,
            "ScheduleExpressionTimezone": job.zone,
            "Description": job.description,
            "Target": job.target,
            "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": job.window}
            if job.window
            else {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE" if job.delete_after else "NONE",
        }
        for member, moment in (("StartDate", job.start), ("EndDate", job.end)):
            if moment is not None:
                shown[member] = moment
        return shown

    @operation(harmless={"ClientToken"})
    async def delete_schedule(self, call: Call, *, name: str, group_name: str = DEFAULT) -> Output:
        async with self._jobs.lock:
            await self._jobs.delete(self._jobs.get(group_name, name))
        return {}

    @operation()
    async def list_schedules(
        self,
        call: Call,
        *,
        group_name: str | None = None,
        name_prefix: str = "",
        state: str | None = None,
        next_token: str | None = None,
        max_results: int = PAGE,
    ) -> Output:
        if group_name is not None:
            self._jobs.group(group_name)
        found = [
            job
            for job in self._jobs.all()
            if group_name in (None, job.group) and job.name.startswith(name_prefix) and state in (None, _state(job))
        ]
        shown, more = page(found, lambda job: job.key, next_token, max_results)
        listed = [{**self._listed(job), "Target": {"Arn": job.target["Arn"]}} for job in shown]
        return {"Schedules": listed, **more}

    # ------------------------------------------------------------------------------------ groups

    @operation(harmless={"ClientToken"})
    async def create_schedule_group(self, call: Call, *, name: str, tags: list[dict[str, str]] | None = None) -> Output:
        async with self._jobs.lock:
            if self._jobs.has_group(name):
                raise ServiceError("ConflictException", f"Schedule group {name} already exists.", status=409)
            await self._jobs.put_group(Group(name, call.now, call.now, _tags({}, tags or [])))
        return {"ScheduleGroupArn": self._jobs.group_arn(name)}

    @operation()
    async def get_schedule_group(self, call: Call, *, name: str) -> Output:
        return self._shown_group(self._jobs.group(name))

    @operation(harmless={"ClientToken"})
    async def delete_schedule_group(self, call: Call, *, name: str) -> Output:
        """With all its schedules."""
        if name == DEFAULT:
            raise validation("The default schedule group cannot be deleted.")
        async with self._jobs.lock:
            self._jobs.group(name)
            await self._jobs.delete_group(name)
        return {}

    @operation()
    async def list_schedule_groups(
        self, call: Call, *, name_prefix: str = "", next_token: str | None = None, max_results: int = PAGE
    ) -> Output:
        found = [group for group in self._jobs.groups() if group.name.startswith(name_prefix)]
        shown, more = page(found, lambda group: group.name, next_token, max_results)
        return {"ScheduleGroups": [self._shown_group(group) for group in shown], **more}

    @operation()
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: list[dict[str, str]]) -> Output:
        async with self._jobs.lock:
            group = self._tagged(resource_arn)
            await self._jobs.put_group(replace(group, tags=_tags(group.tags, tags)))
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: list[str]) -> Output:
        async with self._jobs.lock:
            group = self._tagged(resource_arn)
            kept = {key: value for key, value in group.tags.items() if key not in tag_keys}
            await self._jobs.put_group(replace(group, tags=kept))
        return {}

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        tags = self._tagged(resource_arn).tags
        return {"Tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)]}

    # ------------------------------------------------------------------------------------ the few steps that are shared

    def _made(
        self,
        job: Job,
        dates: tuple[datetime | None, datetime | None],
        description: str,
        zone: str,
        state: str,
        window: dict[str, Any],
        after: str,
    ) -> Job:
        """The job with everything checked. Raises ValidationException."""
        _check_enum("State", state, ("ENABLED", "DISABLED"))
        _check_enum("ActionAfterCompletion", after, ("NONE", "DELETE"))
        try:
            parse(job.expression)
            zone_of(zone)
        except ScheduleError as error:
            raise validation(f"Invalid Schedule Expression {job.expression[:256]}. {error}") from None
        start, end = (each.timestamp() if each is not None else None for each in dates)
        if start is not None and end is not None and end <= start:
            raise validation("The EndDate must be after the StartDate.")
        self._check_target(job.target)
        return replace(
            job,
            start=start,
            end=end,
            description=description,
            zone=zone,
            enabled=state == "ENABLED",
            window=_window(window),
            delete_after=after == "DELETE",
        )

    def _check_target(self, target: dict[str, Any]) -> None:
        check_honoured(target, HONOURED)
        check_arn(self._targets, target["Arn"])
        if ":kinesis:" in target["Arn"] and not target.get("KinesisParameters"):
            raise validation("KinesisParameters must be provided for a target that is a stream.")
        if target.get("Input") is not None and ":lambda:" in target["Arn"]:
            try:
                check_json(target["Input"], "Input")
            except InputError as error:
                raise validation(str(error)) from None

    def _listed(self, job: Job) -> Output:
        return {
            "Arn": self._jobs.arn(job),
            "Name": job.name,
            "GroupName": job.group,
            "State": _state(job),
            "CreationDate": job.created,
            "LastModificationDate": job.modified,
        }

    def _shown_group(self, group: Group) -> Output:
        return {
            "Arn": self._jobs.group_arn(group.name),
            "Name": group.name,
            "State": "DELETING" if group.deleting else "ACTIVE",
            "CreationDate": group.created,
            "LastModificationDate": group.modified,
        }

    def _tagged(self, arn: str) -> Group:
        """The group of an ARN: only groups have tags. Raises ResourceNotFoundException."""
        name = arn.rpartition("/")[2]
        if arn != self._jobs.group_arn(name):
            raise ServiceError("ResourceNotFoundException", f"There is no schedule group {arn[:300]}.", status=404)
        return self._jobs.group(name)


def _state(job: Job) -> str:
    return "ENABLED" if job.enabled else "DISABLED"


def _check_enum(member: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise validation(f"{member} must be one of {', '.join(allowed)}, not {value[:50]}.")


def _check_future(job: Job, now: float) -> None:
    schedule = parse(job.expression)
    if isinstance(schedule, At) and schedule.next_after(now, 0.0, zone_of(job.zone)) is None:
        raise validation("The schedule expression at() is in the past.")
    if job.end is not None and job.end <= now:
        raise validation("The EndDate you specify must be in the future.")


def _window(window: dict[str, Any]) -> int:
    mode, minutes = window["Mode"], window.get("MaximumWindowInMinutes")
    _check_enum("FlexibleTimeWindow.Mode", mode, ("OFF", "FLEXIBLE"))
    if (mode == "FLEXIBLE") != (minutes is not None):
        raise validation("MaximumWindowInMinutes belongs to a FlexibleTimeWindow of mode FLEXIBLE.")
    return minutes or 0


def _tags(before: dict[str, str], tags: list[dict[str, str]]) -> dict[str, str]:
    merged = {**before, **{tag["Key"]: tag["Value"] for tag in tags}}
    if len(merged) > MOST_TAGS:
        raise validation(f"A schedule group has at most {MOST_TAGS} tags.")
    return merged
