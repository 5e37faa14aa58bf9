"""Connections to others, on transports of ours: so they have their share in the loop's turns, and lose nothing that
came before its end. (uvloop's TLS throws away what it holds back for a protocol that has paused it when the end comes.)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from littoral.net.secure import TlsTransport
from littoral.net.transport import AT_ONCE, SocketTransport
from littoral.net.turns import Turns

Factory = Callable[[], asyncio.Protocol]


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


class AskingTls(AskingTransport, TlsTransport):
    """``shake`` it. An end without close_notify is an error: where nothing else says how long an answer is, it may have
    been cut by anybody (RFC 9112, 9.8)."""

    __slots__ = ("_name", "_shaken")

    def __init__(self, turns: Turns, sock: socket.socket, peername: Any, context: ssl.SSLContext, name: str | None):
        super().__init__(turns, sock, peername, context, lambda: None, set())
        self._name = name
        self._shaken: asyncio.Future[None] = self._loop.create_future()

    async def shake(self, factory: Factory) -> None:
        """Make the protocol when the handshake is done. Raises OSError; who is cancelled leaves no connection."""
        try:
            self.begin(factory)
            self._hello()
            await self._shaken
        except BaseException:
            self.abort()
            raise

    def _wrapped(self) -> ssl.SSLSocket:
        return self._context.wrap_socket(
            self._sock, server_hostname=self._name, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )

    def _established(self) -> None:
        super()._established()
        if not self._shaken.done():
            self._shaken.set_result(None)

    def _refuse(self, problem: OSError | None) -> None:
        super()._refuse(problem)
        if not self._shaken.done():
            self._shaken.set_exception(problem or ConnectionAbortedError("the handshake was given up"))

    def _finish(self) -> None:
        """The goodbye is said, and nobody waits for the other one's: all that was wanted of it has come."""
        with contextlib.suppress(OSError, ValueError):
            if self._through is not None:
                self._through.unwrap()
        self._drop(None)


async def connected(
    host: str, port: int, factory: Factory, tls: ssl.SSLContext | None = None, name: str | None = None
) -> None:
    """Connect to the first address of the host that takes it; ``name`` is the server's, for TLS. Raises OSError."""
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
            if tls is None:
                AskingTransport(Turns.of_loop(), sock, address).begin(factory)
            else:
                await AskingTls(Turns.of_loop(), sock, address, tls, name).shake(factory)
            return
    raise problem or OSError(f"{host} has no address")
