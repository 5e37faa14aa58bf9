"""A program that writes and says what has been acknowledged, ended by kill -9 in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def acknowledged(module: str, folder: Path, run: int, lines: int) -> dict[str, str]:
    """What ``python -m module folder run`` said last of every key, killed after so many lines of ``KEY WHAT``."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-m", module, str(folder), str(run)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        told += process.stdout.readlines()
    found: dict[str, str] = {}
    for line in told:
        if line.endswith(b"\n"):  # else it was cut off
            key, what = line.decode().split()
            found[key] = what
    assert found, "the writer ended by itself"
    return found
