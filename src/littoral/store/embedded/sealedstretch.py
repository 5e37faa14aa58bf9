"""A stretch of a sealed blob, read and opened by a thread of the caller's, right into the caller's memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

from littoral.spare import Spare
from littoral.store.contract import Damaged, Lies, NotFound
from littoral.store.embedded.sealing import HEAD, BlobSeal, span
from littoral.store.frames import FRAME, SEALED, CannotOpen
from littoral.store.handed import Handed

MOST: Final = 16  # frames that are read at once
_sealed = Spare(lambda: memoryview(bytearray(MOST * SEALED)))


class SealedStretch:
    """Implements ``contract.NearReader``; the file is opened by the first call."""

    def __init__(self, seal: BlobSeal, path: Path, size: int, offset: int, length: int) -> None:
        self._seal, self._path = seal, path
        self._stretch = size, offset, length
        self._at, self._left = span(size, offset, length) if length else (0, 0)
        self._file: FileIO | None = None

    def read_here(self, room: memoryview) -> int:
        """See NearReader."""
        if not self._left:
            return 0
        with self._told():
            self._opened()
            return self._next(room)

    def lies(self) -> Lies | None:
        """See NearReader."""
        if not self._stretch[-1]:
            return None
        with self._told():
            return Lies(self._opened().fileno(), *span(*self._stretch), self._handed.text)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raises Damaged for what is."""
        try:
            yield
        except CannotOpen as problem:
            raise Damaged(f"blob {self._path.name} is not what was written: {problem}") from problem
        except OSError as problem:
            raise Damaged(f"blob {self._path.name}: {problem}") from problem

    def _opened(self) -> FileIO:
        if self._file is not None:
            return self._file
        try:
            file = FileIO(self._path)
        except FileNotFoundError as problem:
            raise NotFound(f"{self._path.name} is gone") from problem
        try:
            key = self._seal.key(file.read(HEAD), self._path.name)
        except BaseException:
            file.close()  # who asks once more finds the same
            raise
        self._handed = Handed(key, self._path.name, *self._stretch)
        self._opener = self._handed.opener()
        file.seek(self._at)
        self._file = file
        self._ahead()
        return file

    def _next(self, room: memoryview) -> int:
        assert self._file is not None
        size = min(self._left, max(1, min(MOST, len(room) // FRAME)) * SEALED)
        with _sealed.lent() as memory:
            frames, came = memory[:size], 0
            while came < size and (more := self._file.readinto(frames[came:])):
                came += more
            if came < size:
                raise CannotOpen("it is shorter than it was written")
            self._at += size
            self._left -= size
            self._ahead()
            return self._opener.open_into(frames, room)

    def _ahead(self) -> None:
        """What is read next comes from the disk while others work."""
        assert self._file is not None
        if self._left and hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(
                    self._file.fileno(), self._at, min(self._left, 2 * MOST * SEALED), os.POSIX_FADV_WILLNEED
                )
