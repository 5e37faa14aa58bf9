"""The connections alive of one listener: how many there may be, who is idle the longest, one clock for all deadlines.

Owns: counting in and out, the sweep, closing in order. Knows no protocol: what is overdue a connection knows itself.

A clock tick serves every connection: a timer for each would cost more than answering a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections import Counter
from typing import Protocol

from littoral.net.accepting import Gate
from littoral.net.limits import Limits

log = logging.getLogger("littoral.net")

A_TURN = 0.003  # seconds that the sweep takes before others of the loop have their turn
REFUSED = (
    64  # or connections that it has ended: what they are told is sent in the same turn, and costs more than the sweep
)
COUNT = 16  # connections that it looks at between two counts of those
MOMENT = 0.25  # seconds at a close for who asks again just now
RECENT = 2.0  # seconds since it was answered last, of such a one (one of them is the clock's step)
SHED = 100  # a hundredth of the connections is closed at once when there are too many


class Connection(Protocol):
    """What a server asks of its connections."""

    @property
    def host(self) -> str:
        """The address of the other side."""

    @property
    def idle_since(self) -> float | None:
        """None while something is asked or answered."""

    @property
    def delivered(self) -> bool:
        """It is to end, all that was said on it has arrived, and only the other side's end is waited for."""

    def overdue(self, now: float) -> None: ...

    def shut_down(self) -> None: ...

    def cut(self) -> asyncio.Task[None] | None: ...


class Successor(Connection, Protocol):
    """What takes a connection over after a 101."""

    host: str


class Crowd:
    """Connections of one kind. ``refusals`` counts by name what ended one before its time."""

    def __init__(self, limits: Limits, gate: Gate | None = None) -> None:
        self.limits = limits
        self.refusals: Counter[str] = Counter()
        self.elapsed = 0.0  # seconds between the last two sweeps
        self._gate = gate
        self._leaving: set[Connection] = set()  # closed by ``shed`` and not yet gone
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self.now = self.loop.time()
        self._begun = self.now  # when the last sweep was
        self._left: list[Connection] = []  # what it has not yet looked at
        self._connections: dict[Connection, None] = {}  # in the order of their coming
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer: asyncio.TimerHandle | None = None
        shortest = min(
            self.limits.header_timeout,
            self.limits.keep_alive_timeout,
            self.limits.body_timeout,
            self.limits.send_timeout,
            self.limits.linger,
        )
        self._tick_length = min(1.0, max(0.01, shortest / 2))

    def __len__(self) -> int:
        return len(self._connections)

    async def close(self, grace: float = 5.0) -> None:
        """Let what is being answered end for up to ``grace`` seconds, then cut."""
        self.closing = True
        if grace > 0:
            await self._answer_once_more(min(grace, MOMENT))
        for connection in list(self._connections):
            connection.shut_down()
        await asyncio.sleep(0)  # idle connections go in this turn
        if self._connections and grace > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._emptied()
        if self._connections:
            log.info("%d connections are cut after %.1f s", len(self._connections), grace)
        tasks = [task for connection in list(self._connections) if (task := connection.cut()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._empty.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _emptied(self) -> None:
        """Who has all of its answer has a moment to end: a connection closed at once would be reset by what its client
        still sends, and the answer, not yet read over there, might be lost."""
        before: set[Connection] = set()
        while self._connections:
            delivered = {each for each in self._connections if each.delivered}
            for connection in delivered & before:
                connection.cut()
            before = delivered
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    await self._empty.wait()

    async def _answer_once_more(self, moment: float) -> None:
        """Who was answered just now may be asking again, and would find the connection reset. It has a moment; what is
        answered in it is the connection's last (what nginx has as ``keepalive_min_timeout``). Others go at once."""
        recently, waited_for = self.loop.time() - RECENT, False
        for connection in list(self._connections):
            since = connection.idle_since
            if since is not None and since > recently:
                waited_for = True
            else:
                connection.shut_down()
        if waited_for:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(moment):
                    await self._empty.wait()

    # the connections' side

    def admit(self, connection: Connection) -> bool:
        """Count a connection in; False when there are too many (it must end itself)."""
        if self._timer is None and not self.closing:
            self._tick()
        self._connections[connection] = None
        self._empty.clear()
        if len(self._connections) - len(self._leaving) > self.limits.max_connections:
            return self.shed(connection)
        return True

    def shed(self, newest: Connection | None = None) -> bool:
        """Close a hundredth of all connections, those that are idle the longest, of equals the first to have come: what
        was just accepted has not been read yet, and goes last. False when none is idle."""
        idle = [
            (since, number, connection)
            for number, connection in enumerate(self._connections)
            if connection is not newest and connection not in self._leaving
            if (since := connection.idle_since) is not None
        ]
        chosen = heapq.nsmallest(max(1, len(self._connections) // SHED), idle)
        for _, _, connection in chosen:
            self._leaving.add(connection)
            connection.cut()
        self.refusals["shed-idle"] += len(chosen)
        return bool(chosen)

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._leaving.discard(connection)
        if self._gate is not None:
            self._gate.leaves(connection.host)
        if not self._connections:
            self._empty.set()

    def replace(self, connection: Connection, successor: Successor) -> None:
        successor.host = connection.host
        self._connections.pop(connection, None)
        self._connections[successor] = None

    def _tick(self) -> None:
        now = self.loop.time()
        self.now = now
        if not self._left:  # else the last sweep goes on
            self.elapsed, self._begun = now - self._begun, now
            self._left = list(self._connections)
            self._sweep()
        self._timer = self.loop.call_later(self._tick_length, self._tick)

    def _sweep(self) -> None:
        """Look at every connection, in turns: to refuse one whose head is late takes a hundred times as long as to see
        that another is in time, and thousands may be late at once."""
        end, most = self.loop.time() + A_TURN, self.refusals.total() + REFUSED
        while self._left:
            connection = self._left.pop()
            if connection in self._connections:
                connection.overdue(self.now)
            if self.loop.time() >= end or (len(self._left) % COUNT == 0 and self.refusals.total() >= most):
                break
        if self._left:
            self.loop.call_soon(self._sweep)
