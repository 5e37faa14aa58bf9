"""A connection lent to a thread, which sends a large body as it draws it: the other half of ``lending``.

Owns: the threads that send, how many there are at once, and when one has waited enough. A body that has to be opened
before it is sent costs the event loop a turn, a future and a copy for each MiB, and over wide records all of its
sealing. A thread draws a stretch into memory that it uses again, has it sealed from there, and gives it to the kernel.

    the loop    the head is sent; ``transport.lend_out()``
    a thread    a stretch is drawn and sent, and the next
    the loop    ``transport.returned_out``: it goes on as ever

A thread is for clients that read quickly. Where one takes nothing for a moment, or a stretch takes long, the loop
sends what is left of it and waits; it lends again after a stretch that went quickly. Not over TLS itself, both of whose
directions share one state; wide records have one for each, so the connection is read meanwhile.
"""

from __future__ import annotations

import asyncio
import mmap
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from time import monotonic
from typing import Final, Protocol, runtime_checkable

from littoral.lasting import done_in_thread
from littoral.net.few import Few
from littoral.net.lending import NOTHING, SILENT, SLOW
from littoral.net.sending import Broken, Outlet
from littoral.net.wide import QUICK, STRETCH
from littoral.spare import Spare

MOST: Final = 16  # connections lent at once
WORTH: Final = 256 * 1024  # bytes to come from which on a thread is worth its while
NO_ROOM: Final = (*NOTHING, ssl.SSLWantWriteError)  # for what is to be sent

_lent: Few[Outward] = Few(MOST)
stretches = Spare(lambda: memoryview(mmap.mmap(-1, STRETCH, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)))  # on a page each


@runtime_checkable
class Drawn(Protocol):
    """A body that threads may draw: by one call at a time, and by either way."""

    def draw(self, room: memoryview) -> int:
        """A thread's: the next bytes, into ``room``, which has at least 64 KiB or all that is left; 0 at the end."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...


class Sendable(Protocol):
    def send_now(self, data: memoryview) -> int:
        """As much as there is room for now. Raises NO_ROOM: again with the same, or more; OSError. From any thread."""

    def link_is(self, *, quick: bool) -> None:
        """Seen by how long a stretch has taken. The thread's."""

    def fileno(self) -> int: ...

    def returned_out(self) -> None:
        """The loop's again."""


class Lending(Outlet, Protocol):
    """The connection, as a sender sees it that may be lent."""

    def lend_out(self) -> Outward | None:
        """None where that may not be now."""

    def socket(self) -> socket.socket: ...


class Outward:
    """Made by a transport, on its loop; ``run`` it there, which gives it back."""

    ended = False  # nothing is read

    def __init__(self, transport: Sendable) -> None:
        self._transport = transport
        self.over = False  # the thread is to return
        polling = select.poll()
        polling.register(transport.fileno(), select.POLLOUT)
        self._poll = polling.poll
        self.drawn = 0  # bytes of the body until now
        self.rest = b""  # of these that are not sent
        self.problem: OSError | None = None  # why nothing more is taken
        self.slow = False  # the client had no room for long
        self.short = False  # the body ended

    @staticmethod
    def to(transport: Sendable) -> Outward | None:
        """None where enough are lent."""
        return _lent.let(partial(Outward, transport))

    @staticmethod
    async def room() -> bool:
        """See ``Few.room``."""
        return await _lent.room()

    def recall(self) -> None:
        """From any thread: it is wanted back."""
        self.over = True

    async def run(self, work: Callable[[], None]) -> None:
        """``work`` in a thread. Raises what it does. Who is cancelled goes only when the thread has gone."""
        try:
            await done_in_thread(asyncio.get_running_loop().run_in_executor(_threads(), work), self.recall)
        finally:
            _lent.back(self)
            self._transport.returned_out()
        if self.problem is not None:
            raise ConnectionResetError("the client has gone") from self.problem

    def send(self, body: Drawn, left: int) -> None:
        """The thread's: so many bytes of it."""
        with stretches.lent() as room:
            while left and not (self.over or self.short):
                size = body.draw(room[:left])
                self.short = not size
                left -= size
                self.drawn += size
                sent = self.all_of(room[:size], self._transport.send_now)
                self.rest = bytes(room[sent:size])

    def all_of(self, data: memoryview, send: Callable[[memoryview], int]) -> int:
        """The thread's: how many bytes of it are sent; fewer where it is to return."""
        return self.all_by(lambda done: send(data[done:]), len(data))

    def all_by(self, send: Callable[[int], int], size: int) -> int:
        """``all_of`` what ``send`` has, given how many bytes of it are sent: as many as there is room for."""
        began, done = monotonic(), 0
        while done < size and not self.over:
            done += self._sent(send, done, began)
        if size == STRETCH:
            self._transport.link_is(quick=done == STRETCH and monotonic() - began < QUICK)
        return done

    def _sent(self, send: Callable[[int], int], done: int, began: float) -> int:
        """How many bytes; none where there is no room, for which it waits, or something ends it."""
        try:
            return send(done)
        except NO_ROOM:
            if monotonic() > began + SLOW or not self._poll(SILENT):
                self.over = self.slow = True
        except OSError as problem:
            self.over, self.problem = True, problem
        return 0


async def send_drawn(outlet: Lending, body: Drawn, length: int) -> None:
    """Send all of it, which must come to exactly that many bytes, else Broken. Raises ConnectionError, and what the
    body does."""
    left, quick = length, True
    while left:
        lent = await _lent_out(outlet) if quick and left >= WORTH else None
        if lent is not None:
            await _by_thread(outlet, lent, body, left)
            left, quick = left - lent.drawn, not lent.slow
            if lent.short:
                raise Broken(f"the body ended after {length - left} of {length} bytes")
            continue
        began = monotonic()
        data = await anext(body, b"")
        if not 0 < len(data) <= left:
            raise Broken(f"the body has not {length} bytes")
        outlet.write(data)
        await outlet.drained()
        left, quick = left - len(data), monotonic() - began < SLOW


async def _lent_out(outlet: Lending) -> Outward | None:
    await outlet.drained(empty=True)
    return outlet.lend_out()


async def _by_thread(outlet: Outlet, lent: Outward, body: Drawn, left: int) -> None:
    await lent.run(partial(lent.send, body, left))
    if lent.rest:
        outlet.write(lent.rest)
        await outlet.drained()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST, "sending")
