"""One instance's cell: its namespaces, what it sees of the template, and a little init that holds it together.

Two processes: the first of a pid namespace ignores signals that it has no handler for, even its own SIGKILL, so a
function that is that process could not die as it does on AWS. ``init`` is the first; it starts the payload, adopts and
reaps what the payload leaves behind, and tells the keeper how the payload ended. When init ends, the kernel kills
whatever is left in the cell.

The way of one cell: the keeper clones init into new user, mount, pid, ipc and uts namespaces; init maps its user, lays
the function's own folders over the template's, and forks the payload; the payload gives up everything (``confine``)
before the first line of a function runs. A Node.js spare is confined before its function is known: its init keeps its
rights until ``specialise`` has laid the folders.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import struct
from collections.abc import Callable
from typing import Any

from . import kernel, landlock, seccomp, template

NAMESPACES = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
PROCESSES = 1024  # Lambda's quota of processes and threads
DEFAULT_TMP = 512 * 1024 * 1024
INODE = 4096  # bytes of /tmp for each file that may be in it
STATUS = struct.Struct("<ci")

_DATA = kernel.MS_NOSUID | kernel.MS_NODEV
_first = seccomp.program() if kernel.SUPPORTED else b""
_abi = 0


def prepare() -> None:
    """In the keeper, before the first cell. Raises OSError where a layer is missing."""
    global _abi  # noqa: PLW0603 - facts of the kernel, read once for all forks
    _abi = landlock.abi()
    if not _abi:
        raise OSError(38, "Landlock is not there")
    kernel.prepare()


def init(keeper: tuple[int, int], lifeline: int, cell: dict[str, Any], payload: Callable[[], None]) -> None:
    """The first process, straight from the clone. ``keeper``: its user and group ids. Never returns."""
    try:
        kernel.die_with_parent()
        _leave_if_alone(lifeline)
        kernel.map_user(*keeper, inside=(template.UID, template.GID))
        kernel.mount("proc", "/proc", "proc", _DATA | kernel.MS_NOEXEC)
        _lay(cell)
        kernel.set_hostname("littoral")
        child = os.fork()
        if child == 0:
            payload()
    except BaseException as error:  # noqa: BLE001 - nothing may fall back into the keeper's code
        _tell(lifeline, b"E" + str(error).encode())
        os._exit(1)
    try:
        _watch(lifeline, cell, child)
    finally:
        os._exit(0)


def _leave_if_alone(lifeline: int) -> None:
    """The keeper may have died before its death was ours. (A parent outside the namespace has no number here.)"""
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # the other end is closed
        os._exit(0)


def confine() -> None:
    """In the payload: nothing of this can be undone, here or in what is started from here."""
    kernel.no_new_privileges()
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    kernel.drop_bounding_set()
    kernel.drop_capabilities()
    landlock.restrict(_abi, (template.TMP,))
    kernel.set_seccomp(_first)


def _lay(cell: dict[str, Any]) -> None:
    size = cell.get("tmp", DEFAULT_TMP)
    kernel.mount("tmp", template.TMP, "tmpfs", _DATA, f"mode=1777,size={size},nr_inodes={max(1024, size // INODE)}")
    if cell.get("task"):
        _lay_code(cell)


def _lay_code(cell: dict[str, Any]) -> None:
    kernel.mount(f"{template.CODE}/{cell['task']}", template.TASK, None, kernel.MS_BIND)
    if cell.get("opt"):
        kernel.mount(f"{template.CODE}/{cell['opt']}", template.OPT, None, kernel.MS_BIND)
    for folder in template.HIDDEN:
        kernel.mount("hidden", folder, "tmpfs", kernel.MS_RDONLY | _DATA, "mode=0500,size=4k,nr_inodes=1")


def _watch(lifeline: int, cell: dict[str, Any], child: int) -> None:
    """Until the payload ends; then say how."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")  # the payload shall not look into us
    _close_all_but(lifeline)
    if not cell.get("task"):
        _specialise(lifeline, child)
    kernel.drop_capabilities()
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            _tell(lifeline, STATUS.pack(b"S", status))
            return


def _specialise(lifeline: int, child: int) -> None:
    """Wait for the word which function this spare is to be; return at once when it dies before."""
    end = os.pidfd_open(child)
    ready, _, _ = select.select([lifeline, end], [], [])
    os.close(end)
    if lifeline not in ready:
        return
    word = os.read(lifeline, 65536)
    if not word:
        os._exit(0)
    cell = json.loads(word)
    try:
        _lay_code(cell)
        size = cell["tmp"]
        flags = _DATA | kernel.MS_REMOUNT
        kernel.mount("tmp", template.TMP, "tmpfs", flags, f"size={size},nr_inodes={max(1024, size // INODE)}")
        resource.prlimit(child, resource.RLIMIT_DATA, (cell["data"], cell["data"]))
    except (OSError, KeyError) as error:
        _tell(lifeline, b"E" + str(error).encode())
        os._exit(1)
    _tell(lifeline, b"R")


def _close_all_but(keep: int) -> None:
    os.closerange(3, keep)
    os.closerange(keep + 1, 1 << 20)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _tell(lifeline: int, word: bytes) -> None:
    with contextlib.suppress(OSError):  # the keeper is gone, and at once so are we
        os.write(lifeline, word)
