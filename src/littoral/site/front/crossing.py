"""Before the front: viewers' connections are accepted here, and their bytes handed on as they are.

Owns: who waits for a turn, and rounds; a connection is a ``viewer``. What is decided is ``protocols.shield``'s: the
guard's about connections, the turnstile's about bytes. Only TCP: QUIC's datagrams go to the front directly.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from littoral.edge.guard import Guard
from littoral.net.accepting import Acceptor
from littoral.net.crowd import Crowd
from littoral.net.limits import Limits
from littoral.net.transport import SocketTransport
from littoral.protocols.shield import Turnstile, client_of
from littoral.site.front.probe import Probe, processor_time
from littoral.site.front.viewer import Viewer

ROUND = 0.02  # seconds from one answer of the probe to the next question, while nobody waits
LOOK = 0.003  # seconds between two looks at a turn that is under way
COST = "client-cost"


class Sip(SocketTransport):
    """One read at a time: who has to wait for a turn holds no more than that here."""

    __slots__ = ()

    def _read_on(self) -> None:
        return


class Crossing:
    """A gate for the acceptor, and all that stands between it and the front. ``pid`` is the front's process."""

    def __init__(
        self,
        listening: socket.socket,
        inside: Path,
        probe: Path,
        guard: Guard,
        limits: Limits,
        pid: Callable[[], int | None],
    ) -> None:
        self.turnstile = Turnstile()
        self.late = 0.0  # of the last round
        self.inside = str(inside)
        self.crowd = Crowd(limits, self)
        self._guard = guard
        self._pid = pid
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, dict[Viewer, None]] = {}
        self._probe = Probe(probe, self._round)
        self._asking = False  # the probe is under way, or about to be
        self._timer: asyncio.TimerHandle | None = None
        self._used = 0.0
        self._quiet = True  # nothing passed in this round
        self._served: list[Viewer] = []  # who had the last turn
        self._asked = False  # the probe is under way
        self._look: asyncio.TimerHandle | None = None
        self._calming = False  # somebody waits, and nobody's turn it is
        self._acceptor = Acceptor([listening], lambda: Viewer(self), self, None, self.crowd.shed, plain=Sip)

    def __len__(self) -> int:
        return len(self.crowd)

    @property
    def waiting(self) -> int:
        """Connections that wait for a turn."""
        return sum(map(len, self._waiting.values()))

    # the acceptor's gate

    def arrives(self, host: str) -> bool:
        client = client_of(host)
        if self.turnstile.refuses(client, self._loop.time()) and not self._guard.knows(host):
            self._guard.refuses(client, COST)
            return False
        return self._guard.arrives(host)

    def leaves(self, host: str) -> None:
        self._guard.leaves(host)

    def crowded_out(self, host: str) -> None:
        self._guard.crowded_out(host)

    # viewers

    def passes(self, viewer: Viewer, size: int) -> bool:
        """Whether so many bytes of the viewer go on now."""
        self._quiet = False
        if not self._asking:
            self._used = processor_time(self._pid()) or 0.0
            self._ask()
        entry = viewer.inside is None
        return viewer.exempt or self.turnstile.passes(viewer.client, size, self._loop.time(), entry=entry)

    def wait(self, viewer: Viewer) -> None:
        """``Viewer.go`` will be called."""
        self._waiting.setdefault(viewer.client, {})[viewer] = None
        if self._timer is not None and not self._calming:
            self._timer.cancel()
            self._ask()

    def waits_no_more(self, viewer: Viewer) -> None:
        queue = self._waiting.get(viewer.client, {})
        if viewer in queue:
            del queue[viewer]
            if not queue:
                del self._waiting[viewer.client]

    def knows(self, host: str) -> bool:
        return self._guard.knows(host)

    def answered(self, viewer: Viewer, size: int) -> None:
        self.turnstile.answered(viewer.client, size, self._loop.time())

    # rounds

    def _ask(self) -> None:
        self._timer = None
        self._asking = True
        self._asked = self._probe.ask()
        if not self._asked:
            self._timer = self._loop.call_later(ROUND, self._round, 0.0)

    def _round(self, late: float) -> None:
        now = self._loop.time()
        self.late = late
        self._timer = None
        self._asked = False
        used = processor_time(self._pid())
        spent = late if used is None else max(0.0, used - self._used)
        self._used = used or 0.0
        self.turnstile.ended(spent, late, now)
        if self._look is not None:
            self._look.cancel()
        served = self._serve(now)
        self._calming = bool(self._waiting) and not served
        if self._served:
            self._look = self._loop.call_later(LOOK, self._looks)
        if served:
            self._ask()
        elif self._waiting or not self._quiet:
            self._timer = self._loop.call_later(ROUND / 4 if self._calming else ROUND, self._ask)
        else:
            self._asking = False
        self._quiet = True

    def _looks(self) -> None:
        """Whether what was begun in this turn takes too long."""
        used, age, now = processor_time(self._pid()), self._probe.age, self._loop.time()
        spent, client = age if used is None else used - self._used, self._served[0].client
        if self._asked and self.turnstile.forfeits(client, spent, age, now):
            for viewer in self._served:
                self._guard.refuses(client, COST)
                viewer.cut_off()
            self._served = []
        else:
            self._look = self._loop.call_later(LOOK, self._looks)

    def _serve(self, now: float) -> bool:
        """One client's turn, its connections one after another; whether anybody had one."""
        client = self.turnstile.next(self._waiting, now) if self._waiting else ""
        if not client:
            return False
        self.turnstile.begin(client, now)
        self._served = []
        queue = self._waiting[client]
        while queue:
            viewer = next(iter(queue))
            if not viewer.go():
                break
            self._served.append(viewer)
            self.waits_no_more(viewer)
            if viewer.kept:
                self.wait(viewer)
        return bool(self._served)

    async def close(self, grace: float) -> None:
        """The front lets go of its connections; here they end with them, or after so long."""
        await self.crowd.close(grace)
        self._probe.close()
        for each in (self._timer, self._look):
            if each is not None:
                each.cancel()

    def refuse(self) -> None:
        """No more connections."""
        self._acceptor.close()
