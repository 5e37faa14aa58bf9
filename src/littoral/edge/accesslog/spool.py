"""Records on disk until they are delivered: files that are only appended to, a frame a second.

Name of a file: ``DISTRIBUTION.YYYY-MM-DD-HH.UNIQUE.log``; its first frame says where it belongs, the others are lists
of records. A frame is its length, its CRC-32 and ``marshal`` bytes: a torn last one is left out. The unique part goes
into the key of the object, so a file that is delivered twice is there once.
"""

from __future__ import annotations

import marshal
import os
import secrets
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.edge.accesslog.view import Record, Source, records_of

FORMAT = 4  # of marshal


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the lines of one distribution go."""

    distribution: str
    bucket: str
    prefix: str
    source: Source


@dataclass(slots=True)
class Open:
    """The file that a distribution's records are added to."""

    path: Path
    destination: Destination
    hour: str
    began: float
    size: int = 0


class Spool:
    """Synchronous: for a thread. ``add`` is durable when it returns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, Open] = {}

    def add(self, destination: Destination, records: Sequence[tuple[Any, ...]], now: float) -> list[Path]:
        """Returns the file that this closed, where the hour or the destination changed. Raises OSError."""
        hour = time.strftime("%Y-%m-%d-%H", time.gmtime(now))
        file, closed = self._open.get(destination.distribution), []
        if file is not None and (file.hour != hour or file.destination != destination):
            closed.append(file.path)
            file = None
        if file is None:
            name = f"{destination.distribution}.{hour}.{secrets.token_hex(4)}.log"
            file = self._open[destination.distribution] = Open(self.folder / name, destination, hour, now)
            self._append(file, [destination.bucket, destination.prefix, *destination.source])
        self._append(file, list(records))
        return closed

    def _append(self, file: Open, document: Any) -> None:
        data = marshal.dumps(document, FORMAT)
        frame = len(data).to_bytes(4, "big") + zlib.crc32(data).to_bytes(4, "big") + data
        new = file.size == 0
        with file.path.open("ab") as out:
            out.write(frame)
            out.flush()
            os.fsync(out.fileno())
        if new:
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        file.size += len(frame)

    def close(self, now: float, *, older: float = 0.0, larger: int = 0) -> list[Path]:
        """The files that have been open so long or are so large are open no more."""
        due = [
            name for name, file in self._open.items() if now - file.began >= older or (larger and file.size >= larger)
        ]
        return [self._open.pop(name).path for name in due]

    def left(self) -> list[Path]:
        """Closed files, oldest first: also those of an earlier run."""
        opened = {file.path for file in self._open.values()}
        found = [(path.stat().st_mtime, path) for path in self.folder.glob("*.log") if path not in opened]
        return [path for _, path in sorted(found)]


def frames(path: Path) -> Iterator[Any]:
    """What the frames of a file hold, up to the first that is not whole."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            data = file.read(int.from_bytes(head[:4], "big"))
            if zlib.crc32(data) != int.from_bytes(head[4:], "big"):
                return
            yield marshal.loads(data)  # noqa: S302 - our own file


@dataclass(frozen=True, slots=True)
class Read:
    """A whole file."""

    bucket: str
    key: str
    source: Source
    records: list[Record]


def read(path: Path) -> Read | None:
    """None for a file in which nothing is whole."""
    found = frames(path)
    head = next(found, None)
    if head is None:
        return None
    bucket, key = _place(path, head)
    return Read(bucket, key, Source(*head[2:]), [record for frame in found for record in records_of(frame)])


def place_of(path: Path) -> tuple[str, str] | None:
    """Bucket and key alone."""
    head = next(frames(path), None)
    return None if head is None else _place(path, head)


def _place(path: Path, head: list[Any]) -> tuple[str, str]:
    bucket, prefix = head[:2]
    distribution, hour, unique = path.name.removesuffix(".log").rsplit(".", 2)
    start = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
    return bucket, f"{start}{distribution}.{hour}.{unique}.gz"
