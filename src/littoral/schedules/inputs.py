"""What a target gets: the event, a part of it, a constant, or a template filled from it. Pure.

EventBridge user guide, "Amazon EventBridge input transformation"; Scheduler user guide, "Adding context attributes".
"""

from __future__ import annotations

import json
import re
from typing import Any

_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\['([^']+)'\]|\[(\d{1,9})\]")
_VARIABLE = re.compile(r"<([A-Za-z0-9._-]+)>")
RESERVED = (
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
)


class InputError(ValueError):
    """An input that cannot be; the message says why."""


def check_path(path: str) -> None:
    """Raises InputError for what is no path: ``$``, ``$.detail.bed``, ``$.resources[0]``."""
    _steps(path)


def at_path(event: Any, path: str) -> Any:
    """The value there, None where there is none."""
    for step in _steps(path):
        if isinstance(step, int):
            event = event[step] if isinstance(event, list) and step < len(event) else None
        else:
            event = event.get(step) if isinstance(event, dict) else None
    return event


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    position = 1
    if not path.startswith("$"):
        raise InputError(f"the path {path[:100]} does not begin with $")
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            raise InputError(f"the path {path[:100]} is not one of names and indexes")
        steps.append(int(found[3]) if found[3] else found[1] or found[2])
        position = found.end()
    return steps


def render(event: dict[str, Any], target: dict[str, Any], rule_arn: str = "") -> bytes:
    """The payload for a rule's target (``Input``, ``InputPath``, ``InputTransformer`` or none of them)."""
    if target.get("Input") is not None:
        return str(target["Input"]).encode()
    if target.get("InputPath") is not None:
        return json.dumps(at_path(event, target["InputPath"])).encode()
    transformer = target.get("InputTransformer")
    if transformer is None:
        return json.dumps(event).encode()
    values = {name: at_path(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rpartition("/")[2],
        "aws.events.event.ingestion-time": event.get("time"),
        "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
        "aws.events.event.json": event,
    }
    return fill(transformer["InputTemplate"], values).encode()


def check_target(target: dict[str, Any]) -> None:
    """Raises InputError: at most one kind of input, paths that are paths, a template that makes JSON."""
    given = [name for name in ("Input", "InputPath", "InputTransformer") if target.get(name) is not None]
    if len(given) > 1:
        raise InputError(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target {target['Id']}."
        )
    if target.get("InputPath") is not None:
        check_path(target["InputPath"])
    transformer = target.get("InputTransformer")
    if transformer is not None:
        paths = transformer.get("InputPathsMap") or {}
        for name, path in paths.items():
            if name.lower().startswith("aws"):
                raise InputError(f"the name {name} of an input path begins with AWS")
            check_path(path)
        _check_template(transformer["InputTemplate"], {*paths, *RESERVED})
    if target.get("Input") is not None:
        check_json(target["Input"], "Input")


def _check_template(template: str, known: set[str]) -> None:
    for name in _VARIABLE.findall(template):
        if name not in known:
            raise InputError(f"the template's variable <{name}> has no input path")
    check_json(fill(template, dict.fromkeys(known)), "InputTemplate")


def check_json(text: str, member: str) -> None:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{member} makes no valid JSON") from None


def fill(template: str, values: dict[str, Any]) -> str:
    """Variables inside quotes become text there, others JSON values. Unknown ones stay as they are."""
    made: list[str] = []
    quoted = False
    position = 0
    while position < len(template):
        found = _VARIABLE.match(template, position)
        if found is not None and found[1] in values:
            made.append(_as_text(values[found[1]]) if quoted else json.dumps(values[found[1]]))
            position = found.end()
            continue
        char = template[position]
        if char == "\\" and quoted:
            made.append(template[position : position + 2])
            position += 2
            continue
        quoted ^= char == '"'
        made.append(char)
        position += 1
    return "".join(made)


def _as_text(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)[1:-1]
