"""The front as one listener of the place: sockets, keyring, door and process, opened and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path

from littoral.edge.entrance import Entrance
from littoral.edge.guard import Guard
from littoral.edge.pipeline import Pipeline
from littoral.net.limits import Limits
from littoral.net.listen import HttpListener, PortInUse, listen_unix, listening_unix
from littoral.site.certificates import Certificates
from littoral.site.front.crossing import Crossing
from littoral.site.front.document import (
    ADMIN,
    DOOR,
    ORIGINS,
    PROBE,
    VIEWERS,
    Acme,
    Document,
    Site,
    Sockets,
    document,
)
from littoral.site.front.door import Door
from littoral.site.front.keyring import Keyring
from littoral.site.front.process import FrontFailed, Process
from littoral.site.settings import Settings
from littoral.site.sockets import leave_sockets, socket_folder

__all__ = ["Front", "FrontFailed", "find_caddy", "listen_front"]

log = logging.getLogger("littoral.front")

SAID = 16 * 1024  # bytes that the front adds to a head: a client certificate is the most of it
GATHER = 0.2  # seconds in which changes of distributions become one new document


def find_caddy(settings: Settings) -> Path | None:
    """The Caddy to use: the setting's, the wheel's beside this Python, or one on PATH. Raises FrontFailed where it was
    asked for and there is none."""
    if settings.edge_front == "off":
        return None
    beside = Path(sys.executable).with_name("caddy")
    found = settings.caddy or (beside if os.access(beside, os.X_OK) else shutil.which("caddy"))
    if found is None and settings.edge_front == "caddy":
        raise FrontFailed("there is no caddy on PATH; install littoral[front], or choose --edge-front off")
    return Path(found) if found is not None else None


class Front:
    """A listener of the place (``site.place.Listening``). Made by ``listen_front``."""

    def __init__(
        self, pipeline: Pipeline, guard: Guard, bound: tuple[socket.socket, socket.socket], data: Path
    ) -> None:
        self._pipeline = pipeline
        self._guard = guard
        self._bound = bound
        self._folder = socket_folder(data, "front")
        self._state = data / "front" / "state"
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._door: HttpListener | None = None
        self._inside: socket.socket | None = None
        self._keyring: Keyring | None = None
        self._process: Process | None = None
        self._crossing: Crossing | None = None
        self.port: int = bound[0].getsockname()[1]

    async def open(
        self, program: Path, certificates: Certificates, acme: Acme | None, grace: float, viewers: Limits
    ) -> None:
        pipeline, (tcp, udp) = self._pipeline, self._bound
        limits, most = Limits(), viewers.max_header_bytes
        limits = replace(limits, max_header_bytes=most + SAID, max_headers=limits.max_headers + 6)
        door = Door(self._guard.before(Entrance(pipeline).handle), most, self._too_large)
        self._door = await listen_unix(door.handle, self._folder / DOOR, limits)
        keyring = Keyring(certificates, pipeline.serves, self._is_alias, acme=acme is not None)
        self._keyring = keyring
        url = await keyring.open()
        inside = self._inside = listening_unix(self._folder / VIEWERS)
        sockets = Sockets(inside.fileno(), udp.fileno(), self.port)

        def wanted() -> Document:
            sites = [Site(plan.names, plan.http, plan.clients) for plan in pipeline.plans()]
            return document(self._folder, self._state, sockets, url, sites, grace, acme)

        process = self._process = Process(program, self._folder / ADMIN, wanted, (inside.fileno(), udp.fileno()))
        await process.start()
        self._crossing = Crossing(
            tcp, self._folder / VIEWERS, self._folder / PROBE, self._guard, viewers, lambda: process.pid
        )
        pipeline.fetching.upstream.front = self._folder / ORIGINS
        self._following = asyncio.create_task(self._follow(process))
        pipeline.on_use.append(self._changed.set)

    def _too_large(self) -> None:
        self.crossing.crowd.refusals["large-head"] += 1

    def _is_alias(self, name: str) -> bool:
        plan = self._pipeline.plan_of(name)
        return plan is not None and name in plan.aliases

    async def _follow(self, process: Process) -> None:
        """A new document where it would differ: not for every new name, only for one that is served in another way."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER)
            self._changed.clear()
            try:
                await process.reload()
            except FrontFailed as problem:
                log.error("%s", problem)  # noqa: TRY400

    @property
    def current(self) -> bool:
        """Whether the front serves by what holds now."""
        return self._process is not None and self._process.current

    @property
    def crossing(self) -> Crossing:
        """What stands before it, once it is open."""
        assert self._crossing is not None
        return self._crossing

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def close(self, grace: float) -> None:
        if self._changed.set in self._pipeline.on_use:
            self._pipeline.on_use.remove(self._changed.set)
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._crossing is not None:
            self._crossing.refuse()
        for each in self._bound:
            each.close()
        if self._process is not None:
            await self._process.stop(grace)
        if self._crossing is not None:
            await self._crossing.close(0.0)
        if self._inside is not None:
            self._inside.close()
        if self._keyring is not None:
            await self._keyring.close()
        if self._door is not None:
            await self._door.close(grace)
        self._pipeline.fetching.upstream.front = None
        for name in (ADMIN, DOOR, ORIGINS, VIEWERS, PROBE):
            (self._folder / name).unlink(missing_ok=True)
        await leave_sockets(self._state.parent, self._folder)


async def listen_front(
    pipeline: Pipeline, guard: Guard, program: Path, certificates: Certificates, settings: Settings, port: int
) -> Front:
    """Bind the port for TCP and UDP and put the front there. Raises PortInUse, FrontFailed."""
    front = Front(pipeline, guard, _bind(settings.host, port), settings.data_dir)
    try:
        await front.open(program, certificates, _acme(settings), settings.grace, settings.listener_limits())
    except BaseException:
        await front.close(0.0)
        raise
    return front


def _acme(settings: Settings) -> Acme | None:
    if not settings.acme_email and settings.acme_directory is None:
        return None
    return Acme(settings.acme_email, settings.acme_directory, settings.acme_ca)


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """The same port for TCP and UDP; for port 0, one that is free for both."""
    for _ in range(20):
        tcp = udp = None
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            tcp, udp = socket.socket(family, socket.SOCK_STREAM), socket.socket(family, socket.SOCK_DGRAM)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind(address)
            udp.bind((address[0], tcp.getsockname()[1], *address[2:]))
            tcp.listen(4096)
            tcp.setblocking(False)
            return tcp, udp
        except OSError as problem:
            for made in filter(None, (tcp, udp)):
                with contextlib.suppress(OSError):
                    made.close()
            if port:
                reason = os.strerror(problem.errno) if problem.errno else str(problem)
                refused = PortInUse(problem.errno, f"cannot listen on {host}:{port}: {reason}")
                refused.port = port
                raise refused from problem
            failed = problem
    raise failed
