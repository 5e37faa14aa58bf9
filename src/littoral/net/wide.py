"""A connection that goes on in wide records after its TLS handshake (``protocols.widerecords``), at either end.

Owns: agreeing, and reading and writing the socket beneath TLS. ALPN says whether the other side knows of them, so
nobody else notices anything. Each side then sends its contribution to the keys as its one TLS record, and reads the
other's; OpenSSL reads whole records and nothing beyond, so what follows is found in the socket.

    handshake → contributions, by TLS → wide records, and bodies in frames → END, or a cut
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, overload

from littoral.protocols.widerecords import (
    ALPN,
    CONTRIBUTION,
    NARROW,
    RECORD,
    BadRecord,
    FramedBody,
    Incoming,
    Opener,
    Sealer,
    Worn,
    sealed_size,
    secrets,
)
from littoral.spare import Spare

PROTOCOLS: Final = (ALPN, "http/1.1")  # what either side offers
STRETCH: Final = 1024 * 1024  # bytes of content that are received or sent by one call at most
RECEIVED: Final = sealed_size(STRETCH)
QUICK: Final = 1.0  # seconds that a stretch may take on a link for wide records
_received = Spare(lambda: memoryview(bytearray(RECEIVED)))


class Greeting:
    """Ends TLS's part of a connection whose handshake is done."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls
        self._own = os.urandom(CONTRIBUTION)
        self._sent = False

    @staticmethod
    def agreed(tls: ssl.SSLSocket) -> bool:
        """Whether it goes on in wide records. Raises SSLError where TLS is too old for them."""
        if tls.selected_alpn_protocol() != ALPN:
            return False
        if tls.version() != "TLSv1.3":
            raise ssl.SSLError(f"wide records want TLS 1.3, not {tls.version()}")
        return True

    def secrets(self) -> tuple[Sealer, Opener]:
        """Again where it raises SSLWantReadError or SSLWantWriteError. Raises SSLError, OSError."""
        if not self._sent:
            self._tls.write(self._own)
            self._sent = True
        theirs = self._tls.read(CONTRIBUTION)
        if len(theirs) != CONTRIBUTION or self._tls.pending():
            raise ssl.SSLError("no contribution to the keys of wide records came")
        if self._tls.server_side:
            inward, outward = secrets(theirs, self._own)
        else:
            outward, inward = secrets(self._own, theirs)
        return Sealer(outward), Opener(inward)


class Wide:
    """Stands where an SSLSocket stood: the same calls, the same exceptions. Beneath lies that one's socket."""

    def __init__(self, tls: ssl.SSLSocket, sealer: Sealer, opener: Opener) -> None:
        self._sock = tls
        self._sealer = sealer
        self._incoming = Incoming(opener)
        self._problem: ssl.SSLError | None = None
        self._unsent = memoryview(b"")  # sealed
        self._taken = 0  # bytes of content in that
        self._large: memoryview | None = None  # room for a stretch, sealed
        self._parted = False

    # ------------------------------------------------------------------------------------------ reading

    @overload
    def read(self, size: int, room: None = None) -> bytes: ...
    @overload
    def read(self, size: int, room: memoryview) -> int: ...
    def read(self, size: int, room: memoryview | None = None) -> bytes | int:
        """What is there, nothing at the end. Raises SSLWantReadError; any other SSLError is the connection's end."""
        if room is not None:
            return self._read_into(room[:size])
        made = memoryview(bytearray(size))
        return bytes(made[: self._read_into(made)])

    def _read_into(self, room: memoryview) -> int:
        incoming, made = self._incoming, 0
        with self._refusing():
            while not made and incoming.ready:
                made = incoming.take(room)
            if made or incoming.ended:
                return made
            with _received.lent() as memory:
                while not (made or incoming.ended):
                    made = incoming.take(room) if incoming.ready else self._receive(room, memory)
        return made

    def _receive(self, room: memoryview, memory: memoryview) -> int:
        buffers = self._incoming.buffers(room, memory)
        return self._incoming.received(self._came(buffers), room, memory)

    def _came(self, buffers: Sequence[memoryview]) -> int:
        try:
            count = socket.socket.recvmsg_into(self._sock, buffers)[0]
        except (BlockingIOError, InterruptedError) as nothing:
            raise ssl.SSLWantReadError from nothing
        if not count:
            raise BadRecord("the connection was cut")
        return count

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What is refused once ends the connection."""
        if self._problem is not None:
            raise self._problem
        try:
            yield
        except BadRecord as problem:
            self._problem = ssl.SSLError(str(problem))
            raise self._problem from problem

    def pending(self) -> int:
        """Not 0 where a read has something to say for which nothing need come."""
        return self._incoming.ready or self._problem is not None or self._incoming.ended

    # ------------------------------------------------------------------------------- reading a body in frames

    @property
    def body(self) -> FramedBody | None:
        """One that begins here, and may be read as it was sealed: see ``lending.Framed``."""
        return self._incoming.body

    def read_sealed(self, room: memoryview) -> int:
        """Frames as they came, in order; 0 where there are no more. Raises as ``read``."""
        with self._refusing():
            taken, wanted = self._incoming.take_sealed(room)
            if not wanted:
                return taken
            try:
                count = self._came((room[taken : taken + wanted],))
            except ssl.SSLWantReadError:
                if taken:
                    return taken
                raise
            self._incoming.came_sealed(count)
            return taken + count

    def put_back(self, begun: memoryview) -> None:
        """At the end of that: what is no whole frame."""
        with suppress(ssl.SSLError), self._refusing():  # the next read says so
            self._incoming.put_back(begun)

    # ------------------------------------------------------------------------------------------ writing

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes of it are sent. Raises SSLWantWriteError: try again with the same, or more."""
        if not self._unsent:
            room = self._room(len(data))
            try:
                self._taken, made = self._sealer.seal_into(memoryview(data), room)
            except Worn:
                raise ssl.SSLError("the connection has sent as much as its key may seal") from None
            self._unsent = room[:made]
        self._flush()
        return self._taken

    def _room(self, size: int) -> memoryview:
        if size <= NARROW:
            return memoryview(bytearray(sealed_size(size, NARROW)))
        if self._large is None:
            self._large = memoryview(bytearray(sealed_size(STRETCH, NARROW)))  # in frames it has less
        return self._large

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[socket.socket.send(self._sock, self._unsent) :]
        except (BlockingIOError, InterruptedError) as full:
            raise ssl.SSLWantWriteError from full

    def unwrap(self) -> None:
        """Say that nothing follows. Raises SSLWantReadError where the other side has not said so."""
        self._flush()
        if not self._parted:
            self._parted = True
            self._unsent = memoryview(self._sealer.end())
            self._flush()
        if not self._incoming.ended:
            raise ssl.SSLWantReadError

    def link_is(self, *, quick: bool) -> None:
        """In wide records then, else in those of TLS's width: of none anything is of use before it is whole."""
        self._sealer.width = RECORD if quick else NARROW

    @property
    def worn(self) -> bool:
        """Not to be used for another request."""
        return self._sealer.worn or self._incoming.worn


class WideSocket(Wide):
    """A client's, with a timeout. Its records are wide when a stretch has gone quickly."""

    def send(self, data: memoryview) -> int:
        began = time.monotonic()
        taken = self.write(data)
        if taken == STRETCH:
            self.link_is(quick=time.monotonic() - began < QUICK)
        return taken

    def begin_body(self, head: bytes, size: int) -> FramedBody | None:
        """Send the head of a request whose body follows in frames (``send_frames``). None where it shall be sent like
        the rest: it is small, or the link is not known to be quick, and of a frame's bytes none are of use to the other
        side before all are there."""
        if size < STRETCH or len(head) > NARROW or self._sealer.width != RECORD or self.worn:
            return None
        records, body = self._sealer.body(head, size)
        self._unsent = memoryview(records)
        self._flush()
        return body

    def send_frames(self, body: FramedBody, data: memoryview) -> None:
        """The next of its content: whole stretches, but for the last."""
        began, room = time.monotonic(), self._room(STRETCH)
        self._unsent = room[: body.seal_into(data, room)]
        self._flush()
        if time.monotonic() - began >= QUICK:
            self.link_is(quick=False)

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.write(view) :]

    def recv(self, size: int) -> bytes:
        return self.read(size)

    def recv_into(self, room: memoryview) -> int:
        return self.read(len(room), room)

    def recv_record(self) -> bytes:
        """The next record, and no byte of what follows it; nothing at the end. Raises OSError."""
        first = self.read(1)  # for which no more is received than any record has
        return first + self.read(RECORD) if first and self.pending() else first

    def recv_beneath(self, room: memoryview) -> int:
        """What follows a record and is none, as its content has said."""
        return socket.socket.recv_into(self._sock, room)

    def settimeout(self, seconds: float) -> None:
        self._sock.settimeout(seconds)

    def cut(self) -> None:
        """From any thread. Nothing is said to the other side."""
        socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """At once; the end is said where that takes no waiting."""
        with self._sock, suppress(OSError):
            self._sock.settimeout(0)
            self.unwrap()


def widened(tls: ssl.SSLSocket) -> ssl.SSLSocket | WideSocket:
    """A client's connection after its handshake, in wide records where the server knows of them. Raises OSError."""
    return WideSocket(tls, *Greeting(tls).secrets()) if Greeting.agreed(tls) else tls
