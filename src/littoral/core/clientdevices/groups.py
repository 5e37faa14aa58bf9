"""Device groups of aws.greengrass.clientdevices.Auth: which devices a rule selects, what a policy lets them do. Pure.

::

    {"deviceGroups": {"formatVersion": "2021-03-05",
      "definitions": {"beds": {"selectionRule": "thingName: bed* OR thingName: nurse", "policyName": "ward"}},
      "policies": {"ward": {"any": {"operations": ["mqtt:publish"],
                                    "resources": ["mqtt:topic:ward/${iot:Connection.Thing.ThingName}"]}}}}}

Nothing is allowed that no statement of a group of the device allows; ``effect`` DENY goes before ALLOW. ``*`` stands
for any characters, ``${*}``, ``${?}``, ``${$}`` for these themselves. Source: "Client device auth" in the AWS IoT
Greengrass V2 guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from littoral.core.recipe import BadComponent

NAME: Final = "aws.greengrass.clientdevices.Auth"
OPERATIONS: Final = ("mqtt:connect", "mqtt:publish", "mqtt:subscribe")
_VARIABLE: Final = "iot:connection.thing.thingname"
_ATTRIBUTE: Final = re.compile(r"iot:connection\.thing\.attributes\[([^\]]+)\]", re.IGNORECASE)
_THEMSELVES: Final = ("*", "?", "$")
_PIECES: Final = re.compile(r"\$\{([^}]*)\}|(\*)|([^*$]+|\$)")
_TOKENS: Final = re.compile(r"\s*(?:([()])|thingName\s*:\s*(\"[^\"]*\"|(?:\\.|[^\s()])+)|(\w+))")

Selects = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Device:
    """Who connected: the thing that its certificate is attached to."""

    thing: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Statement:
    operations: tuple[str, ...]
    resources: tuple[str, ...]
    denies: bool = False

    def concerns(self, device: Device, operation: str, resource: str) -> bool:
        kind = operation.partition(":")[0]
        if not {operation, f"{kind}:*", "*"} & set(self.operations):
            return False
        return any(_matches(pattern, resource, device) for pattern in self.resources)


@dataclass(frozen=True, slots=True)
class Groups:
    groups: tuple[tuple[Selects, tuple[Statement, ...]], ...] = ()

    def allow(self, device: Device, operation: str, resource: str) -> bool:
        """``allow(device, "mqtt:publish", "mqtt:topic:ward/7")``; for a connect ``mqtt:clientId:ID``, for a subscribe
        ``mqtt:topicfilter:FILTER``."""
        mine = [each for selects, policy in self.groups if selects(device.thing) for each in policy]
        said = [each.denies for each in mine if each.concerns(device, operation, resource)]
        return bool(said) and not any(said)


def groups_of(found: Any) -> Groups:
    """Of ``deviceGroups``. Raises BadComponent."""
    if found is None:
        return Groups()
    parts = _object(found, "deviceGroups")
    if unknown := set(parts) - {"formatVersion", "definitions", "policies"}:
        raise _bad(f"{', '.join(sorted(unknown))} of deviceGroups is not known")
    if parts.get("formatVersion", "2021-03-05") != "2021-03-05":
        raise _bad("formatVersion must be 2021-03-05")
    policies = {name: _policy(name, each) for name, each in _object(parts.get("policies", {}), "policies").items()}
    made = []
    for name, definition in _object(parts.get("definitions", {}), "definitions").items():
        group = _object(definition, name)
        policy = group.get("policyName")
        if policy not in policies:
            raise _bad(f"the policy of group {name} is not among the policies")
        made.append((selection(group.get("selectionRule")), policies[policy]))
    return Groups(tuple(made))


def _policy(name: str, found: Any) -> tuple[Statement, ...]:
    made = []
    for identifier, each in _object(found, name).items():
        said = _object(each, f"{name}.{identifier}")
        if unknown := set(said) - {"statementDescription", "effect", "operations", "resources"}:
            raise _bad(f"{', '.join(sorted(unknown))} of statement {identifier} is not known")
        effect = said.get("effect", "ALLOW")
        if effect not in ("ALLOW", "DENY"):
            raise _bad(f"the effect of statement {identifier} must be ALLOW or DENY")
        operations, resources = _texts(said, "operations", identifier), _texts(said, "resources", identifier)
        for operation in operations:
            if operation not in (*OPERATIONS, "mqtt:*", "*"):
                raise _bad(f"{operation} of statement {identifier} is none of {', '.join(OPERATIONS)}")
        for resource in resources:
            _check_variables(resource, identifier)
        made.append(Statement(operations, resources, effect == "DENY"))
    return tuple(made)


def selection(rule: Any) -> Selects:
    """``thingName: bed* OR (thingName: x AND thingName: y)``. Raises BadComponent."""
    if not isinstance(rule, str) or not rule.strip():
        raise _bad("a selectionRule must be a text")
    tokens: list[tuple[str, str]] = []
    place = 0
    while rule[place:].strip():
        found = _TOKENS.match(rule, place)
        if found is None or (found[3] is not None and found[3].upper() not in ("AND", "OR")):
            raise _bad(f"the selectionRule {rule!r} cannot be read at {rule[place:]!r}")
        tokens.append(("thing", found[2]) if found[2] is not None else ("sign", (found[1] or found[3]).upper()))
        place = found.end()
    made = _either(tokens, rule)
    if tokens:
        raise _bad(f"the selectionRule {rule!r} does not end where it should")
    return made


def _either(tokens: list[tuple[str, str]], rule: str) -> Selects:
    parts = [_both(tokens, rule)]
    while tokens and tokens[0] == ("sign", "OR"):
        tokens.pop(0)
        parts.append(_both(tokens, rule))
    return lambda thing: any(each(thing) for each in parts)


def _both(tokens: list[tuple[str, str]], rule: str) -> Selects:
    parts = [_one(tokens, rule)]
    while tokens and tokens[0] == ("sign", "AND"):
        tokens.pop(0)
        parts.append(_one(tokens, rule))
    return lambda thing: all(each(thing) for each in parts)


def _one(tokens: list[tuple[str, str]], rule: str) -> Selects:
    kind, text = tokens.pop(0) if tokens else ("", "")
    if kind == "thing":
        name = re.sub(r"\\(.)", r"\1", text.strip('"'))
        pattern = re.compile(".*".join(re.escape(part) for part in name.split("*")))
        return lambda thing: pattern.fullmatch(thing) is not None
    if (kind, text) == ("sign", "("):
        inner = _either(tokens, rule)
        if tokens and tokens.pop(0) == ("sign", ")"):
            return inner
    raise _bad(f"the selectionRule {rule!r} cannot be read")


def _matches(pattern: str, resource: str, device: Device) -> bool:
    parts = []
    for variable, any_text, plain in _PIECES.findall(pattern):
        if any_text:
            parts.append(".*")
        elif plain:
            parts.append(re.escape(plain))
        else:
            value = _value(variable, device)
            if value is None:
                return False
            parts.append(re.escape(value))
    return re.fullmatch("".join(parts), resource, re.DOTALL) is not None


def _check_variables(resource: str, identifier: str) -> None:
    """Raises BadComponent: a statement with a variable that nobody fills in would allow nothing, and deny nothing."""
    for piece in _PIECES.finditer(resource):
        variable = piece[1]
        if variable is None or variable in _THEMSELVES or variable.lower() == _VARIABLE:
            continue
        if not _ATTRIBUTE.fullmatch(variable):
            raise _bad(f"{piece[0]} in the resources of statement {identifier} is no variable that is known here")


def _value(variable: str, device: Device) -> str | None:
    if variable in _THEMSELVES:
        return variable
    if variable.lower() == _VARIABLE:
        return device.thing
    found = _ATTRIBUTE.fullmatch(variable)
    return device.attributes.get(found[1]) if found is not None else None


def _texts(said: Mapping[str, Any], name: str, identifier: str) -> tuple[str, ...]:
    found = said.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise _bad(f"{name} of statement {identifier} must be a list of texts")
    return tuple(found)


def _object(found: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise _bad(f"{name} must be an object")
    return found


def _bad(message: str) -> BadComponent:
    return BadComponent(f"{NAME}: {message}")
