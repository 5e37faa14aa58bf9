"""A job on several machines: its program, and the network of its hosts.

Each host has a network of its own with one device. What it sends there comes to this place, by its machine's
connection or from the device itself where it is of this machine, and goes on where the switch says: to another host of
the same job, or nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from littoral.net.together import first_failure
from littoral.training.elsewhere.offers import Errand, Offer
from littoral.training.elsewhere.switch import Switch
from littoral.training.elsewhere.tunnel import Tunnel
from littoral.training.ports import CannotRun, Heard, LocalProgram, Order, Program, Sandbox


@dataclass(frozen=True, slots=True)
class Spreading:
    """What is to run, and where."""

    job: str
    folder: Path  # ours; ``ml`` in it has a folder for each host
    hosts: Mapping[str, str]  # names and addresses
    away: Mapping[str, Offer]  # by name; the others are here
    volume: int


class Spread:
    """A ``Program``, once it was started."""

    def __init__(self, wanted: Spreading, heard: Heard) -> None:
        self._wanted = wanted
        self._heard = heard
        self._switch = Switch(wanted.hosts)
        self._here: dict[str, Program] = {}
        self._outlets: dict[str, Callable[[bytes], None]] = {}
        self._tunnels: list[Tunnel] = []
        self._leaving = False  # it was asked to end, and each host ends as it likes

    async def prepare(self) -> None:
        """The folders of hosts elsewhere are there on return. Raises OSError, BodyError."""
        away = self._wanted.away
        self._outlets |= {name: offer.packet for name, offer in away.items()}
        await asyncio.gather(*(offer.prepare(self._errand(name)) for name, offer in away.items()))

    def _errand(self, name: str) -> Errand:
        wanted = self._wanted
        root, waiting = wanted.folder / "ml" / name, wanted.folder / "work" / f"{name}.coming"
        lines, packets = partial(self._heard, name), partial(self.carry, name)
        return Errand(wanted.job, name, wanted.hosts, root, waiting, wanted.volume, lines, packets)

    async def start(self, sandbox: Sandbox) -> None:
        """After ``prepare``. Raises CannotRun."""
        wanted = self._wanted
        here = [name for name in wanted.hosts if name not in wanted.away]
        try:
            for name in here:
                work = wanted.folder / "work" / name
                work.mkdir()
                order = Order(work, wanted.folder / "ml", wanted.hosts, network=False, alone=name, here=len(here))
                self.join(name, await sandbox.start(order, {}, self._heard))
        except OSError as problem:
            await self.close()
            raise CannotRun(str(problem)) from problem
        except BaseException:
            await self.close()
            raise
        for offer in wanted.away.values():
            offer.begin()

    def join(self, name: str, program: LocalProgram) -> None:
        """A host of this machine."""
        tunnel = Tunnel(program.tunnel, partial(self.carry, name))
        self._here[name] = program
        self._tunnels.append(tunnel)
        self._outlets[name] = tunnel.write

    def carry(self, name: str, packet: bytes) -> None:
        """What a host has sent."""
        to = self._switch.way(name, packet)
        outlet = self._outlets.get(to) if to is not None else None
        if outlet is not None:
            outlet(packet)

    # ----------------------------------------------------------------------------------------------- as a program

    @property
    def over_memory(self) -> bool:
        return any(each.over_memory for each in self._all)

    @property
    def _all(self) -> list[Program | Offer]:
        return [*self._here.values(), *self._wanted.away.values()]

    async def ended(self) -> int:
        here = [each.ended() for each in self._here.values()]
        away = [each.failed() for each in self._wanted.away.values()]
        status = await first_failure((*here, *away), self._one_failed)
        for offer in self._wanted.away.values():
            await offer.ended()
        await self.close()
        return status

    def _one_failed(self) -> None:
        if not self._leaving:
            self.kill()

    def terminate(self) -> None:
        self._leaving = True
        for each in self._all:
            each.terminate()

    def kill(self) -> None:
        for each in self._all:
            each.kill()

    async def close(self) -> None:
        for tunnel in self._tunnels:
            tunnel.close()
        for each in self._all:
            await each.close()
