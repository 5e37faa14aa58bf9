"""Limits on all that an instance, or a core's component, holds together, where the system lets the place make control
groups (v1 or v2): memory, and for components that run as root how many processes.

Beneath the keeper's group (``name``) is ``keeper``, where the keeper lives, and one group an instance. What the limit
counts is more than a process shows: files in /tmp, shared memory, page tables, all children. Without it there is the
data limit of each process, the place's watch, and seccomp refuses what neither sees (``seccomp.UNSEEN``).

Joining a group makes the kernel wait for all processors (5-20 ms were measured), so cells join ahead of need.
"""

from __future__ import annotations

import contextlib
import os

MEMORY, PROCESSES = "memory", "pids"  # controllers
_LIMITS = {MEMORY: ("memory.max", "memory.limit_in_bytes"), PROCESSES: ("pids.max",)}  # v2, v1


def home(controller: str = MEMORY) -> str | None:
    """The folder in which this process may make groups that limit it; None where it may not."""
    for folder in _candidates(controller):
        trial = f"{folder}/{name()}-{os.urandom(8).hex()}"  # several threads may ask at once
        try:
            os.mkdir(trial)  # noqa: PTH102
        except OSError:
            continue
        try:
            if _limit(trial, controller) is not None:
                return folder
        finally:
            os.rmdir(trial)  # noqa: PTH106
    return None


def name() -> str:
    """This process's, which no other has until the machine starts anew: ``littoral-NAMESPACE-PID-BEGAN``, with the
    inode of its namespace of process ids and the tick of its start. A process id alone says nothing of an owner: the
    kernel gives it again to somebody else, and in another namespace it is another process."""
    return f"littoral-{_namespace()}-{os.getpid()}-{_began('self')}"


def make_empty(controller: str = MEMORY) -> str | None:
    """A group named by this process, which does not join it, for groups of others. None where there is no ``home``."""
    folder = home(controller)
    if folder is None:
        return None
    _sweep(folder)
    group = f"{folder}/{name()}"
    try:
        with contextlib.suppress(FileExistsError):  # v2 has one for all controllers
            os.mkdir(group)  # noqa: PTH102
        if os.path.exists(f"{group}/cgroup.subtree_control"):  # noqa: PTH110
            _write(f"{group}/cgroup.subtree_control", f"+{controller}")
    except OSError:
        remove(group)
        return None
    return group


def make(uid: int | None) -> str | None:
    """The keeper's group, with this process in it; given to ``uid``. None where there is no ``home``."""
    group = make_empty()
    if group is None:
        return None
    keeper = f"{group}/keeper"
    try:
        os.mkdir(keeper)  # noqa: PTH102
        _write(f"{keeper}/cgroup.procs", "0")
        if uid is not None:
            for path in (group, f"{group}/cgroup.procs", f"{keeper}/cgroup.procs"):
                os.chown(path, uid, uid)
    except OSError:
        remove(group)
        return None
    return group


def join(group: str, label: str, process: int = 0) -> None:
    """Make an instance's group and move a process, this one if none is named, into it. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{group}/{label}")  # noqa: PTH102
    _write(f"{group}/{label}/cgroup.procs", str(process))


def limit(group: str, label: str, most: int, controller: str = MEMORY) -> None:
    """Bytes, or processes and threads, that all of the group may hold. Raises OSError."""
    folder = f"{group}/{label}"
    _write(f"{folder}/{_limit(folder, controller)}", str(most))


def leave(group: str, label: str) -> None:
    """After the last process of an instance has ended."""
    with contextlib.suppress(OSError):  # an unkillable process holds it: swept with the keeper's group
        os.rmdir(f"{group}/{label}")  # noqa: PTH106


def remove(group: str) -> None:
    """The keeper's group and what is in it; what is still held by a process stays."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(group):
            if entry.is_dir():
                with contextlib.suppress(OSError):
                    os.rmdir(entry.path)  # noqa: PTH106
        os.rmdir(group)  # noqa: PTH106


def sweep(controller: str = MEMORY) -> None:
    """Remove the groups of keepers that are gone, as after a kill -9 of their place."""
    folder = home(controller)
    if folder is not None:
        _sweep(folder)


def _sweep(folder: str) -> None:
    for entry in os.scandir(folder):
        if _is_left(entry.name):
            remove(entry.path)


def _is_left(group: str) -> bool:
    """Whether it is a group whose owner is gone, as far as can be said from this namespace."""
    word, namespace, pid, began = [*group.split("-"), "", "", ""][:4]
    return word == "littoral" and namespace == str(_namespace()) and pid.isdigit() and _began(pid) != began


def _namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116


def _began(process: str) -> str:
    """When it did, in clock ticks since the machine's start (field 22 of proc_pid_stat(5)); "" of one that is gone."""
    try:
        with open(f"/proc/{process}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _candidates(controller: str) -> list[str]:
    """Our own group and the one above, of the hierarchy that counts it."""
    mounts = {}
    with open("/proc/self/mountinfo") as file:  # noqa: PTH123
        for line in file:
            before, after = line.split(" - ")
            kind, _, options = after.split()[:3]
            if kind == "cgroup2" or (kind == "cgroup" and controller in options.split(",")):
                mounts[kind] = before.split()[4]
    found = []
    with open("/proc/self/cgroup") as file:  # noqa: PTH123
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            kind = "cgroup" if controller in controllers.split(",") else "cgroup2" if not controllers else ""
            if kind in mounts:
                own = mounts[kind] + path.rstrip("/")
                found += [own, os.path.dirname(own)] if path.count("/") > 1 or len(path) > 1 else [own]  # noqa: PTH120
    return [each for each in found if os.path.isdir(each)]  # noqa: PTH112


def _limit(folder: str, controller: str) -> str | None:
    return next((each for each in _LIMITS[controller] if os.path.exists(f"{folder}/{each}")), None)  # noqa: PTH110


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
