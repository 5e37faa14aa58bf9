"""What the ward's model was made by and from, by digests that a test holds against the files beside this one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from littoral.tour.ward.recorded import FILES

CODE = ("disturbed.py", "examples.py", "pulse.py", "recorded.py")  # what the model is made by, beside its script


def digest(files: Iterable[Path]) -> str:
    """SHA-256 of files together, in the order of their names."""
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda each: each.name):
        whole.update(file.read_bytes())
    return whole.hexdigest()


def made_by(script: Path) -> dict[str, Any]:
    """The code: the training script, which may have been brought elsewhere, and the modules beside this one."""
    files = [script, *(Path(__file__).with_name(file) for file in CODE)]
    return {"files": [*CODE, script.name], "sha256": digest(files)}


def made_from(recordings: Path) -> dict[str, Any]:
    files = sorted(file for file, _ in FILES.values())
    return {
        "from": "heartpy 1.2.7 (PyPI, MIT licence)",
        "files": files,
        "sha256": digest(recordings / file for file in files),
    }
