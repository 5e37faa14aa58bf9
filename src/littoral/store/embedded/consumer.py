"""A durable consumer: who has been handed what, until when.

The floor and the acknowledgements above it are durable (``log``). What is in flight, and until when, is memory
only: after a restart everything unacknowledged comes again, which is what at-least-once means. Only ``retry``
writes down how often a message was delivered and when it is due.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import apsw

from littoral.store.contract import Message, NotFound
from littoral.store.embedded import log
from littoral.store.embedded.database import Database

# When, the sequence, deliveries so far; and sequences before it that were handed out with it.
_Due = tuple[float, int, int, tuple[int, ...]]


class EmbeddedConsumer:
    """All who ask for one by name share this object."""

    def __init__(self, database: Database, stream: int, number: int, floor: int, clock: Callable[[], float]) -> None:
        self._database = database
        self._stream = stream
        self._number = number
        self._cursor = floor  # everything up to here has been handed out, or was acknowledged before
        self._clock = clock
        self.ack_wait = 30.0  # seconds
        self._in_flight: dict[int, tuple[int, float]] = {}  # sequence -> (deliveries, when it comes again)
        self._due: list[_Due] = []  # heap
        above = "SELECT sequence FROM acknowledged WHERE consumer = ?"
        self._acknowledged = {row[0] for row in database.read(above, (number,))}  # beyond the cursor
        retried = "SELECT sequence, deliveries, due FROM retries WHERE consumer = ?"
        self._retries = {row[0]: (row[1], row[2]) for row in database.read(retried, (number,))}
        self._arrived = asyncio.Event()
        self._ended = False

    def wake(self) -> None:
        self._arrived.set()

    def end(self) -> None:
        """The stream is gone: whoever waits or comes later is told."""
        self._ended = True
        self.wake()

    async def fetch(self, limit: int = 100, *, wait: float = 0.0) -> Sequence[Message]:
        if limit < 1:
            raise ValueError(f"a fetch is of at least one message, not {limit}")
        deadline = time.monotonic() + wait
        while True:
            self._check()
            self._arrived.clear()
            found = self._again(limit)
            if len(found) < limit:
                found += self._new(limit - len(found))
            left = deadline - time.monotonic()
            if found or left <= 0:
                return sorted(found, key=lambda message: message.sequence)
            await self._until_something(left)

    async def ack(self, sequences: Sequence[int]) -> None:
        self._check()

        def forget(last: int) -> None:
            for sequence in sequences:
                self._in_flight.pop(sequence, None)
                if self._cursor < sequence <= last:
                    self._acknowledged.add(sequence)

        await self._database.write(
            lambda connection: log.acknowledge(connection, self._stream, self._number, sequences), then=forget
        )

    async def retry(self, sequence: int, *, delay: float = 0.0) -> None:
        """Of a message that is not in flight (acknowledged, or already due again) this does nothing."""
        self._check()
        if sequence not in self._in_flight:
            return
        deliveries = self._in_flight[sequence][0]
        due = self._clock() + delay

        def work(connection: apsw.Connection) -> None:
            row = (self._number, sequence, deliveries, due)
            connection.execute("INSERT OR REPLACE INTO retries VALUES(?, ?, ?, ?)", row)

        def schedule(_: None) -> None:
            if sequence in self._in_flight:
                self._schedule(sequence, deliveries, due)
                self.wake()

        await self._database.write(work, then=schedule)

    async def pending(self) -> int:
        self._check()
        rows = self._database.read(
            "SELECT s.last - max(s.last - s.count, c.floor) - (SELECT count(*) FROM acknowledged"
            " WHERE consumer = c.id AND sequence > max(s.last - s.count, c.floor))"
            " FROM consumers c JOIN streams s ON s.id = c.stream WHERE c.id = ?",
            (self._number,),
        )
        return int(rows[0][0])

    # --------------------------------------------------------------------------------------- who gets what

    def _check(self) -> None:
        if self._ended:
            raise NotFound("the stream of this consumer was deleted")

    async def _until_something(self, left: float) -> None:
        soonest = self._due[0][0] - self._clock() if self._due else left
        try:
            async with asyncio.timeout(min(left, max(soonest, 0.001))):
                await self._arrived.wait()
        except TimeoutError:
            return

    def _again(self, limit: int) -> list[Message]:
        """What was not acknowledged in time, or was to be retried by now."""
        now = self._clock()
        found: list[Message] = []
        while self._due and len(found) < limit:
            due, sequence, deliveries, before = self._due[0]
            current = self._in_flight.get(sequence) == (deliveries, due)
            if current and due > now:
                break
            heapq.heappop(self._due)
            for each in before:
                if self._in_flight.get(each) == (deliveries, due):
                    heapq.heappush(self._due, (due, each, deliveries, ()))
            if current:  # else acknowledged, handed out or scheduled anew meanwhile
                found += self._hand_out_again(sequence, deliveries, now)
        return found

    def _hand_out_again(self, sequence: int, deliveries: int, now: float) -> list[Message]:
        for message in messages_after(self._database, self._stream, sequence - 1, 1):
            if message.sequence == sequence:
                return [self._hand_out(message, deliveries + 1, now)]
        del self._in_flight[sequence]  # retention took it
        return []

    def _new(self, limit: int) -> list[Message]:
        now = self._clock()
        found: list[Message] = []
        while len(found) < limit:
            page = messages_after(self._database, self._stream, self._cursor, limit - len(found))
            if not page:
                break
            if not (self._acknowledged or self._retries):
                self._hand_out_all([message.sequence for message in page], now + self.ack_wait)
                found += page
                continue
            for message in page:
                self._cursor = message.sequence
                if message.sequence in self._acknowledged:
                    self._acknowledged.discard(message.sequence)
                    continue
                deliveries, due = self._retries.pop(message.sequence, (0, 0.0))
                if due > now:
                    self._schedule(message.sequence, deliveries, due)
                else:
                    found.append(self._hand_out(message, deliveries + 1, now))
        return found

    def _hand_out(self, message: Message, deliveries: int, now: float) -> Message:
        self._schedule(message.sequence, deliveries, now + self.ack_wait)
        return message if deliveries == 1 else message._replace(deliveries=deliveries)

    def _hand_out_all(self, sequences: list[int], due: float) -> None:
        """The first time: they are due at once, so one entry of the heap stands for all."""
        self._cursor = sequences[-1]
        self._in_flight.update(dict.fromkeys(sequences, (1, due)))
        heapq.heappush(self._due, (due, sequences[-1], 1, tuple(sequences[:-1])))

    def _schedule(self, sequence: int, deliveries: int, due: float) -> None:
        """Hand it out again at ``due``, unless it is acknowledged or scheduled anew before."""
        self._in_flight[sequence] = (deliveries, due)
        heapq.heappush(self._due, (due, sequence, deliveries, ()))


def messages_after(database: Database, stream: int, after: int, limit: int) -> list[Message]:
    rows = database.read(
        "SELECT sequence, data, headers, published_at FROM messages WHERE stream = ? AND sequence > ?"
        " ORDER BY sequence LIMIT ?",
        (stream, after, limit),
    )
    return [Message(sequence, data, _headers_of(text), at) for sequence, data, text, at in rows]


@lru_cache(maxsize=256)
def _headers_of(text: str) -> Mapping[str, str]:
    """The messages of one page mostly have the same."""
    found: dict[str, str] = json.loads(text) if text else {}
    return found
