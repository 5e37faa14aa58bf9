"""What happens to a fresh process before a function's code may run in it: session, parent death, descriptors, limits.

What it may see and do is ``isolation``'s. Standard library only: it runs in any served Python.

Enforced here: data memory (RLIMIT_DATA, with slack for thread stacks), 1,024 open files, no core dumps, death with
the parent.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
OPEN_FILES = 1024  # Lambda's quota of file descriptors
CONNECTION = 3  # numbers that node/bootstrap.js knows
MAILBOX = 4
MOST_FILES = 1 << 20

_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # resolved before the fork, not in every child


def become_subreaper() -> None:
    """Orphans among our descendants come to us instead of to init (Linux; elsewhere they escape)."""
    if _prctl is not None:
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def contain(parent: int, cell: dict[str, Any]) -> None:
    """Run in the child, right after fork. Raises OSError where a limit cannot be set: the caller must then exit."""
    os.setsid()  # a process group of its own: a kill takes the children it forks as well
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the request above took effect
            os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if cell.get("data"):
        resource.setrlimit(resource.RLIMIT_DATA, (int(cell["data"]), int(cell["data"])))
    os.umask(0o022)


def wire(connection: int, log: int, mailbox: int | None = None) -> None:
    """Standard input is empty; standard output and error are the function's log; 3 is its socket, 4 its mailbox where
    it has one; nothing else."""
    log, connection = fcntl.fcntl(log, fcntl.F_DUPFD, 16), fcntl.fcntl(connection, fcntl.F_DUPFD, 16)
    if mailbox is not None:
        mailbox = fcntl.fcntl(mailbox, fcntl.F_DUPFD, 16)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(connection, CONNECTION, inheritable=False)
    if mailbox is not None:
        os.dup2(mailbox, MAILBOX, inheritable=False)
    os.closerange(MAILBOX if mailbox is None else MAILBOX + 1, MOST_FILES)
