"""One log group: its files, its settings, and how its events are found.

Owns: rolling and bounding of the files, retention, and the way of a read. Everything here runs on the one thread of
``Logs``, so nothing is locked.

A group is a folder of numbered files (``segment``), each an eighth of the group's bytes; the oldest goes when they
are too much. ``group.json`` holds what was set: it is written whole (temporary file, fsync, rename).
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from littoral.functions.logs.segment import (
    SUFFIX,
    Key,
    Line,
    Run,
    Segment,
    StreamSummary,
    message_of,
    quoted,
    unquoted,
    written,
)
from littoral.store.durable import fsync_folder

SETTINGS = "group.json"
SEGMENTS = 8  # the share of a group's bytes that one file has
DAY = 86_400_000  # ms
ANSWER_BYTES = 1_048_576  # of events in one answer, as of CloudWatch
EVENT_OVERHEAD = 26  # bytes that CloudWatch counts for each event


@dataclass(slots=True)
class Settings:
    """What was set of a group; durable."""

    name: str
    created: int  # ms
    retention: int | None = None  # days
    tags: dict[str, str] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)  # made by CreateLogStream → when, ms


@dataclass(frozen=True, slots=True)
class Event:
    key: Key
    ingested: int  # ms
    stream: str
    message: str

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970."""
        return self.key.timestamp


@dataclass(frozen=True, slots=True)
class Query:
    """Which events are wanted. ``newest`` asks for the last ``limit`` of them instead of the first."""

    start: int = 0  # ms, inclusive
    end: int = 1 << 62  # ms, inclusive
    streams: frozenset[str] | None = None
    prefix: str = ""
    matches: Callable[[str], bool] | None = None
    after: Key | None = None
    before: Key | None = None
    newest: bool = False
    limit: int = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the answer to a query, by time."""

    events: list[Event]
    more: bool  # whether there are further ones, later or with ``newest`` earlier


class Group:
    def __init__(self, folder: Path, settings: Settings, bytes_limit: int) -> None:
        self.folder = folder
        self.settings = settings
        self._bytes = bytes_limit
        self._segments = [Segment(folder, int(file.stem), new=False) for file in sorted(folder.glob(f"*{SUFFIX}"))]

    @classmethod
    def load(cls, folder: Path, bytes_limit: int) -> Group:
        """Raises OSError, ValueError, KeyError for a folder that is no group."""
        return cls(folder, Settings(**json.loads((folder / SETTINGS).read_bytes())), bytes_limit)

    def save(self) -> None:
        """Durable when it returns. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{SETTINGS}.new"
        with temporary.open("wb") as file:
            file.write(json.dumps(asdict(self.settings)).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / SETTINGS)
        fsync_folder(self.folder)
        fsync_folder(self.folder.parent)

    def remove(self, trash: Path) -> None:
        """Gone at once and for good, though its bytes are freed a little later. Raises OSError."""
        self.folder.replace(trash)
        fsync_folder(trash.parent)
        shutil.rmtree(trash, ignore_errors=True)  # what is left goes at the next start

    @property
    def size(self) -> int:
        """Bytes in files."""
        return sum(segment.size for segment in self._segments)

    # ------------------------------------------------------------------------------------ writing

    def append(self, runs: Iterable[Run], *, durable: bool) -> None:
        """All, or none where the disk refuses (OSError)."""
        before = len(self._segments)
        try:
            for segment, some, encoded in self._placed(runs):
                segment.append(some, encoded, durable=durable)
        except OSError:
            for segment in self._segments[before:]:
                segment.remove()
            del self._segments[before:]
            raise
        if durable and len(self._segments) > before:
            fsync_folder(self.folder)
        while self.size > self._bytes and len(self._segments) > 1:
            self._segments.pop(0).remove()

    def _placed(self, runs: Iterable[Run]) -> Iterable[tuple[Segment, list[Run], list[bytes]]]:
        """The runs by the file that takes them."""
        if not self._segments:
            self._roll()
        some: list[Run] = []
        encoded: list[bytes] = []
        size, most = self._segments[-1].size, self._bytes // SEGMENTS
        todo = deque(runs)
        while todo:
            run = todo.popleft()
            lines = written(run)
            if size + len(lines) > most and b"\n" in run[3]:  # some of it may fit
                todo.extendleft((*run[:3], line) for line in reversed(run[3].split(b"\n")))
                continue
            if size and size + len(lines) > most:
                if some:
                    yield self._segments[-1], some, encoded
                self._roll()
                some, encoded, size = [], [], 0
            some.append(run)
            encoded.append(lines)
            size += len(lines)
        if some:
            yield self._segments[-1], some, encoded

    def _roll(self) -> None:
        number = self._segments[-1].number + 1 if self._segments else 1
        self._segments.append(Segment(self.folder, number, new=True))

    def erase(self, stream: str) -> None:
        """Delete a stream and its events. Raises OSError."""
        for segment in self._segments:
            segment.erase(quoted(stream))
        if self.settings.streams.pop(stream, None) is not None:
            self.save()

    # ------------------------------------------------------------------------------------ retention

    def oldest(self, now: int) -> int:
        """Events before this moment (ms) are not there any more."""
        return 0 if self.settings.retention is None else now - self.settings.retention * DAY

    def expire(self, now: int) -> None:
        """Remove files of which nothing is to be seen any more. A file is closed after a day for that."""
        oldest = self.oldest(now)
        if not oldest:
            return
        for segment in [each for each in self._segments[:-1] if each.summary.last < oldest]:
            segment.remove()
            self._segments.remove(segment)
        if self._segments and self._segments[-1].summary.first < now - DAY and self._segments[-1].size:
            self._roll()
            self._segments[-1].path.touch()  # or the number would be given again after a start

    # ------------------------------------------------------------------------------------ reading

    def streams(self) -> dict[str, StreamSummary]:
        """By name: those with events here and those that were made. Times of a stream without events are -1."""
        found: dict[str, StreamSummary] = {}
        for segment in self._segments:
            for raw, summary in segment.summary.streams.items():
                name = unquoted(raw)
                known = found.get(name)
                if known is None:
                    found[name] = StreamSummary(
                        summary.created, summary.first, summary.last, summary.ingested, summary.bytes
                    )
                    continue
                known.first = min(known.first, summary.first)
                known.last = max(known.last, summary.last)
                known.ingested = max(known.ingested, summary.ingested)
                known.bytes += summary.bytes
        for name, created in self.settings.streams.items():
            known = found.setdefault(name, StreamSummary(created, -1, -1, -1, 0))
            known.created = created
        return found

    def has_stream(self, name: str) -> bool:
        raw = quoted(name)
        return name in self.settings.streams or any(raw in segment.summary.streams for segment in self._segments)

    def select(self, query: Query, now: int) -> Page:
        """The wanted events in their order, as many as one answer bears: at most ``limit`` and a mebibyte."""
        start = max(query.start, self.oldest(now))
        found: list[tuple[Key, Line, str]] = []
        bound: Key | None = None  # beyond it, nothing is wanted any more
        for segment in self._in_order(query, start):
            first, last = segment.summary.first, segment.summary.last
            if bound is not None and (last < bound.timestamp if query.newest else first > bound.timestamp):
                break
            found += _found(segment, query, start, bound)
            if len(found) > query.limit:  # one more is kept: it says that there is more
                found.sort(key=lambda each: each[0], reverse=query.newest)
                del found[query.limit + 1 :]
                bound = found[-1][0]
        found.sort(key=lambda each: each[0], reverse=query.newest)
        events: list[Event] = []
        size = 0
        for key, line, message in found[: query.limit]:
            size += len(line.message) + EVENT_OVERHEAD
            if events and size > ANSWER_BYTES:
                break
            events.append(Event(key, int(line.ingested), unquoted(line.stream), message))
        return Page(events[::-1] if query.newest else events, len(events) < len(found))

    def _in_order(self, query: Query, start: int) -> list[Segment]:
        """The files that may have what is wanted, those first that have what comes first."""
        after = max(start, query.after.timestamp) if query.after else start
        before = min(query.end, query.before.timestamp) if query.before else query.end
        wanted = None if query.streams is None else {quoted(name) for name in query.streams}
        some = [
            segment
            for segment in self._segments
            if segment.summary.first <= before
            and segment.summary.last >= after
            and (wanted is None or not wanted.isdisjoint(segment.summary.streams))
        ]
        if query.newest:
            return sorted(some, key=lambda segment: -segment.summary.last)
        return sorted(some, key=lambda segment: segment.summary.first)


def _found(segment: Segment, query: Query, start: int, bound: Key | None) -> list[tuple[Key, Line, str]]:
    """What one file has of the wanted events, up to the bound."""
    streams = {
        raw
        for raw in segment.summary.streams
        if unquoted(raw).startswith(query.prefix) and (query.streams is None or unquoted(raw) in query.streams)
    }
    found = []
    for line in segment.lines():
        if not start <= line.timestamp <= query.end or line.stream not in streams:
            continue
        key = Key(line.timestamp, segment.number, line.offset)
        if (query.after is not None and key <= query.after) or (query.before is not None and key >= query.before):
            continue
        if bound is not None and (key < bound if query.newest else key > bound):
            continue
        message = message_of(line.message)
        if query.matches is None or query.matches(message):
            found.append((key, line, message))
    return found
