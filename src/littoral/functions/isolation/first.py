"""What the first process of a pid namespace does, whoever is in it: gives rights up, hears orders, reaps.

The first process of a pid namespace ignores signals that it has no handler for; when it ends, the kernel kills whatever
is left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator

from . import kernel

MAX_WORD = 1 << 18


def give_up(seccomp: bytes, fence: Callable[[], None]) -> None:
    """Capabilities and what could bring them back, then ``fence`` (Landlock), then system calls. Nothing of this can be
    undone, here or in what is started from here. Raises OSError."""
    kernel.no_new_privileges()
    kernel.drop_bounding_set()
    kernel.drop_capabilities()
    fence()
    kernel.set_seccomp(seccomp)


def leave_if_alone(line: int) -> None:
    """Whoever is at the other end may have died before its death was ours. (A parent outside the namespace has no
    number here.)"""
    poll = select.poll()
    poll.register(line, 0)
    if poll.poll(0):  # the other end is closed
        os._exit(0)


def hear(line: int) -> tuple[bytes, list[int]]:
    """The next message and the descriptors with it; ends this process when the other end is gone."""
    with socket.socket(fileno=os.dup(line)) as listening:
        data, fds, _, _ = socket.recv_fds(listening, MAX_WORD, 3)
    if not data:
        os._exit(0)
    return data, fds


def tell(line: int, word: bytes) -> None:
    with contextlib.suppress(OSError):  # the other end is gone, and at once so are we
        os.write(line, word)


def close_all_but(*keep: int) -> None:
    """Of all descriptors; standard input and outputs become /dev/null."""
    at = 3
    for fd in sorted(keep):
        os.closerange(at, fd)
        at = fd + 1
    os.closerange(at, 1 << 20)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def woken_by_ends() -> int:
    """A descriptor that is readable when a process of ours has ended."""
    wakeup, woken = os.pipe()
    for fd in (wakeup, woken):
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    return wakeup


def ends() -> Iterator[tuple[int, int]]:
    """Processes that have ended, orphans of others among them, and their wait statuses."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status
