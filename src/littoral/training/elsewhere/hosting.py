"""The machine's end: one offered host, from its connection to what its job has left.

The way of one host:

1. HELLO; then it waits for an ORDER, and for the folder that its job is to have.
2. BEGIN: the folder is the script's, the program starts, alone in a network whose one device is carried over the line.
3. Once a second: checkpoints that stand still go over the line, and now and then the folder is weighed.
4. Its end is told at once; what it left in ``model`` and ``output`` follows. Then the region ends the connection.

Whatever ends the connection ends the program. Nothing of a job stays.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from littoral.net.message import Body, BodyError
from littoral.training import hosts, leftovers
from littoral.training.checkpoints import Checkpoints, Where
from littoral.training.elsewhere.folders import Receiver, send_file, send_files
from littoral.training.elsewhere.frames import Broken, Kind, document
from littoral.training.elsewhere.line import Line
from littoral.training.elsewhere.tunnel import Tunnel
from littoral.training.ports import CannotRun, Order, Program, Sandbox

log = logging.getLogger(__name__)

LOOK: Final = 1.0  # seconds
WEIGHED: Final = 5  # looks between two at the size of the folder
FAILED: Final = 1 << 8  # the wait status of exit code 1


@dataclass(frozen=True, slots=True)
class Given:
    """The order, as it came."""

    host: str
    hosts: Mapping[str, str]
    volume: int

    @classmethod
    def of(cls, body: bytes) -> Given:
        """Raises Broken."""
        told = document(body)
        try:
            found = cls(
                str(told["host"]), {str(name): str(at) for name, at in told["hosts"].items()}, int(told["volume"])
            )
        except (KeyError, ValueError, AttributeError, TypeError) as problem:
            raise Broken(f"no order: {problem!r}") from problem
        if found.host not in found.hosts or any("/" in name or name in {"", ".", ".."} for name in found.hosts):
            raise Broken(f"no names of hosts: {', '.join(found.hosts)}")
        return found


class Hosting(Line):
    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        """``folder`` is ours, and goes with us."""
        super().__init__()
        self._sandbox = sandbox
        self._folder = folder
        self._given: Given | None = None
        self._receiver: Receiver | None = None
        self._program: Program | None = None
        self._tunnel: Tunnel | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked: Kind | None = None  # to end, before there was a program
        self._dropped = 0  # lines

    def __str__(self) -> str:
        return "the region"

    @property
    def busy(self) -> bool:
        return self._given is not None

    def leave(self) -> None:
        """The machine is asked to end: a job of this host is interrupted, and goes on elsewhere."""
        self.send(Kind.LEAVING)
        if not self.busy:
            self.end()

    async def finished(self) -> None:
        """When the connection has ended, and nothing of its job is left."""
        await self.over.wait()
        if self._task is not None:
            await self._task
        if self._receiver is not None:
            self._receiver.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    # ----------------------------------------------------------------------------------------------- what is said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.send(Kind.HELLO)

    def heard(self, kind: Kind, body: bytes) -> None:
        if kind == Kind.ALIVE:
            return
        if kind == Kind.ORDER and self._given is None:
            self._order(Given.of(body))
        elif kind == Kind.PACKET:
            if self._tunnel is not None:
                self._tunnel.write(body)
        elif kind in {Kind.FOLDER, Kind.FILE, Kind.PIECE, Kind.WHOLE} and self._receiver is not None:
            self._receiver.heard(kind, body)
        elif kind == Kind.BEGIN and self._given is not None and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(self._given))
        elif kind in {Kind.TERMINATE, Kind.KILL}:
            self._ask(kind)
        else:
            raise Broken(f"{kind.name} is not for us now")

    def _order(self, given: Given) -> None:
        self._given = given
        shutil.rmtree(self._folder, ignore_errors=True)
        root = self._folder / "ml" / given.host
        root.mkdir(parents=True)
        (self._folder / "work").mkdir()
        self._receiver = Receiver(root, self._folder / "work" / "coming", 2 * given.volume)  # data, and code

    def _ask(self, kind: Kind) -> None:
        self._asked = kind
        if self._program is not None:
            self._program.terminate() if kind == Kind.TERMINATE else self._program.kill()

    def lost(self) -> None:
        self._ask(Kind.KILL)
        if self._tunnel is not None:
            self._tunnel.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._tunnel is not None:
            self._tunnel.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._tunnel is not None:
            self._tunnel.go_on()

    # ----------------------------------------------------------------------------------------------- the job

    async def _run(self, given: Given) -> None:
        root = self._folder / "ml" / given.host
        try:
            await asyncio.to_thread(self._hand_over, root)
            checkpoints = Checkpoints(self, Where("", "checkpoints/"), root, "checkpoints")
            checkpoints.begin()
            order = Order(self._folder / "work", root.parent, given.hosts, network=False, alone=given.host, here=1)
            program = await self._sandbox.start(order, {}, lambda _, line: self._printed(line))
        except (CannotRun, OSError) as problem:
            self.send(Kind.LINE, f"InternalServerError: {problem}".encode())
            self.tell(Kind.ENDED, status=FAILED)
            self.send(Kind.SETTLED)
            return
        tunnel = Tunnel(program.tunnel, self.packet)
        try:
            self._program, self._tunnel = program, tunnel
            if self._asked is not None:
                self._ask(self._asked)
            status, full = await self._attend(program, checkpoints, root, given.volume)
        except OSError as problem:
            log.warning("a host's folder cannot be looked at: %s", problem)
            self.abort()
            return
        finally:
            tunnel.close()
            await program.close()
        self.tell(Kind.ENDED, status=status, over_memory=program.over_memory, over_volume=full)
        await self._leave_behind(checkpoints, root)

    def _hand_over(self, root: Path) -> None:
        for each in (self._folder, root.parent, root, root / "input", root / "input/config"):
            each.chmod(0o755)
        for name in hosts.GIVEN:
            self._sandbox.give(root / name)

    async def _attend(self, program: Program, checkpoints: Checkpoints, root: Path, volume: int) -> tuple[int, bool]:
        """The wait status, and whether its folder took more than it may."""
        ending = asyncio.get_running_loop().create_task(program.ended())
        looks, full = 0, False
        try:
            while not ending.done():
                await asyncio.wait([ending], timeout=LOOK)
                looks += 1
                await checkpoints.look()
                if looks % WEIGHED == 0 and await asyncio.to_thread(leftovers.occupied, root) > volume:
                    full = True
                    program.kill()
            return ending.result(), full
        finally:
            ending.cancel()

    async def _leave_behind(self, checkpoints: Checkpoints, root: Path) -> None:
        await checkpoints.look(last=True)
        try:
            for name in ("model", "output"):
                await send_files(self, root, name)
        except (OSError, BodyError) as problem:  # the region takes it for lost
            log.warning("what the job left cannot be read: %s", problem)
            self.abort()
        self.send(Kind.SETTLED)

    def _printed(self, line: bytes) -> None:
        if self.full:  # a script that prints more than the line carries is not waited for
            self._dropped += 1
            return
        if self._dropped:
            self.send(Kind.LINE, b"(%d lines were printed faster than they could be sent)" % self._dropped)
            self._dropped = 0
        self.send(Kind.LINE, line)

    async def put(self, bucket: str, key: str, body: Body, size: int) -> None:
        """A checkpoint, for ``Checkpoints``: into the region's folder of this host. Raises OSError."""
        try:
            await send_file(self, key, aiter(body))
        except BodyError as problem:
            raise OSError(str(problem)) from problem
