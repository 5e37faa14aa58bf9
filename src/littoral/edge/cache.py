"""What an edge location holds: entries by distribution and key, bounded in bytes, the least recently used out first.

A key may have *variants*: when a stored response says ``Vary``, the values of those request headers become part of the
key under which it lies (RFC 9111 s. 4.1). ``variant_of`` makes that key for a request.

Bodies up to 1 MiB live in memory, larger ones in files of the cache's folder, which is emptied at start: entries are
not carried over a restart yet. An entry that is being sent keeps its file until the last reader is done.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import finalize

from littoral.net.message import FileSlice, Headers, RawHeaders

SMALL = 1024 * 1024  # bytes of a body kept in memory
MAX_VARYING = 65536  # keys whose Vary is remembered; beyond it all are forgotten, and their variants grow old
REMEMBERED = 1000  # invalidations, for fetches that are under way
Matcher = Callable[[str], bool]
Key = tuple[str, tuple[Any, ...]]  # distribution, key within it


class CacheFile:
    """A body on disk; unlinked when nobody holds this object any more."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / secrets.token_hex(16)
        self._gone = finalize(self, _unlink, self.path)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@dataclass(slots=True)
class Entry:
    """A stored response. Times are Unix seconds; ``raw`` are its headers without Age, Via and X-Cache."""

    path: str  # and query, as invalidations match them
    status: int
    raw: RawHeaders
    body: bytes | CacheFile
    size: int
    born: float  # when it was made at the origin: Age counts from here
    fresh_until: float
    stale_while_revalidate: float = 0.0
    stale_if_error: float | None = None
    etag: str | None = None
    last_modified: str | None = None
    generated: bool = False
    revalidating: bool = False
    head: bytes = b""  # of a hit, written once (``answer.hit``)
    aged_head: bytes = b""  # the same with Age
    aged: int = -1  # that Age
    dressed: object = None  # the response headers policy that the head was made with
    vary: tuple[str, ...] = ()  # request headers that chose it, beside those of the key

    def content(self, offset: int = 0, length: int | None = None) -> bytes | FileSlice:
        length = self.size - offset if length is None else length
        if isinstance(self.body, CacheFile):
            return FileSlice(self.body.path, offset, length)
        return self.body if length == self.size else self.body[offset : offset + length]

    @property
    def headers(self) -> Headers:
        return Headers(list(self.raw))


class Cache:
    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.bytes = 0
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._by_path: dict[tuple[str, str], set[Key]] = {}  # distribution and path of the entry → its keys
        self._varying: dict[Key, tuple[str, ...]] = {}  # key → the names in Vary of what was stored last
        self.generation = 0  # grows with each invalidation
        self._recent: deque[tuple[str, list[Matcher]]] = deque(maxlen=REMEMBERED)  # the last of them, oldest first
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            left.unlink()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def variant_of(self, key: Key, headers: Headers) -> Key:
        """Where the response of that key for these request headers lies, as far as it is known by now."""
        names = self._varying.get(key)
        return key if names is None else (key[0], (*key[1], variation(names, headers)))

    def put(self, key: Key, entry: Entry, headers: Headers) -> None:
        """``headers`` are the request's. Objects of more than a quarter of the cache are not kept."""
        if entry.vary != self._varying.get(key, ()):
            self._vary(key, entry.vary)
        key = self.variant_of(key, headers)
        self.drop(key)
        cost = entry.size + 512
        if cost > self.max_bytes // 4:
            return
        self._entries[key] = entry
        self._by_path.setdefault((key[0], entry.path), set()).add(key)
        self.bytes += cost
        while self.bytes > self.max_bytes:
            self.drop(next(iter(self._entries)))

    def _vary(self, key: Key, names: tuple[str, ...]) -> None:
        self.drop(key)  # what lies there without a variation is not for everybody any more
        if names:
            if len(self._varying) >= MAX_VARYING:
                self._varying.clear()
            self._varying[key] = names
        else:
            del self._varying[key]

    def drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self.bytes -= entry.size + 512
        place = (key[0], entry.path)
        keys = self._by_path[place]
        keys.discard(key)
        if not keys:
            del self._by_path[place]

    def changed(self, distribution: str, path: str) -> None:
        """Something else than GET or HEAD succeeded there: what is stored of it is out of date (RFC 9111 s. 4.4)."""
        self.generation += 1
        self._recent.append((distribution, [_path_matcher(path.replace("*", "%2A"))]))
        for key in list(self._by_path.get((distribution, path), ())):
            self.drop(key)

    def invalidate(self, distribution: str, paths: list[str]) -> int:
        """Drop all variants of the paths; ``*`` may stand at the end. Returns how many entries went."""
        matches = [_path_matcher(path) for path in paths]
        self.generation += 1
        self._recent.append((distribution, matches))
        gone = [
            key
            for key, entry in self._entries.items()
            if key[0] == distribution and any(match(entry.path) for match in matches)
        ]
        for key in gone:
            self.drop(key)
        return len(gone)

    def overtaken(self, distribution: str, path: str, since: int) -> bool:
        """Whether the path was invalidated after generation ``since``: what was asked for then is not to be kept."""
        news = self.generation - since
        if news > len(self._recent):
            return True  # more than is remembered
        recent = itertools.islice(reversed(self._recent), news)
        return any(whose == distribution and any(match(path) for match in matches) for whose, matches in recent)

    def forget(self, distribution: str) -> None:
        """A distribution is gone or was changed so that its keys mean something else."""
        for key in [key for key in self._entries if key[0] == distribution]:
            self.drop(key)
        for key in [key for key in self._varying if key[0] == distribution]:
            del self._varying[key]


def variation(names: tuple[str, ...], headers: Headers) -> tuple[str, ...]:
    """The values of these request headers, as Vary compares them: lines joined, space around the parts aside."""
    return tuple(",".join(part.strip() for line in headers.get_all(name) for part in line.split(",")) for name in names)


def _path_matcher(pattern: str) -> Matcher:
    """Case-sensitive; a query string is part of the path, or is taken along by a wildcard ("Invalidating files")."""
    if pattern.endswith("*"):
        head = pattern[:-1]
        return lambda path: path.startswith(head)
    return lambda path: path == pattern
