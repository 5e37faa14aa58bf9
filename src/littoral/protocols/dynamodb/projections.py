"""ProjectionExpression: what is left of an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from littoral.protocols.dynamodb.bindings import Bindings, Steps
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.parser import parse_projection
from littoral.protocols.dynamodb.paths import check_apart
from littoral.protocols.dynamodb.values import Item, Value, check_name

Projection = Callable[[Item], Item]
Tree = dict[str | int, Any]


def compile_projection(text: str, bindings: Bindings) -> tuple[Projection, list[Steps]]:
    """Raises Invalid."""
    paths = [bindings.path(path, "ProjectionExpression") for path in parse_projection(text)]
    check_apart(paths, "ProjectionExpression")
    return projection(paths), paths


def attributes(names: list[str]) -> list[Steps]:
    """Of AttributesToGet. Raises Invalid."""
    for name in names:
        check_name(name)
    if len(set(names)) != len(names):
        raise Invalid("One or more parameter values were invalid: Duplicate value in AttributesToGet")
    return [(name,) for name in names]


def projection(paths: Iterable[Steps]) -> Projection:
    tree: Tree = {}
    for steps in paths:
        node = tree
        for step in steps:
            node = node.setdefault(step, {})
    return lambda item: _left({"M": item}, tree)["M"] if item else {}


def _left(value: Value, tree: Tree) -> Value:
    """Of a list only the elements that are named, in their order, without gaps."""
    if "M" in value:
        kept = {name: _taken(value["M"][name], inner) for name, inner in tree.items() if name in value["M"]}
        return {"M": {name: each for name, each in kept.items() if each is not None}}
    elements = value["L"]
    found = [_taken(elements[at], inner) for at, inner in sorted(tree.items()) if at < len(elements)]  # type: ignore[operator]
    return {"L": [each for each in found if each is not None]}


def _taken(value: Value, tree: Tree) -> Value | None:
    """None where nothing of it is wanted after all: another type than the path says, or nothing there."""
    if not tree:
        return value
    if ("M" if isinstance(next(iter(tree)), str) else "L") not in value:
        return None
    left = _left(value, tree)
    return left if next(iter(left.values())) else None
