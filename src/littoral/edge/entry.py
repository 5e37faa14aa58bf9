"""A stored response, and the file of a body that is too large for memory.

Owns: the shapes, what an entry costs, and how it is written down to survive a restart. Knows no queues and no disk.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import finalize

from littoral.net.message import FileSlice, Headers, RawHeaders

SMALL = 1024 * 1024  # bytes of a body kept in memory
OVERHEAD = 2048  # bytes of an entry, its key and its places in queues and indexes, headers and body aside
Key = tuple[str, tuple[Any, ...]]  # distribution, key within it


class CacheFile:
    """A body on disk; unlinked when nobody holds this object any more, unless something keeps it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._gone: finalize[[Path], CacheFile] | None = finalize(self, _unlink, path)

    def keep(self) -> None:
        """It stays when this object goes."""
        if self._gone is not None:
            self._gone.detach()
            self._gone = None

    def doom(self) -> None:
        """It goes with this object after all."""
        if self._gone is None:
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
    etag: str | None = None  # the origin's, as it is asked with
    last_modified: str | None = None
    generated: bool = False
    head: bytes = b""  # of a hit, written once (``answer.hit``)
    aged_head: bytes = b""  # the same with Age
    aged: int = -1  # that Age
    dressed: object = None  # the response headers policy that the head was made with
    vary: tuple[str, ...] = ()  # request headers that chose it, beside those of the key
    tags: tuple[str, ...] = ()  # what it can be invalidated by beside its path
    since: int = 0  # the generation of invalidations when its origin was asked
    checked: int = 0  # the generation up to which no invalidation reaches it
    place: Key = ("", ())  # where the cache holds it
    cost: int = 0  # bytes of memory, as the cache counts them
    uses: int = 0  # since it came to its queue, up to ``eviction.MOST``

    def content(self, offset: int = 0, length: int | None = None) -> bytes | FileSlice:
        length = self.size - offset if length is None else length
        if isinstance(self.body, CacheFile):
            return FileSlice(self.body.path, offset, length)
        return self.body if length == self.size else self.body[offset : offset + length]

    @property
    def headers(self) -> Headers:
        return Headers(list(self.raw))

    def weigh(self) -> int:
        """Bytes of memory: the headers are there once as pairs and once as the head of a hit."""
        held = self.size if isinstance(self.body, bytes) else 0
        return held + OVERHEAD + len(self.path) * 4 + sum(2 * len(n) + 2 * len(v) + 120 for n, v in self.raw)

    def written(self) -> bytes:
        """All but the body, path and generation, which the disk keeps in columns of its own."""
        document = {
            "status": self.status,
            "raw": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.raw],
            "times": [self.born, self.fresh_until, self.stale_while_revalidate, self.stale_if_error],
            "validators": [self.etag, self.last_modified],
            "vary": self.vary,
            "tags": self.tags,
        }
        return json.dumps(document, separators=(",", ":")).encode()


def read(path: str, written: bytes, body: bytes | CacheFile, size: int, since: int) -> Entry:
    """The entry that ``written`` was made from. Raises ValueError, KeyError, TypeError for anything else."""
    document = json.loads(written)
    born, fresh_until, revalidate, if_error = document["times"]
    etag, last_modified = document["validators"]
    return Entry(
        path,
        int(document["status"]),
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in document["raw"]],
        body,
        size,
        float(born),
        float(fresh_until),
        float(revalidate),
        if_error,
        etag,
        last_modified,
        vary=tuple(document["vary"]),
        tags=tuple(document["tags"]),
        since=since,
        checked=since,
    )
