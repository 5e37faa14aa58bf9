"""A file that is written once, from its begin to its end: whole strides past the page cache, where that may be.

A copy into the page cache and the pages for it cost half of what a large upload takes of the processor, and much more
where memory is new to the machine; the writing that ``fsync`` then waits for comes on top. What is written so is not in
memory when it is first read. Where the file system knows no such way (tmpfs of older kernels, some of FUSE), or the
system (macOS), all goes through the cache.
"""

from __future__ import annotations

import fcntl
import os
from errno import EINVAL
from pathlib import Path

from littoral.store.strides import is_whole

DIRECT: int = getattr(os, "O_DIRECT", 0)


class NewFile:
    """Raises OSError. ``close`` it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        self._may = bool(DIRECT)  # go past the cache
        self._past = False  # does so now
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """All of it."""
        left = memoryview(data)
        self._go_past(is_whole(data) and self._size % len(left) == 0)
        while left:
            try:
                written = self._file.write(left)
            except OSError as problem:
                if problem.errno != EINVAL or not self._past:
                    raise
                self._may = False  # this disk wants it otherwise aligned, or it took a part before
                self._go_past(False)
                continue
            self._size += written
            left = left[written:]

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        self._file.close()

    def _go_past(self, wanted: bool) -> None:
        wanted = wanted and self._may
        if wanted == self._past:
            return
        try:
            fcntl.fcntl(self._file, fcntl.F_SETFL, self._flags | DIRECT if wanted else self._flags)
        except OSError as problem:
            if problem.errno != EINVAL or not wanted:
                raise
            self._may = False
            return
        self._past = wanted
