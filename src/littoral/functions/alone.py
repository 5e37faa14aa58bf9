"""A training job's programs: one on each of its hosts, in cells of their own, each with a folder at ``/opt/ml`` that it
may write.

Owns: the keeper of the job's cells. A cell is that of function instances (see ``isolation``), and so are its user and
what it may not do. The hosts of a job share a network: the machine's, or one that ends at its own loopback. Where they
are on several machines each is alone in one of its own, whose one device leads to whoever has its descriptor.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from littoral.functions.ground import FUNCTION_USER, Ground, seen
from littoral.functions.isolation import template
from littoral.functions.jobhost import Host
from littoral.functions.keeper import Keeper, KeeperGone
from littoral.net.together import first_failure

SHARED = 4  # of its memory one such part may be in /tmp and /dev/shm

Heard = Callable[[str, bytes], None]  # a host and a line of it without its end; raises nothing


class Order(Protocol):
    """What is to run."""

    @property
    def work(self) -> Path:
        """A folder of ours."""

    @property
    def job(self) -> Path:
        """The job's; each host has the folder in it that has its name."""

    @property
    def hosts(self) -> Mapping[str, str]:
        """Their names, and their addresses."""

    @property
    def network(self) -> bool:
        """Whether it has the machine's."""

    @property
    def alone(self) -> str:
        """The one of them that this is, where each has a network of its own; else empty."""

    @property
    def here(self) -> int:
        """Of those that are alone: how many share this machine's memory."""


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter of this machine, with the folders that it and its packages are in."""

    program: Path
    prefix: Path  # where its packages are
    base: Path  # where it is installed; the same but for a virtual environment


async def python_of(program: Path | None) -> Python:
    """The place's own where none is named. Raises KeeperGone for what is no Python."""
    if program is None:
        return Python(Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix))
    try:
        asked = await asyncio.create_subprocess_exec(
            program,
            *("-I", "-c", "import sys; print(sys.prefix, sys.base_prefix, sep='\\n')"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as problem:
        raise KeeperGone(f"{program}: {problem.strerror}") from problem
    told, _ = await asked.communicate()
    if asked.returncode:
        raise KeeperGone(f"{program} is no Python")
    return Python(program, *map(Path, told.decode().splitlines()))


@dataclass(frozen=True, slots=True)
class Bench:
    """What all training jobs of a place stand on. ``toolkit`` is a folder that they see at ``/var/task``."""

    toolkit: Path
    isolated: bool
    memory: int  # bytes that one job may hold

    def root(self, folder: Path) -> str:
        """Where a host sees its folder."""
        return template.JOB if self.isolated else str(folder)

    @property
    def task(self) -> str:
        return template.TASK if self.isolated else str(self.toolkit)

    def seen(self, python: Python) -> Path:
        """Where a job finds its Python."""
        return seen(python.program) if self.isolated else python.program

    def give(self, folder: Path) -> None:
        """To the user whom programs run as, with all that is in it."""
        if not (self.isolated and os.geteuid() == 0):
            return
        os.chown(folder, FUNCTION_USER, FUNCTION_USER)
        for _, folders, files, at in os.fwalk(folder):
            for name in (*folders, *files):
                os.chown(name, FUNCTION_USER, FUNCTION_USER, dir_fd=at, follow_symlinks=False)

    async def start(
        self, python: Python, order: Order, program: str, environment: Mapping[str, str], heard: Heard
    ) -> Program:
        """Run a program of the toolkit on each host, with where that sees its folder as the argument. Raises
        KeeperGone."""
        if not order.network and not self.isolated:
            raise KeeperGone("a job without a network needs isolation, which --insecure-no-sandbox turned off")
        if self.isolated and python.base.is_relative_to(template.TMP):
            raise KeeperGone(f"{python.base} cannot be seen from a sandbox, which has a {template.TMP} of its own")
        keeper = Keeper(await asyncio.to_thread(self._command, python, order), cells=self.isolated)
        names = [order.alone] if order.alone else list(order.hosts)
        memory = self.memory // (order.here if order.alone else len(names))
        started = Program(keeper, {name: Host(keeper, memory, _of(name, heard)) for name in names})
        cell = {"data": memory - memory // SHARED, "tmp": memory // SHARED, "task": "."}
        try:
            await keeper.start()
            for name, host in started.hosts.items():
                argv = [str(self.seen(python)), f"{self.task}/{program}", self.root(order.job / name)]
                await host.start({**cell, "host": name}, argv, dict(environment))
        except BaseException:
            await started.close()
            raise
        return started

    def _command(self, python: Python, order: Order) -> list[str]:
        """Of the keeper."""
        ground = Ground(order.work, self.toolkit, self.isolated, None, 0)
        if not self.isolated:
            return ground.bare_command(Path(sys.executable))
        known = order.work / "hosts"
        own = "".join(f"{address} {name}\n" for name, address in order.hosts.items())
        known.write_text(Path("/etc/hosts").read_text() + own if order.network else f"127.0.0.1 localhost\n{own}")
        shown = (python.prefix, python.base)
        address = order.hosts[order.alone] if order.alone else ""
        return ground.job_command(Path(sys.executable), shown, order.job, known, network=order.network, address=address)


def _of(host: str, heard: Heard) -> Callable[[bytes], None]:
    return lambda line: heard(host, line)


class Program:
    """One that runs, on all hosts. Made by ``Bench.start``."""

    def __init__(self, keeper: Keeper, hosts: Mapping[str, Host]) -> None:
        self.hosts = hosts
        self._keeper = keeper
        self._leaving = False  # it was asked to end, and each host ends as it likes

    @property
    def over_memory(self) -> bool:
        """Whether a host was killed because it held more than it may."""
        return any(each.over_memory for each in self.hosts.values())

    @property
    def tunnel(self) -> int:
        """The descriptor of the device of a host that is alone, from then on the caller's."""
        return self._keeper.tunnel()

    async def ended(self) -> int:
        """The wait status, when nothing of it is left on any host: that of the first that failed, with which the
        others are killed, or 0. May be cancelled and called again."""
        status = await first_failure((each.ended() for each in self.hosts.values()), self._one_failed)
        await self.close()
        return status

    def _one_failed(self) -> None:
        if not self._leaving:
            self.kill()

    def terminate(self) -> None:
        """SIGTERM to the program itself."""
        self._leaving = True
        for each in self.hosts.values():
            each.process.terminate()

    def kill(self) -> None:
        """SIGKILL, to all that it started as well."""
        for each in self.hosts.values():
            each.process.kill()

    async def close(self) -> None:
        """It is killed where it has not ended."""
        await self._keeper.close()
        for each in self.hosts.values():
            each.close()
