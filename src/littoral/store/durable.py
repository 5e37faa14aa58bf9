"""Files that are whole or not there, also after a power cut: what every module that keeps files shares."""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """With its parents, and durable: a file in it is only as durable as its name."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_tree(folder: Path) -> None:
    """All that is in it, and its name."""
    for within, _, names in os.walk(folder):
        for each in names:
            file = Path(within) / each
            if not file.is_symlink():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        fsync_folder(Path(within))
    fsync_folder(folder.parent)


def write_durably(file: Path, content: bytes, mode: int = 0o600) -> None:
    """For its owner only where nothing else is said; in the place of what was there."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as into:
        into.write(content)
        into.flush()
        os.fsync(descriptor)
    new.rename(file)
    fsync_folder(file.parent)
