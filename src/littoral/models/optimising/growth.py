"""A process that loads a model, asks it once, and prints by how many KiB it grew: run by ``measuring.memory``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from littoral.models.optimising.engine import answers, session


def status(name: str) -> int:
    """KiB, of this process, as Linux counts them (proc_pid_status(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def main() -> None:
    with np.load(sys.argv[2], allow_pickle=False) as archive:
        asked = {name: archive[name] for name in archive.files}
    before = status("VmRSS")
    answers(session(Path(sys.argv[1])), asked)
    print(status("VmHWM") - before)


if __name__ == "__main__":
    main()
