"""Records on disk until they are delivered: files that are only appended to, a frame a second.

Name of a file: ``DISTRIBUTION.YYYY-MM-DD-HH.UNIQUE.log``; its first frame says where it belongs, the others are lists
of records. A frame is its length, its CRC-32 and ``marshal`` bytes. ``spooled`` reads them.
"""

from __future__ import annotations

import marshal
import os
import secrets
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.edge.accesslog.view import Source

FORMAT = 4  # of marshal
LARGEST = 8 * 1024 * 1024  # bytes of a file that is closed at once
MOST_LINES = 100_000  # that will come of it: some 35 MB of text


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
    lines: int = 0

    @property
    def full(self) -> bool:
        return self.size >= LARGEST or self.lines >= MOST_LINES


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
        file.lines += sum(len(each[0]) if isinstance(each[0], tuple) else 1 for each in records)
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

    def close(self, now: float, *, older: float = 0.0) -> list[Path]:
        """The files that have been open so long or are large are open no more."""
        due = [name for name, file in self._open.items() if now - file.began >= older or file.full]
        return [self._open.pop(name).path for name in due]

    def left(self) -> list[Path]:
        """Closed files, oldest first: also those of an earlier run."""
        opened = {file.path for file in self._open.values()}
        found = [(path.stat().st_mtime, path) for path in self.folder.glob("*.log") if path not in opened]
        return [path for _, path in sorted(found)]
