"""Waiting for what must not be left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any


async def until_done(underway: Collection[asyncio.Future[Any]]) -> None:
    """Returns only when all of these are done, however often it is cancelled: a thread may still be at a file or at
    memory. Raises CancelledError then; what they came to the caller finds in them."""
    cancelled = False
    while left := [each for each in underway if not each.done()]:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
