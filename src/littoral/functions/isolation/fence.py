"""The launcher of a core's cells, one for all: each component's programs see all that the place's user sees but a few
folders, and no process but theirs.

Usage: ``python -I -S fence.py``; standard input is a socket (SOCK_SEQPACKET), and the process ends when that does. A
message is a plan (``marshal``) and a descriptor, the cell's own line. A plan has ``hidden`` (folders and files),
``own`` (folders in them that are the component's), ``read`` (what of them it may read and execute) and ``processes``
(how many may be in the cell, threads among them: its user namespace counts them; who is root outside is held to none).

The answer is the process id of the cell's first process and a pidfd for it, readable once nothing of the cell is left;
or an error's number and what it is. That process is a fork of this one and shares its memory: so little is imported
here, and nothing of Python that is not needed. What it does is said in ``holder``; what goes over the cell's line, too.

User, pid and IPC namespace are the cell's own; the mount namespace only for the sake of its /proc. Everything is given
up before the first program starts (``first.give_up``, as functions do).

Landlock allows and does not forbid: so what is allowed is everything beside the way to what is hidden. On that way
itself nothing can be listed or made; what others make there later is not seen. No abstract sockets beyond the fence.
Where that cannot be had nothing runs.
"""

from __future__ import annotations

import _socket
import gc
import marshal
import os
import sys

TYPE_CHECKING = False  # that of ``typing`` costs as much memory as all that is imported here
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn

    from littoral.functions.isolation import first, holder, kernel, landlock
else:
    import _signal as signal  # without names for its numbers, which cost as much

    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    from isolation import first, holder, kernel, landlock

NAMESPACES = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC


def launch() -> NoReturn:
    """Never returns. Raises OSError where this kernel can fence nothing in."""
    line = os.dup(0)
    kernel.die_with_parent()
    first.leave_if_alone(line)
    version = landlock.abi()
    if not landlock.scopes(version):
        raise OSError(38, f"Landlock of this kernel (ABI {version}) fences in no abstract sockets: Linux 6.12 does")
    kernel.prepare()
    for number in holder.DEAF:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a cell's first process: it is gone when it ends
    ground = holder.Ground(version)
    gc.collect()
    gc.disable()  # what it writes in passing would be a copy in each cell
    while True:
        plan, (theirs,) = first.hear(line)
        _answer(line, *_made(theirs, marshal.loads(plan), ground))  # noqa: S302 - the core's own
        os.close(theirs)


def _made(theirs: int, plan: dict[str, Any], ground: holder.Ground) -> tuple[bytes, list[int]]:
    try:
        child = kernel.clone(NAMESPACES)
        if child == 0:
            holder.be(theirs, plan, ground)
        return b"%d" % child, [os.pidfd_open(child)]
    except OSError as problem:
        return first.worded(problem), []


def _answer(line: int, word: bytes, fds: list[int]) -> None:
    telling = _socket.socket(fileno=line)
    rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    try:
        telling.sendmsg([word], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if fds else [])
    finally:
        telling.detach()
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    try:
        launch()
    except OSError as problem:
        first.tell(0, first.worded(problem))
