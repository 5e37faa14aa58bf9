"""A value that is not of its shape, or goes deeper than anybody should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DEEPEST = 100  # times that a shape may be within itself: the capabilities that read on have a stack too


class Unreadable(Exception):
    """What is wrong is told where it is found; which member that is, by the readers around it on the way out, so that
    no path is made for a value that is good."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says
        self.path = ""

    def inside(self, part: str) -> Unreadable:
        """The same, of the member (or ``[index]``) that holds it."""
        between = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{part}{between}{self.path}"
        return self

    def __str__(self) -> str:
        return f"{self.path or 'The body'} {self.says}"


class Beyond(Unreadable):
    """A member that the model does not have: of a newer one than ours, or misspelt."""

    def __init__(self, name: str) -> None:
        super().__init__("is not known here")
        self.path = name


def bounded(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Of a shape within itself."""
    depth = 0

    def deeper(value: Any) -> Any:
        nonlocal depth
        if depth == DEEPEST:
            raise Unreadable("is nested too deeply")
        depth += 1
        try:
            return read(value)
        finally:
            depth -= 1

    return deeper
