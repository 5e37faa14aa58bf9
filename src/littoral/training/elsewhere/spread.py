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

from littoral.net.message import BodyError
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
    """A ``Program``. Made by ``start``."""

    def __init__(self, hosts: Mapping[str, str]) -> None:
        self._switch = Switch(hosts)
        self._here: dict[str, Program] = {}
        self._away: dict[str, Offer] = {}
        self._outlets: dict[str, Callable[[bytes], None]] = {}
        self._tunnels: list[Tunnel] = []
        self._leaving = False  # it was asked to end, and each host ends as it likes

    @classmethod
    async def start(cls, wanted: Spreading, sandbox: Sandbox, environment: Mapping[str, str], heard: Heard) -> Spread:
        """Raises CannotRun."""
        made = cls(wanted.hosts)
        try:
            await made._prepare(wanted, heard)
            for name in wanted.hosts:
                if name not in wanted.away:
                    work = wanted.folder / "work" / name
                    work.mkdir()
                    order = Order(work, wanted.folder / "ml", wanted.hosts, network=False, alone=name)
                    made.join(name, await sandbox.start(order, environment, heard))
            for offer in wanted.away.values():
                offer.begin()
        except (OSError, BodyError) as problem:
            await made.close()
            raise CannotRun(str(problem)) from problem
        except BaseException:
            await made.close()
            raise
        return made

    async def _prepare(self, wanted: Spreading, heard: Heard) -> None:
        errands = []
        for name, offer in wanted.away.items():
            root, waiting = wanted.folder / "ml" / name, wanted.folder / "work" / f"{name}.coming"
            lines, packets = partial(heard, name), partial(self.carry, name)
            errand = Errand(wanted.job, name, wanted.hosts, root, waiting, wanted.volume, lines, packets)
            self._away[name] = offer
            self._outlets[name] = offer.packet
            errands.append(offer.prepare(errand))
        await asyncio.gather(*errands)

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
        return [*self._here.values(), *self._away.values()]

    async def ended(self) -> int:
        first = [*(each.ended() for each in self._here.values()), *(each.failed() for each in self._away.values())]
        waiting = [asyncio.ensure_future(each) for each in first]
        status = 0
        try:
            for next_ in asyncio.as_completed(waiting):
                found = await next_
                if found and not status:
                    status = found
                    if not self._leaving:
                        self.kill()
        finally:
            for each in waiting:
                each.cancel()
        for offer in self._away.values():
            await offer.ended()
        await self.close()
        return status

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
