"""Streams in SQLite: the log, the dedupe window and the consumers' positions in one file, one commit.

Owns names, wake-ups and which consumers are open. What a commit does is in ``log``, who is handed what in
``consumer``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import apsw

from littoral.store.contract import Extent, Message, NotFound, Outgoing, Retention
from littoral.store.embedded import log
from littoral.store.embedded.consumer import EmbeddedConsumer, messages_after
from littoral.store.embedded.database import Database
from littoral.store.embedded.keys import ceiling, check_key


class EmbeddedStreams:
    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._consumers: dict[int, dict[str, EmbeddedConsumer]] = {}

    async def create(self, stream: str, retention: Retention | None = None) -> None:
        check_key(stream)
        self._ids[stream] = await self._database.write(lambda c: log.create(c, stream, retention or Retention()))

    async def publish(self, stream: str, messages: Sequence[Outgoing]) -> Sequence[int]:
        identity = self._id(stream)
        now = self._clock()

        def wake(_: object) -> None:
            for consumer in self._consumers.get(identity, {}).values():
                consumer.wake()

        return await self._database.write(lambda c: log.append(c, identity, messages, now), then=wake)

    async def consumer(
        self, stream: str, name: str, *, ack_wait: float = 30.0, start: Literal["first", "new"] = "first"
    ) -> EmbeddedConsumer:
        check_key(name)
        identity = self._id(stream)

        def work(connection: apsw.Connection) -> tuple[int, int]:
            state = log.extent(connection, identity)
            connection.execute(
                "INSERT OR IGNORE INTO consumers(stream, name, floor) VALUES(?, ?, ?)",
                (identity, name, state.last if start == "new" else state.before),
            )
            found = "SELECT id, floor FROM consumers WHERE stream = ? AND name = ?"
            number, floor = next(iter(connection.execute(found, (identity, name))))
            return number, floor

        open_ones = self._consumers.setdefault(identity, {})
        if name not in open_ones:
            number, floor = await self._database.write(work)
            made = EmbeddedConsumer(self._database, identity, number, floor, self._clock)
            open_ones.setdefault(name, made)  # another may have asked meanwhile
        open_ones[name].ack_wait = ack_wait
        return open_ones[name]

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Message]:
        return messages_after(self._database, self._id(stream), after, limit)

    async def extent(self, stream: str) -> Extent:
        rows = self._database.read(
            "SELECT last - count + 1, last, bytes FROM streams WHERE id = ?", (self._id(stream),)
        )
        if not rows:
            raise NotFound(f"no stream {stream}")
        return Extent(*rows[0])

    async def delete(self, stream: str) -> bool:
        try:
            identity = self._id(stream)
        except NotFound:
            return False

        def forget(_: object) -> None:
            self._ids.pop(stream, None)
            for consumer in self._consumers.pop(identity, {}).values():
                consumer.end()

        await self._database.write(lambda c: log.remove(c, identity), then=forget, heavy=True)
        return True

    async def names(self, prefix: str = "") -> Sequence[str]:
        span = (prefix, ceiling(prefix))
        rows = self._database.read("SELECT name FROM streams WHERE name >= ? AND name < ? ORDER BY name", span)
        return [name for (name,) in rows]

    def _id(self, stream: str) -> int:
        found = self._ids.get(stream)
        if found is None:
            rows = self._database.read("SELECT id FROM streams WHERE name = ?", (stream,))
            if not rows:
                raise NotFound(f"no stream {stream}")
            found = self._ids[stream] = rows[0][0]
        return found
