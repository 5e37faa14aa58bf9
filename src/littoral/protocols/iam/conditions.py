"""Conditions of policies, and the variables that policies name. ("IAM JSON policy elements: Condition operators")"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from littoral.protocols.iam.grammar import PolicyError
from littoral.protocols.iam.wildcards import like

Variables = Mapping[str, str | tuple[str, ...]]
"""By canonical name ("iot:clientid"). A tuple is a multi-valued key, usable with ForAllValues and ForAnyValue."""

VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Condition:
    operator: str  # lower case, without set prefix and IfExists
    key: str  # canonical
    values: tuple[str, ...]
    over: str = ""  # "", "forallvalues" or "foranyvalue"
    if_exists: bool = False


def conditions_of(found: Any) -> tuple[Condition, ...]:
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
    if (operator not in _OPERATORS and rest != "null") or over not in ("", "forallvalues", "foranyvalue"):
        raise PolicyError(f"Condition operator {name!r} is not supported")
    values = found if isinstance(found, list) else [found]
    texts = tuple("true" if v is True else "false" if v is False else v for v in values)
    if operator.startswith("numeric"):
        texts = tuple(str(value) if isinstance(value, (int, float)) else value for value in texts)
    if not all(isinstance(text, str) for text in texts):
        raise PolicyError(f"The values of condition key {key!r} must be strings")
    if operator in _CHECKED:
        for text in texts:
            _CHECKED[operator](text)
    return Condition(operator, canonical(key), texts, over, rest.endswith("ifexists"))


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise PolicyError(f"{text!r} is not an IP address range") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PolicyError(f"{text!r} is not a number") from None


def _moment(text: str) -> float:
    """ISO 8601, or Unix seconds."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise PolicyError(f"{text!r} is not a time") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


_Test = Callable[[str, str], bool]


def _in_network(value: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(value) in network(wanted)
    except ValueError:
        return False


def _compared(read: Callable[[str], float], order: Callable[[float, float], bool]) -> _Test:
    def test(value: str, wanted: str) -> bool:
        try:
            return order(read(value), read(wanted))
        except PolicyError:
            return False

    return test


def _ordered(kind: str, read: Callable[[str], float]) -> dict[str, tuple[_Test, bool]]:
    return {
        f"{kind}equals": (_compared(read, float.__eq__), False),
        f"{kind}notequals": (_compared(read, float.__eq__), True),
        f"{kind}lessthan": (_compared(read, float.__lt__), False),
        f"{kind}lessthanequals": (_compared(read, float.__le__), False),
        f"{kind}greaterthan": (_compared(read, float.__gt__), False),
        f"{kind}greaterthanequals": (_compared(read, float.__ge__), False),
    }


_OPERATORS: dict[str, tuple[_Test, bool]] = {  # and whether the operator is the negated form
    "stringequals": (str.__eq__, False),
    "stringnotequals": (str.__eq__, True),
    "stringequalsignorecase": (lambda value, wanted: value.lower() == wanted.lower(), False),
    "stringnotequalsignorecase": (lambda value, wanted: value.lower() == wanted.lower(), True),
    "stringlike": (like, False),
    "stringnotlike": (like, True),
    "bool": (lambda value, wanted: value.lower() == wanted.lower(), False),
    "ipaddress": (_in_network, False),
    "notipaddress": (_in_network, True),
    "arnequals": (like, False),  # ArnEquals and ArnLike behave identically
    "arnlike": (like, False),
    "arnnotequals": (like, True),
    "arnnotlike": (like, True),
    **_ordered("numeric", _number),
    **_ordered("date", _moment),
}
_CHECKED: dict[str, Callable[[str], Any]] = {
    "ipaddress": network,
    "notipaddress": network,
    **dict.fromkeys(_ordered("numeric", _number), _number),
    **dict.fromkeys(_ordered("date", _moment), _moment),
}


def holds(condition: Condition, variables: Variables) -> bool:
    """As IAM decides it: a missing key fails a positive test and passes a negated one, or any with IfExists."""
    found = variables.get(condition.key)
    if condition.operator == "null":
        return ("true" if found in (None, ()) else "false") in (value.lower() for value in condition.values)
    test, negated = _OPERATORS[condition.operator]
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


def fill(text: str, variables: Variables) -> str | None:
    """Policy variables replaced by plain text, for condition values. None when one has no value."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        found = value_of(match[1], variables)
        missing = missing or found is None
        return found or ""

    filled = VARIABLE.sub(value, text)
    return None if missing else filled


def canonical(name: str) -> str:
    """Names are in any case, but for what stands in brackets or behind a slash:
    ``iot:connection.thing.attributes[Ward]``, ``s3:existingobjecttag/Ward``."""
    for mark in "[/":
        head, found, rest = name.partition(mark)
        if found:
            return head.lower() + found + rest
    return name.lower()


def value_of(name: str, variables: Variables) -> str | None:
    if name in ("*", "?", "$"):  # the escapes of IAM
        return name
    found = variables.get(canonical(name))
    return found if isinstance(found, str) else found[0] if found else None
