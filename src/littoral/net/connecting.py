"""Connections to others without TLS, on a transport of ours: so they have their share in the loop's turns."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from littoral.net.transport import SocketTransport, Turns


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
            SocketTransport(Turns.of_loop(), sock, address).begin(factory)
            return
    raise problem or OSError(f"{host} has no address")
