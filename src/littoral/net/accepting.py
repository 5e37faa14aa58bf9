"""Accepting connections one by one, so that a gate may refuse one before anything is made for it.

Owns: listening sockets, who is next of those that were accepted, and what happens when descriptors run out. Knows no
protocol and no limits: a ``Gate`` decides by the address alone. What it refuses is reset at once, which costs three
system calls; who is refused all the time is not heard for a while (``silence``). What it lets in gets a transport of
ours (``transport``, ``secure``).

The kernel's queue is first come, first served: behind a flood of connections a client waits for all of them. So it is
emptied in each turn of the loop, which costs little, and the waiting is done here, where who comes seldom goes first
(``protocols.shield.FairQueue``); who has gone meanwhile costs no more than being forgotten.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from littoral.net.hello import Looks
from littoral.net.secure import TlsTransport
from littoral.net.silence import GONE, LOOK, Silence
from littoral.net.transport import SocketTransport
from littoral.net.turns import Turns
from littoral.protocols.shield import FairQueue, client_of

log = logging.getLogger("littoral.net")

ACCEPTING = 0.005  # seconds of accepting at most, in a turn of the loop: seldom needed
SERVING = 0.003  # seconds of making something of what was accepted, before others of the loop have their turn
ROOM = 4096  # connections that wait here
PAUSE = 0.2  # seconds without accepting when there is no descriptor left
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets, and leaves nothing behind
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Gate(Protocol):
    """Who may connect. Each ``arrives`` that was True is followed by one ``leaves``."""

    def arrives(self, host: str) -> bool: ...

    def leaves(self, host: str) -> None: ...

    def crowded_out(self, host: str) -> None:
        """A connection that arrived leaves unserved: too many wait, and of its client's the most."""


class Everybody:
    """The gate of a listener that has none."""

    def arrives(self, host: str) -> bool:
        return True

    def leaves(self, host: str) -> None:
        """Nobody counts."""

    def crowded_out(self, host: str) -> None:
        """Nobody is: who does not fit in waits in the kernel's queue."""


class Acceptor:
    """Serves ``factory`` on listening sockets."""

    def __init__(
        self,
        sockets: list[socket.socket],
        factory: Callable[[], asyncio.Protocol],
        gate: Gate | None,
        tls: ssl.SSLContext | None,
        exhausted: Callable[[], object],
        looks: Looks | None = None,
        plain: type[SocketTransport] = SocketTransport,
    ) -> None:
        """``exhausted`` is called when there is no descriptor for a connection: whoever can should close some. Where
        ``looks`` says so, fingerprints are taken of clients that speak TLS. ``plain`` is the transport without TLS."""
        self.sockets = sockets
        self._factory = factory
        self._gate = Everybody() if gate is None else gate
        self._refusing = gate is not None
        self._waiting: FairQueue[tuple[socket.socket, Any]] = FairQueue()
        self._serving = False  # those who wait have a turn to come
        self._tls = tls
        self._exhausted = exhausted
        self._looks = looks
        self._plain = plain
        self._loop = asyncio.get_running_loop()
        self._turns = Turns.of_loop()
        self._handshakes: set[TlsTransport] = set()
        self._silence = Silence(sockets)
        self._looking: asyncio.TimerHandle | None = None
        self._closed = False
        for each in sockets:
            self._loop.add_reader(each.fileno(), self._readable, each)

    def _readable(self, listening: socket.socket) -> None:
        self._accept(listening)
        if len(self._waiting) > ROOM:
            for _, (accepted, address) in self._waiting.cut(ROOM - ROOM // 8):
                self._gate.crowded_out(_host(address))
                self._reset(accepted, _host(address))
        if not self._serving:
            self._serve()

    def _accept(self, listening: socket.socket) -> None:
        """All that wait in the kernel's queue, so far as there is time."""
        end = time.monotonic() + ACCEPTING
        taken = False
        while time.monotonic() < end and (self._refusing or len(self._waiting) < ROOM):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as problem:
                if problem.errno not in _EXHAUSTED:
                    raise
                if not taken:  # the kernel wants a descriptor before it looks whether anybody waits
                    self._rest(listening, problem)
                return
            taken = True
            host = _host(address)
            if not self._gate.arrives(host):
                self._reset(accepted, host)
            elif _gone(accepted):
                self._gate.leaves(host)
                accepted.close()
                self._unwelcome(host, GONE)
            else:
                self._waiting.add(client_of(host), (accepted, address))

    def _reset(self, accepted: socket.socket, host: str) -> None:
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        accepted.close()
        self._unwelcome(host)

    def _unwelcome(self, host: str, times: int = 1) -> None:
        if self._silence.refused(client_of(host), self._loop.time(), times):
            self._look()

    def _serve(self) -> None:
        end = time.monotonic() + SERVING
        while self._waiting and not self._closed:
            _, (accepted, address) = self._waiting.take()
            self._adopt(accepted, address, _host(address))
            if time.monotonic() >= end:
                break
        self._serving = bool(self._waiting) and not self._closed
        if self._serving:
            self._loop.call_soon(self._serve)

    def _look(self) -> None:
        """Who is refused all the time is not heard at all for a while."""
        if self._closed:
            return
        self._silence.look(self._loop.time())
        if self._silence and self._looking is None:
            self._looking = self._loop.call_later(LOOK, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self._look()

    def _adopt(self, accepted: socket.socket, address: Any, host: str) -> None:
        try:
            if _gone(accepted):
                raise ConnectionResetError
            accepted.setblocking(False)
            if self._tls is None:
                transport = self._plain(self._turns, accepted, address)
            else:
                gone = partial(self._gate.leaves, host)
                transport = TlsTransport(self._turns, accepted, address, self._tls, gone, self._handshakes, self._looks)
        except OSError as problem:  # it has gone again
            log.debug("no connection with %s: %s", host, problem)
            self._gate.leaves(host)
            accepted.close()
            return
        transport.begin(self._factory)

    def _rest(self, listening: socket.socket, problem: OSError) -> None:
        log.error("cannot accept connections for a moment: %s", os.strerror(problem.errno or 0))
        self._loop.remove_reader(listening.fileno())
        self._loop.call_later(PAUSE, self._resume, listening)
        self._exhausted()

    def _resume(self, listening: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listening.fileno(), self._readable, listening)

    def close(self) -> None:
        """Accept no more; handshakes under way end."""
        if self._closed:
            return
        self._closed = True
        for each in self.sockets:
            self._loop.remove_reader(each.fileno())
            each.close()
        while self._waiting:
            _, (accepted, address) = self._waiting.take()
            self._gate.leaves(_host(address))
            accepted.close()
        for transport in list(self._handshakes):
            transport.abort()


def _gone(accepted: socket.socket) -> bool:
    """Whether the other side has reset it."""
    return accepted.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def _host(address: Any) -> str:
    return address[0] if isinstance(address, tuple) else ""  # a Unix socket has none


def bound(host: str, port: int, backlog: int, reuse_port: bool = False) -> list[socket.socket]:
    """Listening sockets on every address that the host has, all with one port (0: a free one). Raises OSError."""
    made: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            one = socket.socket(family, kind, protocol)
            made.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setblocking(False)
            one.bind((address[0], port, *address[2:]))
            one.listen(backlog)
            port = one.getsockname()[1]
    except BaseException:
        for one in made:
            one.close()
        raise
    return made
