"""AWS IoT policies: JSON in, a yes or no per action and resource out.

Owns: the policy grammar (https://docs.aws.amazon.com/iot/latest/developerguide/iot-policies.html), wildcards, policy
variables, conditions. Refuses to know: certificates, connections, where variables come from.

Theory, in three steps, each done as rarely as possible:

1. ``Policy.parse`` once per document. What it does not enforce it refuses (``PolicyError``), never ignores.
2. ``Grants(policies, variables)`` once per connection: variables are put in, conditions are decided, resources become
   regular expressions.
3. ``Grants.allows(action, resource)`` per packet: remembered, so that a repeated topic costs one dictionary lookup.

An explicit Deny wins; what no statement allows is denied. ``*`` and ``?`` are the only wildcards; MQTT's ``+`` and
``#`` are ordinary characters. A resource whose variable has no value matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from littoral.protocols.iam.conditions import Condition, Variables, conditions_of, holds
from littoral.protocols.iam.grammar import PolicyError, statements, texts
from littoral.protocols.iam.resources import check_resource, resource_pattern
from littoral.protocols.iam.wildcards import wildcard

__all__ = ["Grants", "Policy", "PolicyError"]

MAX_REMEMBERED: Final = 1024

_ACTION = re.compile(r"\*|[a-z0-9-]+:[A-Za-z*?]+")
_MEMBERS = frozenset({"Sid", "Effect", "Action", "Resource", "Condition"})


# ------------------------------------------------------------------------------------------------- parsing


@dataclass(frozen=True, slots=True)
class Statement:
    allow: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, document: str) -> Policy:
        """Raises PolicyError."""
        found = statements(document, frozenset({"2012-10-17"}), _MEMBERS)
        return cls(tuple(_statement(statement) for statement in found))


def _statement(found: Mapping[str, Any]) -> Statement:
    actions = texts("Action", found.get("Action"))
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise PolicyError(f"Action {action!r} is not valid")
    resources = texts("Resource", found.get("Resource"))
    for resource in resources:
        check_resource(resource)
    conditions = conditions_of(found.get("Condition", {}))
    for condition in conditions:
        if condition.operator.startswith("date"):  # decided once per connection, which may outlive the moment
            raise PolicyError(f"Conditions of time are not supported: {condition.key!r}")
    return Statement(found["Effect"] == "Allow", actions, resources, conditions)


# ------------------------------------------------------------------------------------------------ decisions


@dataclass(frozen=True, slots=True)
class _Rule:
    allow: bool
    action: re.Pattern[str]
    resource: re.Pattern[str]


class Grants:
    """What some policies allow under some variables."""

    def __init__(self, policies: Iterable[Policy], variables: Variables) -> None:
        self._rules = [
            rule for policy in policies for statement in policy.statements for rule in _bind(statement, variables)
        ]
        self._decided: dict[tuple[str, str], bool] = {}

    def allows(self, action: str, resource: str) -> bool:
        """``action`` such as "iot:Publish"; ``resource`` an ARN, or "*" for the actions that have none."""
        key = (action, resource)
        decision = self._decided.get(key)
        if decision is None:
            decision = self._decide(action.lower(), resource)
            if len(self._decided) >= MAX_REMEMBERED:
                self._decided.clear()
            self._decided[key] = decision
        return decision

    def denies(self, action: str, resource: str) -> bool:
        """Whether a statement says no, and not only none says yes."""
        rules = (rule for rule in self._rules if not rule.allow)
        return any(rule.action.fullmatch(action.lower()) and rule.resource.fullmatch(resource) for rule in rules)

    def _decide(self, action: str, resource: str) -> bool:
        allowed = False
        for rule in self._rules:
            if rule.action.fullmatch(action) and rule.resource.fullmatch(resource):
                if not rule.allow:
                    return False
                allowed = True
        return allowed


def _bind(statement: Statement, variables: Variables) -> list[_Rule]:
    if not all(holds(condition, variables) for condition in statement.conditions):
        return []
    resources = [text for each in statement.resources if (text := resource_pattern(each, variables)) is not None]
    if not resources:
        return []
    actions = re.compile("|".join(f"(?:{wildcard(action.lower())})" for action in statement.actions))
    return [_Rule(statement.allow, actions, re.compile("|".join(f"(?:{text})" for text in resources)))]
