"""Topic rules.

AWS answers a rule that does not exist with UnauthorizedException, not with ResourceNotFoundException: the model of
these operations has no such error. So do we.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.protocols.iotsql import SqlError
from littoral.things.control import pages
from littoral.things.control.errors import exists, invalid
from littoral.things.control.ruletags import RuleTags
from littoral.things.control.tagging import of_header
from littoral.things.names import RULE_NAME, Names
from littoral.things.rules import Destinations, RuleEngine, RuleRecord
from littoral.things.rules.actions import HttpAction
from littoral.things.rules.definition import BadRule, CompiledRule
from littoral.things.rules.filters import matches

_NOTES = (
    "actions cloudwatchLogs, cloudwatchMetric, dynamoDB, dynamoDBv2, firehose, http, kinesis, lambda, "
    "republish, s3, sns, sqs; roleArn is required but no role is assumed; awsIotSqlVersion 2016-03-23"
)


class TopicRules(RuleTags):
    def __init__(self, engine: RuleEngine, names: Names, destinations: Destinations) -> None:
        self.engine = engine
        self.names = names
        self.destinations = destinations

    @operation(notes=_NOTES)
    async def create_topic_rule(
        self, call: Call, *, rule_name: str, topic_rule_payload: dict[str, Any], tags: str | None = None
    ) -> Output:
        if not RULE_NAME.fullmatch(rule_name):
            raise invalid(f"Invalid rule name: {rule_name!r}")
        record = replace(_record(rule_name, topic_rule_payload, call.now), tags=of_header(tags))
        async with self.engine.changing:
            if rule_name in self.engine.records:
                arn = self.names.arn("rule", rule_name)
                raise exists(f"Topic rule already exists: {rule_name}", arn, rule_name)
            await self.engine.put(record)
        await self._confirm_endpoints(record)
        return {}

    async def _confirm_endpoints(self, record: RuleRecord) -> None:
        """ "A destination is created when you create a rule with an http action"; one with a fixed URL, that is."""
        compiled = CompiledRule(record)
        for action in (*compiled.actions, compiled.error_action):
            if isinstance(action, HttpAction) and action.confirmation is not None:
                await self.destinations.ensure(action.confirmation)

    def _rule(self, name: str) -> RuleRecord:
        found = self.engine.records.get(name)
        if found is None:
            raise ServiceError("UnauthorizedException", f"Access to topic rule '{name}' was denied", status=401)
        return found

    @operation()
    async def get_topic_rule(self, call: Call, *, rule_name: str) -> Output:
        record = self._rule(rule_name)
        rule: Output = {
            "ruleName": record.name,
            "sql": record.sql,
            "createdAt": record.created,
            "actions": record.actions,
            "ruleDisabled": record.disabled,
            "awsIotSqlVersion": record.sql_version,
        }
        if record.description:
            rule["description"] = record.description
        if record.error_action is not None:
            rule["errorAction"] = record.error_action
        return {"ruleArn": self.names.arn("rule", record.name), "rule": rule}

    @operation()
    async def list_topic_rules(
        self,
        call: Call,
        *,
        topic: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
        rule_disabled: bool | None = None,
    ) -> Output:
        """``topic`` keeps the rules that a message on it would trigger."""

        def wanted(record: RuleRecord) -> bool:
            if rule_disabled is not None and record.disabled is not rule_disabled:
                return False
            topic_filter = CompiledRule(record).topic_filter
            return topic is None or (topic_filter is not None and matches(topic_filter, topic))

        rows = ((key, record) for key, record in self.engine.records.items(pages.after(next_token)) if wanted(record))
        found, token = pages.page(rows, pages.size(max_results, default=1000, most=10_000))
        return pages.with_token({"rules": [self._listed_rule(record) for record in found]}, "nextToken", token)

    def _listed_rule(self, record: RuleRecord) -> Output:
        listed = {
            "ruleArn": self.names.arn("rule", record.name),
            "ruleName": record.name,
            "createdAt": record.created,
            "ruleDisabled": record.disabled,
        }
        topic_filter = CompiledRule(record).topic_filter
        return listed if topic_filter is None else {**listed, "topicPattern": topic_filter}

    @operation(notes=_NOTES)
    async def replace_topic_rule(self, call: Call, *, rule_name: str, topic_rule_payload: dict[str, Any]) -> Output:
        async with self.engine.changing:
            before = self._rule(rule_name)
            record = replace(_record(rule_name, topic_rule_payload, before.created), tags=before.tags)
            await self.engine.put(record)
        await self._confirm_endpoints(record)
        return {}

    @operation()
    async def delete_topic_rule(self, call: Call, *, rule_name: str) -> Output:
        async with self.engine.changing:
            self._rule(rule_name)
            await self.engine.delete(rule_name)
        return {}

    @operation()
    async def enable_topic_rule(self, call: Call, *, rule_name: str) -> Output:
        return await self._set_disabled(rule_name, disabled=False)

    @operation()
    async def disable_topic_rule(self, call: Call, *, rule_name: str) -> Output:
        return await self._set_disabled(rule_name, disabled=True)

    async def _set_disabled(self, rule_name: str, *, disabled: bool) -> Output:
        async with self.engine.changing:
            await self.engine.put(replace(self._rule(rule_name), disabled=disabled))
        return {}


def _record(name: str, payload: dict[str, Any], created: float) -> RuleRecord:
    try:
        return RuleRecord.of_payload(name, payload, created)
    except SqlError as error:
        raise ServiceError("SqlParseException", str(error), status=400) from None
    except BadRule as error:
        raise invalid(str(error)) from None
