"""The transport of an accepted connection: a non-blocking socket that the loop's readiness drives, in stages.

Owns: reading, writing, pacing and closing of one socket. When what it has read is delivered and what was written is
sent, the loop's turn says (``turns``).

It is an ``asyncio.Transport`` with the meaning that asyncio gives it. TLS is ``secure.TlsTransport``, which differs in
how bytes are read and sent and in how a connection begins and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, ClassVar, cast

from littoral.net.lending import NOTHING, Framed, Lent
from littoral.net.outward import NO_ROOM, Outward
from littoral.net.turns import Turns
from littoral.protocols.shield import client_of

READ = 16 * 1024  # the most that one TLS record holds: after a read of it OpenSSL keeps nothing back
AT_ONCE = 256 * 1024  # bytes that one connection may read or write before it is others' turn
JOINED = 64 * 1024  # parts up to this are copied into one piece; larger ones are sent as they lie
PARTS = 64  # of one sendmsg
GOODBYE = 5.0  # seconds that the other side has to end after we have said that nothing follows
Piece = bytes | memoryview


class SocketTransport(asyncio.Transport):
    """A connection without TLS. ``begin`` makes its protocol. The socket is the transport's from now on."""

    __slots__ = (
        "_buffer",
        "_bulk",
        "_closing",
        "_dropped",
        "_ended",
        "_eof_due",
        "_fd",
        "_full",
        "_held",
        "_held_up",
        "_high",
        "_lent",
        "_loop",
        "_low",
        "_offset",
        "_parted",
        "_paused",
        "_peername",
        "_problem",
        "_protocol",
        "_queued",
        "_reading",
        "_recv",
        "_send",
        "_size",
        "_sock",
        "_stopped",
        "_timer",
        "_turns",
        "born",
        "unanswered",
        "waiting",
    )

    asks: ClassVar[bool] = False  # we have connected, and hear answers
    _recv: Callable[[int], bytes]
    _send: Callable[[Piece], int]

    def __init__(self, turns: Turns, sock: socket.socket, peername: Any) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._turns = turns
        self._sock = sock
        self._fd = sock.fileno()
        self._peername = peername
        self._protocol = cast(asyncio.Protocol, None)
        self._recv, self._send = sock.recv, sock.send
        self._lent: Lent | Outward | None = None  # a thread receives, or sends
        self._bulk = AT_ONCE  # how much is read when much comes
        self._reading = False  # the loop watches for bytes
        self._paused = False  # the protocol wants none
        self._held: list[bytes] = []  # read before it said so
        self._ended = False  # nothing more comes
        self._problem: OSError | None = None  # why not
        self._buffer: list[bytes] = []  # to be sent; of the first, ``_offset`` bytes are
        self._offset = 0
        self._size = 0  # bytes to be sent
        self._queued = False  # the turn will send
        self._full = False  # the loop watches for room
        self._stopped = False  # the protocol was told to write no more
        self._high, self._low = 64 * 1024, 16 * 1024
        self._eof_due = False
        self._closing = False
        self._dropped = False
        self._parted = False  # nothing follows, as is said; what comes is nobody's
        self._timer: asyncio.TimerHandle | None = None
        self.born = monotonic()
        self.unanswered = False  # see ``turns.Turning``
        self.waiting = 0  # how much of what it read waits for the turns to come
        self._held_up = False  # and no more is read until then
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._turns.joins(self)
        self._protocol = factory()
        try:
            self._protocol.connection_made(self)
        except Exception as error:  # noqa: BLE001 - a protocol that fails is one connection's end
            self._failed(error)
        if not (self._paused or self._closing):
            self._watch()

    # ------------------------------------------------------------------------------------------- reading

    def _watch(self) -> None:
        self._held_up = False
        self._reading = True
        self._loop.add_reader(self._fd, self._readable)

    def _ignore(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    @property
    def client(self) -> str:
        """Whose it is; who has no address counts alone."""
        return client_of(self._peername[0]) if isinstance(self._peername, tuple) else f"#{self._fd}"

    def go_on(self) -> None:
        """The turn's: something that waited is delivered now."""
        self.waiting -= 1
        if self._held_up and not (self.waiting or self._paused or self._ended or self._closing):
            self._watch()

    def _readable(self) -> None:
        if self._paused:
            self._ignore()  # not before: whoever pauses for a moment has no bytes to read meanwhile
            return
        if self.waiting:
            self._held_up = True
            self._ignore()
            return
        try:
            data = self._recv(READ)
            self._turns.received(self, data)
            self.unanswered = True
            if len(data) == READ:
                self._read_on()
            elif not data:
                self._end(None)
        except NOTHING:
            return
        except OSError as problem:
            self._unreadable(problem)

    def look_again(self) -> None:
        self.unanswered = False
        if self._reading and not (self._closing or self._ended):
            self._readable()

    def _read_on(self) -> None:
        """More is likely here. What ends the connection is found out by the next read."""
        left = AT_ONCE
        while left > 0:
            data = self._recv(self._bulk)
            if not data:
                return
            self._turns.received(self, data)
            left -= self._bulk
            if len(data) < READ:
                return

    def take_now(self, room: memoryview) -> int:
        """As much as is there now, into ``room``; 0 at the end. Raises NOTHING, OSError. The loop's, or the thread's
        that it is lent to."""
        return self._sock.recv_into(room)

    def framed(self) -> Framed | None:
        """A body that begins now and comes in frames."""
        return None

    def fileno(self) -> int:
        return self._fd

    def lend(self) -> Lent | None:
        """To a thread that receives; the loop reads no more until it is given back. What was read before is still
        delivered: see ``behind``. None where that may not be now."""
        if self._lent is not None or self._paused or self._closing or self._ended:
            return None
        if not (self._reading or self._held_up):
            return None
        self._lent = lent = Lent.to(self)
        if lent is not None:
            self._held_up = False
            self._ignore()
        return lent

    def behind(self) -> bool:
        """Whether something that it read is still to be delivered."""
        return not self._closing and (bool(self._held) or self._turns.holds(self))

    def returned(self) -> None:
        """By the thread."""
        lent, self._lent = self._lent, None
        assert lent is not None
        if self._dropped:
            if self._protocol is None:  # all but this is done
                self._sock.close()
        elif lent.problem is not None:
            self._unreadable(lent.problem)
        elif lent.ended:
            self._end(None)
            self._turns.received(self, b"")
        elif not (self._paused or self._closing or self._ended):
            self._watch()

    @property
    def lends_out(self) -> bool:
        """Whether a thread could send on it."""
        return True

    def lend_out(self) -> Outward | None:
        """To a thread that sends; the loop sends nothing until it is given back. None where that may not be now."""
        if self._lent is not None or self._closing or self._size or self._queued or self._full:
            return None
        self._lent = lent = Outward.to(self)
        self._full = lent is not None
        return lent

    def send_now(self, data: memoryview) -> int:
        """The thread's that it is lent to. Raises NO_ROOM, OSError."""
        return self._send(data)

    def link_is(self, *, quick: bool) -> None:
        """The thread's, too: it says how long a stretch has taken."""

    def returned_out(self) -> None:
        """By the thread that sent."""
        self._full = False
        self.returned()
        if self._size and not (self._queued or self._dropped):
            self._queued = True
            self._turns.unsent(self)

    def _unreadable(self, problem: OSError) -> None:
        self._end(problem)
        self._turns.received(self, b"")

    def _end(self, problem: OSError | None) -> None:
        self._ended = True
        self._problem = problem
        self._ignore()

    def deliver(self, data: bytes | None) -> None:
        """The turn's: what was read, b"" for the end, None for what is held."""
        if self._closing:
            return
        if data is None:
            held, self._held = self._held, []
            for each in held:
                self.deliver(each)
            return
        if self._paused or self._held:
            self._held.append(data)
            return
        try:
            if data:
                self._protocol.data_received(data)
            elif self._problem is not None:
                self._drop(self._problem)
            elif not (self._protocol.eof_received() and self.can_write_eof()):
                self.close()
        except Exception as error:  # noqa: BLE001
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        context = {"message": "a protocol failed", "exception": error, "transport": self, "protocol": self._protocol}
        self._loop.call_exception_handler(context)
        self._drop(error)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if not self._paused or self._closing:
            return
        self._paused = False
        if self._held:
            self._turns.received(self, None)
        if not (self._reading or self._ended or self._lent is not None):
            self._watch()

    def is_reading(self) -> bool:
        return not (self._paused or self._closing or self._ended)

    # ------------------------------------------------------------------------------------------- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        self._buffer.append(data if type(data) is bytes else bytes(data))
        self._size += len(data)
        if self._size > self._high:
            self._overfull()
        elif not self._queued:
            self._queued = True
            self._turns.unsent(self)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            if data and not self._closing:
                self._buffer.append(data if type(data) is bytes else bytes(data))
                self._size += len(data)
        if self._size > self._high:
            self._overfull()
        elif self._size and not self._queued:
            self._queued = True
            self._turns.unsent(self)

    def _overfull(self) -> None:
        """Perhaps the client takes it now; else the protocol hears that it is too much."""
        if not self._full:
            self._send_some()
        self._pace()

    def flush(self) -> None:
        """The turn's: send what there is."""
        self._queued = self.unanswered = False
        if self._size and not self._full:
            if self._sent_whole():
                return
            self._send_some()
        self._pace()

    def _sent_whole(self) -> bool:
        """Most answers are one small part, which is taken whole, and then there is nothing else to see to."""
        buffer = self._buffer
        if len(buffer) > 1 or self._size > READ or self._offset or self._stopped or self._closing or self._eof_due:
            return False
        try:
            sent = self._send(buffer[0])
        except OSError:
            return False  # the usual way meets it again
        if sent < self._size:
            self._taken(sent)
            return False
        buffer.clear()
        self._size = 0
        return True

    def _pace(self) -> None:
        """Tell the protocol when it is too much and when no more, and end what is to end once all is sent."""
        try:
            if self._size > self._high:
                if not self._stopped:
                    self._stopped = True
                    self._protocol.pause_writing()
            elif self._stopped and self._size <= self._low and not self._dropped:
                self._stopped = False
                self._protocol.resume_writing()
        except Exception as error:  # noqa: BLE001
            self._failed(error)
        if not self._size and not self._dropped:
            if self._closing:
                self._finish()
            elif self._eof_due:
                self._eof_due = False
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_WR)

    def _send_some(self) -> None:
        """Until the client takes no more, or others should have their turn."""
        left = AT_ONCE
        try:
            while self._size and left > 0:
                sent = self._push()
                self._taken(sent)
                left -= sent
        except NO_ROOM as why:
            self._await_room(why)
        except OSError as problem:
            self._unsendable(problem)
        else:
            if self._full and not self._size:
                self._full = False
                self._loop.remove_writer(self._fd)
            if self._size and not (self._full or self._queued):
                self._queued = True
                self._turns.unsent(self)

    def _push(self) -> int:
        """Send once; how many bytes were taken."""
        buffer = self._buffer
        if len(buffer) == 1:
            return self._send(memoryview(buffer[0])[self._offset :] if self._offset else buffer[0])
        if self._size <= JOINED:
            return self._send(self._joined())
        if not self._offset and len(buffer[1]) > JOINED:
            # A head before a large body: both together cost the kernel 6 to 15 % more than one after the other.
            return self._sock.send(buffer[0], socket.MSG_MORE)
        parts: list[Piece] = [*buffer[:PARTS]]
        if self._offset:
            parts[0] = memoryview(buffer[0])[self._offset :]
        return self._sock.sendmsg(parts)

    def _joined(self) -> bytes:
        """All parts as one from now on."""
        whole = b"".join(self._buffer)
        if self._offset:
            whole = whole[self._offset :]
            self._offset = 0
        self._buffer = [whole]
        return whole

    def _taken(self, sent: int) -> None:
        self._size -= sent
        if not self._size:
            self._buffer.clear()
            self._offset = 0
            return
        sent += self._offset
        done = 0
        while sent >= len(self._buffer[done]):
            sent -= len(self._buffer[done])
            done += 1
        del self._buffer[:done]
        self._offset = sent

    def _await_room(self, _why: OSError) -> None:
        if not self._full:
            self._full = True
            self._loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        self._send_some()
        self._pace()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else 64 * 1024 if low is None else low * 4
        self._low = low if low is not None else self._high // 4
        if self._size > self._high and not self._stopped:
            self._stopped = True
            self._protocol.pause_writing()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return self._size

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._eof_due = True
        if not self._queued:
            self._queued = True
            self._turns.unsent(self)

    # ------------------------------------------------------------------------------------------- the end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Nothing more is received; what is written is still sent."""
        if self._closing:
            return
        self._closing = True
        self._ignore()
        if not self._size:
            self._finish()

    def _finish(self) -> None:
        """All is sent and the connection is to end. Closed at once, a socket with unread bytes resets the connection,
        and the last answer may be lost on its way: then the other side ends first (RFC 9112, 9.6)."""
        if self._parted:
            return
        if self.asks or self._ended or self._lent is not None or not self._unread():
            self._drop(None)
            return
        self._timer = self._loop.call_later(GOODBYE, self.abort)
        self._part()

    def _unread(self) -> bool:
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK))
        except OSError:  # nothing is there, or nobody
            return False

    def _part(self) -> None:
        self._parted = True
        if self._ended:
            self._drop(None)
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(None)
            return
        self._reading = True
        self._loop.add_reader(self._fd, self._discard)

    def _discard(self) -> None:
        """What still comes is nobody's: records are not even decrypted."""
        try:
            if not self._sock.recv(READ):
                self._drop(None)
        except NOTHING:
            return
        except OSError:
            self._drop(None)

    def abort(self) -> None:
        """At once. What was written in this turn has still its one chance, as if it had been sent when it was written:
        a client sees where its answer was cut."""
        if self._queued and self._size and not self._full:
            self._send_some()
        self._drop(None)

    def _drop(self, problem: Exception | None) -> None:
        if self._dropped:
            return
        self._dropped = self._closing = True
        self._ignore()
        self._held.clear()
        self._forget_unsent()
        if self._lent is not None:
            self._lent.recall()
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # not TLS's own: the thread waits for this
        self._loop.call_soon(self._gone, problem)

    def _unsendable(self, problem: OSError) -> None:
        self._drop(problem)

    def _forget_unsent(self) -> None:
        if self._full:
            self._full = False
            self._loop.remove_writer(self._fd)
        self._buffer.clear()
        self._offset = self._size = 0

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _gone(self, problem: Exception | None) -> None:
        self._stop_timer()
        self._turns.leaves(self)
        protocol, self._protocol = self._protocol, cast(asyncio.Protocol, None)  # they refer to each other
        try:
            protocol.connection_lost(problem)
        finally:
            if self._lent is None:  # else it closes when the thread has let go
                self._sock.close()

    # ------------------------------------------------------------------------------------- what is known

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``peername``, ``sockname`` and ``socket``."""
        if name == "peername":
            return self._peername
        if name == "socket":
            return self._sock
        if name == "sockname":
            return self._sock.getsockname() if self._sock.fileno() >= 0 else default
        return default
