"""A folder as a source: its regular files by their paths, with time and permissions. Links are not followed."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Final

from littoral.box.transfer.items import About, CannotMove, Changed, Found, Item, kept
from littoral.box.transfer.sums import Sum

PAGE: Final = 1000
LONGEST: Final = 1024  # bytes of a key


class Folder:
    """Small files are read, and folders listed, by one thread at a time: several, which give the interpreter up for
    each file, wait for one another more than for the disk."""

    def __init__(self, root: Path, prefix: str = "") -> None:
        self._root = root
        self._prefix = prefix
        self._turn = asyncio.Lock()
        self.name = f"{root.resolve()}"

    def list(self) -> Walk:
        return Walk(_walk(self._root, self._prefix), self._turn)

    async def small(self, items: Sequence[Item]) -> Sequence[tuple[bytes, About] | Exception]:
        async with self._turn:
            return await asyncio.to_thread(lambda: [self._whole(item) for item in items])

    def _whole(self, item: Item) -> tuple[bytes, About] | Exception:
        try:
            file = os.open(self._path(item), os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.read(file, item.size + 1)
                _check(file, item)
            finally:
                os.close(file)
        except (Changed, CannotMove) as problem:
            return problem
        except OSError as problem:
            return CannotMove(str(problem))
        return (data, _about(item)) if len(data) == item.size else Changed(item.key)

    async def open(self, item: Item) -> OpenFile:
        try:
            file = await asyncio.to_thread(FileIO, self._path(item))
        except FileNotFoundError as problem:
            raise Changed(item.key) from problem
        except OSError as problem:
            raise CannotMove(str(problem)) from problem
        return OpenFile(file, item)

    def _path(self, item: Item) -> str:
        return f"{self._root}/{item.key.removeprefix(self._prefix)}"


class Walk:
    def __init__(self, found: Iterator[Found], turn: asyncio.Lock) -> None:
        self._found, self._turn = found, turn

    async def page(self) -> Sequence[Found] | None:
        async with self._turn:
            return await asyncio.to_thread(lambda: list(islice(self._found, PAGE))) or None


class OpenFile:
    said: Sum | None = None

    def __init__(self, file: FileIO, item: Item) -> None:
        self._file = file
        self._item = item
        self._at = 0
        self.about = _about(item)

    async def fill(self, buffer: memoryview) -> int:
        return await asyncio.to_thread(self._fill, buffer)

    def _fill(self, buffer: memoryview) -> int:
        size = min(len(buffer), self._item.size - self._at)
        self.stretch(self._at, size).read_into(0, buffer[:size])
        self._at += size
        return size

    def stretch(self, begin: int, size: int) -> Stretch:
        return Stretch(self._file.fileno(), self._item, begin, size)

    async def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of a file that stays open meanwhile. A ``bulk.Content``."""

    file: int
    item: Item
    begin: int
    size: int

    def __len__(self) -> int:
        return self.size

    def read_into(self, at: int, room: memoryview) -> None:
        """Raises Changed, CannotMove."""
        filled = 0
        try:
            while filled < len(room) and (more := os.preadv(self.file, [room[filled:]], self.begin + at + filled)):
                filled += more
            _check(self.file, self.item)
        except OSError as problem:
            raise CannotMove(str(problem)) from problem
        if filled < len(room):
            raise Changed(self.item.key)


def _walk(root: Path, prefix: str) -> Iterator[Found]:
    """In the order of names, folder by folder."""
    folders = [(str(root), prefix)]
    while folders:
        path, above = folders.pop()
        try:
            with os.scandir(path) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as problem:
            yield above or "/", str(problem)
            continue
        below = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append((entry.path, f"{above}{entry.name}/"))
            else:
                yield _found(entry, f"{above}{entry.name}")
        folders += reversed(below)


def _found(entry: os.DirEntry[str], key: str) -> Found:
    try:
        size = len(key.encode())
        told = entry.stat(follow_symlinks=False)
    except UnicodeEncodeError:
        return os.fsencode(key).decode("utf-8", "backslashreplace"), "its name is not UTF-8"
    except OSError as problem:
        return key, str(problem)
    if not stat.S_ISREG(told.st_mode):
        return key, "it is no regular file"
    if size > LONGEST:
        return key, f"its name is longer than {LONGEST} bytes"
    return Item(key, told.st_size, _stamp(told), int(told.st_mtime), stat.S_IMODE(told.st_mode))


def _stamp(told: os.stat_result) -> str:
    return f"{told.st_size}-{told.st_mtime_ns}-{told.st_ino}"


def _check(file: int, item: Item) -> None:
    """Raises Changed."""
    if _stamp(os.fstat(file)) != item.stamp:
        raise Changed(item.key)


def _about(item: Item) -> About:
    return About({}, kept(item.modified, item.mode))
