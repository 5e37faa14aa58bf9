"""One file of a log group: lines ``time ingested stream message``, and what can be known without reading it again.

Owns: the form on disk. Times are milliseconds since 1970; the stream is percent-quoted, so that it has no space; a line
end within a message is the byte 0xFF, which no UTF-8 has (one in the message itself becomes U+FFFD). A line that
begins with ``-`` was deleted in place, so that the positions of the others, which are their events' ids, stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

SUFFIX = ".log"


class Key(NamedTuple):
    """An event's place in its group's order. Never reused."""

    timestamp: int
    segment: int
    offset: int

    def text(self) -> str:
        """56 digits, of which the order is the keys' order."""
        return f"{self.timestamp:020d}{self.segment:016d}{self.offset:020d}"

    @classmethod
    def of(cls, text: str) -> Key:
        """Raises ValueError."""
        if len(text) != 56 or not (text.isascii() and text.isdigit()):
            raise ValueError("not an event's id")
        return cls(int(text[:20]), int(text[20:36]), int(text[36:]))


Run = tuple[int, int, str, bytes]  # lines (``plain``) that have timestamp, time of coming and stream in common


class Entry(NamedTuple):
    """What is to be written."""

    timestamp: int  # ms
    ingested: int  # ms
    stream: str
    message: bytes

    def alone(self) -> Run:
        return self.timestamp, self.ingested, self.stream, plain([self.message])


class Line(NamedTuple):
    """What was read: still bytes, for most of what is read is not wanted."""

    timestamp: int
    offset: int
    ingested: bytes
    stream: bytes  # quoted
    message: bytes


@dataclass(slots=True)
class StreamSummary:
    created: int
    first: int
    last: int
    ingested: int
    bytes: int


@dataclass(slots=True)
class Summary:
    """What the file holds: the times of its events, and each stream's."""

    first: int = 1 << 62
    last: int = -1
    streams: dict[bytes, StreamSummary] = field(default_factory=dict)

    def add(self, timestamp: int, ingested: int, stream: bytes, size: int) -> None:
        found = self.streams.get(stream)
        if found is None:
            self.streams[stream] = StreamSummary(ingested, timestamp, timestamp, ingested, size)
        else:  # comparisons, for min() and max() are calls and this is done for every line
            if timestamp < found.first:  # noqa: PLR1730
                found.first = timestamp
            if timestamp > found.last:  # noqa: PLR1730
                found.last = timestamp
            if ingested > found.ingested:  # noqa: PLR1730
                found.ingested = ingested
            found.bytes += size
        if timestamp < self.first:  # noqa: PLR1730
            self.first = timestamp
        if timestamp > self.last:  # noqa: PLR1730
            self.last = timestamp


@lru_cache(maxsize=4096)
def quoted(stream: str) -> bytes:
    return quote(stream, safe="/[]$").encode()


@lru_cache(maxsize=4096)
def unquoted(stream: bytes) -> str:
    return unquote(stream.decode("ascii", "replace"))


def message_of(message: bytes) -> str:
    return message.replace(b"\xff", b"\n").decode("utf-8", "replace")


def head_of(timestamp: int, ingested: int, stream: str) -> bytes:
    """How a line begins."""
    return b"%d %d %s " % (timestamp, ingested, quoted(stream))


def plain(messages: Sequence[bytes]) -> bytes:
    """Messages as lines, without the last one's end."""
    text = b"\n".join(messages)
    if b"\xff" in text:
        text = text.replace(b"\xff", b"\xef\xbf\xbd")
        messages = [message.replace(b"\xff", b"\xef\xbf\xbd") for message in messages]
    if text.count(b"\n") != len(messages) - 1:
        text = b"\n".join([message.replace(b"\n", b"\xff") for message in messages])
    return text


def written(run: Run) -> bytes:
    """As it is in the file."""
    head = head_of(*run[:3])
    return head + run[3].replace(b"\n", b"\n" + head) + b"\n"


class Segment:
    """A file that is read and, as the last of its group, appended to. Confined to the thread of the logs."""

    def __init__(self, folder: Path, number: int, *, new: bool) -> None:
        self.number = number
        self.path = folder / f"{number:016d}{SUFFIX}"
        self.size = 0 if new else self._whole()
        self._summary: Summary | None = Summary() if new else None

    def _whole(self) -> int:
        """The size without a last line that has no end, for the place was killed while it wrote. That is cut off."""
        with self.path.open("rb+") as file:
            end = size = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - 65536)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    end = start + newline + 1
                    break
                end = start
            if end < size:
                file.truncate(end)
        return end

    @property
    def summary(self) -> Summary:
        if self._summary is None:
            summary = Summary()
            for line in self.lines():
                summary.add(line.timestamp, int(line.ingested), line.stream, len(line.message))
            self._summary = summary
        return self._summary

    def lines(self) -> Iterator[Line]:
        """What is there, in the order of its coming. What is no line is passed over."""
        with self.path.open("rb") as file:
            data = file.read(self.size)
        offset = 0
        for raw in data.split(b"\n"):
            parts = raw.split(b" ", 3)
            if len(parts) == 4 and parts[0].isdigit() and parts[1].isdigit():
                yield Line(int(parts[0]), offset, parts[1], parts[2], parts[3])
            offset += len(raw) + 1

    def append(self, runs: Sequence[Run], encoded: Sequence[bytes], *, durable: bool) -> None:
        """All or, where the disk refuses, none. Raises OSError."""
        data = b"".join(encoded)
        with self.path.open("ab") as file:
            try:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), self.size)
                raise
        self.size += len(data)
        if self._summary is not None:
            for timestamp, ingested, stream, text in runs:
                self._summary.add(timestamp, ingested, quoted(stream), len(text) - text.count(b"\n"))

    def erase(self, stream: bytes) -> None:
        """Delete a stream's lines where they lie. Raises OSError."""
        if stream not in self.summary.streams:
            return
        with self.path.open("rb+") as file:
            for line in list(self.lines()):
                if line.stream == stream:
                    head = len(str(line.timestamp)) + 1 + len(line.ingested) + 1 + len(line.stream) + 1
                    file.seek(line.offset)
                    file.write(b"-" * (head + len(line.message)))
            file.flush()
            os.fsync(file.fileno())
        self._summary = None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
