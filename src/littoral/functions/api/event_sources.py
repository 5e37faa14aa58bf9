"""Event source mappings: CreateEventSourceMapping and its siblings."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions.api.parts import Operations, page, with_marker
from littoral.functions.names import Reference, conflict, invalid, not_found
from littoral.functions.sources import EventSource, SourceMapping
from littoral.functions.validation import check_tags
from littoral.protocols.eventpattern import PatternError, parse_pattern

MOST_FILTERS = 5
LONGEST_PATTERN = 4096
LISTED = 100
# member of the API → field, and what it may be
NUMBERS = {
    "BatchSize": ("batch_size", 1, 10_000),
    "MaximumBatchingWindowInSeconds": ("window", 0, 300),
    "ParallelizationFactor": ("factor", 1, 10),
    "MaximumRetryAttempts": ("retries", -1, 10_000),
    "MaximumRecordAgeInSeconds": ("max_age", -1, 604_800),
    "TumblingWindowInSeconds": ("tumbling", 0, 900),
}


class EventSourceOperations(Operations):
    @operation(notes="streams only")
    async def create_event_source_mapping(
        self,
        call: Call,
        *,
        function_name: str,
        event_source_arn: str | None = None,
        enabled: bool = True,
        batch_size: int | None = None,
        filter_criteria: dict[str, Any] | None = None,
        maximum_batching_window_in_seconds: int | None = None,
        parallelization_factor: int | None = None,
        starting_position: str | None = None,
        starting_position_timestamp: datetime | None = None,
        destination_config: dict[str, Any] | None = None,
        maximum_record_age_in_seconds: int | None = None,
        bisect_batch_on_function_error: bool | None = None,
        maximum_retry_attempts: int | None = None,
        tumbling_window_in_seconds: int | None = None,
        function_response_types: list[str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> Output:
        reference = self._reference(function_name)
        check_tags(tags)
        arn, source = self._source(event_source_arn)
        changes = self._changes(
            {
                "BatchSize": batch_size,
                "MaximumBatchingWindowInSeconds": maximum_batching_window_in_seconds,
                "ParallelizationFactor": parallelization_factor,
                "MaximumRetryAttempts": maximum_retry_attempts,
                "MaximumRecordAgeInSeconds": maximum_record_age_in_seconds,
                "TumblingWindowInSeconds": tumbling_window_in_seconds,
            },
            filter_criteria,
            destination_config,
            bisect_batch_on_function_error,
            function_response_types,
        )
        moment = _starting(starting_position, starting_position_timestamp)
        shards = _shards(source, arn)
        self._check_new(arn, reference)
        mapping = SourceMapping(
            str(uuids.uuid4()),
            arn,
            source.identity(arn),
            reference.name,
            reference.qualifier,
            call.now,
            starting_position or "",
            {shard: await source.position(arn, shard, starting_position or "", moment) for shard in shards},
            moment,
            enabled,
            tags=dict(tags or {}),
        )
        mapping = replace(mapping, **changes)
        _check_windows(mapping)
        async with self._catalog.lock(reference.name):  # else two at once could both be the first
            self._check_new(arn, reference)
            await self._parts.mappings.create(mapping)
        return {**self._shown_mapping(mapping), "State": "Creating"}

    @operation()
    async def get_event_source_mapping(self, call: Call, *, uuid: str) -> Output:
        return self._shown_mapping(self._parts.mappings.get(uuid))

    @operation()
    async def list_event_source_mappings(
        self,
        call: Call,
        *,
        event_source_arn: str | None = None,
        function_name: str | None = None,
        marker: str | None = None,
        max_items: int = LISTED,
    ) -> Output:
        wanted = self._home.parse(function_name) if function_name else None
        found = [
            mapping
            for mapping in self._parts.mappings.all()
            if event_source_arn in (None, mapping.source)
            and (wanted is None or wanted == Reference(mapping.function, mapping.qualifier))
        ]
        shown, following = page(found, lambda mapping: mapping.uuid, marker, min(max_items, LISTED))
        return with_marker({"EventSourceMappings": [self._shown_mapping(each) for each in shown]}, following)

    @operation()
    async def update_event_source_mapping(
        self,
        call: Call,
        *,
        uuid: str,
        function_name: str | None = None,
        enabled: bool | None = None,
        batch_size: int | None = None,
        filter_criteria: dict[str, Any] | None = None,
        maximum_batching_window_in_seconds: int | None = None,
        parallelization_factor: int | None = None,
        destination_config: dict[str, Any] | None = None,
        maximum_record_age_in_seconds: int | None = None,
        bisect_batch_on_function_error: bool | None = None,
        maximum_retry_attempts: int | None = None,
        tumbling_window_in_seconds: int | None = None,
        function_response_types: list[str] | None = None,
    ) -> Output:
        changes = self._changes(
            {
                "BatchSize": batch_size,
                "MaximumBatchingWindowInSeconds": maximum_batching_window_in_seconds,
                "ParallelizationFactor": parallelization_factor,
                "MaximumRetryAttempts": maximum_retry_attempts,
                "MaximumRecordAgeInSeconds": maximum_record_age_in_seconds,
                "TumblingWindowInSeconds": tumbling_window_in_seconds,
            },
            filter_criteria,
            destination_config,
            bisect_batch_on_function_error,
            function_response_types,
        )
        if function_name is not None:
            reference = self._reference(function_name)
            changes |= {"function": reference.name, "qualifier": reference.qualifier}
        if enabled is not None:
            changes["enabled"] = enabled
        async with self._catalog.lock(self._parts.mappings.get(uuid).function):
            changed = replace(self._parts.mappings.get(uuid), **changes, modified=call.now)
            _check_windows(changed)
            await self._parts.mappings.change(changed)
        return {**self._shown_mapping(changed), "State": "Updating"}

    @operation()
    async def delete_event_source_mapping(self, call: Call, *, uuid: str) -> Output:
        mapping = self._parts.mappings.get(uuid)
        shown = {**self._shown_mapping(mapping), "State": "Deleting"}
        await self._parts.mappings.delete(uuid)
        return shown

    def _reference(self, function_name: str) -> Reference:
        """Raises InvalidParameterValueException where there is no such function."""
        reference = self._home.parse(function_name)
        try:
            self._catalog.version(reference)
        except ServiceError:
            raise invalid("Function does not exist") from None
        return reference

    def _source(self, arn: str | None) -> tuple[str, EventSource]:
        if not arn:
            raise invalid("Unrecognized event source.")
        source = self._parts.mappings.source(arn)
        if source is None:
            raise invalid(f"Unrecognized event source, or one that this place does not serve: {arn[:200]}")
        return arn, source

    def _check_new(self, arn: str, reference: Reference) -> None:
        for mapping in self._parts.mappings.all():
            if (mapping.source, mapping.function, mapping.qualifier) == (arn, reference.name, reference.qualifier):
                raise conflict(
                    f'The event source arn (" {arn} ") and function (" {reference.name} ") provided mapping already '
                    f"exists. Please update or delete the existing mapping with UUID {mapping.uuid}"
                )

    def _changes(
        self,
        numbers: dict[str, int | None],
        filters: dict[str, Any] | None,
        destinations: dict[str, Any] | None,
        bisect: bool | None,
        response_types: list[str] | None,
    ) -> dict[str, Any]:
        """The fields that the members sent stand for, checked."""
        changes: dict[str, Any] = {}
        for member, value in numbers.items():
            if value is not None:
                changes[NUMBERS[member][0]] = _number(member, value)
        if filters is not None:
            changes["filters"] = _filters(filters)
        if destinations is not None:
            changes["on_failure"] = self._destination(destinations)
        if bisect is not None:
            changes["bisect"] = bisect
        if response_types is not None:
            changes["report_failures"] = "ReportBatchItemFailures" in response_types
        return changes

    def _destination(self, destinations: dict[str, Any]) -> str | None:
        if (destinations.get("OnSuccess") or {}).get("Destination"):
            raise invalid("Unsupported DestinationConfig parameter for given event source mapping type.")
        arn: str | None = (destinations.get("OnFailure") or {}).get("Destination")
        if not arn:
            return None
        if ":lambda:" in arn:
            self._reference(arn)
            return arn
        if not self._parts.deliveries.sink.accepts(arn):
            raise invalid(f"The destination {arn[:200]} is not served by this place.")
        return arn

    def _shown_mapping(self, mapping: SourceMapping) -> Output:
        mappings = self._parts.mappings
        shown: Output = {
            "UUID": mapping.uuid,
            "EventSourceMappingArn": self._home.mapping_arn(mapping.uuid),
            "EventSourceArn": mapping.source,
            "FunctionArn": self._home.arn(mapping.function, mapping.qualifier),
            "LastModified": mapping.modified,
            "LastProcessingResult": mappings.result(mapping.uuid),
            "State": mappings.state(mapping.uuid),
            "StateTransitionReason": "User action",
            "StartingPosition": mapping.starting_position,
            "DestinationConfig": {"OnFailure": {"Destination": mapping.on_failure} if mapping.on_failure else {}},
            "BisectBatchOnFunctionError": mapping.bisect,
            "FunctionResponseTypes": ["ReportBatchItemFailures"] if mapping.report_failures else [],
            **{member: getattr(mapping, name) for member, (name, _, _) in NUMBERS.items()},
        }
        if mapping.starting_timestamp is not None:
            shown["StartingPositionTimestamp"] = mapping.starting_timestamp
        if mapping.filters:
            shown["FilterCriteria"] = {"Filters": [{"Pattern": text} for text in mapping.filters]}
        return shown


def _shards(source: EventSource, arn: str) -> Sequence[str]:
    """Raises ResourceNotFoundException with Lambda's status, whatever the source's own API gives it."""
    try:
        return source.shards(arn)
    except ServiceError as error:
        if error.code == "ResourceNotFoundException":
            raise not_found(error.message) from error
        raise


def _check_windows(mapping: SourceMapping) -> None:
    if mapping.tumbling and mapping.factor > 1:
        raise invalid("A mapping with TumblingWindowInSeconds has a ParallelizationFactor of 1.")


def _number(member: str, value: int) -> int:
    _, low, high = NUMBERS[member]
    too_short = member == "MaximumRecordAgeInSeconds" and -1 < value < 60
    if not low <= value <= high or too_short:
        raise invalid(f"{member} must be from {low} to {high}{' and, if it is not -1, at least 60' * too_short}.")
    return value


def _starting(position: str | None, timestamp: datetime | None) -> float | None:
    """The moment to start from, for AT_TIMESTAMP."""
    if position is None:
        raise invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if (position == "AT_TIMESTAMP") != (timestamp is not None):
        raise invalid("StartingPositionTimestamp belongs to the StartingPosition AT_TIMESTAMP.")
    return timestamp.timestamp() if timestamp is not None else None


def _filters(criteria: dict[str, Any]) -> tuple[str, ...]:
    texts = [each.get("Pattern") or "" for each in criteria.get("Filters") or []]
    if len(texts) > MOST_FILTERS:
        raise invalid(f"An event source mapping has at most {MOST_FILTERS} filters.")
    for text in texts:
        if len(text) > LONGEST_PATTERN:
            raise invalid(f"A filter pattern has at most {LONGEST_PATTERN} characters.")
        try:
            parse_pattern(text)
        except PatternError as error:
            raise invalid(f"Invalid filter pattern definition. {error}") from None
    return tuple(texts)
