"""Provisioning templates: JSON and parameters in, a plan of what to make out.

Owns: the grammar (``Parameters``, ``Mappings``, ``Resources``, ``DeviceConfiguration``), ``Ref`` and the ``Fn::``
functions, what each resource may hold. Refuses to know: the registry, who asks, certificates' content.

A property that is not known here is refused, never ignored. Source:
https://docs.aws.amazon.com/iot/latest/developerguide/provision-template.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Json = Any

MAX_DEPTH: Final = 20
CERTIFICATE_ID: Final = "AWS::IoT::Certificate::Id"
_VARIABLE: Final = re.compile(r"\$\{([^}]+)\}")
_THING: Final = {"ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup"}
_CERTIFICATE: Final = {"CertificateId", "CertificatePem", "CACertificatePem", "CertificateSigningRequest", "Status"}
_POLICY: Final = {"PolicyName", "PolicyDocument"}
_OVERRIDES: Final = {"DO_NOTHING", "REPLACE", "FAIL", "MERGE"}


class TemplateError(ValueError):
    """The template is not one, or these parameters do not make it a plan."""


@dataclass(frozen=True, slots=True)
class ThingPlan:
    logical: str
    name: str
    attributes: Mapping[str, str] | None = None
    type_name: str | None = None
    groups: tuple[str, ...] | None = None
    billing_group: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)  # by property: DO_NOTHING, REPLACE, MERGE, FAIL


@dataclass(frozen=True, slots=True)
class CertificatePlan:
    """Exactly one of ``id``, ``pem`` and ``request``."""

    logical: str
    id: str | None = None
    pem: str | None = None
    ca_pem: str | None = None
    request: str | None = None
    status: str = "ACTIVE"
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """By name, an existing one; or a document."""

    logical: str
    name: str | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    thing: ThingPlan | None
    certificate: CertificatePlan
    policies: tuple[PolicyPlan, ...]
    configuration: Mapping[str, Json]  # DeviceConfiguration


@dataclass(frozen=True, slots=True)
class Template:
    parameters: Mapping[str, Mapping[str, Json]]
    mappings: Mapping[str, Json]
    resources: Mapping[str, Mapping[str, Json]]
    configuration: Mapping[str, Json]

    @classmethod
    def parse(cls, body: str) -> Template:
        """Raises TemplateError."""
        try:
            root = json.loads(body)
        except (ValueError, RecursionError) as problem:
            raise TemplateError(f"The template body is not valid JSON: {problem}") from None
        _known(
            "template", _object("The template", root), {"Parameters", "Mappings", "Resources", "DeviceConfiguration"}
        )
        parts = {name: _object(name, root.get(name, {})) for name in ("Parameters", "Mappings", "DeviceConfiguration")}
        resources = _object("Resources", root.get("Resources", {}))
        kinds = []
        for name, resource in resources.items():
            _known(f"resource {name}", _object(name, resource), {"Type", "Properties", "OverrideSettings"})
            kinds.append(resource.get("Type"))
        for name, parameter in parts["Parameters"].items():
            _known(f"parameter {name}", _object(name, parameter), {"Type", "Default"})
            if parameter.get("Type", "String") != "String":
                raise TemplateError(f"The parameter {name} must be of the type String")
        unknown = set(kinds) - {"AWS::IoT::Thing", "AWS::IoT::Certificate", "AWS::IoT::Policy"}
        if unknown:
            raise TemplateError(f"The resource type {sorted(map(str, unknown))[0]} is not known")
        if kinds.count("AWS::IoT::Certificate") != 1 or kinds.count("AWS::IoT::Thing") > 1:
            raise TemplateError("A template holds exactly one certificate and at most one thing")
        return cls(parts["Parameters"], parts["Mappings"], resources, parts["DeviceConfiguration"])

    def plan(self, given: Mapping[str, str]) -> Plan:
        """Raises TemplateError: a parameter without a value, a function that does not work out, an unknown property."""
        values: dict[str, str] = {}
        for name, parameter in self.parameters.items():
            value = given.get(name, parameter.get("Default"))
            if not isinstance(value, str):
                raise TemplateError(f"The parameter {name} has no value")
            values[name] = value
        if CERTIFICATE_ID in given:
            values.setdefault(CERTIFICATE_ID, given[CERTIFICATE_ID])
        resolve = _Resolver(values, self.mappings)
        thing: ThingPlan | None = None
        certificate: CertificatePlan | None = None
        policies = []
        for name, resource in self.resources.items():
            properties = _object(f"The properties of {name}", resolve(resource.get("Properties", {})))
            overrides = _overrides(name, resource.get("OverrideSettings", {}))
            if resource["Type"] == "AWS::IoT::Thing":
                thing = _thing(name, properties, overrides)
            elif resource["Type"] == "AWS::IoT::Certificate":
                certificate = _certificate(name, properties, overrides)
            else:
                policies.append(_policy(name, properties))
        assert certificate is not None
        return Plan(thing, certificate, tuple(policies), resolve(dict(self.configuration)))


def _object(what: str, found: Json) -> dict[str, Json]:
    if not isinstance(found, dict):
        raise TemplateError(f"{what} must be an object")
    return found


def _known(what: str, found: Mapping[str, Json], known: set[str]) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise TemplateError(f"{unknown[0]!r} is not supported in a {what}")


def _overrides(name: str, found: Json) -> dict[str, str]:
    overrides = _object(f"The override settings of {name}", found)
    if not all(isinstance(value, str) and value in _OVERRIDES for value in overrides.values()):
        raise TemplateError(f"An override setting of {name} is none of {', '.join(sorted(_OVERRIDES))}")
    return overrides


def _text(what: str, found: Json) -> str | None:
    if found is not None and (not isinstance(found, str) or not found):
        raise TemplateError(f"{what} must be a text")
    return found if isinstance(found, str) else None


def _thing(logical: str, found: Mapping[str, Json], overrides: Mapping[str, str]) -> ThingPlan:
    _known("thing", found, _THING)
    name = _text("ThingName", found.get("ThingName"))
    if name is None:
        raise TemplateError("A thing needs a ThingName")
    attributes, groups = found.get("AttributePayload"), found.get("ThingGroups")
    if attributes is not None and not all(
        isinstance(value, str) for value in _object("Attributes", attributes).values()
    ):
        raise TemplateError("The attributes of a thing are texts")
    if groups is not None and not (isinstance(groups, list) and all(isinstance(group, str) for group in groups)):
        raise TemplateError("ThingGroups is a list of names")
    return ThingPlan(
        logical,
        name,
        attributes,
        _text("ThingTypeName", found.get("ThingTypeName")),
        None if groups is None else tuple(groups),
        _text("BillingGroup", found.get("BillingGroup")),
        overrides,
    )


def _certificate(logical: str, found: Mapping[str, Json], overrides: Mapping[str, str]) -> CertificatePlan:
    known = {("CertificateId" if name == "CertificateID" else name): value for name, value in found.items()}
    _known("certificate", known, _CERTIFICATE)
    texts = {name: _text(name, known.get(name)) for name in _CERTIFICATE}
    ways = [
        name for name in ("CertificateId", "CertificatePem", "CertificateSigningRequest") if texts[name] is not None
    ]
    if len(ways) != 1:
        raise TemplateError("A certificate is given in exactly one way: its id, its PEM, or a signing request")
    status = (texts["Status"] or "ACTIVE").upper()
    if status not in ("ACTIVE", "INACTIVE"):
        raise TemplateError("The Status of a certificate is ACTIVE or INACTIVE")
    return CertificatePlan(
        logical,
        texts["CertificateId"],
        texts["CertificatePem"],
        texts["CACertificatePem"],
        texts["CertificateSigningRequest"],
        status,
        overrides,
    )


def _policy(logical: str, found: Mapping[str, Json]) -> PolicyPlan:
    _known("policy", found, _POLICY)
    document = found.get("PolicyDocument")
    if isinstance(document, dict):
        document = json.dumps(document)
    plan = PolicyPlan(logical, _text("PolicyName", found.get("PolicyName")), _text("PolicyDocument", document))
    if (plan.name is None) == (plan.document is None):
        raise TemplateError("A policy is given by exactly one of PolicyName and PolicyDocument")
    return plan


class _Resolver:
    """Puts values in the place of ``{"Ref": …}`` and ``{"Fn::…": …}``, anywhere in a document."""

    def __init__(self, values: Mapping[str, str], mappings: Mapping[str, Json]) -> None:
        self._values = values
        self._mappings = mappings

    def __call__(self, found: Json, depth: int = 0) -> Json:
        if depth > MAX_DEPTH:
            raise TemplateError(f"The template is nested more than {MAX_DEPTH} levels deep")
        if isinstance(found, list):
            return [self(each, depth + 1) for each in found]
        if not isinstance(found, dict):
            return found
        if len(found) == 1:
            (name, argument), *_ = found.items()
            if name == "Ref":
                return self._value(argument)
            if name.startswith("Fn::"):
                return self._function(name, self(argument, depth + 1))
        return {name: self(value, depth + 1) for name, value in found.items()}

    def _value(self, name: Json) -> str:
        if not isinstance(name, str) or name not in self._values:
            raise TemplateError(f"Ref names {name!r}, which is no parameter with a value")
        return self._values[name]

    def _function(self, name: str, argument: Json) -> Json:
        try:
            match name:
                case "Fn::Join":
                    delimiter, parts = argument
                    return str(delimiter).join(parts)
                case "Fn::Split":
                    delimiter, text = argument
                    return text.split(delimiter)
                case "Fn::Select":
                    index, items = argument
                    if not 0 <= int(index) < len(items):
                        raise IndexError(index)
                    return items[int(index)]
                case "Fn::FindInMap":
                    table, first, second = argument
                    return self._mappings[table][first][second]
                case "Fn::Sub":
                    return self._substituted(argument)
        except TemplateError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as problem:
            raise TemplateError(f"{name} does not work out: {problem!r}") from None
        raise TemplateError(f"The function {name} is not known")

    def _substituted(self, argument: Json) -> str:
        text, more = (argument, {}) if isinstance(argument, str) else argument
        return _VARIABLE.sub(lambda match: more[match[1]] if match[1] in more else self._value(match[1]), text)
