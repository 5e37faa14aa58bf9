"""The memory of an unlocked box: what may carry a key or plaintext from there to a disk, and what is done against it.

A core dump is never written, and no other process of the same user may read this one's memory. Where the system lets
it, this process' pages stay out of swap; functions and the runtime folder (tmpfs) cannot be kept out, so a box is not
unlocked on a machine that swaps to a disk which is not encrypted.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import shutil
from pathlib import Path

log = logging.getLogger("littoral.box")

_SET_DUMPABLE = 4
_ALL_AS_TOUCHED = 1 | 2 | 4  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT: a thread's stack is not filled for it
_SHARED = Path("/dev/shm")  # noqa: S108 - memory; the folder made there is of this user alone


def confine() -> bool:
    """For this process, from now on; whether its pages are locked in memory. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        return False  # a limit that is reached later would fail whatever needs memory then
    return bool(libc.mlockall(_ALL_AS_TOUCHED) == 0)


def open_swap(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> list[str]:
    """What this machine swaps to and is neither memory nor encrypted (dm-crypt)."""
    try:
        lines = (proc / "swaps").read_text().splitlines()[1:]
    except FileNotFoundError:
        return []
    return [name for name in (line.split()[0] for line in lines if line.strip()) if not _is_safe(Path(name), sys)]


def _is_safe(swap: Path, sys: Path) -> bool:
    if swap.name.startswith("zram"):
        return True
    try:
        return (sys / "class/block" / swap.name / "dm/uuid").read_text().startswith("CRYPT-")
    except OSError:
        return False


def runtime_folder(data: Path) -> Path:
    """A new folder in memory, for this user alone, by the box's own folder: what a killed box left there is removed.
    Raises OSError where this machine has no such place."""
    folder = runtime_of(data)
    if folder.exists():
        log.info("removing what a box that did not end in order left in memory: %s", folder)
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    return folder


def runtime_of(data: Path) -> Path:
    """Where it is, or will be. Raises OSError."""
    about = data.stat()  # the same wherever the folder was moved to
    name = f"littoral-box-{about.st_dev:x}-{about.st_ino:x}"
    for base in (Path(os.environ.get("XDG_RUNTIME_DIR") or _SHARED), _SHARED):
        if base.is_dir() and _is_memory(base) and os.access(base, os.W_OK):
            return base / name
    raise OSError("neither $XDG_RUNTIME_DIR nor /dev/shm is memory (tmpfs) that may be written to")


def _is_memory(folder: Path) -> bool:
    """By /proc/mounts: the file system of the longest mount point that leads there."""
    best, kind = "", ""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, found = line.split()[:3]
        if (folder.is_relative_to(point)) and len(point) >= len(best):
            best, kind = point, found
    return kind in ("tmpfs", "ramfs")
