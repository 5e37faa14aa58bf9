"""Input against its shape: required members, lengths, ranges, patterns and enums.

Patterns of the models are Java's; one that Python cannot read is not checked. S3 and CloudFront have no patterns
in their models and say more in their own errors; the capability checks those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from botocore.model import Shape

from littoral.aws import models
from littoral.aws.service import ServiceError

SHORT = 256  # characters of a text whose verdict is kept
ENUMS_CHECKED = frozenset(("lambda", "iot", "iot-data", "greengrassv2", "cloudfront", "wafv2"))


def check_input(service: str, operation: str, given: dict[str, Any]) -> None:
    """Raises ServiceError with the first few problems."""
    shape = models.operation_model(service, operation).input_shape
    if shape is None or _plainly_good(service, shape, given):
        return
    problems = []
    for problem in _problems(service, shape, given, ""):
        problems.append(problem)
        if len(problems) == 3:
            break
    if problems:
        raise invalid(service, problems)


def _plainly_good(service: str, shape: Shape, given: dict[str, Any]) -> bool:
    """Whether there is nothing to look at more closely: all that is required is there, and each member is bytes of any
    length or a short text that was found good before."""
    for name in shape.required_members:
        if name not in given:
            return False
    members = shape.members
    for name, value in given.items():
        member = members.get(name)
        if member is None:
            continue
        kind = member.type_name
        if kind == "string" and isinstance(value, str):
            if len(value) > SHORT or not _good_text(service, member, value):
                return False
        elif kind == "blob" and isinstance(value, bytes) and not _bounded(member):
            continue
        elif kind == "blob" and not isinstance(value, bytes):
            continue  # a stream: its bytes are not here yet
        else:
            return False
    return True


@lru_cache(maxsize=4096)
def _good_text(service: str, shape: Shape, value: str) -> bool:
    return next(_text(service, shape, value, ""), None) is None


@cache
def _bounded(shape: Shape) -> bool:
    return "min" in shape.metadata or "max" in shape.metadata


def invalid(service: str, problems: list[str]) -> ServiceError:
    count = len(problems)
    text = f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(problems)}"
    codes = {
        "s3": "InvalidArgument",
        "cloudfront": "InvalidArgument",
        "iot": "InvalidRequestException",
        "iot-data": "InvalidRequestException",
    }
    return ServiceError(codes.get(service, "ValidationException"), text, status=400)


def _problems(service: str, shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for name in shape.required_members:
            if name not in value:
                yield f"Value at '{_at(path, name)}' failed to satisfy constraint: Member must not be null"
        for name, member in value.items():
            if name in shape.members:
                yield from _problems(service, shape.members[name], member, _at(path, name))
    elif kind == "list" and isinstance(value, list):
        yield from _size(shape, len(value), path)
        for index, item in enumerate(value):
            yield from _problems(service, shape.member, item, f"{path}.{index + 1}.member")
    elif kind == "map" and isinstance(value, dict):
        yield from _size(shape, len(value), path)
        for key, item in value.items():
            yield from _problems(service, shape.value, item, f"{path}.{key}")
    elif kind == "string" and isinstance(value, str):
        yield from _text(service, shape, value, path)
    elif kind == "blob" and isinstance(value, bytes):
        yield from _size(shape, len(value), path)
    elif kind in {"integer", "long", "float", "double"} and isinstance(value, int | float):
        yield from _range(shape, value, path)


def _at(path: str, name: str) -> str:
    camel = name[:1].lower() + name[1:]
    return f"{path}.{camel}" if path else camel


def _text(service: str, shape: Shape, value: str, path: str) -> Iterator[str]:
    wrong_size = list(_size(shape, len(value), path))
    yield from wrong_size
    allowed = shape.metadata.get("enum")
    if allowed and service in ENUMS_CHECKED and value not in allowed:
        yield (
            f"Value '{value[:100]}' at '{path}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        )
    pattern = shape.metadata.get("pattern")
    if pattern and not wrong_size and service != "s3":  # some patterns take long over a text that is too long
        compiled = _compiled(pattern)
        if compiled is not None and not compiled.search(value):
            yield (
                f"Value '{value[:100]}' at '{path}' failed to satisfy constraint: "
                f"Member must satisfy regular expression pattern: {pattern}"
            )


def _size(shape: Shape, size: int, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have length greater than or equal to {low}"
    if high is not None and size > high:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have length less than or equal to {high}"


def _range(shape: Shape, value: float, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    constraint = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value"
    if low is not None and value < low:
        yield f"{constraint} greater than or equal to {low}"
    if high is not None and value > high:
        yield f"{constraint} less than or equal to {high}"


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The services match the whole value; most patterns say so themselves, some rely on it."""
    try:
        return re.compile(rf"\A(?:{pattern.removeprefix('^').removesuffix('$')})\Z")
    except re.error:
        return None
