"""Which streams there are: durable documents, and in memory for every read.

Owns: names, shard counts, retention, tags; and that a stream exists as a whole. Document ``stream/<name>``; the store
stream of a shard is ``kinesis/<uid>/<index>``. A stream whose document says CREATING or DELETING was cut off by a
crash: the next start finishes what was begun.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

from littoral.store.contract import Records, Retention, Streams
from littoral.streams.errors import in_use, not_found

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Stream:
    name: str
    uid: str
    shards: int
    created: float  # Unix seconds
    mode: str = "PROVISIONED"
    retention_hours: int = 24
    record_kib: int = 1024  # the largest record, in KiB
    status: str = "ACTIVE"
    tags: dict[str, str] = field(default_factory=dict)

    def log(self, shard: int) -> str:
        """The store stream of a shard."""
        return f"kinesis/{self.uid}/{shard:012d}"

    @property
    def retention(self) -> Retention:
        return Retention(max_age=self.retention_hours * HOUR, keep="all")


class Catalog:
    def __init__(self, records: Records, streams: Streams) -> None:
        self._records = records
        self._streams = streams
        self._found: dict[str, Stream] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def load(self) -> None:
        after = ""
        while page := await self._records.scan("stream/", after=after):
            for record in page:
                stream = Stream(**json.loads(record.value))
                self._found[stream.name] = stream
            after = page[-1].key
        for stream in list(self._found.values()):
            if stream.status == "CREATING":
                await self._lay(stream)
            elif stream.status == "DELETING":
                await self._clear(stream)

    def all(self) -> list[Stream]:
        """In the order of their names."""
        return [self._found[name] for name in sorted(self._found)]

    def get(self, name: str, account: str) -> Stream:
        """Raises ResourceNotFoundException."""
        stream = self._found.get(name)
        if stream is None:
            raise not_found(f"Stream {name} under account {account} not found.")
        return stream

    async def create(
        self, name: str, account: str, *, shards: int, mode: str, tags: dict[str, str], record_kib: int, now: float
    ) -> Stream:
        """Whole and durable when this returns. Raises ResourceInUseException."""
        async with self._lock(name):
            if name in self._found:
                raise in_use(f"Stream {name} under account {account} already exists.")
            made = Stream(name, uuid.uuid4().hex, shards, now, mode, tags=tags, record_kib=record_kib)
            await self._put(replace(made, status="CREATING"))
            return await self._lay(made)

    async def change(self, stream: Stream, how: Callable[[Stream], Stream]) -> Stream:
        """``how`` makes of the stream as it is then what it is to be, and may refuse. Raises ResourceNotFoundException
        when it was deleted meanwhile."""
        async with self._lock(stream.name):
            current = self._found.get(stream.name)
            if current is None or current.uid != stream.uid:
                raise not_found(f"Stream {stream.name} not found.")
            changed = how(current)
            if changed.retention_hours != current.retention_hours:
                for shard in range(changed.shards):
                    await self._streams.create(changed.log(shard), changed.retention)
            await self._put(changed)
            return changed

    async def delete(self, stream: Stream) -> None:
        async with self._lock(stream.name):
            current = self._found.get(stream.name)
            if current is None or current.uid != stream.uid:
                raise not_found(f"Stream {stream.name} not found.")
            await self._put(replace(current, status="DELETING"))
            await self._clear(current)

    async def _lay(self, stream: Stream) -> Stream:
        for shard in range(stream.shards):
            await self._streams.create(stream.log(shard), stream.retention)
        active = replace(stream, status="ACTIVE")
        await self._put(active)
        return active

    async def _clear(self, stream: Stream) -> None:
        for shard in range(stream.shards):
            await self._streams.delete(stream.log(shard))
        await self._records.delete(f"stream/{stream.name}")
        self._found.pop(stream.name, None)

    async def _put(self, stream: Stream) -> None:
        await self._records.put(f"stream/{stream.name}", json.dumps(asdict(stream)).encode())
        self._found[stream.name] = stream

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
