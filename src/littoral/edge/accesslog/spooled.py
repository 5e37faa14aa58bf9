"""A spool file, read back. Imports little: it is read by a short-lived process, too (``formatting``)."""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from littoral.edge.accesslog.view import Record, Repeats, Source, records_of


def frames(path: Path) -> Iterator[Any]:
    """What the frames of a file hold, up to the first that is not whole: a last one may be torn."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            data = file.read(int.from_bytes(head[:4], "big"))
            if zlib.crc32(data) != int.from_bytes(head[4:], "big"):
                return
            yield marshal.loads(data)  # noqa: S302 - our own file


class Read(NamedTuple):
    """A whole file."""

    bucket: str
    key: str
    source: Source
    records: list[Record | Repeats]


def read(path: Path) -> Read | None:
    """None for a file in which nothing is whole."""
    found = frames(path)
    head = next(found, None)
    if head is None:
        return None
    bucket, key = _place(path, head)
    return Read(bucket, key, Source(*head[2:]), [record for frame in found for record in records_of(frame)])


def place_of(path: Path) -> tuple[str, str] | None:
    """Bucket and key alone. The key has the unique part of the name: what is delivered twice is there once."""
    head = next(frames(path), None)
    return None if head is None else _place(path, head)


def _place(path: Path, head: list[Any]) -> tuple[str, str]:
    bucket, prefix = head[:2]
    distribution, hour, unique = path.name.removesuffix(".log").rsplit(".", 2)
    start = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
    return bucket, f"{start}{distribution}.{hour}.{unique}.gz"
