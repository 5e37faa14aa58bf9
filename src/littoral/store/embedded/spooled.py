"""Files that come out of a store's spool, or go there (``store.spool``): moved and linked, by a thread."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from errno import ELOOP, EXDEV
from pathlib import Path
from typing import Final

from littoral.lasting import until_done
from littoral.store.contract import StorageFailed
from littoral.store.durable import fsync_folder
from littoral.store.spool import SUMS, NotSpooled
from littoral.store.sums import BLOCK, WIDTH

NOT_HERE: Final = (
    FileNotFoundError,
    PermissionError,
    NotADirectoryError,
)  # nor is what lies on another disk, or elsewhere


async def take_file(file: Path, made: Path, sums: bytes) -> int:
    """Move it, durably; its size. Where that fails nothing is at ``made``. Raises NotSpooled, StorageFailed."""
    moving = asyncio.get_running_loop().run_in_executor(None, _moved, file, made, sums)
    try:
        await until_done([moving])
        return moving.result()
    except BaseException as problem:
        with suppress(OSError):  # a disk that is gone; opening the store cleans up
            await asyncio.to_thread(made.unlink, missing_ok=True)
        if isinstance(problem, NOT_HERE) or (isinstance(problem, OSError) and problem.errno in (EXDEV, ELOOP)):
            raise NotSpooled(f"{file.name}: {problem.strerror}") from problem
        if isinstance(problem, OSError):
            raise StorageFailed(f"{file.name}: {problem}") from problem
        raise


def _moved(file: Path, made: Path, sums: bytes) -> int:
    opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)  # nobody waits for a FIFO's end
    try:
        told = os.fstat(opened)
        if not stat.S_ISREG(told.st_mode) or told.st_nlink != 1:
            raise NotSpooled(f"{file.name} is no file that nobody else has")
        if len(sums) != -(-told.st_size // BLOCK) * WIDTH:
            raise NotSpooled(f"{file.name}: these are not the sums of {told.st_size} bytes")
        os.fsync(opened)
    finally:
        os.close(opened)
    file.rename(made)
    fsync_folder(made.parent)
    return told.st_size


async def lay_files(files: Sequence[tuple[Path, bytes | None]], folder: Path) -> bool:
    """Link them into a new folder, and their sums. False, and nothing of it stays, where that cannot be."""
    laying = asyncio.get_running_loop().run_in_executor(None, _laid, files, folder)
    await until_done([laying])
    return laying.result()


def _laid(files: Sequence[tuple[Path, bytes | None]], folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700)
        for number, (file, _) in enumerate(files):
            (folder / f"{number:06}").hardlink_to(file)
        (folder / SUMS).write_bytes(b"".join(sums or b"" for _, sums in files))
    except FileExistsError:
        return False
    except OSError:  # it has just been replaced, or the file system knows no such links
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True
