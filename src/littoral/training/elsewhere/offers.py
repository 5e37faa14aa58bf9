"""The region's end: which machines offer hosts, and the one host that a connection became.

An ``Offer`` waits until a job takes it; then it is that job's program on that host, as one of this machine would be. A
machine that is lost is a program that was killed. What the host writes comes into the region's own folder of it, so
that checkpoints and results are looked for there, wherever it ran.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from littoral.net.ongoing import Ongoing
from littoral.training.elsewhere.folders import Receiver, send_folder
from littoral.training.elsewhere.frames import Broken, Kind, document
from littoral.training.elsewhere.line import BEAT, Line

log = logging.getLogger(__name__)

LOST: Final = int(signal.SIGKILL)  # a wait status


@dataclass(frozen=True, slots=True)
class Errand:
    """What a host elsewhere is to do."""

    job: str
    host: str
    hosts: Mapping[str, str]
    root: Path  # the region's folder of it
    waiting: Path  # a file of ours beside it
    volume: int  # bytes that its folder may have
    heard: Callable[[bytes], None]  # a line of it
    packet: Callable[[bytes], None]  # that it sends


class Offer(Line):
    """Made for each connection."""

    def __init__(self, offers: Offers, machine: str, address: str, still: Callable[[], bool]) -> None:
        """``still``: whether it may still be here."""
        super().__init__()
        self.machine = machine
        self.address = address
        self.still = still
        self.leaving = False  # its machine is asked to end
        self.over_memory = self.over_volume = False
        self.errand: Errand | None = None
        self._offers = offers
        self._receiver: Receiver | None = None
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._settled = asyncio.Event()

    def __str__(self) -> str:
        return f"{self.machine}, which offers a host,"

    # ----------------------------------------------------------------------------------------------- for a job

    async def prepare(self, errand: Errand) -> None:
        """Its folder is there on return, if the machine still is. Raises OSError, BodyError."""
        self.errand = errand
        self._receiver = Receiver(errand.root, errand.waiting, errand.volume)
        if self.over.is_set():
            self._tell_loss(errand)
        self.tell(Kind.ORDER, job=errand.job, host=errand.host, hosts=dict(errand.hosts), volume=errand.volume)
        await send_folder(self, errand.root)
        await self.room()

    def begin(self) -> None:
        self.send(Kind.BEGIN)

    async def ended(self) -> int:
        """See ``ports.Program``: also what it left has come."""
        status = await asyncio.shield(self._status)
        await self._settled.wait()
        return status

    async def failed(self) -> int:
        """Its wait status, as soon as there is one."""
        return await asyncio.shield(self._status)

    def terminate(self) -> None:
        self.send(Kind.TERMINATE)

    def kill(self) -> None:
        self.send(Kind.KILL)

    async def close(self) -> None:
        """The machine ends what is left of it, and offers a host anew."""
        self.end()
        self._settle()
        if self._receiver is not None:
            self._receiver.close()

    # ----------------------------------------------------------------------------------------------- what is said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._offers.lines.add(self)

    def heard(self, kind: Kind, body: bytes) -> None:
        if kind == Kind.ALIVE:
            return
        if kind == Kind.LEAVING:
            self.leaving = True
            self._offers.withdraw(self)
        elif kind == Kind.HELLO and self.errand is None:
            self._offers.add(self)
        elif self.errand is None or self._receiver is None:
            raise Broken(f"{kind.name} from a host that has nothing to do")
        elif kind == Kind.PACKET:
            self.errand.packet(body)
        elif kind == Kind.LINE:
            self.errand.heard(body)
        elif kind in {Kind.FILE, Kind.PIECE, Kind.WHOLE}:
            self._receiver.heard(kind, body)
        elif kind == Kind.ENDED:
            self._end(document(body))
        elif kind == Kind.SETTLED and self._status.done():
            self._settled.set()
        else:
            raise Broken(f"{kind.name} is not for us")

    def _end(self, told: dict[str, Any]) -> None:
        assert self.errand is not None
        self.over_memory, self.over_volume = bool(told.get("over_memory")), bool(told.get("over_volume"))
        status = told.get("status")
        if not isinstance(status, int) or not 0 <= status < 1 << 16:
            raise Broken(f"a wait status {status!r}")
        if not (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            raise Broken(f"a wait status {status!r}")
        if not self._status.done():
            self._status.set_result(status)

    def lost(self) -> None:
        self._offers.lines.discard(self)
        self._offers.withdraw(self)
        if self.errand is not None and not self._settled.is_set():
            self._tell_loss(self.errand)
        self._settle()

    def _settle(self) -> None:
        if not self._status.done():
            self._status.set_result(LOST)
        self._settled.set()

    def _tell_loss(self, errand: Errand) -> None:
        errand.heard(f"the machine {self.machine}, which ran {errand.host}, was lost".encode())


class Offers(Ongoing):
    """All of a region."""

    def __init__(self) -> None:
        self.idle: list[Offer] = []
        self.changed: Callable[[], None] = lambda: None  # there is one more
        self.lines: set[Offer] = set()  # of machines, whatever they have said
        self._all: set[Offer] = set()

    def __len__(self) -> int:
        """Of all machines, whether they have something to do or not."""
        return len(self._all)

    def add(self, offer: Offer) -> None:
        if offer not in self._all:
            self._all.add(offer)
            self.idle.append(offer)
            self.changed()

    def withdraw(self, offer: Offer) -> None:
        """It is nobody's any more; who has it keeps it to its end."""
        self._all.discard(offer)
        if offer in self.idle:
            self.idle.remove(offer)

    def take(self, count: int) -> list[Offer]:
        """Of machines in turn: those that have most to offer first. There are so many."""
        taken = []
        for _ in range(count):
            machines = [each.machine for each in self.idle]
            offer = max(self.idle, key=lambda each: machines.count(each.machine))
            self.idle.remove(offer)
            taken.append(offer)
        return taken

    def listing(self) -> list[dict[str, Any]]:
        """By machine."""
        found: dict[str, dict[str, Any]] = {}
        for offer in sorted(self._all, key=lambda each: (each.machine, each.address)):
            about = found.setdefault(
                offer.machine, {"machine": offer.machine, "address": offer.address, "hosts": 0, "jobs": []}
            )
            about["hosts"] += 1
            if offer.errand is not None:
                about["jobs"].append(f"{offer.errand.job}/{offer.errand.host}")
        return list(found.values())

    async def close(self) -> None:
        await super().close()
        for offer in list(self.lines):
            offer.end()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            for offer in list(self.lines):
                if offer.still():
                    offer.beat()
                else:
                    log.warning("%s may do so no longer", offer)
                    offer.abort()
