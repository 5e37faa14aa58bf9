"""A rule as its author wrote it, and as it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from littoral.protocols.iotsql import Rule, compile_rule
from littoral.protocols.mqtt.topics import BadTopic
from littoral.things.rules import filters
from littoral.things.rules.actions import Action, BadAction, parse_action

Json = dict[str, Any]

SQL_VERSION: Final = "2016-03-23"
MAX_ACTIONS: Final = 10
_PAYLOAD: Final = {"sql", "description", "actions", "ruleDisabled", "awsIotSqlVersion", "errorAction"}


class BadRule(ValueError):
    """Not a rule that can be honoured. A statement that cannot be parsed raises SqlError instead."""


@dataclass(frozen=True, slots=True)
class RuleRecord:
    name: str
    sql: str
    actions: list[Json]
    created: float
    description: str = ""
    disabled: bool = False
    error_action: Json | None = None
    sql_version: str = SQL_VERSION
    tags: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Json) -> RuleRecord:
        return cls(**found)

    @classmethod
    def of_payload(cls, name: str, payload: Mapping[str, Any], created: float) -> RuleRecord:
        """From a TopicRulePayload. Raises BadRule and SqlError; what passes here compiles."""
        unknown = sorted(set(payload) - _PAYLOAD)
        if unknown:
            raise BadRule(f"topicRulePayload.{unknown[0]} is not honoured here")
        version = payload.get("awsIotSqlVersion", SQL_VERSION)
        if version != SQL_VERSION:
            raise BadRule(f"awsIotSqlVersion {version!r} is not available here; there is {SQL_VERSION!r}")
        record = cls(
            name=name,
            sql=payload["sql"],
            actions=list(payload["actions"]),
            created=created,
            description=payload.get("description", ""),
            disabled=bool(payload.get("ruleDisabled", False)),
            error_action=payload.get("errorAction"),
        )
        CompiledRule(record)
        return record


@dataclass(slots=True)
class Metrics:
    """Counts since the start of this process."""

    evaluated: int = 0  # messages that the filter let through
    matched: int = 0  # messages whose WHERE held
    success: int = 0  # actions done
    failure: int = 0  # actions given up
    retries: int = 0
    parse_errors: int = 0  # messages the statement could not be evaluated for
    throttled: int = 0  # messages refused or dropped because too many waited
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind, and "success" or "failure"

    def done(self, kind: str, *, well: bool) -> None:
        """One action is over."""
        if well:
            self.success += 1
        else:
            self.failure += 1
        self.actions[kind, "success" if well else "failure"] += 1


@dataclass(slots=True)
class CompiledRule:
    record: RuleRecord
    metrics: Metrics = field(default_factory=Metrics)
    rule: Rule = field(init=False)
    actions: tuple[Action, ...] = field(init=False)
    error_action: Action | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.rule = compile_rule(self.record.sql)
        if self.rule.topic_filter is not None:
            _check_filter(self.rule.topic_filter)
        if not 0 <= len(self.record.actions) <= MAX_ACTIONS:
            raise BadRule(f"A rule has at most {MAX_ACTIONS} actions")
        try:
            self.actions = tuple(parse_action(action, self.rule.variables) for action in self.record.actions)
            if self.record.error_action is not None:
                self.error_action = parse_action(self.record.error_action, self.rule.variables)
        except BadAction as error:
            raise BadRule(str(error)) from None

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def topic_filter(self) -> str | None:
        return self.rule.topic_filter


def _check_filter(topic_filter: str) -> None:
    try:
        filters.check(topic_filter)
    except BadTopic as error:
        raise BadRule(f"Invalid topic filter {topic_filter!r} in FROM: {error}") from None
    if topic_filter.startswith("$aws/rules/"):
        raise BadRule("A rule cannot subscribe to Basic Ingest topics")
