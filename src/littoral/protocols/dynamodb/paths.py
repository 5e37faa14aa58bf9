"""Document paths over an item: find, set, remove; and paths that get into each other's way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from littoral.protocols.dynamodb.bindings import Steps
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.values import Item, Value

WRONG_PATH = "The document path provided in the update expression is invalid for update"


def finder(steps: Steps) -> Callable[[Item], Value | None]:
    """What is at that path of an item; None where nothing is."""
    first = steps[0]
    if len(steps) == 1:
        return lambda item: item.get(first)  # type: ignore[arg-type]
    return lambda item: find(item, steps)


def find(item: Item, steps: Iterable[str | int]) -> Value | None:
    current: Value = {"M": item}
    for step in steps:
        inner = current.get("M" if isinstance(step, str) else "L")
        if inner is None or (step not in inner if isinstance(step, str) else step >= len(inner)):
            return None
        current = inner[step]
    return current


def put(item: Item, steps: Steps, value: Value) -> None:
    """In place. An index beyond the end appends. Raises Invalid where there is nothing to put it into."""
    inner = _holder(item, steps)
    last = steps[-1]
    if isinstance(last, str) or last < len(inner):
        inner[last] = value
    else:
        inner.append(value)


def drop(item: Item, steps: Steps) -> None:
    """In place; what is not there is no error, where it would be is. Raises Invalid."""
    inner = _holder(item, steps)
    last = steps[-1]
    if isinstance(last, str):
        inner.pop(last, None)
    elif last < len(inner):
        del inner[last]


def _holder(item: Item, steps: Steps) -> Any:
    around = find(item, steps[:-1])
    inner = None if around is None else around.get("M" if isinstance(steps[-1], str) else "L")
    if inner is None:
        raise Invalid(WRONG_PATH)
    return inner


def check_apart(paths: Iterable[Steps], what: str) -> None:
    """Raises Invalid where one is another or within it, or where one has a list and another a map at one place."""
    tree: dict[str | int, Any] = {}
    seen: list[Steps] = []
    for steps in paths:
        node = tree
        for depth, step in enumerate(steps):
            if None in node:  # a path ends here
                raise _overlap(what, node[None], steps)  # type: ignore[index]
            for other in node:
                if type(other) is not type(step):
                    rival = next(each for each in seen if each[: depth + 1] == (*steps[:depth], other))
                    raise Invalid(
                        f"Invalid {what}: Two document paths conflict with each other; must remove or rewrite one of "
                        f"these paths; path one: {shown(rival)}, path two: {shown(steps)}"
                    )
            node = node.setdefault(step, {})
        if node:
            rival = next(each for each in seen if each[: len(steps)] == steps)
            raise _overlap(what, rival, steps)
        node[None] = steps  # type: ignore[index]
        seen.append(steps)


def _overlap(what: str, one: Steps, two: Steps) -> Invalid:
    return Invalid(
        f"Invalid {what}: Two document paths overlap with each other; must remove or rewrite one of these paths; "
        f"path one: {shown(one)}, path two: {shown(two)}"
    )


def shown(steps: Steps) -> str:
    return "[" + ", ".join(step if isinstance(step, str) else f"[{step}]" for step in steps) + "]"
