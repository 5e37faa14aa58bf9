"""Names, versions, ARNs and pages of the ``greengrassv2`` API, and its errors. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from littoral.aws.service import Call, ServiceError, modelled
from littoral.core.recipe import OWN, is_aws
from littoral.protocols.semver import BadVersion, parse

_NAME = re.compile(r"[a-zA-Z0-9-_.]{1,128}")
_TARGET = re.compile(r"arn:[^:]+:iot:[^:]*:[^:]*:(?P<kind>thing|thinggroup)/(?P<name>[a-zA-Z0-9:_-]{1,128})")


invalid = modelled("ValidationException")


def conflict(message: str, resource: str, kind: str) -> ServiceError:
    return ServiceError("ConflictException", message, status=409, fields={"resourceId": resource, "resourceType": kind})


def not_found(resource: str, kind: str) -> ServiceError:
    return ServiceError(
        "ResourceNotFoundException",
        f"{resource} does not exist",
        status=404,
        fields={"resourceId": resource, "resourceType": kind},
    )


denied = modelled("AccessDeniedException", 403)


def operators_only(call: Call) -> None:
    """A device's certificate opens the data plane and nothing else. Raises AccessDeniedException."""
    if call.principal.kind == "certificate":
        raise denied(f"A device may not call {call.operation}")


def check_name(name: str | None) -> str:
    if not name or not _NAME.fullmatch(name):
        raise invalid(f"componentName must match {_NAME.pattern}")
    if is_aws(name):
        raise invalid("Component names that begin with aws. are AWS's own, but for aws.greengrass.labs.")
    if name.startswith(OWN):
        raise invalid(f"Component names that begin with {OWN} are those of a core's own components")
    return name


def check_version(version: str | None) -> str:
    try:
        parse(version or "")
    except BadVersion as problem:
        raise invalid("componentVersion must be a semantic version, major.minor.patch") from problem
    if len(version or "") > 64:
        raise invalid("componentVersion has at most 64 characters")
    return version or ""


def component_arn(call: Call, name: str) -> str:
    return f"arn:aws:greengrass:{call.region}:{call.account}:components:{name}"


def version_arn(call: Call, name: str, version: str) -> str:
    return f"{component_arn(call, name)}:versions:{version}"


def parse_component(arn: str) -> tuple[str, str | None]:
    """Name and, where it has one, version. Raises ValidationException."""
    parts = arn.split(":")
    if len(parts) == 7 and parts[2] == "greengrass" and parts[5] == "components":
        return parts[6], None
    if len(parts) == 9 and parts[2] == "greengrass" and parts[5] == "components" and parts[7] == "versions":
        return parts[6], parts[8]
    raise invalid(f"{arn} is not the ARN of a component")


def parse_component_version(arn: str) -> tuple[str, str]:
    name, version = parse_component(arn)
    if version is None:
        raise invalid(f"{arn} is not the ARN of a component version")
    return name, version


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a deployment is for: a thing, or a group of things."""

    name: str
    group: bool

    @property
    def resource(self) -> str:
        """As ARNs name it: ``thing/ward7-core``, ``thinggroup/ward``."""
        return f"{'thinggroup' if self.group else 'thing'}/{self.name}"

    @property
    def key(self) -> str:
        """Of its latest deployment."""
        return self.resource if self.group else self.name


def parse_target(arn: str) -> Target:
    """Of a targetArn. Raises ValidationException."""
    found = _TARGET.fullmatch(arn)
    if found is None:
        raise invalid(f"{arn} is not the ARN of a thing or of a thing group")
    return Target(found["name"], found["kind"] == "thinggroup")


def page(
    items: Iterable[tuple[str, Mapping[str, Any]]], token: str | None, size: int | None
) -> tuple[list[Mapping[str, Any]], str | None]:
    """A page of (key, item) in the order given; the token is the last key of the page. Raises ValidationException."""
    if size is not None and not 1 <= size <= 100:
        raise invalid("maxResults must be from 1 to 100")
    rows = list(items)
    if token:
        try:
            last = base64.b64decode(token, validate=True).decode()
        except (binascii.Error, ValueError):
            raise invalid("nextToken is not one that was given out") from None
        keys = [key for key, _ in rows]
        if last not in keys:
            raise invalid("nextToken is not one that was given out, or its place is gone")
        rows = rows[keys.index(last) + 1 :]
    taken = rows[: size or 50]
    more = len(rows) > len(taken)
    return [item for _, item in taken], base64.b64encode(taken[-1][0].encode()).decode() if more else None


def listing(name: str, items: list[Mapping[str, Any]], token: str | None) -> dict[str, Any]:
    return {name: items, **({"nextToken": token} if token else {})}
