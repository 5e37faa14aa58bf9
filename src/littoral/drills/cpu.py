"""CPU time of processes, for what a drill says of who took it."""

from __future__ import annotations

import os
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def spent(pid: int) -> float:
    """Seconds of CPU, user and system, of all its threads; not of its children."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) * TICK
