"""Unpacking an artifact: a ZIP into a folder of its own. It is data from elsewhere, so what does not belong into that
folder is refused, and nothing of such an archive is kept (the caller drops the folder)."""

from __future__ import annotations

import lzma
import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from littoral.store.durable import fsync_folder

MOST_FILES = 100_000
MOST_BYTES = 8 * 1024**3  # of all files together, unpacked
CHUNK = 1024 * 1024
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)


class BadArchive(Exception):
    """It is no ZIP, or one that would write where it must not, or too much."""


def unpack(archive: Path, into: Path, mode: int, *, most_bytes: int = MOST_BYTES) -> None:
    """``into`` is made; files get ``mode``. Durable on return. Raises BadArchive, OSError."""
    into.mkdir(mode=0o755, parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            if len(entries) > MOST_FILES:
                raise BadArchive(f"more than {MOST_FILES} files")
            left = most_bytes
            for entry in entries:
                place = into / checked(entry)
                if entry.is_dir():
                    place.mkdir(mode=0o755, parents=True, exist_ok=True)
                else:
                    left -= _extract(opened, entry, place, mode, left)
    except BROKEN as problem:
        raise BadArchive(str(problem) or type(problem).__name__) from problem
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as problem:
        raise BadArchive(f"two entries want the same place: {problem.filename}") from problem
    for folder, _, _ in os.walk(into):
        fsync_folder(Path(folder))


def checked(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Where it goes, below the folder. Raises BadArchive."""
    name = PurePosixPath(entry.filename)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchive(f"{entry.filename} is neither a file nor a folder")
    if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or not name.parts:
        raise BadArchive(f"{entry.filename!r} leads out of the archive's folder")
    if entry.flag_bits & 0x1:
        raise BadArchive(f"{entry.filename} is encrypted")
    return name


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path, mode: int, left: int) -> int:
    """The bytes written. Never more than ``left``, whatever the archive says of itself."""
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    written = 0
    with opened.open(entry) as source, place.open("xb") as target:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > left:
                raise BadArchive("more bytes than an artifact may have unpacked")
            target.write(chunk)
        target.flush()
        os.fchmod(target.fileno(), mode)
        os.fsync(target.fileno())
    return written
