"""Who is at the other end of a loopback connection: the processes that hold its socket. Linux only.

The kernel is asked for that one socket (sock_diag, inet_diag(7)): /proc/net/tcp is the whole table, which took 6 ms.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable

_REQUEST = struct.Struct("=IHHIIBBBxIHH16s16sIII")
_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_ASKED = 1  # NLM_F_REQUEST
_NETLINK_SOCK_DIAG = 4
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF
_HEADER = 16  # of a netlink message
_INODE = _HEADER + 68  # in the answer: struct inet_diag_msg
_LOOPBACK = socket.inet_aton("127.0.0.1") + bytes(12)


def holds(pids: Iterable[int], port: int, listener: int) -> bool:
    """Whether one of the processes has the loopback TCP socket from ``port`` to ``listener``. Raises OSError where the
    kernel cannot be asked."""
    inode = socket_inode(port, listener)
    if inode is None:
        return False
    wanted = f"socket:[{inode}]"
    return any(wanted in _open_files(pid) for pid in pids)


def socket_inode(port: int, listener: int) -> int | None:
    """Of the socket on 127.0.0.1 from ``port`` to ``listener``; None when there is none. Raises OSError."""
    ports = socket.htons(port), socket.htons(listener)
    request = _REQUEST.pack(
        *(_REQUEST.size, _FAMILY, _ASKED, 0, 0),
        *(socket.AF_INET, socket.IPPROTO_TCP, 0, _ALL_STATES),
        *(*ports, _LOOPBACK, _LOOPBACK, 0, _NO_COOKIE, _NO_COOKIE),
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(request)
        answer = kernel.recv(4096)
    if struct.unpack_from("=H", answer, 4)[0] != _FAMILY:  # an error: there is no such socket
        return None
    inode: int = struct.unpack_from("=I", answer, _INODE)[0]
    return inode


def _open_files(pid: int) -> set[str]:
    folder = f"/proc/{pid}/fd"
    found: set[str] = set()
    try:
        names = os.listdir(folder)  # noqa: PTH208 - hundreds of them
    except OSError:  # it ended
        return found
    for name in names:
        with contextlib.suppress(OSError):  # closed meanwhile
            found.add(os.readlink(f"{folder}/{name}"))  # noqa: PTH115
    return found
