"""What the model has a set of values for takes no other: every such member of every operation that is served, but those
of S3, which has errors of its own for each (tests/objects/test_enumerations.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.model import Shape

from littoral.aws import models
from littoral.aws.registry import operations
from littoral.aws.wire import constraints
from littoral.aws.wire.plan import plan_of
from littoral.site.services import API_CLASSES, api_classes

WRONG = "of no model"
EMPTY: dict[str, Any] = {}
Path = tuple[str, ...]  # members; "[]" is an item, "{}" a value, "{key}" a key


def enumerations(shape: Shape, at: Path = (), above: Path = ()) -> Iterator[Path]:
    """Where in a shape values have a set; of those that hold themselves, once."""
    if shape.name in above:
        return
    above = (*above, shape.name)
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from enumerations(member, (*at, name), above)
    elif shape.type_name == "list":
        yield from enumerations(shape.member, (*at, "[]"), above)
    elif shape.type_name == "map":
        yield from enumerations(shape.key, (*at, "{key}"), above)
        yield from enumerations(shape.value, (*at, "{}"), above)
    elif shape.type_name == "string" and shape.metadata.get("enum"):
        yield at


def wrapped(inner: Any, part: str) -> Any:
    if part == "[]":
        return [inner]
    return {"a" if part == "{}" else part: inner}


def given_at(path: Path) -> dict[str, Any]:
    inner: Any = WRONG
    if path[-1] == "{key}":
        inner, path = {WRONG: EMPTY}, path[:-1]
    for part in reversed(path):
        inner = wrapped(inner, part)
    return inner  # type: ignore[no-any-return]


def served(service: str) -> Iterator[tuple[str, Path]]:
    """Operations, and where in their input values have a set; of members that are not refused by name."""
    for name, operation in operations(service, tuple(map(object.__new__, api_classes(service)))).items():
        shape = models.operation_model(service, name).input_shape
        for path in enumerations(shape) if shape is not None else ():
            if path[0] in operation.honoured or path[0] in operation.harmless:
                yield name, path


@pytest.mark.parametrize("service", sorted(API_CLASSES.keys() - constraints.ENUMS_OPEN))
def test_no_value_is_taken_that_the_model_does_not_have(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraints, "MOST", 1_000_000)  # required members are missing, which is told first
    taken = []
    for name, path in served(service):
        check = plan_of(service, name).check
        problems = check(given_at(path)) if check is not None else ()
        if not any("enum value set" in str(problem) and WRONG in str(problem) for problem in problems):
            taken.append(f"{name}: {'.'.join(path)}")
    assert taken == []
