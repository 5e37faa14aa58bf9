"""Metrics: what regular expressions find in the lines that a script prints. Pure.

RE2, so that nobody's expression can hold up the place: linear time, no look-around and no back-references.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import re2


def uncompiled(expression: str) -> str:
    """Why an expression cannot be used; "" where it can."""
    try:
        compiled = re2.compile(expression, _quiet())
    except re2.error as problem:
        told = problem.args[0] if problem.args else ""
        return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
    return "" if compiled.groups >= 1 else "it has no group, which is to be the value"


class Metrics:
    """``definitions``: MetricDefinitions of a job, each of which ``uncompiled`` had nothing against."""

    def __init__(self, definitions: Iterable[Mapping[str, str]]) -> None:
        self._expressions = [(each["Name"], re2.compile(each["Regex"], _quiet())) for each in definitions]

    def found(self, line: str) -> dict[str, float]:
        """The values of one line, by name; the first group is the value. What is no finite number is none."""
        values = {}
        for name, expression in self._expressions:
            match = expression.search(line)
            if match is not None and (value := _number(match.group(1))) is not None:
                values[name] = value
        return values


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options
