"""The CloudWatch Logs API (botocore's "logs"): groups, streams, retention and tags; events are in ``events``.

There are no subscription and metric filters, no Insights, no live tail, no export: those operations are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions.logs.events import Events
from littoral.functions.logs.group import Group, Settings
from littoral.functions.logs.parts import invalid, no_group, no_stream
from littoral.functions.logs.segment import StreamSummary
from littoral.functions.logs.store import NoGroup

T = TypeVar("T")
PAGE = 50
MOST_TAGS = 50
RETENTIONS = frozenset(
    (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
)


class LogsApi(Events):
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/"""

    # ------------------------------------------------------------------------------------ groups

    @operation(notes="logGroupClass: STANDARD")
    async def create_log_group(
        self,
        call: Call,
        *,
        log_group_name: str,
        tags: Mapping[str, str] | None = None,
        log_group_class: str = "STANDARD",
        deletion_protection_enabled: bool = False,
    ) -> Output:
        if log_group_name.startswith("aws/"):
            raise invalid("Log group names can not start with aws/.")
        if log_group_class != "STANDARD" or deletion_protection_enabled:
            raise invalid("Only log groups of class STANDARD without deletion protection are implemented here.")
        if not await self._logs.create(Settings(log_group_name, self._now(), tags=dict(tags or {}))):
            raise ServiceError("ResourceAlreadyExistsException", "The specified log group already exists", status=400)
        return {}

    @operation()
    async def delete_log_group(self, call: Call, *, log_group_name: str) -> Output:
        try:
            await self._logs.delete(log_group_name)
        except NoGroup:
            raise no_group() from None
        return {}

    @operation(harmless={"includeLinkedAccounts"})
    async def describe_log_groups(
        self,
        call: Call,
        *,
        log_group_name_prefix: str = "",
        log_group_name_pattern: str = "",
        next_token: str = "",
        limit: int = PAGE,
        log_group_class: str = "STANDARD",
    ) -> Output:
        if log_group_name_prefix and log_group_name_pattern:
            raise invalid("logGroupNamePrefix and logGroupNamePattern can not be given together.")

        def read(groups: dict[str, Group]) -> list[Output]:
            names = sorted(
                name
                for name in groups
                if name > next_token and name.startswith(log_group_name_prefix) and log_group_name_pattern in name
            )
            return [self._group(groups[name]) for name in names[: limit + 1]]

        found = await self._logs.run(read) if log_group_class == "STANDARD" else []
        output: Output = {"logGroups": found[:limit]}
        if len(found) > limit:
            output["nextToken"] = found[limit - 1]["logGroupName"]
        return output

    def _group(self, group: Group) -> Output:
        settings = group.settings
        arn = self._arn(settings.name)
        return {
            "logGroupName": settings.name,
            "creationTime": settings.created,
            "metricFilterCount": 0,
            "arn": f"{arn}:*",
            "logGroupArn": arn,
            "storedBytes": group.size,
            "logGroupClass": "STANDARD",
            **({"retentionInDays": settings.retention} if settings.retention is not None else {}),
        }

    @operation()
    async def put_retention_policy(self, call: Call, *, log_group_name: str, retention_in_days: int) -> Output:
        """What is older is not shown from then on, and its files go within the day."""
        if retention_in_days not in RETENTIONS:
            raise invalid(f"{retention_in_days} is not one of {', '.join(map(str, sorted(RETENTIONS)))}.")
        await self._set(log_group_name, lambda settings: setattr(settings, "retention", retention_in_days))
        return {}

    @operation()
    async def delete_retention_policy(self, call: Call, *, log_group_name: str) -> Output:
        await self._set(log_group_name, lambda settings: setattr(settings, "retention", None))
        return {}

    async def _set(self, group: str, change: Callable[[Settings], T]) -> T:
        try:
            return await self._logs.change(group, change)
        except NoGroup:
            raise no_group() from None

    # ------------------------------------------------------------------------------------ streams

    @operation()
    async def create_log_stream(self, call: Call, *, log_group_name: str, log_stream_name: str) -> Output:
        now = self._now()

        def make(found: Group) -> bool:
            if found.has_stream(log_stream_name):
                return False
            found.settings.streams[log_stream_name] = now
            try:
                found.save()
            except OSError:
                del found.settings.streams[log_stream_name]
                raise
            return True

        if not await self._on(log_group_name, make):
            raise ServiceError("ResourceAlreadyExistsException", "The specified log stream already exists", status=400)
        return {}

    @operation()
    async def delete_log_stream(self, call: Call, *, log_group_name: str, log_stream_name: str) -> Output:
        def erase(found: Group) -> None:
            if not found.has_stream(log_stream_name):
                raise no_stream()
            found.erase(log_stream_name)

        await self._on(log_group_name, erase)
        return {}

    @operation()
    async def describe_log_streams(
        self,
        call: Call,
        *,
        log_group_name: str | None = None,
        log_group_identifier: str | None = None,
        log_stream_name_prefix: str = "",
        order_by: str = "LogStreamName",
        descending: bool = False,
        next_token: str | None = None,
        limit: int = PAGE,
    ) -> Output:
        by_time = order_by == "LastEventTime"
        if by_time and log_stream_name_prefix:
            raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        group = self._named(log_group_name, log_group_identifier)
        streams = await self._on(group, lambda found: found.streams())
        places = sorted(
            (
                (summary.last if by_time else 0, name)
                for name, summary in streams.items()
                if name.startswith(log_stream_name_prefix)
            ),
            reverse=descending,
        )
        if next_token is not None:
            at = _place(next_token)
            places = [place for place in places if (place < at if descending else place > at)]
        output: Output = {"logStreams": [self._stream(group, name, streams[name]) for _, name in places[:limit]]}
        if len(places) > limit:
            output["nextToken"] = "{}/{}".format(*places[limit - 1])
        return output

    def _stream(self, group: str, name: str, summary: StreamSummary) -> Output:
        output: Output = {
            "logStreamName": name,
            "creationTime": summary.created,
            "arn": f"{self._arn(group)}:log-stream:{name}",
            "storedBytes": 0,  # CloudWatch says so of every stream since 2019
        }
        if summary.last >= 0:
            output |= {
                "firstEventTimestamp": summary.first,
                "lastEventTimestamp": summary.last,
                "lastIngestionTime": summary.ingested,
                "uploadSequenceToken": f"{summary.ingested:056d}",
            }
        return output

    # ------------------------------------------------------------------------------------ tags

    @operation()
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: Mapping[str, str]) -> Output:
        await self._set(self._group_of_arn(resource_arn), lambda settings: _tag(settings, tags))
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: Sequence[str]) -> Output:
        await self._set(self._group_of_arn(resource_arn), lambda settings: _untag(settings, tag_keys))
        return {}

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        return {"tags": await self._on(self._group_of_arn(resource_arn), lambda found: dict(found.settings.tags))}

    @operation()
    async def tag_log_group(self, call: Call, *, log_group_name: str, tags: Mapping[str, str]) -> Output:
        await self._set(log_group_name, lambda settings: _tag(settings, tags))
        return {}

    @operation()
    async def untag_log_group(self, call: Call, *, log_group_name: str, tags: Sequence[str]) -> Output:
        await self._set(log_group_name, lambda settings: _untag(settings, tags))
        return {}

    @operation()
    async def list_tags_log_group(self, call: Call, *, log_group_name: str) -> Output:
        return {"tags": await self._on(log_group_name, lambda found: dict(found.settings.tags))}


def _tag(settings: Settings, tags: Mapping[str, Any]) -> None:
    settings.tags.update(tags)
    if len(settings.tags) > MOST_TAGS:
        raise ServiceError("TooManyTagsException", f"A log group can have {MOST_TAGS} tags.", status=400)


def _untag(settings: Settings, keys: Sequence[str]) -> None:
    for key in keys:
        settings.tags.pop(key, None)


def _place(token: str) -> tuple[int, str]:
    time, _, name = token.partition("/")
    try:
        return int(time), name
    except ValueError:
        raise invalid("The specified nextToken is invalid.") from None
