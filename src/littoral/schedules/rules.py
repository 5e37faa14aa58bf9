"""Rules of the default event bus: what they are, when they are due, what their targets get.

Document ``rule/<name>``: the rule and its targets, one put for every change.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from littoral.aws.service import ServiceError
from littoral.protocols.eventpattern import Matcher, parse_pattern
from littoral.protocols.schedule import parse
from littoral.schedules.inputs import at_path, render
from littoral.schedules.outbox import LONGEST_AGE, MOST_ATTEMPTS, Entry, Outbox
from littoral.schedules.timekeeper import Timekeeper
from littoral.store.contract import Records

SERVICE = "events.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    since: float  # Unix seconds: when its expression was set; a rate counts from here
    expression: str = ""
    pattern: str = ""
    enabled: bool = True
    description: str = ""
    role: str = ""
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id, as PutTargets gave them
    tags: dict[str, str] = field(default_factory=dict)


class Rules:
    def __init__(
        self, records: Records, outbox: Outbox, clock: Callable[[], float], *, region: str, account: str
    ) -> None:
        self._records = records
        self._outbox = outbox
        self._clock = clock
        self.region, self.account = region, account
        self._rules: dict[str, Rule] = {}
        self._matchers: dict[str, Matcher] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.timekeeper: Timekeeper = Timekeeper(clock, self.fire)

    async def load(self) -> None:
        after = ""
        while page := await self._records.scan("rule/", after=after):
            for record in page:
                self._keep(Rule(**json.loads(record.value)))
            after = page[-1].key

    def arn(self, name: str) -> str:
        return f"arn:aws:events:{self.region}:{self.account}:rule/{name}"

    def lock(self, name: str) -> asyncio.Lock:
        """Held while a rule is read, changed and written."""
        return self._locks.setdefault(name, asyncio.Lock())

    def all(self, prefix: str = "") -> list[Rule]:
        return [self._rules[name] for name in sorted(self._rules) if name.startswith(prefix)]

    def find(self, name: str) -> Rule | None:
        return self._rules.get(name)

    def get(self, name: str) -> Rule:
        """Raises ResourceNotFoundException."""
        rule = self._rules.get(name)
        if rule is None:
            raise ServiceError(
                "ResourceNotFoundException", f"Rule {name} does not exist on EventBus default.", status=400
            )
        return rule

    async def put(self, rule: Rule) -> None:
        await self._records.put(f"rule/{rule.name}", json.dumps(asdict(rule)).encode())
        self._keep(rule)

    async def delete(self, name: str) -> None:
        await self._records.delete(f"rule/{name}")
        self._rules.pop(name, None)
        self._matchers.pop(name, None)
        self.timekeeper.set(name, None)

    def _keep(self, rule: Rule) -> None:
        self._rules[rule.name] = rule
        self._matchers.pop(rule.name, None)
        if rule.pattern and rule.enabled:
            self._matchers[rule.name] = parse_pattern(rule.pattern)
        self._plan(rule, self._clock())

    def _plan(self, rule: Rule, after: float) -> None:
        """What was due before ``after`` is not made up for."""
        due = parse(rule.expression).next_after(after, rule.since) if rule.expression and rule.enabled else None
        self.timekeeper.set(rule.name, due)

    async def fire(self, name: str, due: float) -> None:
        """A scheduled rule is due: its event is durable for all its targets when this returns."""
        rule = self._rules[name]
        arn = self.arn(name)
        event = self.event(
            str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn}@{due}")), "Scheduled Event", "aws.events", due, [arn], {}
        )
        await self._outbox.put(self._entries(rule, event))
        current = self._rules.get(name)
        if current is rule:  # else it was planned anew
            self._plan(rule, max(due, self._clock()))

    async def publish(self, events: Sequence[dict[str, Any]]) -> None:
        """Events of PutEvents to the targets of all rules that match: durable when this returns."""
        entries: list[Entry] = []
        for event in events:
            for name, matches in self._matchers.items():
                if matches(event):
                    entries += self._entries(self._rules[name], event)
        await self._outbox.put(entries)

    def event(
        self, identity: str, detail_type: str, source: str, time: float, resources: list[str], detail: Any
    ) -> dict[str, Any]:
        """EventBridge's envelope (user guide, "Events")."""
        return {
            "version": "0",
            "id": identity,
            "detail-type": detail_type,
            "source": source,
            "account": self.account,
            "time": iso(time),
            "region": self.region,
            "resources": resources,
            "detail": detail,
        }

    def _entries(self, rule: Rule, event: dict[str, Any]) -> list[Entry]:
        arn = self.arn(rule.name)
        entries = []
        for identity, target in rule.targets.items():
            retry = target.get("RetryPolicy") or {}
            path = (target.get("KinesisParameters") or {}).get("PartitionKeyPath")
            entries.append(
                Entry(
                    target["Arn"],
                    render(event, target, arn).decode(),
                    arn,
                    SERVICE,
                    partition_key(event, path),
                    self._clock(),
                    f"{arn}/{identity}/{event['id']}",
                    retry.get("MaximumRetryAttempts", MOST_ATTEMPTS),
                    retry.get("MaximumEventAgeInSeconds", LONGEST_AGE),
                )
            )
        return entries


def partition_key(event: dict[str, Any], path: str | None) -> str:
    """EventBridge takes the event's id where the path leads nowhere."""
    found = at_path(event, path) if path else None
    return found[:256] if isinstance(found, str) and found else str(event["id"])


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
