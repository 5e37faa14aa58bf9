"""Reading what a script has written: no link is followed, nothing but regular files counts.

A script may mean harm, may still run, and may have the place's own user (where that is not root): a link of its making
must not lead the place to a file of its own. So each step of a path is opened beneath the one before it.
"""

from __future__ import annotations

import asyncio
import os
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from littoral.net.message import BodyError, BodyTooLarge

PIECE = 1024 * 1024  # bytes that are read at once
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Left(NamedTuple):
    """A regular file beneath a folder."""

    name: str  # with the folders that it is in
    size: int
    modified: int  # ns

    @property
    def state(self) -> tuple[int, int]:
        return self.size, self.modified


@contextmanager
def beneath(root: Path, *steps: str) -> Iterator[int | None]:
    """A descriptor of the folder ``root/step/…``; None where it is not there, or something else."""
    at = os.open(root, _FOLDER)
    try:
        for step in steps:
            try:
                next_ = os.open(step, _FOLDER, dir_fd=at)
            except OSError:  # not there, a file, a link: as good as not there
                os.close(at)
                at = -1
                break
            os.close(at)
            at = next_
        yield at if at >= 0 else None
    finally:
        if at >= 0:
            os.close(at)


def files(folder: int | None) -> list[Left]:
    """All files beneath a folder, by name. What vanishes meanwhile, or cannot be looked at, is not there."""
    if folder is None:
        return []
    found = []
    for path, _, names, at in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        for name in names:
            try:
                about = os.stat(name, dir_fd=at, follow_symlinks=False)
            except OSError:  # gone, or closed to us
                continue
            if stat.S_ISREG(about.st_mode):
                found.append(Left(f"{path}/{name}"[2:], about.st_size, about.st_mtime_ns))
    return sorted(found)


@contextmanager
def opened(folder: int, left: Left) -> Iterator[BinaryIO]:
    """The file of that name. Raises OSError where it is something else by now."""
    *steps, name = left.name.split("/")
    at = os.dup(folder)
    try:
        for step in steps:
            next_ = os.open(step, _FOLDER, dir_fd=at)
            os.close(at)
            at = next_
        file = os.open(name, _FILE, dir_fd=at)
    finally:
        os.close(at)
    with os.fdopen(file, "rb", 0) as reading:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(f"{left.name} is no file")
        yield reading


class Whole:
    """A file as a body, which breaks off where it is not what it was when it was looked at."""

    def __init__(self, file: BinaryIO, left: Left) -> None:
        self._file = file
        self._left = left

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = self._left.size
        while rest and (data := await asyncio.to_thread(self._file.read, min(rest, PIECE))):
            rest -= len(data)
            yield data
        about = os.fstat(self._file.fileno())
        if (about.st_size, about.st_mtime_ns) != self._left.state:
            raise BodyError(f"{self._left.name} changed while it was read")

    async def read(self, limit: int | None = None) -> bytes:
        if limit is not None and self._left.size > limit:
            raise BodyTooLarge(f"{self._left.size} bytes where at most {limit} are allowed")
        return b"".join([piece async for piece in self])


def read(root: Path, *steps: str, most: int) -> bytes | None:
    """The first bytes of a file; None where it is not there."""
    *folders, name = steps
    with beneath(root, *folders) as folder:
        if folder is None:
            return None
        try:
            with opened(folder, Left(name, 0, 0)) as file:
                return file.read(most)
        except OSError:  # not there, or a link
            return None


def occupied(root: Path) -> int:
    """Bytes of all files, as they lie on the disk."""
    total = 0
    for _, _, names, at in os.fwalk(root, follow_symlinks=False):
        for name in names:
            try:
                total += os.stat(name, dir_fd=at, follow_symlinks=False).st_blocks * 512
            except OSError:  # gone, or closed to us
                continue
    return total


@contextmanager
def gathered(roots: Sequence[Path], *steps: str) -> Iterator[list[tuple[int, Left]]]:
    """The files beneath that folder of several roots, by name, each with the descriptor of its folder; where several
    have one, the first root's."""
    with ExitStack() as stack:
        found: dict[str, tuple[int, Left]] = {}
        for root in roots:
            folder = stack.enter_context(beneath(root, *steps))
            if folder is not None:
                found = {left.name: (folder, left) for left in files(folder)} | found
        yield [found[name] for name in sorted(found)]


def pack(roots: Sequence[Path], steps: tuple[str, ...], archive: Path) -> int:
    """A gzipped tar of the files beneath a folder of all roots (``gathered``), with their names in it; how many there
    are. Same files, same archive: no times, no owners."""
    with (
        gathered(roots, *steps) as found,
        archive.open("wb") as raw,
        tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as tar,
    ):
        for folder, left in found:
            with opened(folder, left) as file:
                entry = tarfile.TarInfo(left.name)
                entry.size = os.fstat(file.fileno()).st_size
                entry.mode = 0o644
                tar.addfile(entry, file)
    return len(found)
