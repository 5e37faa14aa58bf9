"""What happens to streams inside one commit: append, acknowledge, drop. Plain functions of a connection.

Messages leave a stream at its head only, so its sequences are always ``last - count + 1 … last`` without a gap, and
how many wait for a consumer is arithmetic. A consumer's durable state is its *floor* (everything up to it is done)
and the acknowledgements above it; what is acknowledged next to the floor raises it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import apsw

from littoral.store.contract import NotFound, Outgoing, Retention, StreamFull

SCHEMA = """
CREATE TABLE IF NOT EXISTS streams(
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, retention TEXT NOT NULL,
    last INTEGER NOT NULL DEFAULT 0, count INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS messages(
    stream INTEGER NOT NULL, sequence INTEGER NOT NULL, data BLOB NOT NULL, headers TEXT NOT NULL,
    published_at REAL NOT NULL, PRIMARY KEY(stream, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS published(
    stream INTEGER NOT NULL, message_id TEXT NOT NULL, sequence INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY(stream, message_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS published_by_time ON published(stream, at);
CREATE TABLE IF NOT EXISTS consumers(
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, name TEXT NOT NULL, floor INTEGER NOT NULL,
    UNIQUE(stream, name));
CREATE TABLE IF NOT EXISTS acknowledged(
    consumer INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY(consumer, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retries(
    consumer INTEGER NOT NULL, sequence INTEGER NOT NULL, deliveries INTEGER NOT NULL, due REAL NOT NULL,
    PRIMARY KEY(consumer, sequence)) WITHOUT ROWID;
"""
FORGET = 100  # every so many messages, ids past their window are removed, four times as many at most


@dataclass(slots=True)
class Extent:
    """A stream's row: what it keeps, and how much there is now."""

    retention: Retention
    last: int
    count: int
    size: int  # bytes of data

    @property
    def before(self) -> int:
        """The sequence before the oldest that is kept."""
        return self.last - self.count


@lru_cache(maxsize=256)
def retention_of(text: str) -> Retention:
    return Retention(**json.loads(text))


def create(connection: apsw.Connection, stream: str, retention: Retention) -> int:
    """The stream of that name, made if new, with that retention from now on."""
    made = connection.execute(
        "INSERT INTO streams(name, retention) VALUES(?, ?)"
        " ON CONFLICT(name) DO UPDATE SET retention = excluded.retention RETURNING id",
        (stream, json.dumps(asdict(retention))),
    ).get
    assert isinstance(made, int)
    return made


def extent(connection: apsw.Connection, stream: int) -> Extent:
    """Raises NotFound."""
    for row in connection.execute("SELECT retention, last, count, bytes FROM streams WHERE id = ?", (stream,)):
        return Extent(retention_of(row[0]), row[1], row[2], row[3])
    raise NotFound("the stream was deleted")


def append(connection: apsw.Connection, stream: int, messages: Sequence[Outgoing], now: float) -> list[int]:
    """Raises NotFound, and StreamFull, which undoes the append."""
    state = extent(connection, stream)
    expired = now - state.retention.dedupe_window
    sequences: list[int] = []
    rows: list[tuple[int, int, bytes, str, float]] = []
    for message in messages:
        if message.message_id is not None:
            known = _claim(connection, stream, message.message_id, state.last + 1, now, expired)
            if known is not None:
                sequences.append(known)
                continue
        state.last += 1
        state.count += 1
        state.size += len(message.data)
        headers = _text_of(tuple(message.headers.items())) if message.headers else ""
        rows.append((stream, state.last, message.data, headers, now))
        sequences.append(state.last)
    if rows:
        connection.executemany("INSERT INTO messages VALUES(?, ?, ?, ?, ?)", rows)
        _keep_limits(connection, stream, state, now)
        _save(connection, stream, state)
    return sequences


@lru_cache(maxsize=256)
def _text_of(headers: tuple[tuple[str, str], ...]) -> str:
    """The messages of one publish mostly have the same."""
    return json.dumps(dict(headers))


def _claim(
    connection: apsw.Connection, stream: int, message_id: str, sequence: int, now: float, expired: float
) -> int | None:
    """None where the id is new, and now taken; else the sequence it was first published with."""
    taken = connection.execute(
        "INSERT INTO published VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence,"
        " at = excluded.at WHERE at <= ? RETURNING sequence",
        (stream, message_id, sequence, now, expired),
    ).get
    if taken is None:
        return _number(
            connection, "SELECT sequence FROM published WHERE stream = ? AND message_id = ?", stream, message_id
        )
    if sequence % FORGET == 0:
        connection.execute(
            "DELETE FROM published WHERE stream = ?1 AND message_id IN"
            " (SELECT message_id FROM published WHERE stream = ?1 AND at <= ?2 LIMIT ?3)",
            (stream, expired, 4 * FORGET),
        )
    return None


def _keep_limits(connection: apsw.Connection, stream: int, state: Extent, now: float) -> None:
    keep = state.retention
    oldest = None if keep.max_age is None else now - keep.max_age
    count, size = state.count, state.size
    upto = state.before
    if not _over(keep, count, size) and oldest is None:
        return
    rows = connection.execute(
        "SELECT sequence, length(data), published_at FROM messages WHERE stream = ? ORDER BY sequence", (stream,)
    )
    for sequence, length, published_at in rows:
        too_old = oldest is not None and published_at < oldest
        if not too_old and not (_over(keep, count, size) and keep.discard == "old" and count > 1):
            break
        upto, count, size = sequence, count - 1, size - length
    if _over(keep, count, size):
        raise StreamFull(f"{count} messages and {size} bytes are more than the stream may keep")
    drop(connection, stream, state, upto)


def _over(keep: Retention, count: int, size: int) -> bool:
    return (keep.max_messages is not None and count > keep.max_messages) or (
        keep.max_bytes is not None and size > keep.max_bytes
    )


def drop(connection: apsw.Connection, stream: int, state: Extent, upto: int) -> None:
    """Remove the head of the stream; ``state`` is brought up to date but not saved."""
    if upto <= state.before:
        return
    head = "FROM messages WHERE stream = ? AND sequence <= ?"
    for count, size in connection.execute(f"SELECT count(*), total(length(data)) {head}", (stream, upto)):
        state.count -= count
        state.size -= int(size)
    connection.execute(f"DELETE {head}", (stream, upto))


def _save(connection: apsw.Connection, stream: int, state: Extent) -> None:
    connection.execute(
        "UPDATE streams SET last = ?, count = ?, bytes = ? WHERE id = ?", (state.last, state.count, state.size, stream)
    )


def acknowledge(connection: apsw.Connection, stream: int, consumer: int, sequences: Sequence[int]) -> int:
    """Note what is done, raise the floor, drop what every consumer is done with; the last sequence published."""
    state = extent(connection, stream)
    before = _number(connection, "SELECT floor FROM consumers WHERE id = ?", consumer)
    floor = max(before, state.before)  # what retention took is done with
    above = sorted(each for each in set(sequences) if floor < each <= state.last)
    done = 0
    while done < len(above) and above[done] == floor + 1:
        floor += 1
        done += 1
    for sequence in above[done:]:
        connection.execute("INSERT OR IGNORE INTO acknowledged VALUES(?, ?)", (consumer, sequence))
    for (sequence,) in connection.execute(
        "SELECT sequence FROM acknowledged WHERE consumer = ? AND sequence > ? ORDER BY sequence", (consumer, floor)
    ):
        if sequence != floor + 1:
            break
        floor = sequence
    if floor > before:
        connection.execute("UPDATE consumers SET floor = ? WHERE id = ?", (floor, consumer))
        for table in ("acknowledged", "retries"):
            connection.execute(f"DELETE FROM {table} WHERE consumer = ? AND sequence <= ?", (consumer, floor))
    drop_acknowledged(connection, stream, state)
    return state.last


def drop_acknowledged(connection: apsw.Connection, stream: int, state: Extent) -> None:
    """Drop what every consumer is done with, unless the stream keeps all."""
    if state.retention.keep == "all":
        return
    upto = _number(connection, "SELECT min(floor) FROM consumers WHERE stream = ?", stream)
    if upto > state.before:
        drop(connection, stream, state, upto)
        _save(connection, stream, state)


def remove(connection: apsw.Connection, stream: int) -> None:
    of_consumers = "(SELECT id FROM consumers WHERE stream = ?)"
    connection.execute(f"DELETE FROM acknowledged WHERE consumer IN {of_consumers}", (stream,))
    connection.execute(f"DELETE FROM retries WHERE consumer IN {of_consumers}", (stream,))
    for table in ("consumers", "messages", "published"):
        connection.execute(f"DELETE FROM {table} WHERE stream = ?", (stream,))
    connection.execute("DELETE FROM streams WHERE id = ?", (stream,))


def _number(connection: apsw.Connection, sql: str, *params: object) -> int:
    value = connection.execute(sql, params).get
    return value if isinstance(value, int) else 0
