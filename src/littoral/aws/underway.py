"""A call that waits for one future and for nothing else: its answer is made as the future ends, without a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from littoral.net.message import Request, Response
from littoral.net.passage import Passage, Viewer

T = TypeVar("T")


def without_waiting(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that has nothing to wait for returns."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a body that is here was awaited")


class Underway(Passage):
    """``answer`` makes the response once ``future`` is done. Who called may leave: what was begun goes on."""

    __slots__ = ("_answer", "_future")

    def __init__(self, request: Request, future: asyncio.Future[Any], answer: Callable[[], Response]) -> None:
        super().__init__(request)
        self._future = future
        self._answer = answer

    def begin(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._future.add_done_callback(self._done)

    def viewer_left(self) -> None:
        self._viewer = None

    def _done(self, future: asyncio.Future[Any]) -> None:
        viewer, self._viewer = self._viewer, None
        if future.cancelled():
            if viewer is not None:
                viewer.pass_broken("the call was cancelled")
            return
        response = self._answer()
        if viewer is not None:
            viewer.pass_response(self.request, response)
