"""How an instance's process is started, with its socket, its log and its mailbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any

from littoral.functions.instance import Instance
from littoral.functions.keeper import Keeper
from littoral.functions.mailbox import Mailbox


async def open_instance(
    keeper: Keeper,
    instance: Instance,
    cell: Mapping[str, Any],
    *,
    spec: Mapping[str, Any] | None = None,
    program: tuple[list[str], dict[str, str]] | None = None,
    folder: str | None = None,
    beside: Mapping[str, Any] | None = None,
    mailbox: bool = False,
) -> None:
    """Start an instance's process: a fork with ``spec`` (Python), or ``program`` = (arguments, environment).
    ``cell``: see ``Ground.cell``; ``beside``: extensions, see ``Keeper.fork``.

    Returns at once, before the init phase; raises KeeperGone.
    """
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    log_read, log_write = os.pipe()
    os.fchmod(log_write, 0o622)  # another user's function may open /dev/stderr, which leads here
    if mailbox:
        instance.mailbox = Mailbox()
    try:
        with theirs:
            fds = [theirs.fileno(), log_write, *([instance.mailbox.theirs] if instance.mailbox is not None else [])]
            if spec is not None:
                number = keeper.fork(cell, dict(spec), fds, instance, beside=beside)
            elif program is not None:
                number = keeper.execute(cell, *program, fds, instance, folder=folder, beside=beside)
            else:
                raise ValueError("an instance is a fork or a program")
    except BaseException:
        ours.close()
        os.close(log_read)
        raise
    finally:
        os.close(log_write)
    instance.process.is_of(keeper, number)
    instance.log.is_at(log_read)
    ours.setblocking(False)
    with contextlib.suppress(OSError):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    try:
        await loop.create_unix_connection(lambda: instance, sock=ours)
    except BaseException:
        instance.kill()
        ours.close()
        raise
