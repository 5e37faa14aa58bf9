"""How a lane gathers its next batch: records of its keys that the filters let through, as long as the mapping says.

Owns: where the lane stands in its shard, and the window that is open. What becomes of a batch is the lane's (``lane``).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from littoral.functions.catalog import Catalog
from littoral.functions.delivery import Deliveries
from littoral.functions.names import not_found
from littoral.functions.payload import MAX_SYNC
from littoral.functions.runner import Runner
from littoral.functions.settings import FunctionSettings
from littoral.functions.sources import EventSource, Positions, SourceMapping, SourceRecord
from littoral.functions.windows import Window, start_of
from littoral.protocols.eventpattern import Matcher, parse_pattern

LONGEST_WAIT = 20.0  # seconds without a look at the shard: a record that comes wakes the lane at once
ROLE_LENGTH = 256  # bytes that a function's role takes in a record at most


@dataclass(slots=True)
class Hands:
    """What a lane works with."""

    catalog: Catalog
    runner: Runner
    deliveries: Deliveries
    settings: FunctionSettings
    clock: Callable[[], float]


class Followed(Protocol):
    """The mapping as its lanes see it. It may change while they work; ``result`` is theirs to say."""

    mapping: SourceMapping
    source: EventSource
    positions: Positions
    hands: Hands
    result: str


class Gathering:
    def __init__(self, follower: Followed, shard: str, number: int, after: int, window: Window | None) -> None:
        self._follower = follower
        self._hands = follower.hands
        self._source = follower.source
        self._shard = shard
        self._number = number
        self._of = follower.mapping.factor
        self._after = after  # the last position done with
        self._window = window  # that is open, where the mapping has windows
        self._exhausted = False  # there was nothing more of it when we looked last
        self._stopping = False
        self._idle = False  # nothing is under way that must be finished
        self._patterns: tuple[tuple[str, ...], list[Matcher]] = ((), [])

    @property
    def _mapping(self) -> SourceMapping:
        return self._follower.mapping

    async def _gather(self) -> tuple[list[SourceRecord], int]:
        """The next batch and the position up to which was looked: what was passed over is done with, too."""
        records: list[SourceRecord] = []
        cursor, room = self._after, MAX_SYNC - 1024  # bytes of the event
        loop = asyncio.get_running_loop()
        deadline = 0.0
        self._exhausted = False
        while not self._stopping:
            mapping = self._mapping
            if self._source.identity(mapping.source) != mapping.identity:
                raise not_found(f"{mapping.source} is not the one that was mapped: it was deleted and made anew")
            limit = max(1, mapping.batch_size - len(records)) * self._of
            read = await self._source.read(mapping.source, self._shard, cursor, limit, MAX_SYNC)
            for record in read:
                if self._is_later(record, records):
                    self._exhausted = not records
                    return records, cursor
                if self._mine(record) and self._wanted(record):
                    room -= record.size + ROLE_LENGTH
                    if records and (room < 0 or len(records) >= mapping.batch_size):
                        return records, cursor
                    records.append(record)
                cursor = record.position
            if len(records) >= mapping.batch_size:
                return records, cursor
            if read:
                continue
            if not records:
                if cursor > self._after:
                    return records, cursor
                if self._window is not None and self._window_left() <= 0:
                    self._exhausted = True
                    return records, cursor
                await self._wait(cursor, self._window_left())
                continue
            deadline = deadline or loop.time() + mapping.window
            if loop.time() >= deadline:
                return records, cursor
            await self._wait(cursor, deadline - loop.time())
        return [], self._after

    async def _wait(self, cursor: int, seconds: float) -> None:
        self._idle = True
        try:
            await self._source.arrived(self._mapping.source, self._shard, cursor, min(seconds, LONGEST_WAIT))
        finally:
            self._idle = False

    def _is_later(self, record: SourceRecord, records: Sequence[SourceRecord]) -> bool:
        """Whether it belongs to a later window than what is gathered or open."""
        seconds = self._mapping.tumbling
        if not seconds or not (records or self._window):
            return False
        now = self._window.start if self._window is not None else start_of(records[0].arrived, seconds)
        return start_of(record.arrived, seconds) > now

    def _window_left(self) -> float:
        """Seconds until the open window is over; a long time where none is."""
        if self._window is None:
            return LONGEST_WAIT
        return self._window.start + self._mapping.tumbling - self._hands.clock()

    def _mine(self, record: SourceRecord) -> bool:
        if self._of == 1:
            return True
        digest = hashlib.md5(record.key.encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[8:], "big") % self._of == self._number

    def _wanted(self, record: SourceRecord) -> bool:
        """Whether one of the filters lets it through."""
        filters = self._mapping.filters
        if not filters:
            return True
        if self._patterns[0] != filters:
            self._patterns = (filters, [parse_pattern(text) for text in filters])
        seen = self._source.filterable(record)
        return any(matches(seen) for matches in self._patterns[1])
