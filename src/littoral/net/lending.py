"""A connection lent to a thread, which receives a large body right where it is wanted.

Owns: the threads that receive, how many there are at once, and when one has waited enough. What costs a large body most
on the event loop is not its bytes but the loop's turns, and the waits of threads for one another; a thread that takes
what has come, hashes it and writes it needs none of that (docs/decisions/2026-11-29-transfer-bytes.md).

    the loop    ``transport.lend()``: it watches the connection no more
    a thread    ``Lent.fill`` again and again
    the loop    ``transport.returned``: it goes on as ever

A thread is for clients that send quickly. One that is silent for a moment, or takes long to fill a room, goes
on on the loop, where waiting costs nothing. Nothing is sent on a connection that is lent over TLS, as both directions
share one state: who has something to send wants it back.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from time import monotonic
from typing import Protocol

from littoral.lasting import done_in_thread

MOST = 16  # connections lent at once
SILENT = 50  # milliseconds without a byte after which a client is waited for on the loop
SLOW = 0.25  # seconds that a room may take to be filled
NOTHING = (BlockingIOError, InterruptedError, ssl.SSLWantReadError)  # to be read now
Fill = Callable[[memoryview], int]

_lent: set[Lent] = set()
_lock = threading.Lock()


def free() -> int:
    """How many more may be lent."""
    return MOST - len(_lent)


class Lendable(Protocol):
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
        with _lock:  # a process may have more than one loop
            if len(_lent) >= MOST:
                return None
            lent = Lent(transport)
            _lent.add(lent)
            return lent

    def recall(self) -> None:
        """From any thread: it is wanted back."""
        self._over = True

    def behind(self) -> bool:
        return self._transport.behind()

    def give_back(self) -> None:
        _lent.discard(self)
        self._transport.returned()

    async def run(self, size: int, work: Callable[[], None]) -> None:
        """``work`` in a thread, which may take so many bytes. Raises what it does. Who is cancelled goes only when the
        thread has gone."""
        self._left = size
        running = asyncio.get_running_loop().run_in_executor(_threads(), work)
        await done_in_thread(running, self.recall)

    def fill(self, room: memoryview) -> int:
        """The thread's: until it is full. Fewer bytes where the thread is to return, for whatever reason."""
        most, filled = min(len(room), self._left), 0
        until = monotonic() + SLOW
        self.waiting = True
        while filled < most and not self._over:
            got = self._take(room[filled:most])
            filled += got
            self.taken += got
            if not got and not self._over:
                self._wait(until)
        self.waiting = False
        self._left -= filled
        return filled

    def _take(self, room: memoryview) -> int:
        """What is there now."""
        try:
            got = self._transport.take_now(room)
        except NOTHING:
            return 0
        except ssl.SSLWantWriteError:
            self._over = True  # the loop meets it again, and knows what to do
            return 0
        except OSError as problem:
            self._over, self.problem = True, problem
            return 0
        if not got:
            self._over = self.ended = True
        return got

    def _wait(self, until: float) -> None:
        if monotonic() > until or not self._poll(SILENT):
            self._over = self.slow = True


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST, "receiving")
