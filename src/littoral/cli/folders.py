"""Whether a folder will take what is to be written there: asked before what could not be kept is made."""

from __future__ import annotations

import os
from pathlib import Path

from littoral.cli.asking import Failed


def can_be_filled(folder: Path) -> None:
    """It, or what it would be made in, is a folder that this user may write to. Raises Failed."""
    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    except OSError as problem:
        raise Failed(f"{folder} cannot be written: {problem}") from None
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise Failed(f"{folder} cannot be written: {there} is no folder that this user may write to")
