"""Amazon EventBridge (2015-10-07): rules, their targets and PutEvents, on the default event bus only.

Not here, and refused by name: other buses, archives, replays, pipes, API destinations, dead-letter queues.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.eventpattern import PatternError, parse_pattern
from littoral.protocols.schedule import At, ScheduleError, parse
from littoral.schedules.api.common import check_arn, check_honoured, page, validation
from littoral.schedules.inputs import InputError, check_target
from littoral.schedules.outbox import Targets
from littoral.schedules.rules import Rule, Rules

MOST_RULES, MOST_TARGETS, MOST_TAGS = 300, 5, 50
LONGEST_ENTRIES = 1024 * 1024  # bytes of a PutEvents
PAGE = 100
HONOURED = (
    *("Id", "Arn", "RoleArn", "Input", "InputPath", "InputTransformer"),
    *("RetryPolicy", "KinesisParameters"),
)


class EventsApi:
    """All operations of botocore's service "events" that Littoral has."""

    def __init__(self, rules: Rules, targets: Targets) -> None:
        self._rules = rules
        self._targets = targets

    @operation()
    async def put_rule(
        self,
        call: Call,
        *,
        name: str,
        schedule_expression: str | None = None,
        event_pattern: str | None = None,
        state: str = "ENABLED",
        description: str = "",
        role_arn: str = "",
        tags: list[dict[str, str]] | None = None,
        event_bus_name: str | None = None,
    ) -> Output:
        """A rule that is there is replaced; its targets and tags stay."""
        self._check_bus(event_bus_name)
        _check_rule(schedule_expression, event_pattern, state)
        async with self._rules.lock(name):
            before = self._rules.find(name)
            if before is None and len(self._rules.all()) >= MOST_RULES:
                raise ServiceError("LimitExceededException", f"A bus has at most {MOST_RULES} rules.", status=400)
            rule = before or Rule(name, call.now, tags=_tags({}, tags or []))
            kept = rule.since if rule.expression == (schedule_expression or "") else call.now
            changes: dict[str, Any] = {
                "since": kept,
                "expression": schedule_expression or "",
                "pattern": event_pattern or "",
            }
            enabled = state == "ENABLED"
            await self._rules.put(replace(rule, **changes, enabled=enabled, description=description, role=role_arn))
        return {"RuleArn": self._rules.arn(name)}

    @operation()
    async def describe_rule(self, call: Call, *, name: str, event_bus_name: str | None = None) -> Output:
        self._check_bus(event_bus_name)
        return {**self._shown(self._rules.get(name)), "CreatedBy": self._rules.account}

    @operation()
    async def list_rules(
        self,
        call: Call,
        *,
        name_prefix: str = "",
        event_bus_name: str | None = None,
        next_token: str | None = None,
        limit: int = PAGE,
    ) -> Output:
        self._check_bus(event_bus_name)
        shown, more = page(self._rules.all(name_prefix), lambda rule: rule.name, next_token, limit)
        return {"Rules": [self._shown(rule) for rule in shown], **more}

    @operation(harmless={"Force"})
    async def delete_rule(self, call: Call, *, name: str, event_bus_name: str | None = None) -> Output:
        """Succeeds when there is no such rule, as AWS does."""
        self._check_bus(event_bus_name)
        async with self._rules.lock(name):
            rule = self._rules.find(name)
            if rule is not None and rule.targets:
                raise validation("Rule can't be deleted since it has targets.")
            if rule is not None:
                await self._rules.delete(name)
        return {}

    @operation()
    async def enable_rule(self, call: Call, *, name: str, event_bus_name: str | None = None) -> Output:
        return await self._switch(name, event_bus_name, enabled=True)

    @operation()
    async def disable_rule(self, call: Call, *, name: str, event_bus_name: str | None = None) -> Output:
        return await self._switch(name, event_bus_name, enabled=False)

    @operation(notes="functions and streams; DeadLetterConfig and other targets are refused")
    async def put_targets(
        self, call: Call, *, rule: str, targets: list[dict[str, Any]], event_bus_name: str | None = None
    ) -> Output:
        self._check_bus(event_bus_name)
        for target in targets:
            check_honoured(target, HONOURED)
            check_arn(self._targets, target["Arn"])
            try:
                check_target(target)
            except InputError as error:
                raise validation(str(error)) from None
        async with self._rules.lock(rule):
            found = self._rules.get(rule)
            merged = {**found.targets, **{target["Id"]: target for target in targets}}
            if len(merged) > MOST_TARGETS:
                message = f"The requested resource exceeds the maximum number allowed: {MOST_TARGETS} targets."
                raise ServiceError("LimitExceededException", message, status=400)
            await self._rules.put(replace(found, targets=merged))
        return {"FailedEntryCount": 0, "FailedEntries": []}

    @operation()
    async def list_targets_by_rule(
        self,
        call: Call,
        *,
        rule: str,
        event_bus_name: str | None = None,
        next_token: str | None = None,
        limit: int = PAGE,
    ) -> Output:
        self._check_bus(event_bus_name)
        targets = self._rules.get(rule).targets
        shown, more = page(sorted(targets), str, next_token, limit)
        return {"Targets": [targets[identity] for identity in shown], **more}

    @operation(harmless={"Force"})
    async def remove_targets(
        self, call: Call, *, rule: str, ids: list[str], event_bus_name: str | None = None
    ) -> Output:
        self._check_bus(event_bus_name)
        async with self._rules.lock(rule):
            found = self._rules.get(rule)
            kept = {identity: target for identity, target in found.targets.items() if identity not in ids}
            await self._rules.put(replace(found, targets=kept))
        failed = [
            {
                "TargetId": identity,
                "ErrorCode": "ResourceNotFoundException",
                "ErrorMessage": f"Rule {rule} does not have a target with the id {identity}.",
            }
            for identity in ids
            if identity not in found.targets
        ]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    @operation()
    async def list_rule_names_by_target(
        self,
        call: Call,
        *,
        target_arn: str,
        event_bus_name: str | None = None,
        next_token: str | None = None,
        limit: int = PAGE,
    ) -> Output:
        self._check_bus(event_bus_name)
        names = [
            rule.name
            for rule in self._rules.all()
            if any(target["Arn"] == target_arn for target in rule.targets.values())
        ]
        shown, more = page(names, str, next_token, limit)
        return {"RuleNames": shown, **more}

    @operation()
    async def tag_resource(self, call: Call, *, resource_arn: str, tags: list[dict[str, str]]) -> Output:
        name = self._named(resource_arn)
        async with self._rules.lock(name):
            rule = self._rules.get(name)
            await self._rules.put(replace(rule, tags=_tags(rule.tags, tags)))
        return {}

    @operation()
    async def untag_resource(self, call: Call, *, resource_arn: str, tag_keys: list[str]) -> Output:
        name = self._named(resource_arn)
        async with self._rules.lock(name):
            rule = self._rules.get(name)
            await self._rules.put(replace(rule, tags={k: v for k, v in rule.tags.items() if k not in tag_keys}))
        return {}

    @operation()
    async def list_tags_for_resource(self, call: Call, *, resource_arn: str) -> Output:
        rule = self._rules.get(self._named(resource_arn))
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(rule.tags.items())]}

    @operation(notes="default bus; TraceHeader is not handed on")
    async def put_events(self, call: Call, *, entries: list[dict[str, Any]]) -> Output:
        """What a rule wants is durable for its targets when this is answered."""
        if sum(_size(entry) for entry in entries) > LONGEST_ENTRIES:
            raise validation("Total size of the entries in the request is over the limit.")
        results: list[Output] = []
        events: list[dict[str, Any]] = []
        for entry in entries:
            problem = self._entry_problem(entry)
            if problem is not None:
                results.append({"ErrorCode": problem[0], "ErrorMessage": problem[1]})
                continue
            identity = str(uuid.uuid4())
            time: datetime | None = entry.get("Time")
            events.append(
                self._rules.event(
                    identity,
                    entry["DetailType"],
                    entry["Source"],
                    time.timestamp() if time is not None else call.now,
                    entry.get("Resources") or [],
                    json.loads(entry["Detail"]),
                )
            )
            results.append({"EventId": identity})
        await self._rules.publish(events)
        return {"FailedEntryCount": sum("ErrorCode" in each for each in results), "Entries": results}

    @operation()
    async def test_event_pattern(self, call: Call, *, event_pattern: str, event: str) -> Output:
        try:
            given = json.loads(event)
        except (ValueError, RecursionError):
            raise validation("Parameter Event is not valid.") from None
        if not isinstance(given, dict):
            raise validation("Parameter Event is not valid.")
        return {"Result": _pattern(event_pattern)(given)}

    # ------------------------------------------------------------------------------------ the few steps that are shared

    async def _switch(self, name: str, bus: str | None, *, enabled: bool) -> Output:
        self._check_bus(bus)
        async with self._rules.lock(name):
            await self._rules.put(replace(self._rules.get(name), enabled=enabled))
        return {}

    def _shown(self, rule: Rule) -> Output:
        shown = {
            "Name": rule.name,
            "Arn": self._rules.arn(rule.name),
            "State": "ENABLED" if rule.enabled else "DISABLED",
            "EventBusName": "default",
            "ScheduleExpression": rule.expression,
            "EventPattern": rule.pattern,
            "Description": rule.description,
            "RoleArn": rule.role,
        }
        return {member: value for member, value in shown.items() if value}

    def _is_default(self, bus: str) -> bool:
        return bus in {"default", f"arn:aws:events:{self._rules.region}:{self._rules.account}:event-bus/default"}

    def _check_bus(self, bus: str | None) -> None:
        if bus is not None and not self._is_default(bus):
            raise ServiceError("ResourceNotFoundException", f"Event bus {bus[:256]} does not exist.", status=400)

    def _named(self, arn: str) -> str:
        """The rule of an ARN. Raises ResourceNotFoundException."""
        name = arn.rpartition("/")[2]
        if arn != self._rules.arn(name):
            raise ServiceError("ResourceNotFoundException", f"There is no rule {arn[:300]}.", status=400)
        return name

    def _entry_problem(self, entry: dict[str, Any]) -> tuple[str, str] | None:
        for member in ("Source", "DetailType", "Detail"):
            if not entry.get(member):
                return "InvalidArgument", f"Parameter {member} is not valid. Reason: {member} is a required argument."
        if entry["Source"].startswith("aws."):
            return "NotAuthorizedForSource", "Not authorized for the source."
        if not self._is_default(entry.get("EventBusName") or "default"):
            return "InvalidArgument", "The event bus does not exist."
        try:
            detail = json.loads(entry["Detail"])
        except (ValueError, RecursionError):
            return "MalformedDetail", "Detail is malformed."
        return None if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")


def _check_rule(expression: str | None, pattern: str | None, state: str) -> None:
    if not expression and not pattern:
        raise validation("At least one of 'EventPattern' or 'ScheduleExpression' must be provided.")
    if expression:
        try:
            schedule = parse(expression)
        except ScheduleError as error:
            raise validation(f"Parameter ScheduleExpression is not valid. {error}") from None
        if isinstance(schedule, At):
            raise validation("Parameter ScheduleExpression is not valid: at() belongs to EventBridge Scheduler.")
    if pattern:
        _pattern(pattern)
    if state not in {"ENABLED", "DISABLED"}:
        raise validation(f"The state {state[:60]} of a rule is not served by this place.")


def _pattern(text: str) -> Any:
    try:
        return parse_pattern(text)
    except PatternError as error:
        message = f"Event pattern is not valid. Reason: {error}"
        raise ServiceError("InvalidEventPatternException", message, status=400) from None


def _tags(before: dict[str, str], tags: list[dict[str, str]]) -> dict[str, str]:
    merged = {**before, **{tag["Key"]: tag["Value"] for tag in tags}}
    if len(merged) > MOST_TAGS:
        raise validation(f"A rule has at most {MOST_TAGS} tags.")
    return merged


def _size(entry: dict[str, Any]) -> int:
    """As AWS counts (user guide, "Calculating PutEvents event entry size")."""
    texts = [entry.get(member) or "" for member in ("Source", "DetailType", "Detail")] + (entry.get("Resources") or [])
    return sum(len(text.encode()) for text in texts) + (14 if entry.get("Time") is not None else 0)
