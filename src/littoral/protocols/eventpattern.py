"""Event patterns: which JSON events a pattern lets through. Sans-IO.

The language of EventBridge rules and of Lambda's event filters (EventBridge user guide, "Comparison operators for use
in event patterns"). A pattern is an object shaped as the event; its leaves are lists, of which one element must match:

    {"detail": {"pulse": [{"numeric": [">", 120]}], "ward": ["icu", {"prefix": "post-"}]}}

``compile_pattern`` checks a pattern once and gives a function of an event. An array in the event matches where one of
its elements does; for ``anything-but`` and ``exists: false`` too, as at AWS. A path through an array of objects matches
where one element has all that the pattern wants below it.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Callable
from typing import Any

Test = Callable[[Any], bool]  # of a value that is there
Matcher = Callable[[Any], bool]  # of an object (or array of objects)

LARGEST = 5e9  # numbers of a numeric filter, either sign
_ABSENT: Any = object()


class PatternError(ValueError):
    """A pattern that is none; the message says why."""


def parse_pattern(text: str) -> Matcher:
    """Raises PatternError."""
    try:
        pattern = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except PatternError:
        raise
    except (ValueError, RecursionError) as error:
        raise PatternError(f"Event pattern is not valid JSON: {error}") from None
    return compile_pattern(pattern)


def compile_pattern(pattern: Any) -> Matcher:
    """Raises PatternError."""
    if not isinstance(pattern, dict):
        raise PatternError("Filter is not an object")
    if not pattern:
        raise PatternError("Empty event pattern is not allowed")
    return _object(pattern, "")


def _object(pattern: dict[str, Any], path: str) -> Matcher:
    parts: list[Matcher] = []
    for key, value in pattern.items():
        if key == "$or":
            parts.append(_either(value, path))
        else:
            parts.append(_member(key, value, f"{path}.{key}" if path else key))

    def matches(event: Any) -> bool:
        if isinstance(event, list):
            return any(isinstance(each, dict) and matches(each) for each in event)
        return all(part(event) for part in parts)

    return matches


def _either(value: Any, path: str) -> Matcher:
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(each, dict) and each for each in value):
        raise PatternError(f"$or at {path or 'the root'} must be an array of at least two objects")
    choices = [_object(each, path) for each in value]
    return lambda event: any(choice(event) for choice in choices)


def _member(key: str, value: Any, path: str) -> Matcher:
    if isinstance(value, dict):
        if not value:
            raise PatternError(f'Empty objects are not allowed at "{path}"')
        below = _object(value, path)
        absent_will_do = _absent_will_do(value)

        def through(event: Any) -> bool:
            inner = event.get(key, _ABSENT) if isinstance(event, dict) else _ABSENT
            if isinstance(inner, dict | list):
                return below(inner) or (absent_will_do and inner == [])
            return absent_will_do

        return through
    if not isinstance(value, list):
        raise PatternError(f'"{path}" must be an object or an array')
    if not value:
        raise PatternError(f'Empty arrays are not allowed at "{path}"')
    wants_absent = any(isinstance(each, dict) and each.get("exists") is False for each in value)
    tests = [_test(each, path) for each in value]

    def leaf(event: Any) -> bool:
        found = event.get(key, _ABSENT) if isinstance(event, dict) else _ABSENT
        if found is _ABSENT or isinstance(found, dict):  # "exists" is of leaves
            return wants_absent
        if isinstance(found, list):
            return any(test(each) for each in found for test in tests) if found else wants_absent
        return any(test(found) for test in tests)

    return leaf


def _absent_will_do(pattern: dict[str, Any]) -> bool:
    """Whether an event that lacks the whole object has what the pattern wants, which is that its leaves are absent."""
    for key, value in pattern.items():
        if key == "$or":
            if not any(isinstance(each, dict) and _absent_will_do(each) for each in value):
                return False
        elif isinstance(value, dict):
            if not _absent_will_do(value):
                return False
        elif not (isinstance(value, list) and any(isinstance(e, dict) and e.get("exists") is False for e in value)):
            return False
    return True


# ------------------------------------------------------------------------------------------------ one element of a leaf


def _test(element: Any, path: str) -> Test:
    if isinstance(element, dict):
        if len(element) != 1:
            raise PatternError(f'Only one key allowed in match expression at "{path}"')
        ((name, value),) = element.items()
        made = _OPERATORS.get(name)
        if made is None:
            raise PatternError(f"Unrecognized match type {name}")
        return made(value, path)
    if isinstance(element, list):
        raise PatternError(f'Nested arrays are not allowed at "{path}"')
    return _equals(element)


def _equals(wanted: Any) -> Test:
    if wanted is None or isinstance(wanted, bool):
        return lambda found: found is wanted
    if isinstance(wanted, int | float):
        return lambda found: _number(found) and found == wanted
    return lambda found: isinstance(found, str) and found == wanted


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _affix(kind: str) -> Callable[[Any, str], Test]:
    def make(value: Any, path: str) -> Test:
        if isinstance(value, dict) and list(value) == ["equals-ignore-case"]:
            folded = _text(value["equals-ignore-case"], kind, path).lower()
            if kind == "prefix":
                return lambda found: isinstance(found, str) and found.lower().startswith(folded)
            return lambda found: isinstance(found, str) and found.lower().endswith(folded)
        wanted = _text(value, kind, path)
        if kind == "prefix":
            return lambda found: isinstance(found, str) and found.startswith(wanted)
        return lambda found: isinstance(found, str) and found.endswith(wanted)

    return make


def _text(value: Any, kind: str, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise PatternError(f'{kind} match pattern must be a non-empty string at "{path}"')
    return value


def _ignore_case(value: Any, path: str) -> Test:
    wanted = _text(value, "equals-ignore-case", path).lower()
    return lambda found: isinstance(found, str) and found.lower() == wanted


def _wildcard(value: Any, path: str) -> Test:
    """``*`` is any run of characters; a backslash makes the next ``*`` or backslash itself."""
    text = _text(value, "wildcard", path)
    pieces: list[str] = [""]
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
            if text[position : position + 1] not in ("*", "\\") or position >= len(text):
                raise PatternError(f'Invalid escape character at "{path}"')
            pieces[-1] += text[position]
        elif char == "*":
            if not pieces[-1] and len(pieces) > 1:
                raise PatternError(f'Consecutive wildcard characters at "{path}"')
            pieces.append("")
        else:
            pieces[-1] += char
        position += 1
    return lambda found: isinstance(found, str) and _fits(pieces, found)


def _fits(pieces: list[str], text: str) -> bool:
    """Greedy from the left, which is enough for ``*`` and takes linear time for each piece."""
    if len(pieces) == 1:
        return text == pieces[0]
    first, last = pieces[0], pieces[-1]
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    position, end = len(first), len(text) - len(last)
    for piece in pieces[1:-1]:
        found = text.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _exists(value: Any, path: str) -> Test:
    if not isinstance(value, bool):
        raise PatternError(f'exists match pattern must be either true or false at "{path}"')
    return lambda found: value  # a value is there; its absence is seen to by the leaf


def _numeric(value: Any, path: str) -> Test:
    if not isinstance(value, list) or len(value) not in {2, 4}:
        raise PatternError(f'numeric must be an array of one or two comparisons at "{path}"')
    pairs = [(value[at], value[at + 1]) for at in range(0, len(value), 2)]
    for sign, bound in pairs:
        if sign not in _COMPARISONS:
            raise PatternError(f"Unrecognized numeric range operator: {sign}")
        if not _number(bound) or not math.isfinite(bound) or abs(bound) > LARGEST:
            raise PatternError(f'A bound of a numeric range must be a number of at most {LARGEST:.0f} at "{path}"')
    if len(pairs) == 2 and not (pairs[0][0] in {">", ">="} and pairs[1][0] in {"<", "<="}):
        raise PatternError(f'A numeric range goes from a lower to an upper bound at "{path}"')
    if len(pairs) == 2 and pairs[0][1] >= pairs[1][1]:
        raise PatternError(f'The bottom of a numeric range must be below its top at "{path}"')
    return lambda found: _number(found) and all(_COMPARISONS[sign](found, bound) for sign, bound in pairs)


_COMPARISONS: dict[Any, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _anything_but(value: Any, path: str) -> Test:
    if isinstance(value, dict):
        if len(value) != 1:
            raise PatternError(f'Only one key allowed in anything-but at "{path}"')
        ((name, inner),) = value.items()
        if name not in {"prefix", "suffix", "equals-ignore-case", "wildcard"}:
            raise PatternError(f"Unsupported anything-but pattern: {name}")
        several = inner if isinstance(inner, list) else [inner]
        if not several:
            raise PatternError(f'Empty arrays are not allowed at "{path}"')
        unwanted = [_OPERATORS[name](each, path) for each in several]
    else:
        several = value if isinstance(value, list) else [value]
        if not several or not all(isinstance(each, str) or _number(each) for each in several):
            raise PatternError(f'anything-but list must hold strings or numbers at "{path}"')
        unwanted = [_equals(each) for each in several]
    return lambda found: not any(test(found) for test in unwanted)


def _cidr(value: Any, path: str) -> Test:
    try:
        network = ipaddress.ip_network(_text(value, "cidr", path), strict=False)
    except ValueError:
        raise PatternError(f"Malformed CIDR, one '/' required at \"{path}\"") from None

    def inside(found: Any) -> bool:
        try:
            return isinstance(found, str) and ipaddress.ip_address(found) in network
        except ValueError:
            return False

    return inside


_OPERATORS: dict[str, Callable[[Any, str], Test]] = {
    "prefix": _affix("prefix"),
    "suffix": _affix("suffix"),
    "equals-ignore-case": _ignore_case,
    "wildcard": _wildcard,
    "exists": _exists,
    "numeric": _numeric,
    "anything-but": _anything_but,
    "cidr": _cidr,
}


def _no_constant(name: str) -> None:
    raise PatternError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PatternError("A key occurs twice in one object")
    return found
