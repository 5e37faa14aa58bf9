"""One instance's cell: its namespaces, what it sees of the template, and a little init that holds it together.

Two processes: the first of a pid namespace ignores signals that it has no handler for, even its own SIGKILL, so a
function that is that process could not die as it does on AWS. ``init`` is the first; it starts the payload, adopts and
reaps what the payload leaves behind, and tells the keeper how the payload ended. When init ends, the kernel kills
whatever is left in the cell.

The way of one cell:

1. Ahead of need, the keeper clones init into new user, mount, pid, ipc and uts namespaces; init maps its user, mounts
   its own /proc and /tmp, joins its control group and forks the payload's process, which gives up everything for good
   (``_confine``) and waits.
2. When an instance is wanted, the keeper sends init what to run, with the instance's socket and log.
3. init lays code, layers and limits over what is there, covers up everybody else's code, and passes the word on; then
   it gives up its own rights and only waits for ends. Programs beside the instance (extensions) it has started before
   that, as confined as the payload is; how each of them ended is told at once.
4. The payload becomes the instance: a Python handler in this very process, or a program that it executes.
5. A Node.js spare runs before its function is known: its init does step 3 when told (``_specialise``).
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from . import cgroup, first, kernel, landlock, seccomp, template

NAMESPACES = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
PROCESSES = 1024  # Lambda's quota of processes and threads
INODE = 4096  # bytes of /tmp for each file that may be in it
STATUS = struct.Struct("<ci")
Payload = Callable[[dict[str, Any], list[int]], None]
Attend = Callable[[str, dict[str, Any], int], None]

_DATA = kernel.MS_NOSUID | kernel.MS_NODEV
BESIDES = 64 * 1024 * 1024  # bytes a control group grants beyond the data and /tmp of its instance: code, kernel
_filter = b""
_abi = 0
_groups = False


def prepare() -> None:
    """In the keeper, before the first cell. Raises OSError where a layer is missing."""
    global _abi, _filter, _groups  # noqa: PLW0603 - facts of the kernel, read once for all forks
    _abi = landlock.abi()
    if not _abi:
        raise OSError(38, "Landlock is not there")
    kernel.prepare()
    _groups = os.path.exists(f"{template.GROUPS}/keeper")  # noqa: PTH110
    _filter = seccomp.program(memory_is_counted=_groups)


def forget(label: str) -> None:
    """In the keeper, when a cell is gone."""
    if _groups:
        cgroup.leave(template.GROUPS, label)


def init(
    keeper: tuple[int, int],
    lifeline: int,
    label: str,
    payload: Payload,
    attend: Attend,
    *,
    network: bool,
    host: str | None = None,
) -> None:
    """The first process, straight from the clone: prepare all that every cell has, the payload's process too; then
    wait for the word what it is to be. ``keeper``: its user and group ids; ``network``: whether it has the machine's,
    or one that ends at its own loopback; ``host``: which of a training job's it is, whose folder alone it sees. That is
    laid before anything is confined: Landlock passes over a folder on which another was mounted. Never returns."""
    try:
        kernel.die_with_parent()
        first.leave_if_alone(lifeline)
        kernel.map_user(*keeper, inside=(template.UID, template.GID))
        kernel.mount("proc", "/proc", "proc", _DATA | kernel.MS_NOEXEC)
        kernel.mount("tmp", template.TMP, "tmpfs", _DATA, "mode=1777,size=4k")
        if host:
            kernel.mount(f"{template.JOB}/{host}", template.JOB, None, kernel.MS_BIND)
        kernel.set_hostname(host or "littoral")
        if not network:
            kernel.loopback_up()
        if _groups:
            cgroup.join(template.GROUPS, label)
        ours, theirs = (end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        child = os.fork()
        if child == 0:
            os.close(lifeline)
            os.close(ours)
            _be_payload(theirs, payload)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")  # the payload shall not look into us
        first.close_all_but(lifeline, ours)
        data, fds = first.hear(lifeline)
        message = json.loads(data)
        cell = message["cell"]
        if "task" in cell:
            _lay(cell, label)
        if "listen" in cell:
            _hand_out(lifeline, cell["listen"])
        beside = _start_beside(message, attend, fds[1]) if message.get("beside") else {}
        _pass_on(ours, data, fds)
    except BaseException as error:  # noqa: BLE001 - nothing may fall back into the keeper's code
        first.tell(lifeline, b"E" + str(error).encode())
        os._exit(1)
    try:
        _watch(lifeline, cell, child, label, beside)
    finally:
        os._exit(0)


def _be_payload(line: int, payload: Payload) -> None:
    """Give everything up, wait for what to be, be it. Never returns."""
    kernel.die_with_parent()
    first.leave_if_alone(line)
    _confine()
    data, fds = first.hear(line)
    os.close(line)
    payload(json.loads(data), fds)


def _pass_on(line: int, data: bytes, fds: list[int]) -> None:
    sending = socket.socket(fileno=line)
    socket.send_fds(sending, [data], fds)
    sending.detach()  # stays open: its end would mean ours to the payload
    for fd in fds:
        os.close(fd)


def _hand_out(lifeline: int, port: int) -> None:
    """A listener in this network, for the place to answer on: the Runtime API of a program without the machine's."""
    with socket.create_server(("127.0.0.1", port)) as listener, socket.socket(fileno=os.dup(lifeline)) as line:
        socket.send_fds(line, [b"L"], [listener.fileno()])


def _confine() -> None:
    """Nothing of this can be undone, here or in what is started from here."""
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    # the second folder is there for training jobs alone
    first.give_up(_filter, lambda: landlock.restrict(_abi, (template.TMP, template.JOB)))


def _lay(cell: dict[str, Any], label: str) -> None:
    """The function's own folders and limits over what every cell has; then nothing else is within reach."""
    kernel.mount(f"{template.CODE}/{cell['task']}", template.TASK, None, kernel.MS_BIND)
    if cell.get("opt"):
        kernel.mount(f"{template.CODE}/{cell['opt']}", template.OPT, None, kernel.MS_BIND)
    if cell.get("modules"):
        kernel.mount(f"{template.CODE}/{cell['modules']}", template.LAYER_MODULES, None, kernel.MS_BIND)
    if cell.get("component"):
        kernel.mount(template.SOCKETS, template.NUCLEUS, None, kernel.MS_BIND)
    size = cell["tmp"]
    limits = f"size={size},nr_inodes={max(1024, size // INODE)}"
    kernel.mount("tmp", template.TMP, "tmpfs", _DATA | kernel.MS_REMOUNT, limits)
    if _groups:
        cgroup.limit(template.GROUPS, label, cell["data"] + size + BESIDES)
    for folder in template.HIDDEN:
        kernel.mount(template.EMPTY, folder, None, kernel.MS_BIND)


def _start_beside(message: dict[str, Any], attend: Attend, log: int) -> dict[int, str]:
    """The programs beside the payload; their names by process id."""
    started = {}
    for name, path in message["beside"]["programs"].items():
        pid = os.fork()
        if pid == 0:
            kernel.die_with_parent()
            _confine()
            attend(path, message, log)
        started[pid] = name
    return started


def _watch(lifeline: int, cell: dict[str, Any], child: int, label: str, beside: dict[int, str]) -> None:
    """Until the payload ends; then say how. Told that the end has come, pass it on as SIGTERM, and wait for what runs
    beside it, too: it is the keeper's to lose patience."""
    if "task" not in cell:
        _specialise(lifeline, child, label)
    kernel.drop_capabilities()
    wakeup = first.woken_by_ends()
    leaving, status = False, None
    while True:
        for pid, how in first.ends():
            if pid == child:
                status = how
            elif pid in beside:
                first.tell(lifeline, b"X" + json.dumps([beside.pop(pid), how]).encode())
        if status is not None and not (leaving and beside):
            first.tell(lifeline, STATUS.pack(b"S", status))
            return
        ready, _, _ = select.select([lifeline, wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 4096)
        if lifeline in ready:
            first.hear(lifeline)
            leaving = True
            if status is None:
                os.kill(child, signal.SIGTERM)


def _specialise(lifeline: int, child: int, label: str) -> None:
    """Wait for the word which function this spare is to be; return at once when it dies before."""
    end = os.pidfd_open(child)
    ready, _, _ = select.select([lifeline, end], [], [])
    os.close(end)
    if lifeline not in ready:
        return
    data, _ = first.hear(lifeline)
    cell = json.loads(data)["cell"]
    try:
        _lay(cell, label)
        resource.prlimit(child, resource.RLIMIT_DATA, (cell["data"], cell["data"]))
    except (OSError, KeyError) as error:
        first.tell(lifeline, b"E" + str(error).encode())
        os._exit(1)
    first.tell(lifeline, b"R")
