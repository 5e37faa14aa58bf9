"""Waiting for a thread that is still at its caller's memory or socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def done_in_thread(running: asyncio.Future[T], cut: Callable[[], None]) -> T:
    """What it comes to. Who is cancelled calls ``cut``, and goes only when the thread has gone, however often it is
    cancelled; what that came to is nobody's concern then. Raises what the thread does."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cut()
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # looked at, else asyncio tells of it
        raise
