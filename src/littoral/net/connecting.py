"""Connections to others without TLS, on a transport of ours: so they have their share in the loop's turns."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from littoral.net.transport import AT_ONCE, SocketTransport
from littoral.net.turns import Turns


class AskingTransport(SocketTransport):
    """Who asks hears the answer of a server that gave it and hung up before the whole request had been sent."""

    __slots__ = ()
    asks = True

    def _unsendable(self, problem: OSError) -> None:
        if self._closing:
            self._drop(problem)
            return
        self._forget_unsent()
        if self._ended:
            return  # its last words and its end are on their way to the protocol
        with contextlib.suppress(OSError):
            while data := self._recv(AT_ONCE):
                self._turns.received(self, data)
        self._unreadable(problem)


async def connected(host: str, port: int, factory: Callable[[], asyncio.Protocol]) -> None:
    """Connect to the first address of the host that takes it. Raises OSError."""
    loop = asyncio.get_running_loop()
    problem: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
        else:
            AskingTransport(Turns.of_loop(), sock, address).begin(factory)
            return
    raise problem or OSError(f"{host} has no address")
