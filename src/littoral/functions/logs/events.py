"""Events through CloudWatch Logs' API: GetLogEvents, FilterLogEvents, PutLogEvents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions.logs.group import ANSWER_BYTES, DAY, EVENT_OVERHEAD, Event, Group, Page, Query
from littoral.functions.logs.parts import Base, invalid, no_stream
from littoral.functions.logs.segment import Entry, Key
from littoral.functions.logs.store import Logs
from littoral.protocols.logfilter import PatternError, compile_pattern

MOST_EVENTS = 10_000  # in one answer or batch
LARGEST_EVENT = 1_048_576  # bytes
HOUR = 3_600_000  # ms
NOWHERE = Key(0, 0, 0)


class Events(Base):
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/"""

    _logs: Logs

    @operation(harmless={"unmask"})
    async def get_log_events(
        self,
        call: Call,
        *,
        log_stream_name: str,
        log_group_name: str | None = None,
        log_group_identifier: str | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        next_token: str | None = None,
        limit: int | None = None,
        start_from_head: bool = False,
    ) -> Output:
        group = self._named(log_group_name, log_group_identifier)
        direction, key = _token(next_token, {"f", "b"})
        query = Query(
            start=start_time or 0,
            end=1 << 62 if end_time is None else end_time - 1,
            streams=frozenset((log_stream_name,)),
            after=key if direction == "f" else None,
            before=key if direction == "b" else None,
            newest=direction == "b" or (direction is None and not start_from_head),
            limit=limit or MOST_EVENTS,
        )
        now = self._now()

        def read(found: Group) -> Page:
            if not found.has_stream(log_stream_name):
                raise no_stream()
            return found.select(query, now)

        events = (await self._on(group, read)).events
        first, last = _ends(events, key)
        return {
            "events": [
                {"timestamp": each.timestamp, "message": each.message, "ingestionTime": each.ingested}
                for each in events
            ],
            "nextForwardToken": f"f/{last.text()}",
            "nextBackwardToken": f"b/{first.text()}",
        }

    @operation(harmless={"interleaved", "unmask"}, notes="filterPattern: regular expressions are refused")
    async def filter_log_events(
        self,
        call: Call,
        *,
        log_group_name: str | None = None,
        log_group_identifier: str | None = None,
        log_stream_names: Sequence[str] | None = None,
        log_stream_name_prefix: str | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        filter_pattern: str = "",
        next_token: str | None = None,
        limit: int | None = None,
        start_from_head: bool = True,
    ) -> Output:
        group = self._named(log_group_name, log_group_identifier)
        if log_stream_names and log_stream_name_prefix:
            raise invalid("logStreamNames and logStreamNamePrefix can not be given together.")
        if start_time is not None and end_time is not None and end_time < start_time:
            raise invalid("endTime is before startTime.")
        direction, key = _token(next_token, {"f", "b"})
        newest = direction == "b" if direction else not start_from_head
        try:
            matches = compile_pattern(filter_pattern) if filter_pattern.strip() else None
        except PatternError as problem:
            raise invalid(f"Invalid filter pattern: {problem}") from None
        query = Query(
            start=start_time or 0,
            end=1 << 62 if end_time is None else end_time,
            streams=frozenset(log_stream_names) if log_stream_names else None,
            prefix=log_stream_name_prefix or "",
            matches=matches,
            after=None if newest else key,
            before=key if newest else None,
            newest=newest,
            limit=limit or MOST_EVENTS,
        )
        now = self._now()

        def read(found: Group) -> Page:
            if not all(found.has_stream(name) for name in log_stream_names or ()):
                raise no_stream()
            return found.select(query, now)

        page = await self._on(group, read)
        events = page.events[::-1] if newest else page.events
        output: Output = {"events": [_filtered(each) for each in events], "searchedLogStreams": []}
        if page.more:
            output["nextToken"] = f"{'b' if newest else 'f'}/{events[-1].key.text()}"
        return output

    @operation(harmless={"sequenceToken", "entity"})
    async def put_log_events(
        self, call: Call, *, log_group_name: str, log_stream_name: str, log_events: Sequence[dict[str, Any]]
    ) -> Output:
        """Durable when it returns."""
        now = self._now()
        entries = _entries(log_stream_name, log_events, now)

        def write(found: Group) -> tuple[Output, bool]:
            if not found.has_stream(log_stream_name):
                raise no_stream()
            kept, rejected = _sorted_out(entries, found, now)
            if kept:
                found.append([each.alone() for each in kept], durable=True)
            return rejected, bool(kept)

        rejected, _ = await self._on(log_group_name, write)
        output: Output = {"nextSequenceToken": f"{now:056d}"}
        if rejected:
            output["rejectedLogEventsInfo"] = rejected
        return output


def _entries(stream: str, events: Sequence[dict[str, Any]], now: int) -> list[Entry]:
    """The batch as it will be written, if it is one. Raises InvalidParameterException."""
    entries = [Entry(each["timestamp"], now, stream, each["message"].encode()) for each in events]
    if any(len(each.message) > LARGEST_EVENT for each in entries):
        raise invalid(f"Log event too large: more than {LARGEST_EVENT} bytes.")
    if sum(len(each.message) + EVENT_OVERHEAD for each in entries) > ANSWER_BYTES:
        raise invalid(f"Upload too large: more than {ANSWER_BYTES} bytes.")
    times = [each.timestamp for each in entries]
    if times != sorted(times):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
    valid = [time for time in times if now - 14 * DAY <= time <= now + 2 * HOUR]
    if valid and valid[-1] - valid[0] > DAY:
        raise invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    return entries


def _sorted_out(entries: list[Entry], group: Group, now: int) -> tuple[list[Entry], Output]:
    """What is taken, and which events are not because of their time."""
    past, expired = now - 14 * DAY, group.oldest(now)
    rejected: Output = {}
    too_old = sum(each.timestamp < past for each in entries)
    gone = sum(each.timestamp < expired for each in entries)
    too_new = sum(each.timestamp > now + 2 * HOUR for each in entries)
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if gone:
        rejected["expiredLogEventEndIndex"] = gone
    if too_new:
        rejected["tooNewLogEventStartIndex"] = len(entries) - too_new
    return entries[max(too_old, gone) : len(entries) - too_new], rejected


def _filtered(event: Event) -> Output:
    return {
        "logStreamName": event.stream,
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.ingested,
        "eventId": event.key.text(),
    }


def _ends(events: list[Event], key: Key | None) -> tuple[Key, Key]:
    """Before and after which to go on; where nothing was found, from where it was looked."""
    if events:
        return events[0].key, events[-1].key
    here = key or NOWHERE
    return here, here


def _token(text: str | None, directions: set[str]) -> tuple[str | None, Key | None]:
    """The direction and position that a token stands for. Raises InvalidParameterException."""
    if text is None:
        return None, None
    direction, _, position = text.partition("/")
    try:
        if direction not in directions:
            raise ValueError("not a direction")
        return direction, Key.of(position)
    except ValueError:
        raise ServiceError("InvalidParameterException", "The specified nextToken is invalid.", status=400) from None
