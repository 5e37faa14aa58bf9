"""Answers with a large body, received by a thread of ``bulk`` right where its caller wants it.

An event loop gets a large body from its TLS in pieces of 16 KiB at most, each of which is a turn, and copies it once
more. A thread that may wait has the kernel, OpenSSL or the wide records' cipher write into the memory of its caller.

    sink = Room(memoryview(mmap.mmap(-1, 16 * MIB)))
    answer = await receive(bulk, "https://box.example.test/bucket/key", headers, sink, tls=context)
    sink.filled

What an error has to say is in the answer's body, as everywhere; only what was asked for goes into the sink.

A Littoral is told that it is read once (``readonce``). Over wide records it may send what it has sealed as it lies
(``unopened``), where the caller can open that.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final, Protocol

from littoral.net import readonce
from littoral.net.bulk import STRETCH, Answer, Bulk, Line, Reading
from littoral.net.failures import BadResponse
from littoral.net.message import Headers
from littoral.net.unopened import ASKED, HEADER
from littoral.net.wide import WideSocket

ASKED_FOR: Final = frozenset((200, 206))


async def receive(
    bulk: Bulk,
    url: str,
    headers: Headers,
    sink: Sink,
    *,
    tls: ssl.SSLContext | None = None,
    connect_timeout: float = 5.0,
    read_timeout: float = 30.0,
    opens: Opens | None = None,
) -> Answer:
    """GET it, into the ``sink``, which is left alone as long as this goes on, also where the caller is cancelled. It is
    asked for as it lies where there is somebody who ``opens`` it. Raises as ``Bulk.request``; BadResponse, too, where
    more comes than there is room for; what ``opens`` and the sink do."""
    into = Into(sink, opens)
    headers = Headers(headers.raw.copy())
    headers.set(readonce.HEADER, "yes")
    if opens is not None and tls is not None:
        headers.set(HEADER, ASKED)
    return await bulk.request(
        "GET",
        url,
        headers,
        memoryview(b""),
        tls=tls,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        answered=into.answered,
    )


class Sink(Protocol):
    """Where an answer's bytes go, in order; by the thread that receives them."""

    def begin(self) -> None:
        """Of an answer: what came before, over a connection that had been closed, is not of it."""

    @property
    def left(self) -> int:
        """How many bytes may still come."""

    def room(self, least: int) -> memoryview:
        """For the next bytes: ``least`` at once (no more than are left, nor than a MiB), or more."""

    def came(self, size: int) -> None:
        """So many lie there now."""


class Room:
    """A sink that is memory."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self.filled = 0

    def begin(self) -> None:
        self.filled = 0

    @property
    def left(self) -> int:
        return len(self._memory) - self.filled

    def room(self, least: int) -> memoryview:
        return self._memory[self.filled :]

    def came(self, size: int) -> None:
        self.filled += size


class Opening(Protocol):
    """What was sealed, from its begin to its end, by the thread that receives it."""

    @property
    def size(self) -> int:
        """Bytes of content."""

    @property
    def most(self) -> int:
        """Bytes that are opened at once, or fewer."""

    @property
    def next(self) -> int:
        """Bytes that are opened at once next; 0 at the end."""

    def open_into(self, sealed: memoryview, room: memoryview) -> int:
        """The ``next`` ones: how many bytes of content lie in ``room`` then. Raises RequestFailed where they are not
        what was sealed."""


Opens = Callable[[str, int], Opening]  # by what the place says; the bytes that come. Raises RequestFailed


class Into:
    """The thread's."""

    def __init__(self, sink: Sink, opens: Opens | None = None) -> None:
        self._sink, self._opens = sink, opens

    def answered(self, sock: Line) -> tuple[Answer, bool]:
        """The answer, and whether the connection may be kept. Raises OSError, BadResponse."""
        self._sink.begin()
        reading = Parted(self)
        try:
            if self._opens is not None and isinstance(sock, WideSocket):
                self._in_records(reading, sock, self._opens)
            while not (reading.ended or reading.left):
                reading.read(sock)
            while reading.left:
                self._fill(reading, sock)
        except TimeoutError:
            raise
        except OSError as problem:
            if not reading.begun:
                raise
            raise BadResponse(f"the connection was cut in the middle of a response: {problem}") from problem
        return reading.answer, reading.keep

    def _in_records(self, reading: Parted, sock: WideSocket, opens: Opens) -> None:
        """The head, and no byte of what may follow it unsealed; that is opened here."""
        while not reading.headed:
            reading.take(sock.recv_record())
        sealed = reading.sealed
        if sealed is None:
            return
        left, reading.left = reading.left, 0
        opening = opens(sealed, left)
        self.check(opening.size)
        memory = memoryview(bytearray(min(left, opening.most)))
        while size := opening.next:
            piece, came = memory[:size], 0
            while came < size:
                more = sock.recv_beneath(piece[came:])
                if not more:
                    raise BadResponse("the connection ended in the middle of a response")
                came += more
            self._sink.came(opening.open_into(piece, self._sink.room(min(size, self._sink.left, STRETCH))))
        reading.ended = True

    def _fill(self, reading: Parted, sock: Line) -> None:
        size = sock.recv_into(self._sink.room(1)[: reading.left])
        if not size:
            raise BadResponse("the connection ended in the middle of a response")
        self._sink.came(size)
        reading.left -= size

    def take(self, data: bytes) -> None:
        """Raises BadResponse."""
        self.check(len(data))
        left = memoryview(data)
        while left:
            room = self._sink.room(1)
            size = min(len(room), len(left))
            room[:size] = left[:size]
            self._sink.came(size)
            left = left[size:]

    def check(self, size: int) -> None:
        """Whether so much more has room. Raises BadResponse."""
        if size > self._sink.left:
            raise BadResponse("more comes than was asked for")


class Parted(Reading):
    """A response whose body, where it is what was asked for, goes elsewhere. Where its length is known nothing in it
    needs to be looked at: ``left`` is what is still to come, once the head and what came with it were read."""

    def __init__(self, into: Into) -> None:
        super().__init__()
        self._into = into
        self._to_come = 0
        self.left = 0
        self.headed = False  # the head is read
        self.sealed: str | None = None  # what opens the body

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if not self.ended:
            self.left = self._to_come

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        headers = Headers(self.headers)
        length = headers.get("content-length")
        self.headed = self.status >= 200
        if self.status in ASKED_FOR and length is not None and length.isdecimal():
            self._to_come = int(length)
            self.sealed = headers.get(HEADER)
            if self.sealed is None:
                self._into.check(self._to_come)
            self.keep = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if self.status not in ASKED_FOR:
            super().on_body(data)
            return
        self._into.take(data)
        self._size -= len(data)  # it is kept elsewhere
        self._to_come = max(0, self._to_come - len(data))
