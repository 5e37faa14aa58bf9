"""Records in and out of shards: what is durable, what is expired, who waits for the next one.

A record is a message of the shard's store stream with its partition key as header ``key``. The store drops what is
past retention when something is published; reading hides it before that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from littoral.store.contract import Extent, Message, Outgoing, Streams
from littoral.streams.catalog import HOUR, Stream
from littoral.streams.shards import sequence_number

PAGE_BYTES = 10 * 1024 * 1024  # what GetRecords gives at most
FIRST_PAGE, LONGEST_PAGE = 16, 256  # records read from the store at once


@dataclass(frozen=True, slots=True)
class Entry:
    """A record to be put."""

    data: bytes
    key: str


class Journal:
    def __init__(self, streams: Streams, clock: Callable[[], float]) -> None:
        self._streams = streams
        self._clock = clock
        self._arrivals: dict[str, asyncio.Event] = {}  # by store stream; set and replaced at each publish

    async def put(self, stream: Stream, shard: int, entries: Sequence[Entry]) -> list[str]:
        """Their sequence numbers, in order. Durable when this returns. Raises StoreError."""
        name = stream.log(shard)
        outgoing = [Outgoing(entry.data, headers={"key": entry.key}) for entry in entries]
        sequences = await self._streams.publish(name, outgoing)
        arrival = self._arrivals.pop(name, None)
        if arrival is not None:
            arrival.set()
        return [sequence_number(stream.created, sequence, shard) for sequence in sequences]

    async def extent(self, stream: Stream, shard: int) -> Extent:
        return await self._streams.extent(stream.log(shard))

    async def read(
        self, stream: Stream, shard: int, after: int, limit: int, max_bytes: int = PAGE_BYTES
    ) -> list[Message]:
        """Records that are not expired, at most ``limit`` of at most ``max_bytes``, but one if there is one."""
        oldest = self._clock() - stream.retention_hours * HOUR
        found: list[Message] = []
        size, page = 0, FIRST_PAGE
        while len(found) < limit:
            read = await self._streams.read(stream.log(shard), after=after, limit=min(page, limit - len(found)))
            for message in read:
                after = message.sequence
                if message.published_at < oldest:
                    continue
                size += len(message.data)
                if found and size > max_bytes:
                    return found
                found.append(message)
            if not read:
                break
            page = min(LONGEST_PAGE, page * 2)
        return found

    async def before(self, stream: Stream, shard: int, moment: float) -> int:
        """The sequence before the first record that arrived at ``moment`` or later, in whole milliseconds, which is
        what clients are told of arrivals: a binary search."""
        wanted = round(moment * 1000)
        extent = await self.extent(stream, shard)
        low, high = extent.first, extent.last + 1
        while low < high:
            middle = (low + high) // 2
            read = await self._streams.read(stream.log(shard), after=middle - 1, limit=1)
            if read and milliseconds(read[0].published_at) < wanted:
                low = middle + 1
            else:
                high = middle
        return low - 1

    async def arrived(self, stream: Stream, shard: int, after: int, wait: float) -> None:
        """Return when there is a record after ``after``, or ``wait`` seconds have passed."""
        name = stream.log(shard)
        arrival = self._arrivals.setdefault(name, asyncio.Event())
        if (await self.extent(stream, shard)).last > after:
            return
        try:
            async with asyncio.timeout(wait):
                await arrival.wait()
        except TimeoutError:
            return


def milliseconds(moment: float) -> int:
    return int(moment * 1000)
