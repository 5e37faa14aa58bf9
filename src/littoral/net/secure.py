"""The transport of a TLS connection, an accepted one: OpenSSL reads and writes the descriptor itself. One to others
differs in how it begins and ends (``connecting``).

Owns: the handshake and its time limit, records, the goodbye. Everything else is ``transport.SocketTransport``'s. What
loops have for TLS keeps the bytes of both directions in memory between the socket and OpenSSL; here there is nothing
between, so a request is one SSL_read, one SSL_write, and no read that is in vain: readiness tells of more.

    first byte → ClientHello looked at, where anybody asks → handshake
    → protocol made → … → close_notify → the other side ends

Where both ends know of wide records (``wide``), the connection goes on in these.

Before the first byte a connection is a socket and a timer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from itertools import islice
from typing import Any, cast

from littoral.net.hello import LOOKS, Fingerprints, Looks, look
from littoral.net.lending import NOTHING, Framed, Lent
from littoral.net.outward import NO_ROOM
from littoral.net.transport import AT_ONCE, GOODBYE, READ, SocketTransport
from littoral.net.turns import Turns
from littoral.net.wide import Greeting, Wide

log = logging.getLogger("littoral.net")

HANDSHAKE = 15.0  # seconds from the connection to the end of its handshake
RECORD = 16 * 1024  # bytes of one SSL_write, which makes one record
STILL_SENDING = "APPLICATION_DATA_AFTER_CLOSE_NOTIFY"  # OpenSSL has said the goodbye, and then found more to read


class TlsTransport(SocketTransport):
    """``begin`` awaits the handshake and then makes the protocol; ``gone`` is called when it comes to nothing."""

    __slots__ = (
        "_context",
        "_factory",
        "_fingerprints",
        "_gone_early",
        "_greeting",
        "_handshakes",
        "_looked",
        "_looks",
        "_read_waits",
        "_through",
        "_tls",
        "_write_waits",
    )

    def __init__(
        self,
        turns: Turns,
        sock: socket.socket,
        peername: Any,
        context: ssl.SSLContext,
        failed: Callable[[], None],
        handshakes: set[TlsTransport],
        looks: Looks | None = None,
    ) -> None:
        """``handshakes`` are those under way: without a protocol."""
        super().__init__(turns, sock, peername)
        self._context = context
        self._gone_early: Callable[[], None] | None = failed
        self._tls: ssl.SSLSocket | None = None
        self._through: ssl.SSLSocket | Wide | None = None  # whoever reads and writes
        self._greeting: Greeting | None = None
        self._bulk = READ  # a read never gives more than one record
        self._read_waits = False  # for room to write: OpenSSL answers something that it has read
        self._write_waits = False  # for something to read
        self._timer = self._loop.call_later(HANDSHAKE, self._too_late)
        self._handshakes = handshakes
        self._looks = looks
        self._looked = 0
        self._fingerprints: Fingerprints | None = None

    # ---------------------------------------------------------------------------------------- handshake

    def begin(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._handshakes.add(self)
        self._reading = True
        self._loop.add_reader(self._fd, self._hello)

    def _hello(self) -> None:
        try:
            if self._looks is not None and self._looks() and self._look():
                return
            self._tls = self._sock = self._wrapped()
        except NOTHING:
            return
        except OSError as problem:  # it has gone
            self._refuse(problem)
            return
        self._through = self._tls
        self._recv, self._send = self._tls.read, self._tls.write
        self._loop.add_reader(self._fd, self._shake)
        self._shake()

    def _wrapped(self) -> ssl.SSLSocket:
        return self._context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)

    def _look(self) -> bool:
        """True where more of the ClientHello is still to come; one that comes in crumbs is not waited for."""
        self._looked += 1
        found = look(self._sock, last=self._looked == LOOKS)
        if isinstance(found, bool):
            return found
        self._fingerprints = found
        return False

    def _shake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
            if Greeting.agreed(self._tls):
                self._widen(self._tls)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._full = True
            self._loop.add_writer(self._fd, self._shake)
            return
        except OSError as problem:
            self._refuse(problem)
            return
        self._established()

    def _established(self) -> None:
        self._stop_timer()
        if self._full:
            self._full = False
            self._loop.remove_writer(self._fd)
        self._handshakes.discard(self)
        self._gone_early = None
        super().begin(self._factory)
        del self._factory

    def _widen(self, tls: ssl.SSLSocket) -> None:
        if self._greeting is None:
            self._greeting = Greeting(tls)
        self._through = wide = Wide(tls, *self._greeting.secrets())
        self._recv, self._send = wide.read, wide.write
        self._bulk = AT_ONCE

    def _too_late(self) -> None:
        self._timer = None
        self._refuse(TimeoutError("the handshake did not come in time"))

    def _refuse(self, problem: OSError | None) -> None:
        """No connection: nobody but the gate has heard of it."""
        log.debug("no connection with %s: %s", self._peername, problem)
        self._drop(problem)

    def _gone(self, problem: Exception | None) -> None:
        self._stop_timer()
        self._handshakes.discard(self)
        failed, self._gone_early = self._gone_early, None
        if failed is None:
            super()._gone(problem)
            return
        self._sock.close()
        failed()

    # ------------------------------------------------------------------------------------------ records

    def _readable(self) -> None:
        if self._write_waits:
            self._write_waits = self._full = False
            self._writable()
        super()._readable()
        if self._greeting is not None:
            self._read_on_soon()

    def resume_reading(self) -> None:
        super().resume_reading()
        self._read_on_soon()

    def go_on(self) -> None:
        super().go_on()
        self._read_on_soon()

    def _read_on_soon(self) -> None:
        """Of a record that did not fit into its room the rest is kept, and no readiness tells of that."""
        if self._through is not None and not self._dropped and self._through.pending():
            self._loop.call_soon(self._read_kept)

    def _read_kept(self) -> None:
        if self._reading and not (self._closing or self._ended):
            self._readable()

    def take_now(self, room: memoryview) -> int:
        """Record by record, each decrypted right into the room."""
        assert self._through is not None
        most, count, read = len(room), 0, self._through.read
        try:
            while count < most:
                got = cast(int, read(most - count, room[count:]))
                if not got:
                    break
                count += got
        except OSError:  # NOTHING, too
            if not count:  # else the next read meets it again
                raise
        return count

    def framed(self) -> Framed | None:
        through = self._through
        return through if isinstance(through, Wide) and through.body is not None else None

    def lend(self) -> Lent | None:
        """OpenSSL has one state for both directions: nothing is sent meanwhile, as if there were no room for it."""
        if self._size or self._queued or self._full or self._read_waits:
            return None
        lent = super().lend()
        if lent is not None:
            self._full = True
        return lent

    @property
    def lends_out(self) -> bool:
        return isinstance(self._through, Wide)

    def link_is(self, *, quick: bool) -> None:
        if isinstance(self._through, Wide):
            self._through.link_is(quick=quick)

    def returned(self) -> None:
        self._full = False
        super().returned()
        if self._dropped:
            return
        self._read_on_soon()
        if self._size and not self._queued:
            self._queued = True
            self._turns.unsent(self)
        elif self._closing:
            self._finish()

    def flush(self) -> None:
        super().flush()
        if self._lent is not None:
            self._lent.recall()

    def _unreadable(self, problem: OSError) -> None:
        if isinstance(problem, ssl.SSLWantWriteError):
            self._read_waits = True
            self._ignore()
            self._await_room(problem)
        else:
            super()._unreadable(problem)

    def _writable(self) -> None:
        if self._read_waits:
            self._read_waits = False
            self._watch()
        super()._writable()

    def _await_room(self, why: OSError) -> None:
        if not isinstance(why, ssl.SSLWantReadError):
            super()._await_room(why)
            return
        self._write_waits = self._full = True
        if not self._reading:
            self._watch()

    def _push(self) -> int:
        buffer, offset = self._buffer, self._offset
        first = buffer[0]
        left = len(first) - offset
        if left > RECORD:
            return self._records(first, offset)
        if left == RECORD or len(buffer) == 1:
            return self._send(memoryview(first)[offset:] if offset else first)
        parts, left = [memoryview(first)[offset:]], RECORD - left  # a small head travels with what follows it
        for part in islice(buffer, 1, None):
            parts.append(memoryview(part)[:left])
            left -= len(part)
            if left <= 0:
                break
        return self._send(b"".join(parts))

    def _records(self, part: bytes, at: int) -> int:
        """Of a large part as many records as there is room for."""
        view, begin, end = memoryview(part), at, min(len(part), at + AT_ONCE)
        send = self._send
        try:
            while at < end:
                at += send(view[at : at + RECORD])
        except NO_ROOM:
            if at == begin:
                raise
        return at - begin

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None:
        raise NotImplementedError("a TLS connection is not closed by halves")

    # ------------------------------------------------------------------------------------------ goodbye

    def _finish(self) -> None:
        """By close_notify. The other side always ends first."""
        assert self._through is not None
        if self._lent is not None:
            self._lent.recall()
        if self._parted or self._lent is not None:
            return
        if self._timer is None:
            self._timer = self._loop.call_later(GOODBYE, self.abort)
        try:
            self._through.unwrap()
        except ssl.SSLWantReadError:  # said; the other side has not answered
            self._part()
        except ssl.SSLWantWriteError as why:
            self._await_room(why)
        except (OSError, ValueError) as problem:
            if getattr(problem, "reason", None) == STILL_SENDING:
                self._part()
            else:
                self._drop(None)
        else:
            self._drop(None)

    # ------------------------------------------------------------------------------------- what is known

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Also ``ssl_object``, ``sslcontext``, ``peercert``, ``cipher``, and ``fingerprints`` where any were taken."""
        if name == "ssl_object":
            return self._tls
        if name == "fingerprints":
            return self._fingerprints
        if name == "sslcontext":
            return self._context
        if name == "peercert" and self._tls is not None:
            return self._tls.getpeercert()
        if name == "cipher" and self._tls is not None:
            return self._tls.cipher()
        return super().get_extra_info(name, default)
