"""What every policy document has in common, whichever service reads it. Raises PolicyError for what it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class PolicyError(ValueError):
    """The document is not a policy, or asks for what would not be enforced."""


def statements(
    document: str, versions: frozenset[str], members: frozenset[str], default: str | None = None
) -> list[Any]:
    """The document's statements, of which each is an object of these members. ``default`` is the version of one that
    names none."""
    try:
        root = json.loads(document, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"Policy document is not valid JSON: {error}") from None
    if not isinstance(root, dict):
        raise PolicyError("Policy document must be a JSON object")
    _refuse_unknown("policy", root, frozenset({"Version", "Id", "Statement"}))
    if root.get("Version", default) not in versions:
        raise PolicyError(f"Version must be {' or '.join(json.dumps(each) for each in sorted(versions, reverse=True))}")
    found = root.get("Statement")
    listed = [found] if isinstance(found, dict) else found
    if not isinstance(listed, list) or not listed:
        raise PolicyError("Statement must be an object or a non-empty list")
    for statement in listed:
        if not isinstance(statement, dict):
            raise PolicyError("A statement must be an object")
        _refuse_unknown("statement", statement, members)
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise PolicyError('Effect must be "Allow" or "Deny"')
    return listed


def texts(what: str, found: Any) -> tuple[str, ...]:
    listed = found if isinstance(found, list) else [found]
    if not listed or not all(isinstance(text, str) for text in listed):
        raise PolicyError(f"{what} must be a string or a non-empty list of strings")
    return tuple(listed)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is given twice")
    return found


def _refuse_unknown(what: str, found: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise PolicyError(f"{unknown[0]!r} is not supported in a {what}")
