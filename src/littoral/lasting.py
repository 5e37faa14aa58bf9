"""Waiting for what must not be left alone: a thread that is still at its caller's memory, file or socket.

Below ``net`` and ``store``, which may not import one another; above nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def until_done(underway: Collection[asyncio.Future[Any]]) -> None:
    """Returns only when all of these are done, however often it is cancelled. Raises CancelledError then; what they
    came to the caller finds in them."""
    cancelled = False
    while left := [each for each in underway if not each.done()]:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


async def done_in_thread(running: asyncio.Future[T], cut: Callable[[], None]) -> T:
    """What it comes to. Who is cancelled calls ``cut``, and goes only when the thread has gone; what that came to is
    nobody's concern then. Raises what the thread does."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cut()
        with suppress(asyncio.CancelledError):
            await until_done([running])
        if not running.cancelled():
            running.exception()  # looked at, else asyncio tells of it
        raise
