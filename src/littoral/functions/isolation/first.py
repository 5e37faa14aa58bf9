"""What the first process of a pid namespace does, whoever is in it: gives rights up, hears orders, reaps.

The first process of a pid namespace ignores signals that it has no handler for; when it ends, the kernel kills whatever
is left. Each cell has one, and what this imports is in the memory of each.
"""

from __future__ import annotations

import _socket
import os
import select

from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
else:
    import _signal as signal

MAX_WORD = 1 << 18
_FDS = 3  # at most, with a message


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
    listening = _socket.socket(fileno=line)
    try:
        data, beside, _, _ = listening.recvmsg(MAX_WORD, _socket.CMSG_SPACE(_FDS * 4))
    finally:
        listening.detach()
    if not data:
        os._exit(0)
    return data, [fd for _, kind, raw in beside if kind == _socket.SCM_RIGHTS for fd in memoryview(raw).cast("i")]


def tell(line: int, word: bytes) -> None:
    try:
        os.write(line, word)
    except OSError:  # the other end is gone, and at once so are we
        return


def worded(problem: OSError) -> bytes:
    """Its number and what it is."""
    return b"%d %s" % (problem.errno or 0, str(problem).encode("utf-8", "replace"))


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
