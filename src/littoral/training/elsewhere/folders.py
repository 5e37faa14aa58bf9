"""A host's folder, or files of it, over a line.

Who receives believes nothing: a name leads beneath one of a host's folders and never through a link (nothing but what
was received is there), a file appears whole or not at all, and all together are no more than there is room for.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

from littoral.training import leftovers
from littoral.training.elsewhere.frames import PIECE, Broken, Kind, document
from littoral.training.elsewhere.line import Line

TOPS: Final = frozenset(("input", "code", "model", "output", "checkpoints"))


async def send_folder(line: Line, root: Path) -> None:
    """With all that is in it. Raises OSError, BodyError."""
    for path, folders, _ in os.walk(root):
        for name in folders:
            line.send(Kind.FOLDER, Path(path, name).relative_to(root).as_posix().encode())
    await send_files(line, root)


async def send_files(line: Line, root: Path, *steps: str) -> None:
    """The files beneath ``root/step/…``. Raises OSError, BodyError."""
    with leftovers.beneath(root, *steps) as folder:
        for left in leftovers.files(folder):
            assert folder is not None
            with leftovers.opened(folder, left) as file:
                await send_file(line, "/".join((*steps, left.name)), aiter(leftovers.Whole(file, left)))


async def send_file(line: Line, name: str, body: AsyncIterator[bytes]) -> None:
    """Where the body breaks off, so does the file."""
    line.send(Kind.FILE, json.dumps({"name": name}).encode())
    async for read in body:
        for at in range(0, len(read), PIECE):
            await line.room()
            line.send(Kind.PIECE, read[at : at + PIECE])
    line.send(Kind.WHOLE)


class Receiver:
    """``waiting``: a file of ours, on the same disk, where what comes lies until it is whole."""

    def __init__(self, root: Path, waiting: Path, room: int) -> None:
        self._root = root
        self._waiting = waiting
        self._room = room
        self._sizes: dict[str, int] = {}
        self._all = 0  # their sum
        self._file: BinaryIO | None = None
        self._name = ""
        self._size = 0

    def heard(self, kind: Kind, body: bytes) -> None:
        """Raises Broken, OSError."""
        if kind == Kind.FOLDER:
            self._path(body.decode("utf-8", "surrogateescape")).mkdir(parents=True, exist_ok=True)
        elif kind == Kind.FILE:
            self._begin(document(body).get("name"))
        elif self._file is None:
            raise Broken("a piece of no file")
        elif kind == Kind.PIECE:
            self._size += len(body)
            if self._all - self._sizes.get(self._name, 0) + self._size > self._room:
                raise Broken("more than there is room for")
            self._file.write(body)
        else:
            self.close()
            path = self._path(self._name)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._waiting.replace(path)
            self._all += self._size - self._sizes.get(self._name, 0)
            self._sizes[self._name] = self._size

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, name: object) -> None:
        self.close()
        self._name, self._size = str(name), 0
        self._path(self._name)
        self._file = self._waiting.open("wb", 0)

    def _path(self, name: str) -> Path:
        """Raises Broken."""
        parts = name.split("/")
        if parts[0] not in TOPS or "\0" in name or any(part in {"", ".", ".."} for part in parts):
            raise Broken(f"{name!r} is no path of a host's folder")
        return self._root.joinpath(*parts)
