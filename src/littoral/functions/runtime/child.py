"""What happens to a fresh process before a function's code may run in it.

Owns: session, parent death, file descriptors, resource limits. This is the one place where a sandbox is put on;
namespaces, Landlock and seccomp belong here when they come. Standard library only: it runs in any served Python.

Enforced now: data memory (RLIMIT_DATA, with slack for thread stacks), 1,024 open files, no core dumps, death with
the keeper. Not enforced now: /tmp of its own and its size, CPU share by memory, separation from the place's user.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
OPEN_FILES = 1024  # Lambda's quota of file descriptors

_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # resolved before the fork, not in every child


def become_subreaper() -> None:
    """Orphans among our descendants come to us instead of to init (Linux; elsewhere they escape)."""
    if _prctl is not None:
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def contain(keeper: int, limits: dict[str, Any]) -> None:
    """Run in the child, right after fork. Raises OSError where a limit cannot be set: the caller must then exit."""
    os.setsid()  # a process group of its own: a kill takes the children it forks as well
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:  # it died before the request above took effect
            os._exit(0)
    become_subreaper()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if limits.get("data"):
        resource.setrlimit(resource.RLIMIT_DATA, (int(limits["data"]), int(limits["data"])))
    os.umask(0o022)


def wire(log: int) -> None:
    """Standard input is empty; standard output and error are the function's log."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if null > 2:
        os.close(null)
    if log > 2:
        os.close(log)
