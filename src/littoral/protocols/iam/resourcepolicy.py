"""Policies that a resource has, such as a bucket's: who may do what to it. ("IAM JSON policy elements reference",
"Bucket policies for Amazon S3")

``ResourcePolicy.parse`` once per document; ``decide`` per request. An explicit Deny wins over any Allow. Public is what
S3 calls so ("The meaning of 'public'"): an Allow for everyone that no condition of fixed values narrows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from littoral.protocols.iam.conditions import VARIABLE, Condition, Variables, conditions_of, holds, network
from littoral.protocols.iam.grammar import PolicyError, statements, texts
from littoral.protocols.iam.resources import check_resource, resource_pattern
from littoral.protocols.iam.wildcards import wildcard

Verdict = Literal["allow", "deny"] | None  # None: no statement says anything

_MEMBERS = frozenset("Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition".split())
_VERSIONS = frozenset({"2012-10-17", "2008-10-17"})
_KINDS = ("AWS", "CanonicalUser", "Service", "Federated")
_ACTION = re.compile(r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+")
_ROLE_SESSION = re.compile(r"arn:(aws[a-z-]*):sts::(\d+):assumed-role/([^/]+)/[^/]+")
# condition keys whose fixed values keep a policy from being public
_NARROWING = frozenset(
    "aws:sourceip aws:sourcearn aws:sourcevpc aws:sourcevpce aws:sourceowner aws:sourceaccount aws:userid"
    " aws:principalorgid aws:principalaccount aws:principalarn aws:calledvia s3:dataaccesspointarn"
    " s3:dataaccesspointaccount s3:x-amz-server-side-encryption-aws-kms-key-id".split()
)
_POSITIVE = frozenset("stringequals stringequalsignorecase stringlike arnequals arnlike ipaddress".split())


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. ``account`` is "" where nobody signed it; ``canonical`` is the account's canonical user id."""

    arn: str
    account: str
    canonical: str
    action: str  # "s3:GetObject"
    resource: str  # an ARN


@dataclass(frozen=True, slots=True)
class Statement:
    allow: bool
    principals: tuple[tuple[str, str], ...]  # (kind, name); ("AWS", "*") is everyone
    other_principals: bool  # those that are not named
    action: re.Pattern[str]
    other_actions: bool
    resources: tuple[str, ...]
    other_resources: bool
    conditions: tuple[Condition, ...]

    def concerns(self, asked: Asked, variables: Variables) -> bool:
        named = any(_is(principal, asked) for principal in self.principals)
        acts = self.action.fullmatch(asked.action.lower()) is not None
        if named is self.other_principals or acts is self.other_actions:
            return False
        if self._names(asked.resource, variables) is self.other_resources:
            return False
        return all(holds(condition, variables) for condition in self.conditions)

    def _names(self, resource: str, variables: Variables) -> bool:
        patterns = (resource_pattern(each, variables) for each in self.resources)
        return any(pattern is not None and re.fullmatch(pattern, resource) for pattern in patterns)

    @property
    def public(self) -> bool:
        everyone = ("AWS", "*") in self.principals
        return self.allow and everyone and not any(_narrows(condition) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class ResourcePolicy:
    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, document: str) -> ResourcePolicy:
        """Raises PolicyError."""
        return cls(tuple(_statement(each) for each in statements(document, _VERSIONS, _MEMBERS, default="2008-10-17")))

    def decide(self, asked: Asked, variables: Variables) -> Verdict:
        allowed = False
        for statement in self.statements:
            if (not allowed or not statement.allow) and statement.concerns(asked, variables):
                if not statement.allow:
                    return "deny"
                allowed = True
        return "allow" if allowed else None

    @property
    def public(self) -> bool:
        return any(statement.public for statement in self.statements)

    @property
    def keys(self) -> frozenset[str]:
        """The condition keys that it asks for."""
        return frozenset(condition.key for statement in self.statements for condition in statement.conditions)

    @property
    def actions(self) -> tuple[re.Pattern[str], ...]:
        return tuple(statement.action for statement in self.statements)

    @property
    def resources(self) -> tuple[str, ...]:
        return tuple(resource for statement in self.statements for resource in statement.resources)


def _statement(found: Mapping[str, Any]) -> Statement:
    other_principals, principals = _either(found, "Principal")
    other_actions, actions = _either(found, "Action")
    other_resources, resources = _either(found, "Resource")
    if other_principals and found["Effect"] == "Allow":
        raise PolicyError("Allow with NotPrincipal is not supported")
    named = texts("Action", actions)
    for action in named:
        if not _ACTION.fullmatch(action):
            raise PolicyError(f"Policy has invalid action: {action[:100]}")
    listed = texts("Resource", resources)
    for resource in listed:
        check_resource(resource)
    return Statement(
        found["Effect"] == "Allow",
        _principals(principals),
        other_principals,
        re.compile("|".join(f"(?:{wildcard(action.lower())})" for action in named)),
        other_actions,
        listed,
        other_resources,
        conditions_of(found.get("Condition", {})),
    )


def _either(found: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    """Whether it is the negated form, and what it names."""
    if (name in found) is (f"Not{name}" in found):
        raise PolicyError(f"A statement has either {name} or Not{name}")
    return (False, found[name]) if name in found else (True, found[f"Not{name}"])


def _principals(found: Any) -> tuple[tuple[str, str], ...]:
    if found == "*":
        return (("AWS", "*"),)
    if not isinstance(found, dict) or not found:
        raise PolicyError("Invalid principal in policy")
    listed = []
    for kind, names in found.items():
        if kind not in _KINDS:
            raise PolicyError(f"Invalid principal in policy: {str(kind)[:100]!r}")
        for name in texts("Principal", names):
            if kind == "AWS" and name != "*" and ("*" in name or not re.fullmatch(r"\d{12}|arn:.+", name)):
                raise PolicyError(f"Invalid principal in policy: {name[:200]!r}")
            listed.append((kind, name))
    return tuple(listed)


def _is(principal: tuple[str, str], asked: Asked) -> bool:
    """Services and federated users are never who asks here: they are not known by a signature."""
    kind, name = principal
    if kind == "CanonicalUser":
        return asked.canonical == name
    if kind != "AWS":
        return False
    if name == "*":
        return True
    if not asked.account:
        return False
    role = _ROLE_SESSION.fullmatch(asked.arn)
    as_role = f"arn:{role[1]}:iam::{role[2]}:role/{role[3]}" if role else None
    return name in (asked.account, asked.arn, as_role, f"arn:aws:iam::{asked.account}:root")


def _narrows(condition: Condition) -> bool:
    """Whether it confines a statement to fixed values of a key that says who asks or from where."""
    if condition.key not in _NARROWING or condition.operator not in _POSITIVE or condition.if_exists:
        return False
    return all(_fixed(condition.operator, value) for value in condition.values)


def _fixed(operator: str, value: str) -> bool:
    if operator == "ipaddress":
        found = network(value)
        return found.prefixlen >= (8 if found.version == 4 else 32)
    return not VARIABLE.search(value) and "*" not in value and "?" not in value
