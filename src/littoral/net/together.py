"""Programs that end together: the first that fails ends the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable


async def first_failure(ends: Iterable[Awaitable[int]], failed: Callable[[], None]) -> int:
    """The wait status of the first that failed, when all have ended, or 0; ``failed`` is called at once, and once.
    Cancelled, it leaves nothing waiting."""
    waiting = [asyncio.ensure_future(each) for each in ends]
    status = 0
    try:
        for next_ in asyncio.as_completed(waiting):
            found = await next_
            if found and not status:
                status = found
                failed()
    finally:
        for each in waiting:
            each.cancel()
    return status
