"""Streams in SQLite: the log, the dedupe window and the consumers' positions in one file, one commit.

A consumer's durable state is its *floor* (everything up to it is acknowledged) and the few acknowledgements above
it. What is in flight, and until when, is memory only: after a restart everything unacknowledged comes again, which
is what at-least-once means. Only ``retry`` writes down how often a message was delivered.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal

import apsw

from littoral.store.contract import Message, NotFound, Outgoing, Retention, StreamFull
from littoral.store.embedded.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS streams(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, retention TEXT NOT NULL,
    last INTEGER NOT NULL DEFAULT 0, count INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS messages(
    stream INTEGER NOT NULL, sequence INTEGER NOT NULL, data BLOB NOT NULL, headers TEXT NOT NULL,
    published_at REAL NOT NULL, PRIMARY KEY(stream, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS published(
    stream INTEGER NOT NULL, message_id TEXT NOT NULL, sequence INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY(stream, message_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS published_by_time ON published(stream, at);
CREATE TABLE IF NOT EXISTS consumers(
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, name TEXT NOT NULL, floor INTEGER NOT NULL,
    UNIQUE(stream, name));
CREATE TABLE IF NOT EXISTS acknowledged(
    consumer INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY(consumer, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retries(
    consumer INTEGER NOT NULL, sequence INTEGER NOT NULL, deliveries INTEGER NOT NULL, due REAL NOT NULL,
    PRIMARY KEY(consumer, sequence)) WITHOUT ROWID;
"""


class EmbeddedStreams:
    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._consumers: dict[tuple[int, str], EmbeddedConsumer] = {}

    async def create(self, stream: str, retention: Retention | None = None) -> None:
        text = json.dumps(asdict(retention or Retention()))

        def work(connection: apsw.Connection) -> int:
            connection.execute(
                "INSERT INTO streams(name, retention) VALUES(?, ?)"
                " ON CONFLICT(name) DO UPDATE SET retention = excluded.retention",
                (stream, text),
            )
            return _one(connection, "SELECT id FROM streams WHERE name = ?", (stream,))

        self._ids[stream] = await self._database.write(work)

    async def publish(self, stream: str, messages: Sequence[Outgoing]) -> Sequence[int]:
        identity = self._id(stream)
        now = self._clock()
        sequences = await self._database.write(lambda connection: _append(connection, identity, messages, now))
        for (of, _), consumer in self._consumers.items():
            if of == identity:
                consumer.wake()
        return sequences

    async def consumer(
        self, stream: str, name: str, *, ack_wait: float = 30.0, start: Literal["first", "new"] = "first"
    ) -> EmbeddedConsumer:
        identity = self._id(stream)
        open_one = self._consumers.get((identity, name))
        if open_one is not None:
            open_one.ack_wait = ack_wait
            return open_one

        def work(connection: apsw.Connection) -> tuple[int, int]:
            floor = _one(connection, "SELECT last FROM streams WHERE id = ?", (identity,)) if start == "new" else 0
            connection.execute(
                "INSERT OR IGNORE INTO consumers(stream, name, floor) VALUES(?, ?, ?)", (identity, name, floor)
            )
            found = "SELECT id, floor FROM consumers WHERE stream = ? AND name = ?"
            number, floor = next(iter(connection.execute(found, (identity, name))))
            return number, floor

        number, floor = await self._database.write(work)
        made = EmbeddedConsumer(self._database, identity, number, floor, ack_wait, self._clock)
        return self._consumers.setdefault((identity, name), made)

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Message]:
        return _messages(self._database, self._id(stream), after, limit)

    async def delete(self, stream: str) -> bool:
        if stream not in await self.names(stream):
            return False
        identity = self._id(stream)

        def work(connection: apsw.Connection) -> None:
            of_consumers = "(SELECT id FROM consumers WHERE stream = ?)"
            connection.execute(f"DELETE FROM acknowledged WHERE consumer IN {of_consumers}", (identity,))
            connection.execute(f"DELETE FROM retries WHERE consumer IN {of_consumers}", (identity,))
            for table in ("consumers", "messages", "published"):
                connection.execute(f"DELETE FROM {table} WHERE stream = ?", (identity,))
            connection.execute("DELETE FROM streams WHERE id = ?", (identity,))

        await self._database.write(work)
        self._ids.pop(stream, None)
        self._consumers = {at: each for at, each in self._consumers.items() if at[0] != identity}
        return True

    async def names(self, prefix: str = "") -> Sequence[str]:
        rows = self._database.read("SELECT name FROM streams ORDER BY name")
        return [name for (name,) in rows if name.startswith(prefix)]

    def _id(self, stream: str) -> int:
        found = self._ids.get(stream)
        if found is None:
            rows = self._database.read("SELECT id FROM streams WHERE name = ?", (stream,))
            if not rows:
                raise NotFound(f"no stream {stream}")
            found = self._ids[stream] = rows[0][0]
        return found


class EmbeddedConsumer:
    """One durable consumer; all who ask for it by name share this object."""

    def __init__(
        self,
        database: Database,
        stream: int,
        number: int,
        floor: int,
        ack_wait: float,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._stream = stream
        self._number = number
        self._floor = floor
        self._cursor = floor  # everything up to here has been handed out, or was acknowledged before
        self.ack_wait = ack_wait
        self._clock = clock
        self._in_flight: dict[int, tuple[int, float]] = {}  # sequence -> (deliveries, when it comes again)
        self._due: list[tuple[float, int, int]] = []  # heap of (when, sequence, deliveries so far)
        above = "SELECT sequence FROM acknowledged WHERE consumer = ?"
        self._acknowledged = {row[0] for row in database.read(above, (number,))}
        retried = "SELECT sequence, deliveries, due FROM retries WHERE consumer = ?"
        self._retries = {row[0]: (row[1], row[2]) for row in database.read(retried, (number,))}
        self._arrived = asyncio.Event()

    def wake(self) -> None:
        self._arrived.set()

    async def fetch(self, limit: int = 100, *, wait: float = 0.0) -> Sequence[Message]:
        deadline = time.monotonic() + wait
        while True:
            self._arrived.clear()
            found = self._again(limit)
            if len(found) < limit:
                found += self._new(limit - len(found))
            left = deadline - time.monotonic()
            if found or left <= 0:
                return sorted(found, key=lambda message: message.sequence)
            await self._until_something(left)

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
        while self._due and self._due[0][0] <= now and len(found) < limit:
            due, sequence, deliveries = heapq.heappop(self._due)
            if self._in_flight.get(sequence) != (deliveries, due):
                continue  # acknowledged meanwhile, or handed out again since
            for message in _messages(self._database, self._stream, sequence - 1, 1):
                if message.sequence == sequence:
                    found.append(self._hand_out(message, deliveries + 1, now))
                else:
                    del self._in_flight[sequence]  # retention took it
        return found

    def _new(self, limit: int) -> list[Message]:
        now = self._clock()
        found: list[Message] = []
        while len(found) < limit:
            page = _messages(self._database, self._stream, self._cursor, limit)
            for message in page:
                if len(found) == limit:
                    return found
                self._cursor = message.sequence
                if message.sequence in self._acknowledged:
                    continue
                deliveries, due = self._retries.pop(message.sequence, (0, 0.0))
                if due > now:
                    self._schedule(message.sequence, deliveries, due)
                else:
                    found.append(self._hand_out(message, deliveries + 1, now))
            if len(page) < limit:
                return found
        return found

    def _hand_out(self, message: Message, deliveries: int, now: float) -> Message:
        self._schedule(message.sequence, deliveries, now + self.ack_wait)
        return Message(message.sequence, message.data, message.headers, message.published_at, deliveries)

    def _schedule(self, sequence: int, deliveries: int, due: float) -> None:
        """Hand it out again at ``due``, unless it is acknowledged or scheduled anew before."""
        self._in_flight[sequence] = (deliveries, due)
        heapq.heappush(self._due, (due, sequence, deliveries))

    async def ack(self, sequences: Sequence[int]) -> None:
        done = {sequence for sequence in sequences if sequence > self._floor}
        acknowledged = self._acknowledged | done
        outstanding = [sequence for sequence in self._in_flight if sequence not in done]
        floor = max(self._floor, min(outstanding) - 1 if outstanding else self._cursor)
        above = [sequence for sequence in done if sequence > floor]

        def work(connection: apsw.Connection) -> None:
            connection.execute("UPDATE consumers SET floor = max(floor, ?) WHERE id = ?", (floor, self._number))
            connection.executemany(
                "INSERT OR IGNORE INTO acknowledged VALUES(?, ?)", ((self._number, sequence) for sequence in above)
            )
            if floor > self._floor or done:
                for table in ("acknowledged", "retries"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE consumer = ? AND sequence <= ?", (self._number, floor)
                    )
            _drop_acknowledged(connection, self._stream)

        await self._database.write(work)
        for sequence in done:
            self._in_flight.pop(sequence, None)
        self._floor = max(self._floor, floor)
        self._acknowledged = {sequence for sequence in acknowledged | self._acknowledged if sequence > self._floor}

    async def retry(self, sequence: int, *, delay: float = 0.0) -> None:
        if sequence not in self._in_flight:
            return
        deliveries = self._in_flight[sequence][0]
        due = self._clock() + delay
        await self._database.write(
            lambda connection: (
                connection.execute(
                    "INSERT OR REPLACE INTO retries VALUES(?, ?, ?, ?)", (self._number, sequence, deliveries, due)
                )
                and None
            )
        )
        heapq.heappush(self._due, (due, sequence, deliveries))
        self.wake()

    async def pending(self) -> int:
        rows = self._database.read(
            "SELECT (SELECT count(*) FROM messages WHERE stream = ? AND sequence > ?)"
            " - (SELECT count(*) FROM acknowledged WHERE consumer = ?)",
            (self._stream, self._floor, self._number),
        )
        return int(rows[0][0])


# ------------------------------------------------------------------------------------ inside one commit


def _append(connection: apsw.Connection, stream: int, messages: Sequence[Outgoing], now: float) -> list[int]:
    rows = list(connection.execute("SELECT retention, last, count, bytes FROM streams WHERE id = ?", (stream,)))
    if not rows:
        raise NotFound("the stream was deleted")
    retention = Retention(**json.loads(rows[0][0]))
    last, count, size = rows[0][1:]
    sequences: list[int] = []
    for message in messages:
        known = _known(connection, stream, message.message_id, now - retention.dedupe_window)
        if known is not None:
            sequences.append(known)
            continue
        last += 1
        connection.execute(
            "INSERT INTO messages VALUES(?, ?, ?, ?, ?)",
            (stream, last, message.data, json.dumps(dict(message.headers)) if message.headers else "", now),
        )
        if message.message_id is not None:
            connection.execute(
                "INSERT OR REPLACE INTO published VALUES(?, ?, ?, ?)", (stream, message.message_id, last, now)
            )
        count += 1
        size += len(message.data)
        sequences.append(last)
    connection.execute("UPDATE streams SET last = ?, count = ?, bytes = ? WHERE id = ?", (last, count, size, stream))
    _keep_limits(connection, stream, retention, now)
    return sequences


def _known(connection: apsw.Connection, stream: int, message_id: str | None, oldest: float) -> int | None:
    if message_id is None:
        return None
    connection.execute("DELETE FROM published WHERE stream = ? AND at < ?", (stream, oldest))
    rows = list(
        connection.execute("SELECT sequence FROM published WHERE stream = ? AND message_id = ?", (stream, message_id))
    )
    return rows[0][0] if rows else None


def _keep_limits(connection: apsw.Connection, stream: int, retention: Retention, now: float) -> None:
    """Raises StreamFull (which undoes the append) where nothing may be dropped to make room."""
    if retention.max_age is not None:
        _drop(connection, stream, "published_at < ?", (now - retention.max_age,))
    while True:
        count, size = next(connection.execute("SELECT count, bytes FROM streams WHERE id = ?", (stream,)))
        over = retention.max_messages is not None and count > retention.max_messages
        over = over or (retention.max_bytes is not None and size > retention.max_bytes)
        if not over:
            return
        if retention.discard == "new" or count <= 1:
            raise StreamFull(f"{count} messages, {size} bytes")
        _drop(connection, stream, "sequence = (SELECT min(sequence) FROM messages WHERE stream = ?)", (stream,))


def _drop_acknowledged(connection: apsw.Connection, stream: int) -> None:
    """Drop what every consumer is done with, unless the stream keeps all."""
    rows = list(connection.execute("SELECT retention FROM streams WHERE id = ?", (stream,)))
    if not rows or json.loads(rows[0][0])["keep"] == "all":
        return
    floor = _one(connection, "SELECT min(floor) FROM consumers WHERE stream = ?", (stream,))
    _drop(connection, stream, "sequence <= ?", (floor,))


def _drop(connection: apsw.Connection, stream: int, which: str, params: tuple[Any, ...]) -> None:
    gone = list(
        connection.execute(
            f"DELETE FROM messages WHERE stream = ? AND {which} RETURNING length(data)", (stream, *params)
        )
    )
    if gone:
        connection.execute(
            "UPDATE streams SET count = count - ?, bytes = bytes - ? WHERE id = ?",
            (len(gone), sum(row[0] for row in gone), stream),
        )


def _messages(database: Database, stream: int, after: int, limit: int) -> list[Message]:
    rows = database.read(
        "SELECT sequence, data, headers, published_at FROM messages WHERE stream = ? AND sequence > ?"
        " ORDER BY sequence LIMIT ?",
        (stream, after, limit),
    )
    return [Message(row[0], row[1], json.loads(row[2]) if row[2] else {}, row[3]) for row in rows]


def _one(connection: apsw.Connection, sql: str, params: tuple[Any, ...]) -> int:
    value = next(iter(connection.execute(sql, params)))[0]
    return int(value or 0)
