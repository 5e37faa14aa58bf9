"""What is brought to a job from buckets: the code, the data of its channels, its checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from littoral.aws.service import ServiceError
from littoral.training.ports import Objects
from littoral.training.wanted import split

BATCH = 4 * 1024 * 1024  # bytes that are gathered before they are written


class NotBrought(Exception):
    """What a job was to have could not be brought; the message is for its owner."""


def under(prefix: str, keys: Iterator[tuple[str, int]]) -> Iterator[tuple[str, str, int]]:
    """Key, path and size of what lies under a prefix as SageMaker maps it: a key that is the prefix by its last name;
    beneath a folder by what comes behind it; else by what comes behind the last slash of the prefix. Keys that end in
    a slash stand for folders. Raises NotBrought for a key that is no path."""
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    parent = prefix[: prefix.rfind("/") + 1]
    for key, size in keys:
        if key.endswith("/"):
            continue
        path = key.removeprefix(folder) if key.startswith(folder) else key.removeprefix(parent)
        parts = path.split("/")
        if "\0" in path or any(part in {"", ".", ".."} or len(part.encode()) > 255 for part in parts):
            raise NotBrought(f"the key {key!r} cannot be the path of a file")
        yield key, path, size


async def bring(objects: Objects, uri: str, folder: Path, room: int, share: tuple[int, int] = (0, 1)) -> int:
    """What lies under an S3 prefix, into a folder; how many bytes. ``share``: one of so many, which have each key once.
    Raises NotBrought beyond ``room`` bytes."""
    bucket, prefix = split(uri)
    total = 0
    try:
        at, of = share
        for key, path, size in islice(under(prefix, iter(objects.keys(bucket, prefix))), at, None, of):
            total += size
            if total > room:
                raise NotBrought(f"{uri} holds more than the volume (VolumeSizeInGB) has room for")
            await _bring_one(objects, bucket, key, folder / path)
    except ServiceError as problem:
        raise NotBrought(f"{uri}: {problem.code}: {problem.message}") from problem
    except OSError as problem:
        raise NotBrought(f"{uri}: {problem.strerror}") from problem
    return total


async def bring_file(objects: Objects, uri: str, file: Path) -> None:
    """One object. Raises NotBrought."""
    bucket, key = split(uri)
    try:
        await _bring_one(objects, bucket, key, file)
    except (ServiceError, OSError) as problem:
        raise NotBrought(f"{uri}: {problem}") from problem


async def _bring_one(objects: Objects, bucket: str, key: str, file: Path) -> None:
    def begin() -> BinaryIO:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("xb", 0)

    writing = await asyncio.to_thread(begin)
    with writing:
        waits = bytearray()
        async for chunk in objects.chunks(bucket, key):
            waits += chunk
            if len(waits) >= BATCH:
                await asyncio.to_thread(writing.write, waits)
                waits = bytearray()
        writing.write(waits)
