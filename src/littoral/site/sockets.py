"""Where Unix sockets lie: their paths are short by law of the kernel."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from littoral.net.listen import HttpListener, listen_unix
from littoral.net.message import Handler

LONGEST_PATH = 80  # bytes of a folder whose sockets the kernel takes (sockaddr_un has 108)


def socket_folder(data: Path, name: str) -> Path:
    """In the data folder, of this user alone; elsewhere only where that path is too long for a socket."""
    folder = data / name
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    if len(os.fsencode(folder)) <= LONGEST_PATH:
        return folder
    usual = tempfile.gettempdir()
    short = usual if len(os.fsencode(usual)) <= LONGEST_PATH - 40 else "/tmp"  # noqa: S108 - made of this user alone
    named = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    chosen = Path(short) / f"littoral-{name}-{named}"  # the same after a place was killed: not one more for each start
    with contextlib.suppress(FileExistsError):
        chosen.mkdir(mode=0o700)
    return chosen if _own(chosen) else Path(tempfile.mkdtemp(prefix=f"littoral-{name}-", dir=short))


async def leave_sockets(data: Path, sockets: Path) -> None:
    """When a place stops: nothing of it stays outside its data folder."""
    if not sockets.is_relative_to(data):
        shutil.rmtree(sockets, ignore_errors=True)


def _own(folder: Path) -> bool:
    """Whether nobody else made it, or may look into it."""
    about = folder.lstat()
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o077


def shown_folder(sockets: Path) -> Path:
    """Within a folder of this user alone: for the sockets that functions see, whoever they run as. Their sandbox shows
    it to those that are to see it."""
    folder = sockets / "shown"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return folder


class Linked:
    """A listener on a Unix socket, and the link that says where it is."""

    def __init__(self, listener: HttpListener, link: Path) -> None:
        self._listener = listener
        self._link = link

    async def close(self, grace: float) -> None:
        self._link.unlink(missing_ok=True)
        await self._listener.close(grace)


async def listen_linked(handler: Handler, path: Path, link: Path) -> Linked:
    """HTTP on a Unix socket for this user alone; ``link`` is where whoever looks for it begins."""
    listener = await listen_unix(handler, path)
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    return Linked(listener, link)
