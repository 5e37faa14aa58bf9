"""The messages of one stream: durable (File) or in memory alone. Sequence numbers begin with 0.

File: an append is durable when it returns, whatever ``flushOnWrite`` says. Room is made message by message, so the
segment size that AWS deletes by has no meaning here. Memory: the messages are gone with the process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from littoral.protocols.streammanager.definition import Definition, OnFull, Persistence
from littoral.protocols.streammanager.wire import Refused, Status
from littoral.store.contract import Outgoing, Retention, StreamFull, Streams

PAGE = 64  # messages read from the store at once while their sizes are not known


@dataclass(frozen=True, slots=True)
class Kept:
    sequence: int
    payload: bytes
    at: float  # Unix seconds of its append


@dataclass(frozen=True, slots=True)
class Found:
    messages: Sequence[Kept]
    cut: bool  # the next one was there, and too large to go with them


@dataclass(frozen=True, slots=True)
class Extent:
    oldest: int  # sequence; ``newest + 1`` where there is none
    newest: int  # -1 before the first
    size: int  # bytes of payloads


class Log(Protocol):
    async def append(self, payload: bytes) -> int:
        """Its sequence number. Raises Refused where there is no room, StoreError."""

    async def read(self, start: int, count: int, most: int) -> Found:
        """From ``start`` (or the oldest) on, at most ``count`` of ``most`` bytes together, but one if there is one.
        Raises StoreError."""

    async def extent(self) -> Extent: ...

    async def change(self, definition: Definition) -> None: ...

    async def delete(self) -> None: ...


def log_of(streams: Streams, name: str, definition: Definition) -> Log:
    """``name`` is that of the store's stream. Call ``change`` before the first use."""
    if definition.persistence is Persistence.MEMORY:
        return Remembered()
    return Durable(streams, name)


def full(definition: Definition, size: int) -> Refused:
    if size > definition.max_size:
        return Refused(Status.REQUEST_PAYLOAD_TOO_LARGE, f"{size} bytes are more than stream {definition.name} holds")
    return Refused(Status.UNKNOWN_FAILURE, f"stream {definition.name} is full and rejects new data")


class Durable:
    def __init__(self, streams: Streams, name: str) -> None:
        self._streams = streams
        self._name = name
        self._definition: Definition | None = None

    async def append(self, payload: bytes) -> int:
        try:
            (sequence,) = await self._streams.publish(self._name, [Outgoing(payload)])
        except StreamFull as problem:
            assert self._definition is not None
            raise full(self._definition, len(payload)) from problem
        return sequence - 1

    async def read(self, start: int, count: int, most: int) -> Found:
        found: list[Kept] = []
        size, page = 0, PAGE
        while len(found) < count:
            wanted = min(page, count - len(found))
            read = await self._streams.read(self._name, after=start, limit=wanted)
            for message in read:
                size += len(message.data)
                if found and size > most:
                    return Found(found, cut=True)
                found.append(Kept(message.sequence - 1, message.data, message.published_at))
            if len(read) < wanted:
                break
            start = read[-1].sequence
            page = max(1, min(len(found), most * len(found) // max(size, 1)))  # as many as would fit in again
        return Found(found, cut=False)

    async def extent(self) -> Extent:
        found = await self._streams.extent(self._name)
        return Extent(found.first - 1, found.last - 1, found.size)

    async def change(self, definition: Definition) -> None:
        self._definition = definition
        overwrites = definition.on_full is OnFull.OVERWRITE_OLDEST_DATA
        retention = Retention(
            max_bytes=definition.max_size,
            max_age=definition.ttl,
            discard="old" if overwrites else "new",
            dedupe_window=0.0,
            keep="all",
        )
        await self._streams.create(self._name, retention)

    async def delete(self) -> None:
        await self._streams.delete(self._name)


class Remembered:
    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._newest = -1
        self._size = 0
        self._definition: Definition | None = None

    async def append(self, payload: bytes) -> int:
        definition = self._definition
        assert definition is not None
        now = time.time()
        if definition.ttl is not None:
            while self._kept and self._kept[0].at < now - definition.ttl:
                self._drop()
        if len(payload) > definition.max_size:
            raise full(definition, len(payload))
        if self._size + len(payload) > definition.max_size and definition.on_full is OnFull.REJECT_NEW_DATA:
            raise full(definition, len(payload))
        while self._size + len(payload) > definition.max_size:
            self._drop()
        self._newest += 1
        self._size += len(payload)
        self._kept.append(Kept(self._newest, payload, now))
        return self._newest

    def _drop(self) -> None:
        self._size -= len(self._kept.popleft().payload)

    async def read(self, start: int, count: int, most: int) -> Found:
        found: list[Kept] = []
        size = 0
        first = self._newest + 1 - len(self._kept)
        for position in range(max(start - first, 0), len(self._kept)):
            kept = self._kept[position]
            size += len(kept.payload)
            if len(found) == count:
                break
            if found and size > most:
                return Found(found, cut=True)
            found.append(kept)
        return Found(found, cut=False)

    async def extent(self) -> Extent:
        return Extent(self._newest + 1 - len(self._kept), self._newest, self._size)

    async def change(self, definition: Definition) -> None:
        self._definition = definition

    async def delete(self) -> None:
        self._kept.clear()
