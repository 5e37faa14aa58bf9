"""Whether all that was acknowledged is there, as the destination itself says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from littoral.box.transfer.bucket import Bucket, Listed, pages
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.sums import Sum, stated

AT_ONCE: Final = 16
TOGETHER: Final = 1000  # that are asked for before more are listed


async def absent(destination: Bucket, journal: Journal, prefix: str) -> list[str]:
    """Keys of this run that are not there, or are something else. Both are in the order of keys: one pass."""
    listing = _listed(destination, prefix)
    found = await anext(listing, None)
    lost: list[str] = []
    unclear: list[tuple[str, Sum]] = []
    for key, size, known, etag in journal.all():
        while found is not None and found.key != key and found.key.encode() < key.encode():
            found = await anext(listing, None)
        if found is None or found.key != key or found.size != size:
            lost.append(key)
        elif found.etag != etag:
            unclear.append((key, known))
            if len(unclear) == TOGETHER:
                lost += await _different(destination, unclear)
                unclear.clear()
    return lost + await _different(destination, unclear)


async def _different(destination: Bucket, unclear: list[tuple[str, Sum]]) -> list[str]:
    """By their checksums: where objects are encrypted their ETags say nothing."""
    room = asyncio.Semaphore(AT_ONCE)

    async def same(key: str, known: Sum) -> bool:
        async with room:
            told = await destination.head(key)
        return told is not None and stated(dict(told.items())) == known

    found = await asyncio.gather(*(same(key, known) for key, known in unclear))
    return [key for (key, _), is_same in zip(unclear, found, strict=True) if not is_same]


async def _listed(destination: Bucket, prefix: str) -> AsyncIterator[Listed]:
    async for page in pages(destination, prefix):
        for one in page:
            yield one
