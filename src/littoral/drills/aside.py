"""A process that in life has a machine of its own stands aside for those which share this one with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

NICENESS = 10  # a tenth of what others get, where all want the same processor


@contextlib.contextmanager
def aside(pid: int) -> Iterator[None]:
    """Who is not root cannot take it back: then it stays aside."""
    weigh(pid, NICENESS)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            weigh(pid, 0)


def weigh(pid: int, niceness: int) -> None:
    """All threads of a process, and those they start; and its session where the kernel weighs sessions against each
    other (autogroups). Raises PermissionError."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.setpriority(os.PRIO_PROCESS, int(thread.name), niceness)
    with contextlib.suppress(FileNotFoundError, BlockingIOError):  # no autogroups here, or another was weighed just now
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
