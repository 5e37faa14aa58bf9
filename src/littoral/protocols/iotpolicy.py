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

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Variables = Mapping[str, str | tuple[str, ...]]
"""By canonical name ("iot:clientid"). A tuple is a multi-valued key, usable with ForAllValues and ForAnyValue."""

MAX_REMEMBERED: Final = 1024

_ACTION = re.compile(r"\*|[a-z0-9-]+:[A-Za-z*?]+")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_STATEMENT_KEYS = {"Sid", "Effect", "Action", "Resource", "Condition"}


class PolicyError(ValueError):
    """The document is not a policy, or asks for what would not be enforced."""


# ------------------------------------------------------------------------------------------------- parsing


@dataclass(frozen=True, slots=True)
class Condition:
    operator: str  # lower case, without set prefix and IfExists
    key: str  # canonical
    values: tuple[str, ...]
    over: str = ""  # "", "forallvalues" or "foranyvalue"
    if_exists: bool = False


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
        try:
            root = json.loads(document, object_pairs_hook=_refuse_duplicates)
        except (ValueError, RecursionError) as error:
            raise PolicyError(f"Policy document is not valid JSON: {error}") from None
        if not isinstance(root, dict):
            raise PolicyError("Policy document must be a JSON object")
        _refuse_unknown("policy", root, {"Version", "Id", "Statement"})
        if root.get("Version") != "2012-10-17":
            raise PolicyError('Version must be "2012-10-17"')
        statements = root.get("Statement")
        if isinstance(statements, dict):
            statements = [statements]
        if not isinstance(statements, list) or not statements:
            raise PolicyError("Statement must be an object or a non-empty list")
        return cls(tuple(_statement(statement) for statement in statements))


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is given twice")
    return found


def _refuse_unknown(what: str, found: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise PolicyError(f"{unknown[0]!r} is not supported in a {what}")


def _statement(found: Any) -> Statement:
    if not isinstance(found, dict):
        raise PolicyError("A statement must be an object")
    _refuse_unknown("statement", found, _STATEMENT_KEYS)
    if found.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError('Effect must be "Allow" or "Deny"')
    actions = _texts("Action", found.get("Action"))
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise PolicyError(f"Action {action!r} is not valid")
    resources = _texts("Resource", found.get("Resource"))
    for resource in resources:
        if resource != "*" and not resource.startswith("arn:"):
            raise PolicyError(f'Resource {resource!r} must be "*" or an ARN')
        if _MARK in resource:
            raise PolicyError(f"Resource {resource!r} holds a private-use character")
        if "${" in _VARIABLE.sub("", resource):
            raise PolicyError(f"A policy variable in {resource!r} is not closed")
    return Statement(found["Effect"] == "Allow", actions, resources, _conditions(found.get("Condition", {})))


def _texts(what: str, found: Any) -> tuple[str, ...]:
    texts = found if isinstance(found, list) else [found]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise PolicyError(f"{what} must be a string or a non-empty list of strings")
    return tuple(texts)


def _conditions(found: Any) -> tuple[Condition, ...]:
    if not isinstance(found, dict):
        raise PolicyError("Condition must be an object")
    conditions: list[Condition] = []
    for name, tests in found.items():
        if not isinstance(tests, dict):
            raise PolicyError(f"Condition {name!r} must be an object")
        conditions += [_condition(name, key, values) for key, values in tests.items()]
    return tuple(conditions)


def _condition(name: str, key: str, found: Any) -> Condition:
    over, _, rest = name.lower().rpartition(":")
    operator = rest.removesuffix("ifexists")
    if operator not in _OPERATORS or over not in ("", "forallvalues", "foranyvalue"):
        raise PolicyError(f"Condition operator {name!r} is not supported")
    values = found if isinstance(found, list) else [found]
    texts = tuple("true" if v is True else "false" if v is False else v for v in values)
    if not all(isinstance(text, str) for text in texts):
        raise PolicyError(f"The values of condition key {key!r} must be strings")
    if operator in ("ipaddress", "notipaddress"):
        for text in texts:
            _network(text)
    return Condition(operator, canonical(key), texts, over, rest.endswith("ifexists"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise PolicyError(f"{text!r} is not an IP address range") from None


# --------------------------------------------------------------------------------------------- conditions


def _in_network(value: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(value) in _network(wanted)
    except ValueError:
        return False


def _like(value: str, wanted: str) -> bool:
    return re.compile(wildcard(wanted)).fullmatch(value) is not None


_Test = Callable[[str, str], bool]
_OPERATORS: dict[str, tuple[_Test, bool]] = {  # and whether the operator is the negated form
    "stringequals": (str.__eq__, False),
    "stringnotequals": (str.__eq__, True),
    "stringequalsignorecase": (lambda value, wanted: value.lower() == wanted.lower(), False),
    "stringnotequalsignorecase": (lambda value, wanted: value.lower() == wanted.lower(), True),
    "stringlike": (_like, False),
    "stringnotlike": (_like, True),
    "bool": (lambda value, wanted: value.lower() == wanted.lower(), False),
    "ipaddress": (_in_network, False),
    "notipaddress": (_in_network, True),
}


def _holds(condition: Condition, variables: Variables) -> bool:
    """As IAM decides it: a missing key fails a positive test and passes a negated one, or any with IfExists."""
    test, negated = _OPERATORS[condition.operator]
    found = variables.get(condition.key)
    wanted = [text for value in condition.values if (text := fill(value, variables)) is not None]

    def one(value: str) -> bool:
        return any(test(value, each) for each in wanted) is not negated

    if condition.over:
        values = (found,) if isinstance(found, str) else found or ()
        if condition.over == "forallvalues":
            return all(one(value) for value in values)
        return any(one(value) for value in values)
    if found is None or found == ():
        return negated or condition.if_exists
    return one(found) if isinstance(found, str) else one(found[0])


# ---------------------------------------------------------------------------------- wildcards and variables


def fill(text: str, variables: Variables) -> str | None:
    """Policy variables replaced by plain text, for condition values. None when one has no value."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        found = _value(match[1], variables)
        missing = missing or found is None
        return found or ""

    filled = _VARIABLE.sub(value, text)
    return None if missing else filled


def canonical(name: str) -> str:
    """Names are in any case, but for what stands in brackets: ``iot:connection.thing.attributes[Ward]``."""
    head, bracket, rest = name.partition("[")
    return head.lower() + bracket + rest


def _value(name: str, variables: Variables) -> str | None:
    if name in ("*", "?", "$"):  # the escapes of IAM
        return name
    found = variables.get(canonical(name))
    return found if isinstance(found, str) else found[0] if found else None


def wildcard(pattern: str) -> str:
    """The regular expression of a pattern with ``*`` and ``?``. Each inner part is matched atomically at its first
    place, which is enough for such patterns and keeps the time linear where ``.*a.*a.*a`` would not."""
    parts = [re.escape(part).replace(r"\?", "(?s:.)") for part in re.split(r"\*+", pattern)]
    if len(parts) == 1:
        return parts[0]
    inner = "".join(f"(?>(?s:.*?){part})" for part in parts[1:-1])
    return f"{parts[0]}{inner}(?s:.*){parts[-1]}"


def _resource(pattern: str, variables: Variables) -> str | None:
    """Its regular expression, or None when a variable has no value. What a variable brings is never a wildcard."""
    pieces: list[str] = []
    literals: list[str] = []
    position = 0
    for match in _VARIABLE.finditer(pattern):
        value = _value(match[1], variables)
        if value is None:
            return None
        pieces.append(pattern[position : match.start()])
        literals.append(value)
        position = match.end()
    marked = "".join(f"{piece}{_MARK}{index}{_MARK}" for index, piece in enumerate(pieces)) + pattern[position:]
    return _MARKED.sub(lambda match: re.escape(literals[int(match[1])]), wildcard(marked))


_MARK = "\ue000"  # a private-use character: it stands where a variable's text will go
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}")


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
    if not all(_holds(condition, variables) for condition in statement.conditions):
        return []
    resources = [text for each in statement.resources if (text := _resource(each, variables)) is not None]
    if not resources:
        return []
    actions = re.compile("|".join(f"(?:{wildcard(action.lower())})" for action in statement.actions))
    return [_Rule(statement.allow, actions, re.compile("|".join(f"(?:{text})" for text in resources)))]
