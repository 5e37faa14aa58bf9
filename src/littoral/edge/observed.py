"""A passage that an access log is told of, when it is over."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from littoral.edge.told import Told
from littoral.net.message import Answer, Request
from littoral.net.passage import Passage


class Noting(Protocol):
    """An access log."""

    def of(self, request: Request, answer: Answer) -> object:
        """An answer that is there."""

    def passed(self, request: Request, status: int, head: bytes, size: int, whole: bool, told: Told) -> None: ...

    def later(self, request: Request, answer: Awaitable[Answer]) -> Awaitable[Answer]: ...


class Observed(Passage):
    __slots__ = ("noting",)

    def __init__(self, request: Request, noting: Noting | None = None) -> None:
        super().__init__(request)
        self.noting = noting

    def anew(self) -> Observed:
        """For the very same request once more."""
        raise NotImplementedError

    def noted(self, pending: Awaitable[Answer]) -> Awaitable[Answer]:
        """The ordinary answer that comes instead."""
        return pending if self.noting is None else self.noting.later(self.request, pending)
