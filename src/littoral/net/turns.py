"""The **turn** of a loop: all connections that had something to say are served one kind of work after the other.

Owns: who has read something, who has written something, and whose turn it is where there is more than a turn has time
for. Knows no sockets:

    readiness of each descriptor    one read a connection, nothing else (``transport``)
    the turn, first half            every protocol gets what was read for it, and writes answers; at its end those who
                                    gather what several reads brought (``Turns.at_end``) write that
    the turn, second half           one write a connection

Why not each connection's three steps at once, as loops do: reading, deciding and writing are each more code than a
core's nearest cache holds. Going from one to the other for every request costs a fifth of a plain request and a third
of one over TLS (docs/decisions/2026-11-28-tls-transport.md). A connection alone loses nothing: its turn is next.

When more comes than a turn has time for, the rest waits, and no more is read from those who wait: whoever has cost the
least lately goes first (``protocols.shield.CheapFirst``) and waits for one short turn, not for all that others ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol
from weakref import WeakKeyDictionary

from littoral.protocols.shield import CheapFirst

LOOKED = 1.0  # seconds after which those who have said something and heard nothing are looked at again
SERVING = 0.005  # seconds of a turn's first half, where more is waiting
KNOWN = 1.0  # seconds after which who is connected is no newcomer
STRIDE = 4  # deliveries between two looks at the clock


class Turning(Protocol):
    """A connection, as the turn sees it."""

    born: float
    unanswered: bool  # something was read, and nothing has been sent since
    waiting: int  # how much of what it read waits for the turns to come

    @property
    def asks(self) -> bool:
        """We have connected, and hear answers."""

    @property
    def client(self) -> str:
        """Whose it is."""

    def deliver(self, data: bytes | None) -> None:
        """What was read goes to the protocol."""

    def go_on(self) -> None:
        """Something that waited is delivered now."""

    def flush(self) -> None:
        """Send what there is."""

    def look_again(self) -> None:
        """Read, though nobody says that there is something."""


class Turns:
    """The connections of one loop that have something to do: in the order in which they said so, while that can be
    done in one turn."""

    __slots__ = (
        "_behind",
        "_coming",
        "_connections",
        "_full",
        "_gathered",
        "_looking",
        "_loop",
        "_received",
        "_since",
        "_unsent",
        "_unsure",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received: list[Arrival] = []
        self._behind: CheapFirst[Arrival] = CheapFirst()  # what there was no time for
        self._full = False  # there is something
        self._since = 0.0  # when that began
        self._unsent: list[Turning] = []
        self._gathered: list[Callable[[], None]] = []
        self._coming = False
        self._connections: set[Turning] = set()
        self._unsure: list[Turning] = []  # to be looked at again
        self._looking = False

    @staticmethod
    def of_loop() -> Turns:
        """The running loop's, for all its listeners and clients."""
        loop = asyncio.get_running_loop()
        turns = _TURNS.get(loop)
        if turns is None:
            turns = _TURNS[loop] = Turns(loop)
        return turns

    def joins(self, transport: Turning) -> None:
        self._connections.add(transport)

    def leaves(self, transport: Turning) -> None:
        self._connections.discard(transport)

    def received(self, transport: Turning, data: bytes | None) -> None:
        """None: what it holds back is wanted now."""
        self._received.append((transport, data))
        if not self._coming:
            self._coming = True
            self._loop.call_soon(self._take)

    def holds(self, transport: Turning) -> bool:
        """Whether something that it read is still to be delivered."""
        return transport.waiting > 0 or any(each is transport for each, _ in self._received)

    @property
    def late(self) -> float:
        """Seconds since when there has been more to do than could be done in a turn; 0.0 while there is not."""
        return monotonic() - self._since if self._full else 0.0

    def unsent(self, transport: Turning) -> None:
        self._unsent.append(transport)
        if not self._coming:
            self._coming = True
            self._loop.call_soon(self._take)

    def at_end(self, work: Callable[[], None]) -> None:
        """Once, when all that was read is delivered, before anything is sent. ``work`` raises nothing."""
        self._gathered.append(work)
        if not self._coming:
            self._coming = True
            self._loop.call_soon(self._take)

    def _take(self) -> None:
        received, self._received = self._received, []
        if received and not self._looking:
            self._looking = True
            self._loop.call_later(LOOKED, self._look)
        if len(received) <= STRIDE and not self._full:
            for transport, data in received:
                transport.deliver(data)
        else:
            self._deliver_some(received)
        gathered, self._gathered = self._gathered, []
        for work in gathered:
            work()
        unsent, self._unsent = self._unsent, []
        for transport in unsent:
            transport.flush()
        if self._received or self._gathered or self._unsent or self._full:
            self._loop.call_soon(self._take)
        else:
            self._coming = False

    def _look(self) -> None:
        """Once an error is on a connection uvloop tells of it a single time and then watches it no more (libuv's poll
        handles do so), and that one read may have brought the bytes that came before. Who is written to is found out
        by that; of the others this is the only news."""
        if not self._unsure:
            self._unsure = [each for each in self._connections if each.unanswered]
        until, more = monotonic() + SERVING, []
        while self._unsure and monotonic() < until:
            one = self._unsure.pop()
            one.look_again()
            if one.unanswered:  # the error is behind more than one read of bytes
                more.append(one)
        self._unsure += more
        if self._unsure:
            self._loop.call_soon(self._look)
        else:
            self._looking = False

    def _deliver_some(self, received: list[Arrival]) -> None:
        """In their order for as long as there is time. The rest waits, and with it what comes before it has gone."""
        begun = monotonic()
        done = 0
        while done < len(received) and not self._full:
            for transport, data in received[done : done + STRIDE]:
                transport.deliver(data)
            done += STRIDE
            if monotonic() >= begun + SERVING:
                break
        if done < len(received) and not self._full:
            self._since = begun
        for transport, data in received[done:]:
            if transport.asks:
                transport.deliver(data)  # it is waited for by who had his turn
            else:
                transport.waiting += 1
                self._behind.add(transport.client, (transport, data), begun, known=begun - transport.born > KNOWN)
        now = monotonic()
        while self._behind:
            client, (transport, data) = self._behind.take()
            transport.go_on()
            transport.deliver(data)
            before, now = now, monotonic()
            self._behind.charge(client, now - before, now)
            if now >= begun + SERVING:
                break
        self._full = bool(self._behind)


Arrival = tuple[Turning, bytes | None]
_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()
