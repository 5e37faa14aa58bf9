"""The folder that a function sees as /opt: its layers laid over each other, later ones over earlier ones.

Owns: how trees are merged. Files are hard links to the unpacked layers, so a merge costs no data and outlives the
sweep of its sources. Nothing is ever written through a link: what stands in the way of a later layer is removed first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from littoral.functions.names import invalid
from littoral.store.durable import fsync_tree

PREFIX = "opt-"  # of merged folders, beside the folders of single zips


def merged_key(digests: Sequence[str]) -> str:
    """Name of the folder for layers in this order (hex digests of their zips)."""
    return PREFIX + hashlib.sha256("\n".join(digests).encode()).hexdigest()


def merge(sources: Sequence[Path], folder: Path, key: str) -> Path:
    """Make ``folder/key/task`` once; it appears whole. Raises InvalidParameterValueException when links of different
    layers lead out of it together, OSError for a full disk."""
    final = folder / key
    if final.is_dir():
        return final / "task"
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".merging-", dir=folder))
    try:
        task = aside / "task"
        task.mkdir()
        for source in sources:
            _lay_over(source, task)
        _check_links(task)
        aside.chmod(0o755)
        fsync_tree(aside)
        with contextlib.suppress(FileExistsError):
            aside.rename(final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # gone when it was renamed
    return final / "task"


def _lay_over(source: Path, target: Path) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            place = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if place.is_symlink() or (place.exists() and not place.is_dir()):
                    place.unlink()
                place.mkdir(exist_ok=True)
                _lay_over(Path(entry.path), place)
                continue
            _clear(place)
            os.link(entry.path, place, follow_symlinks=False)


def _clear(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _check_links(task: Path) -> None:
    """A link was inside its own layer; another layer may have turned a folder on its way into a link."""
    root = os.path.realpath(task)
    for path, folders, files in os.walk(task):
        for name in (*folders, *files):
            link = Path(path) / name
            if link.is_symlink() and not os.path.realpath(link).startswith(root + os.sep):
                raise invalid(f"The layers cannot be used together: the link '{name}' would leave /opt")
