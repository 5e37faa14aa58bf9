"""A connection lent to a thread, which receives a large body right where it is wanted.

Owns: the threads that receive, how many there are at once, and when one has waited enough. What costs a large body most
on the event loop is not its bytes but the loop's turns, and the waits of threads for one another; a thread that takes
what has come, hashes it and writes it needs none of that (docs/decisions/2026-11-29-transfer-bytes.md).

    the loop    ``transport.lend()``: it watches the connection no more
    a thread    ``Lent.fill`` again and again, or the same of ``Lent.frames``
    the loop    ``transport.returned``: it goes on as ever

A thread is for clients that send quickly. One that is silent for a moment, or takes long to fill a room, goes
on on the loop, where waiting costs nothing. Nothing is sent on a connection that is lent over TLS, as both directions
share one state: who has something to send wants it back.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from time import monotonic
from typing import Protocol

from littoral.lasting import done_in_thread
from littoral.net.few import Few
from littoral.protocols.widerecords import BadRecord, FramedBody

MOST = 16  # connections lent at once
SILENT = 50  # milliseconds without a byte after which a client is waited for on the loop
SLOW = 0.25  # seconds that a room may take to be filled
NOTHING = (BlockingIOError, InterruptedError, ssl.SSLWantReadError)  # to be read now
Fill = Callable[[memoryview], int]
Take = Callable[[memoryview], int]

_lent: Few[Lent] = Few(MOST)


def free() -> int:
    """How many more may be lent."""
    return MOST - len(_lent)


class Framed(Protocol):
    """A connection on which a body begins that comes in frames (``protocols.widerecords``), and may be taken so."""

    @property
    def body(self) -> FramedBody | None: ...

    def read_sealed(self, room: memoryview) -> int:
        """What is there now, sealed; 0 at the body's end. Raises NOTHING, OSError."""

    def put_back(self, begun: memoryview) -> None:
        """After the last of that: what was read and is no whole frame. The rest comes opened, as any body does."""


class Lendable(Protocol):
    def framed(self) -> Framed | None:
        """Where such a body begins now."""

    def take_now(self, room: memoryview) -> int:
        """As much as is there now, into ``room``; 0 at the end. Raises NOTHING, OSError. From any thread, one at a
        time."""

    def fileno(self) -> int: ...

    def behind(self) -> bool:
        """Whether something that was read before is still to be delivered."""

    def returned(self) -> None:
        """The loop's again."""


class Lent:
    """Made by a transport, on its loop. ``give_back`` it there."""

    def __init__(self, transport: Lendable) -> None:
        self._transport = transport
        self._left = 0
        self._over = False  # the thread is to return
        polling = select.poll()
        polling.register(transport.fileno(), select.POLLIN)
        self._poll = polling.poll
        self.taken = 0  # bytes until now
        self.waiting = False  # the thread waits for the client
        self.ended = False  # nothing more comes
        self.problem: OSError | None = None  # why not
        self.slow = False  # the client had nothing, or little

    @staticmethod
    def to(transport: Lendable) -> Lent | None:
        """None where enough are lent."""
        return _lent.let(partial(Lent, transport))

    def recall(self) -> None:
        """From any thread: it is wanted back."""
        self._over = True

    def behind(self) -> bool:
        return self._transport.behind()

    def frames(self) -> Frames | None:
        """Where a body begins that comes in such."""
        framed = self._transport.framed()
        return None if framed is None else Frames(self, framed)

    def give_back(self) -> None:
        _lent.back(self)
        self._transport.returned()

    async def run(self, size: int, work: Callable[[], None]) -> None:
        """``work`` in a thread, which may take so many bytes. Raises what it does. Who is cancelled goes only when the
        thread has gone."""
        self._left = size
        running = asyncio.get_running_loop().run_in_executor(_threads(), work)
        await done_in_thread(running, self.recall)

    def fill(self, room: memoryview) -> int:
        """The thread's: until it is full. Fewer bytes where the thread is to return, for whatever reason."""
        filled = self.receive(room[: self._left], self._transport.take_now)
        self.taken += filled
        self._left -= filled
        return filled

    def receive(self, room: memoryview, take: Take) -> int:
        filled, until = 0, monotonic() + SLOW
        self.waiting = True
        while filled < len(room) and not self._over:
            got = self._take(room[filled:], take)
            filled += got
            if not got and not self._over:
                self._wait(until)
        self.waiting = False
        return filled

    def _take(self, room: memoryview, take: Take) -> int:
        """What is there now."""
        try:
            got = take(room)
        except NOTHING:
            return 0
        except ssl.SSLWantWriteError:
            self._over = True  # the loop meets it again, and knows what to do
            return 0
        except OSError as problem:
            self.refuse(problem)
            return 0
        if not got:
            self._over = self.ended = True
        return got

    def refuse(self, problem: OSError) -> None:
        """The connection is at its end."""
        self._over, self.problem = True, problem

    def _wait(self, until: float) -> None:
        if monotonic() > until or not self._poll(SILENT):
            self._over = self.slow = True


class Frames:
    """A body that comes in frames, taken by the thread as it comes; the thread opens them."""

    def __init__(self, lent: Lent, framed: Framed) -> None:
        body = framed.body
        assert body is not None
        self._lent, self._framed, self._body = lent, framed, body
        self.key, self.name, self.size = body.key, body.name, body.size

    def fill(self, room: memoryview) -> int:
        """As ``Lent.fill``, sealed. Fewer bytes also where the body ends."""
        return self._lent.receive(room[: self._body.sealed], self._framed.read_sealed)

    @property
    def next(self) -> int:
        """Bytes of the next frame that is to be opened, 0 after the last."""
        return self._body.next

    @property
    def unopened(self) -> int:
        """Bytes of that and all after it."""
        return self._body.unopened

    def open_into(self, sealed: memoryview, room: memoryview) -> int:
        """Of whole frames, how many bytes of content lie in ``room``; none where one is not what was sent: the
        connection ends then."""
        try:
            opened = self._body.open_into(sealed, room)
        except BadRecord as problem:
            self._lent.refuse(ssl.SSLError(str(problem)))
            return 0
        self._lent.taken += opened
        return opened

    def leave(self, begun: memoryview) -> None:
        """The last call: of what was taken, the begin of a frame that is not whole."""
        if self._lent.problem is None:
            self._framed.put_back(begun)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST, "receiving")
