"""The memory of an unlocked box: what may carry a key or plaintext from there to a disk, and what is done against it.

A core dump is never written, and no other process of the same user may read this one's memory. Where the system lets
it, this process' pages stay out of swap; functions and the runtime folder (tmpfs) cannot be kept out, so a box is not
unlocked on a machine that swaps to a disk which is not encrypted.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import logging
import os
import resource
import shutil
import time
from contextlib import suppress
from errno import EEXIST
from pathlib import Path
from typing import Final

log = logging.getLogger("littoral.box")

_SET_DUMPABLE = 4
_ALL_AS_TOUCHED = 1 | 2 | 4  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT: a thread's stack is not filled for it
_PREFIX = "littoral-unlocked-"
_SHARED = Path("/dev/shm")  # noqa: S108 - memory; the folder made there is of this user alone
_TRIES: Final = 200  # to make a folder that somebody may be cleaning up
_PAUSE: Final = 0.025  # seconds after each


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


class Runtime:
    """A new folder in memory, for this user alone, by the box's own folder. ``remove`` it.

    What boxes that did not end in order left there goes first, wherever their own folders are by now; where another's
    does not go, that is said in the log. Raises OSError where this machine has no such place.
    """

    def __init__(self, data: Path) -> None:
        self.folder = runtime_of(data)
        for other in self.folder.parent.glob(f"{_PREFIX}*"):
            try:
                _remove_if_left(other)
            except OSError as problem:  # its own is tried once more, and said, when it is made
                log.warning("what another box left in memory stays: %s: %s", other, problem)
        self._held = _made(self.folder)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._held)


def runtime_of(data: Path) -> Path:
    """Where it is, or will be. Raises OSError."""
    name = f"{_PREFIX}{hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]}"
    for base in (Path(os.environ.get("XDG_RUNTIME_DIR") or _SHARED), _SHARED):
        if base.is_dir() and _is_memory(base) and os.access(base, os.W_OK):
            return base / name
    raise OSError("neither $XDG_RUNTIME_DIR nor /dev/shm is memory (tmpfs) that may be written to")


def _made(folder: Path) -> int:
    """What holds it, as long as this process lives. Another box may be removing what was left there, which is waited
    for; and before it is held somebody who cleans up may take it for left: then it is made once more. Raises OSError,
    also where somebody has it and keeps it."""
    for _ in range(_TRIES):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            time.sleep(_PAUSE)
            _remove_if_left(folder)
            continue
        with suppress(FileNotFoundError):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX)  # who has it removes it, which takes no time
            if _is_at(held, folder):
                return held
            os.close(held)
    raise FileExistsError(EEXIST, "somebody else has it", str(folder))


def _is_at(held: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held), os.lstat(folder))
    except FileNotFoundError:
        return False


def _remove_if_left(folder: Path) -> None:
    """Where it is of this user, and no process has it any more. Raises OSError where it does not go."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # somebody else's, or gone
        return
    try:
        if os.fstat(held).st_uid != os.geteuid():
            return
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(held, folder):  # another was quicker, and it may be somebody's anew
            return
        log.info("removing what a box that did not end in order left in memory: %s", folder)
        shutil.rmtree(folder)
    except BlockingIOError:
        return
    finally:
        os.close(held)


def _is_memory(folder: Path) -> bool:
    """By /proc/mounts: the file system of the longest mount point that leads there."""
    best, kind = "", ""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, found = line.split()[:3]
        if (folder.is_relative_to(point)) and len(point) >= len(best):
            best, kind = point, found
    return kind in ("tmpfs", "ramfs")
