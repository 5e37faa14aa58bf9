"""The spool of a store: contents that another process gives to it, and gets from it, by the disk that both have.
Nothing is copied, and nothing of them goes through a socket.

    spool/              the store's
    spool/TRAY/         made by the other process, which holds it (flock) as long as it lives; 32 hex digits of chance
    spool/TRAY/NAME     a file that the store is to take
    spool/TRAY/NAME/    one content that the store has given out: its pieces in order, hard links, and ``sums``

Who may write into the folder of the store can make a tray, and nobody else knows the name of one: a request that names
a tray comes from this machine, and from this user.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from littoral.store.contract import StoreError
from littoral.store.diskroom import has_room
from littoral.store.durable import make_folder

HEADER: Final = "x-littoral-spool"  # of a request that names a place in a tray
SPOOL: Final = "spool"  # in the folder of a store
SUMS: Final = "sums"  # of all blocks of all pieces (``sums``), in order
_NAMED: Final = re.compile(r"([0-9a-f]{32})/([0-9]{1,12})")


class NotSpooled(StoreError):
    """There is no such file, or it is none that can be taken: its content may be sent instead."""


class Spool:
    """The store's. Nothing of it outlives who made it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        """Raises OSError."""
        make_folder(self.folder)
        self.sweep()

    def sweep(self) -> None:
        """Trays whose makers are no more go. Raises OSError."""
        with _alone(self.folder):
            _sweep(self.folder)

    def path(self, named: str) -> Path:
        """What ``Tray.name`` says of it: in a tray that is there. Raises NotSpooled."""
        found = _NAMED.fullmatch(named)
        if found is None or not (tray := self.folder / found[1]).is_dir() or tray.is_symlink():
            raise NotSpooled("there is no such tray")
        return tray / found[2]


class Tray:
    """The other process's. ``close`` it, with all that is in it."""

    def __init__(self, folder: Path, held: int) -> None:
        self._folder = folder
        self._held = held
        self._count = 0
        self._reserved = 0
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def within(cls, spool: Path) -> Iterator[Self | None]:
        """None where there is no spool, or it is another user's."""
        tray = cls.open(spool)
        try:
            yield tray
        finally:
            if tray is not None:
                tray.close()

    @classmethod
    def open(cls, spool: Path) -> Self | None:
        """As ``within``; ``close`` it."""
        try:
            if spool.stat().st_uid != os.geteuid():  # root may write there, but the store could not move what is root's
                return None
            with _alone(spool):
                _sweep(spool)
                folder = spool / secrets.token_hex(16)
                folder.mkdir(mode=0o700)
                held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(held, fcntl.LOCK_EX)
        except OSError:
            return None
        return cls(folder, held)

    def place(self) -> Path:
        """For a new file, or a new folder."""
        self._count += 1
        return self._folder / str(self._count)

    def reserve(self, size: int) -> bool:
        """Of the disk, for what is written next: ``release`` what was, or will not be. False where there is room only
        for what the store keeps for itself. From any thread. Raises OSError."""
        with self._lock:
            found = has_room(self._folder, self._reserved + size)
            self._reserved += size if found else 0
            return found

    def release(self, size: int) -> None:
        with self._lock:
            self._reserved -= size

    @staticmethod
    def name(place: Path) -> str:
        """As a request says it."""
        return f"{place.parent.name}/{place.name}"

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._held)


@contextmanager
def _alone(spool: Path) -> Iterator[None]:
    """Nobody else makes a tray, or removes one."""
    held = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _sweep(spool: Path) -> None:
    """Trays whose makers are no more. What cannot go, or is no tray, stays: nothing waits for it."""
    for tray in spool.iterdir():
        with suppress(OSError):  # another user's, no folder, or one whose maker has just removed it
            held = os.open(tray, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(tray, ignore_errors=True)
            finally:
                os.close(held)
