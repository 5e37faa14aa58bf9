"""The resources that a statement names: ARNs with wildcards and variables."""

from __future__ import annotations

import re

from littoral.protocols.iam.conditions import VARIABLE, Variables, value_of
from littoral.protocols.iam.grammar import PolicyError
from littoral.protocols.iam.wildcards import wildcard

_MARK = "\ue000"  # a private-use character: it stands where a variable's text will go
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}")


def check_resource(resource: str) -> None:
    """Raises PolicyError."""
    if resource != "*" and not resource.startswith("arn:"):
        raise PolicyError(f'Resource {resource!r} must be "*" or an ARN')
    if _MARK in resource:
        raise PolicyError(f"Resource {resource!r} holds a private-use character")
    if "${" in VARIABLE.sub("", resource):
        raise PolicyError(f"A policy variable in {resource!r} is not closed")


def resource_pattern(resource: str, variables: Variables) -> str | None:
    """Its regular expression, or None when a variable has no value. What a variable brings is never a wildcard."""
    pieces: list[str] = []
    literals: list[str] = []
    position = 0
    for match in VARIABLE.finditer(resource):
        value = value_of(match[1], variables)
        if value is None:
            return None
        pieces.append(resource[position : match.start()])
        literals.append(value)
        position = match.end()
    marked = "".join(f"{piece}{_MARK}{index}{_MARK}" for index, piece in enumerate(pieces)) + resource[position:]
    return _MARKED.sub(lambda match: re.escape(literals[int(match[1])]), wildcard(marked))
