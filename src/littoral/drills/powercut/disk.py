"""A disk whose power can be cut: ext4 in a file, on a loop device.

``EXT4_IOC_SHUTDOWN`` without a flush of the journal is what a power cut is to a file system: what it has not on its
device is gone, and nothing more gets there. The next mount replays the journal. What the device itself might lose or
tear, a cache without power, is not shown by this.

It is mounted where only this process and its children see it: a mount namespace that anybody else makes meanwhile (a
function of another place, a container) would have a copy of the mount, and what somebody has of a dead file system
keeps it from being mounted again.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from littoral.drills.frame import NotHere
from littoral.functions.isolation import kernel

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NOLOGFLUSH = 2
PATIENCE = 20.0  # seconds until nobody uses the file system any more


class Disk:
    """Mounted at ``point``; its bytes are the file ``image``. Raises NotHere where this machine does not allow it."""

    def __init__(self, folder: Path, size: int, cleanup: ExitStack) -> None:
        self.point = folder / "place"
        self.image = folder / "disk.ext4"
        if os.geteuid() != 0:
            raise NotHere("the drill needs root, for a loop device and mounts")
        try:
            kernel.unshare(kernel.CLONE_NEWNS)  # of this thread, and of those that it starts
            kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        except OSError as problem:
            raise NotHere(f"mounts of its own are not allowed here: {problem}") from problem
        self.point.mkdir()
        with self.image.open("wb") as image:
            image.truncate(size)
        _must("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))
        self._mount()
        cleanup.callback(subprocess.run, ["umount", "-l", str(self.point)], check=False, capture_output=True)
        self._check_cut()

    def cut(self) -> None:
        """Now."""
        handle = os.open(self.point, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(handle)

    def restore(self) -> None:
        """When nobody uses it any more. Raises OSError."""
        deadline = time.monotonic() + PATIENCE
        while True:
            done = _run("umount", str(self.point))
            if not done.returncode:
                self._mount()
                if self._works():
                    return
            if time.monotonic() > deadline:
                raise OSError(f"the disk cannot be mounted again: {done.stderr.strip() or 'somebody still uses it'}")
            time.sleep(0.1)

    def _mount(self) -> None:
        _must("mount", "-o", "loop", str(self.image), str(self.point))

    def _works(self) -> bool:
        """Not while a process in a mount namespace of its own, a function's, still has the dead one."""
        probe = self.point / ".probe"
        try:
            probe.write_bytes(b"")
            probe.unlink()
        except OSError:
            return False
        return True

    def _check_cut(self) -> None:
        """That the cut is one: what nobody synced must be gone, or the drill proves nothing."""
        with (self.point / "synced").open("wb") as file:
            file.write(b"here")
            file.flush()
            os.fsync(file.fileno())
        (self.point / "unsynced").write_bytes(b"gone")
        try:
            self.cut()
        except OSError as problem:
            raise NotHere(f"this kernel does not cut an ext4 file system: {problem}") from problem
        self.restore()
        if (self.point / "synced").read_bytes() != b"here" or (self.point / "unsynced").exists():
            raise NotHere("a cut of this file system loses nothing, so the drill would prove nothing")
        (self.point / "synced").unlink()


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _must(*words: str) -> None:
    try:
        done = _run(*words)
    except FileNotFoundError as problem:
        raise NotHere(f"{words[0]} is not there (apt: e2fsprogs, mount)") from problem
    if done.returncode:
        raise NotHere(f"{words[0]} is not allowed here: {' '.join(done.stderr.split())}")
