"""Lines of a log file to events of CloudWatch Logs. Pure.

A line that begins with a space belongs to the event before it, unless the component's pattern says where events begin.
A JSON line may say its ``level`` and its ``timestamp`` (Unix milliseconds); others have every level, and the time at
which they are read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from littoral.core.logmanager.configuration import LEVELS, Upload

LARGEST: Final = 256 * 1024 - 26  # bytes of a message
MOST_BYTES: Final = 1024 * 1024  # of a batch, 26 more counted for each event
MOST_EVENTS: Final = 10_000
SAME: Final = {"WARNING": "WARN", "CRITICAL": "ERROR", "FATAL": "ERROR", "TRACE": "DEBUG"}


@dataclass(frozen=True, slots=True)
class LogEvent:
    at: int  # Unix milliseconds
    message: str

    @property
    def size(self) -> int:
        return len(self.message.encode()) + 26


def events_of(data: bytes, upload: Upload, now: int) -> list[LogEvent]:
    """Of whole lines."""
    events = []
    for text in _texts(data.decode("utf-8", "replace").splitlines(), upload):
        level, at = _told(text, now)
        if level >= upload.minimum:
            events += [LogEvent(at, piece) for piece in _pieces(text)]
    return events


def _texts(lines: Sequence[str], upload: Upload) -> Iterator[str]:
    gathered: list[str] = []
    for line in lines:
        begins = upload.start.match(line) is not None if upload.start else not line[:1].isspace()
        if begins and gathered:
            yield "\n".join(gathered)
            gathered = []
        gathered.append(line)
    if gathered:
        yield "\n".join(gathered)


def _told(text: str, now: int) -> tuple[int, int]:
    """Level and time of an event."""
    highest = len(LEVELS) - 1
    if not text.startswith("{"):
        return highest, now
    try:
        found = json.loads(text)
        name = str(found.get("level", "")).upper()
        at = found.get("timestamp", now)
    except (ValueError, AttributeError, RecursionError):
        return highest, now
    name = SAME.get(name, name)
    whole = isinstance(at, int) and not isinstance(at, bool) and 0 < at < 2**53
    return LEVELS.index(name) if name in LEVELS else highest, at if whole else now


def _pieces(text: str) -> Iterator[str]:
    """Of what one event holds at most; nothing of an empty line."""
    data = text.encode()
    if len(data) <= LARGEST:
        if text.strip():
            yield text
        return
    for start in range(0, len(data), LARGEST):
        yield data[start : start + LARGEST].decode("utf-8", "ignore")


def batches_of(events: Sequence[LogEvent]) -> Iterator[tuple[str, list[LogEvent]]]:
    """What one PutLogEvents takes, in the order of time: the day (2026/11/28), which names the stream, and events."""
    for day, of_day in groupby(sorted(events, key=lambda each: each.at), key=_day):
        batch: list[LogEvent] = []
        size = 0
        for event in of_day:
            if batch and (size + event.size > MOST_BYTES or len(batch) == MOST_EVENTS):
                yield day, batch
                batch, size = [], 0
            batch.append(event)
            size += event.size
        yield day, batch


def _day(event: LogEvent) -> str:
    return time.strftime("%Y/%m/%d", time.gmtime(event.at / 1000))
