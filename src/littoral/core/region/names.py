"""Names, versions, ARNs and pages of the ``greengrassv2`` API, and its errors. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

from littoral.aws.service import Call, ServiceError

_NAME = re.compile(r"[a-zA-Z0-9-_.]{1,128}")
_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:[0-9A-Za-z-]+)(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
)
_THING = re.compile(r"arn:[^:]+:iot:[^:]*:[^:]*:thing/([a-zA-Z0-9:_-]{1,128})")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|==)?\s*v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message, status=400)


def conflict(message: str, resource: str, kind: str) -> ServiceError:
    return ServiceError("ConflictException", message, status=409, fields={"resourceId": resource, "resourceType": kind})


def not_found(resource: str, kind: str) -> ServiceError:
    return ServiceError(
        "ResourceNotFoundException",
        f"{resource} does not exist",
        status=404,
        fields={"resourceId": resource, "resourceType": kind},
    )


def denied(message: str) -> ServiceError:
    return ServiceError("AccessDeniedException", message, status=403)


def operators_only(call: Call) -> None:
    """A device's certificate opens the data plane and nothing else. Raises AccessDeniedException."""
    if call.principal.kind == "certificate":
        raise denied(f"A device may not call {call.operation}")


def check_name(name: str | None) -> str:
    if not name or not _NAME.fullmatch(name):
        raise invalid(f"componentName must match {_NAME.pattern}")
    if name.startswith("aws."):
        raise invalid("Component names that begin with aws. are AWS's own")
    return name


def check_version(version: str | None) -> str:
    if not version or len(version) > 64 or not _VERSION.fullmatch(version):
        raise invalid("componentVersion must be a semantic version, major.minor.patch")
    return version


def order(version: str) -> tuple[Any, ...]:
    """Sorts as semantic versions do: a pre-release before its release, numbers as numbers."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (0, 0, 0, 0, ())
    major, minor, patch, pre = found.groups()
    parts = tuple((0, int(each), "") if each.isdigit() else (1, 0, each) for each in (pre or "").split(".") if each)
    return (int(major), int(minor), int(patch), 0 if pre else 1, parts)


def satisfies(version: str, requirement: str) -> bool:
    """``>=1.0.0 <2.0.0``: every comparator must hold. Raises ValidationException for other forms."""
    rest = requirement.replace(",", " ").strip()
    while rest:
        found = _COMPARATOR.match(rest)
        if found is None:
            raise invalid(f"The version requirement {requirement!r} is not of the form '>=1.0.0 <2.0.0'")
        operator, bound = found.groups()
        left, right = order(version), order(bound)
        held = {
            ">=": left >= right,
            "<=": left <= right,
            ">": left > right,
            "<": left < right,
        }.get(operator or "=", left == right)
        if not held:
            return False
        rest = rest[found.end() :].strip()
    return True


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


def parse_thing(arn: str) -> str:
    """The thing of a targetArn. Raises ValidationException."""
    if ":thinggroup/" in arn:
        raise invalid("Deployments to thing groups are not served by Littoral yet: deploy to each thing")
    found = _THING.fullmatch(arn)
    if found is None:
        raise invalid(f"{arn} is not the ARN of a thing")
    return found.group(1)


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
