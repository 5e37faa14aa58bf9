"""Looking at a ClientHello before OpenSSL takes it: the bytes stay where they are, in the kernel.

Owns: how to wait for the rest of one that is not all there. What is read out of it is ``protocols.clienthello``'s.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from littoral.protocols.clienthello import LONGEST, ja3, ja4, read

LOOKS = 16  # at one connection
Looks = Callable[[], bool]  # whether anybody asks for fingerprints


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Of the client that made a connection: 32 and 36 characters."""

    ja3: str
    ja4: str


def look(sock: socket.socket, *, last: bool) -> Fingerprints | bool:
    """The fingerprints; True when there is more to come: the socket is readable again when it is here, or when nothing
    more comes, but never at the ``last`` look; False when there are none. Raises BlockingIOError, OSError."""
    data = sock.recv(LONGEST, socket.MSG_PEEK)
    found = read(data)
    if isinstance(found, int) and found <= LONGEST and not last and 0 < len(data) >= _lowest(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, found)
        return True
    if _lowest(sock) > 1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    if found is None or isinstance(found, int):
        return False
    return Fingerprints(ja3(found), ja4(found))


def _lowest(sock: socket.socket) -> int:
    """Bytes that must be here before the socket counts as readable."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
