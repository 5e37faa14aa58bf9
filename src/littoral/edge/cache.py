"""What an edge location holds: entries by distribution and key, bounded in bytes, the least recently used out first.

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
    """A stored response. Times are Unix seconds; ``raw`` are its headers without Age, Date, Via and X-Cache."""

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

    def put(self, key: Key, entry: Entry) -> None:
        """Objects of more than a quarter of the cache are not kept."""
        self.drop(key)
        cost = entry.size + 512
        if cost > self.max_bytes // 4:
            return
        self._entries[key] = entry
        self.bytes += cost
        while self.bytes > self.max_bytes:
            _, old = self._entries.popitem(last=False)
            self.bytes -= old.size + 512

    def drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.size + 512

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


def _path_matcher(pattern: str) -> Matcher:
    """Case-sensitive; a query string is part of the path, or is taken along by a wildcard ("Invalidating files")."""
    if pattern.endswith("*"):
        head = pattern[:-1]
        return lambda path: path.startswith(head)
    return lambda path: path == pattern
