"""What an edge location holds: entries by distribution and key, in memory and on disk, each bounded in bytes.

A key may have *variants*: when a stored response says ``Vary``, the values of those request headers become part of the
key under which it lies (RFC 9111 s. 4.1). ``variant_of`` makes that key for a request.

    get(key)   memory only, at once: the way of a hit
    find(key)  then the disk; what is found there comes back to memory
    put(key)   memory, and the disk a little later

Memory gives way by S3-FIFO (``eviction``); invalidations are rules that an entry is held against (``invalidation``);
bodies up to ``SMALL`` are in memory, larger ones in files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from littoral.edge.disk import Disk, Variation, digest
from littoral.edge.entry import SMALL, CacheFile, Entry, Key
from littoral.edge.eviction import MOST, S3Fifo
from littoral.edge.invalidation import Invalidations
from littoral.edge.rows import Digest
from littoral.net.message import Headers

__all__ = ["SMALL", "Cache", "CacheFile", "Entry", "Key", "variation"]

MAX_VARYING = 65536  # keys whose Vary is remembered; beyond it all are forgotten, and looked up on disk again
WORTH = 5.0  # seconds of freshness below which an object is not written to disk


class Cache:
    def __init__(self, folder: Path, max_bytes: int, disk_bytes: int) -> None:
        self.folder = folder
        self.disk = Disk(folder, disk_bytes, self._is_resident, self._file_left)
        self._by_file: dict[str, Key] = {}  # of bodies in files
        self.invalidations = Invalidations(*self.disk.rules())
        self._queues: S3Fifo[Key, Entry] = S3Fifo(max_bytes, self._reached)
        self._entries: dict[Key, Entry] = {}
        self._by_path: dict[tuple[str, str], set[Key]] = {}  # distribution and path of the entry → its keys
        self._varying: dict[Key, tuple[str, ...]] = {}  # key → the names in Vary of what was stored last
        self._resident: dict[Digest, Key] = {}
        self._loading: dict[Key, asyncio.Task[Entry | Variation | None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        return self._queues.bytes

    @property
    def max_bytes(self) -> int:
        return self._queues.limit

    @max_bytes.setter
    def max_bytes(self, limit: int) -> None:
        self._queues.limit = limit

    @property
    def generation(self) -> int:
        return self.invalidations.generation

    async def close(self) -> None:
        await self.disk.close()

    # ------------------------------------------------------------------------------------------------- reading

    def get(self, key: Key) -> Entry | None:
        """From memory."""
        entry = self._entries.get(key)
        if entry is None or (entry.checked < self.invalidations.ruled and not self._stands(key, entry)):
            return None
        if entry.uses < MOST:
            entry.uses += 1
        return entry

    async def find(self, key: Key, headers: Headers) -> tuple[Key, Entry | None]:
        """Where the response of that key for these request headers lies, and what lies there."""
        place = self.variant_of(key, headers)
        entry = self.get(place)
        if entry is None:
            found = await self._load(place)
            if isinstance(found, Variation):
                self._remember(key, found.names)
                place = self.variant_of(key, headers)
                found = self.get(place) or await self._load(place)
            entry = found if isinstance(found, Entry) else None
        return place, entry

    async def _load(self, place: Key) -> Entry | Variation | None:
        """From disk, once for all who ask at the same time."""
        task = self._loading.get(place)
        if task is None:
            task = self._loading[place] = asyncio.ensure_future(self._loaded(place))
            task.add_done_callback(lambda _: self._loading.pop(place, None))
        return await asyncio.shield(task)

    async def _loaded(self, place: Key) -> Entry | Variation | None:
        found = await self.disk.load(place)
        newer = self.get(place)
        if newer is not None:
            return newer
        if isinstance(found, Entry):
            found.place = place
            if self._reached(found):
                self.disk.remove_until(place, found.since)
                return None
            self._admit(place, found)
        return found

    def variant_of(self, key: Key, headers: Headers) -> Key:
        """Where the response of that key for these request headers lies, as far as it is known by now."""
        names = self._varying.get(key)
        return key if names is None else (key[0], (*key[1], variation(names, headers)))

    # ------------------------------------------------------------------------------------------------- storing

    def put(self, key: Key, entry: Entry, headers: Headers, now: float) -> None:
        """``headers`` are the request's; ``entry.since`` says when its origin was asked."""
        if self.invalidations.overtaken(key[0], entry.path, entry.tags, entry.since):
            return
        if entry.vary != self._varying.get(key, ()):
            self._vary(key, entry.vary)
        place = self.variant_of(key, headers)
        self.drop(place)
        in_file = isinstance(entry.body, CacheFile)
        lasting = entry.fresh_until - now >= WORTH or entry.etag or entry.last_modified or entry.stale_while_revalidate
        if not (lasting or in_file):
            self.disk.remove(place)
        elif not self.disk.store(place, entry) and in_file:
            return  # its bytes would be counted nowhere
        self._admit(place, entry)

    def refreshed(self, key: Key, entry: Entry, headers: Headers) -> None:
        """The head of what lies there was changed: its origin says that the body is still right."""
        self.disk.update(self.variant_of(key, headers), entry)

    def _admit(self, place: Key, entry: Entry) -> None:
        entry.place, entry.checked = place, self.invalidations.generation
        entry.cost = entry.weigh()
        if entry.cost > self.max_bytes // 4:
            return
        self._entries[place] = entry
        self._resident[digest(place)] = place
        if isinstance(entry.body, CacheFile):
            self._by_file[entry.body.path.name] = place
        self._by_path.setdefault((place[0], entry.path), set()).add(place)
        for key in self._queues.admit(place, entry):
            self._forget(key)

    def _vary(self, key: Key, names: tuple[str, ...]) -> None:
        self.drop(key)  # what lies there without a variation is not for everybody any more
        if names:
            self._remember(key, names)
            self.disk.store_variation(key, names)
        else:
            del self._varying[key]
            self.disk.remove(key)

    def _remember(self, key: Key, names: tuple[str, ...]) -> None:
        if len(self._varying) >= MAX_VARYING:
            self._varying.clear()
        self._varying[key] = names

    def drop(self, key: Key) -> None:
        """From memory."""
        if key in self._entries:
            self._queues.remove(key)
            self._forget(key)

    def discard(self, key: Key) -> None:
        """From memory and from disk."""
        self.drop(key)
        self.disk.remove(key)

    def _forget(self, key: Key) -> None:
        """It has left the queues."""
        entry = self._entries.pop(key)
        self._resident.pop(digest(key), None)
        if isinstance(entry.body, CacheFile):
            self._by_file.pop(entry.body.path.name, None)
        place = (key[0], entry.path)
        keys = self._by_path[place]
        keys.discard(key)
        if not keys:
            del self._by_path[place]

    def _file_left(self, name: str) -> None:
        """The disk has let a body go: memory does not hold its file either."""
        key = self._by_file.get(name)
        if key is not None:
            self.drop(key)

    def _is_resident(self, at: Digest) -> bool:
        return at in self._resident

    # -------------------------------------------------------------------------------------------- invalidating

    def changed(self, distribution: str, path: str) -> None:
        """Something else than GET or HEAD succeeded there: what is stored of it is out of date (RFC 9111 s. 4.4)."""
        self.invalidations.change(distribution, path)
        for key in list(self._by_path.get((distribution, path), ())):
            self.drop(key)
        self.disk.remove_path(distribution, path)

    async def invalidate(self, distribution: str, paths: Iterable[str], tags: Iterable[str] = ()) -> None:
        """All variants of the paths (``*`` may stand at the end) and what has one of the tags are gone at once, and,
        on return, for good."""
        paths = list(paths)
        rules = self.invalidations.add(distribution, paths, tags)
        for path in paths:
            for key in list(self._by_path.get((distribution, path), ())):
                self.drop(key)
        await self.disk.invalidate(rules, self.generation, self.invalidations.floor)

    async def forget(self, distribution: str) -> None:
        """A distribution is gone."""
        await self.invalidate(distribution, ["*"])

    def _reached(self, entry: Entry) -> bool:
        return self.invalidations.reach(entry.place[0], entry.path, entry.tags, entry.checked)

    def _stands(self, key: Key, entry: Entry) -> bool:
        """No invalidation since it was looked at last reaches it; one that does not stand is dropped."""
        if self._reached(entry):
            self.drop(key)
            return False
        entry.checked = self.invalidations.generation
        return True


def variation(names: tuple[str, ...], headers: Headers) -> tuple[str, ...]:
    """The values of these request headers, as Vary compares them: lines joined, space around the parts aside."""
    return tuple(",".join(part.strip() for line in headers.get_all(name) for part in line.split(",")) for name in names)
