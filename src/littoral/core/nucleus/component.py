"""One component while it is deployed: its lifecycle played out with real programs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from littoral.core.configuration import Configuration
from littoral.core.nucleus.lifecycle import Lifecycle, State
from littoral.core.nucleus.limits import Limits
from littoral.core.nucleus.process import Program, skipped
from littoral.core.nucleus.recipe import Generic, Step
from littoral.core.nucleus.rooms import Rooms
from littoral.core.nucleus.trouble import Trouble, ended, not_begun, reported, too_slow
from littoral.core.recipe import BadComponent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A step to be run now."""

    command: Sequence[str]
    environment: Mapping[str, str]
    timeout: float | None
    skip_if: str | None
    script: str
    readable: Sequence[Path]
    privileged: bool


SETTLED = ("RUNNING", "FINISHED", "BROKEN")
STEADY = 1.0  # seconds that a program must run before it counts as running well


class Component:
    """``prepare`` gives a step with everything filled in. ``told`` hears of each change of state."""

    def __init__(
        self,
        made: Generic,
        configuration: Configuration,
        folder: Path,
        words: Path,
        prepare: Callable[[Component, Step], Prepared],
        told: Callable[[], None],
        limits: Limits,
        rooms: Rooms,
    ) -> None:
        self.made = made
        self.limits = limits
        self._rooms = rooms
        self.configuration = configuration
        self.folder = folder
        self._words = words
        self._prepare = prepare
        self._told = told
        self._lifecycle = Lifecycle(made.steps)
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()  # no program that was to be ended is left
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0
        self._program: Program | None = None  # of the step that runs now
        self.paused = False
        self._trouble: Trouble | None = None  # the last

    @property
    def state(self) -> State:
        return self._lifecycle.state

    @property
    def trouble(self) -> Trouble | None:
        """Why it is ERRORED or BROKEN; None where it is not."""
        return self._trouble if self.state in ("ERRORED", "BROKEN") else None

    @property
    def ready(self) -> bool:
        """What depends on it may run."""
        return self._lifecycle.wanted and self.state in ("RUNNING", "FINISHED")

    @property
    def fallen(self) -> bool:
        """What depends on it may run no longer."""
        return self.state in ("ERRORED", "STOPPING", "BROKEN") or (self.state == "FINISHED" and not self.ready)

    @property
    def settled(self) -> bool:
        """It runs, has run, or never will."""
        return self.state in SETTLED

    @property
    def proven(self) -> float:
        """Seconds until it is known to run well, if nothing happens; 0 where it does, has run, or never will."""
        if self.state == "RUNNING" and "run" in self.made.steps:
            return max(0.0, self._began + STEADY - time.monotonic())
        return 0.0 if self.settled else STEADY

    def start(self) -> None:
        """Install, and run."""
        self._lifecycle.wanted = True
        if self._task is None:
            self._task = asyncio.ensure_future(self._live())
        self._changed.set()

    async def stop(self) -> None:
        """Run no longer; its programs have ended when this returns."""
        if self._lifecycle.stopping():
            self.resume()  # or it could not end by itself
            self._idle.clear()
            self._notice()
            await self._idle.wait()
        if self.state == "FINISHED":
            await self._rooms.close()

    async def close(self) -> None:
        await self.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._rooms.close()

    async def restart(self) -> None:
        await self.stop()
        self._lifecycle.restart()
        self._changed.set()

    def pause(self) -> bool:
        """Its processes stand still until ``resume``, or their end; False where none runs."""
        if self.state == "RUNNING" and self._program is not None:
            self._program.pause()
            self.paused = True
            return True
        return False

    def resume(self) -> None:
        if self._program is not None and self.paused:
            self._program.resume()
        self.paused = False

    def reported(self, state: Literal["RUNNING", "ERRORED"]) -> None:
        if state == "ERRORED" and self.state in ("STARTING", "RUNNING"):
            self._trouble = reported("startup" if self.state == "STARTING" else "run")
        self._lifecycle.reported(state, time.monotonic())
        self._notice()

    async def once(self, name: str) -> int | None:
        """A step beside the lifecycle, before it is started: its exit status; None where it was too slow. Raises
        OSError, BadComponent."""
        prepared = self.prepared(name)
        program = await self._begin(prepared)
        try:
            async with asyncio.timeout(prepared.timeout):
                return await program.wait()
        except TimeoutError:
            return None
        finally:
            await program.end()

    def prepared(self, name: str) -> Prepared:
        """Raises BadComponent."""
        return self._prepare(self, self.made.steps[name])

    # ------------------------------------------------------------------------------------------------

    async def _begin(self, prepared: Prepared, *, rotating: bool = False) -> Program:
        """Raises OSError."""
        room = await self._rooms.of(prepared.readable, privileged=prepared.privileged)
        return await Program.begin(
            room, prepared.command, self.folder, prepared.environment, self._words, rotating=rotating
        )

    async def _live(self) -> None:
        try:
            await self._play()
        finally:
            self._idle.set()

    async def _play(self) -> None:
        while True:
            self._changed.clear()
            if self.state == "STOPPING":
                await self._run("shutdown")
                self._lifecycle.stopped()
                self._idle.set()
                self._told()
            step = self._lifecycle.next()
            self._told()
            if step is None:
                if self.state not in ("STARTING", "RUNNING"):
                    await self._rooms.rest()
                await self._changed.wait()
                continue
            await self._run(step)
            self._notice()

    async def _run(self, name: str) -> None:
        step = self.made.steps.get(name)
        if step is None:
            return
        try:
            prepared = self._prepare(self, step)
            if skipped(prepared.skip_if):
                self._lifecycle.began(name)
                self._lifecycle.ended(name, well=True, now=time.monotonic())
                return
            program = await self._begin(prepared, rotating=name == "run")
        except (OSError, BadComponent) as problem:
            log.warning("%s of %s cannot be run: %s", name, self.made.name, problem)
            self._trouble = not_begun(name, problem)
            self._lifecycle.began(name)  # else it would count as no error, and be tried for ever
            self._lifecycle.ended(name, well=False, now=time.monotonic())
            return
        self._lifecycle.began(name)
        self._began = time.monotonic()
        self._program = program
        self._notice()
        try:
            status = await self._until_it_ends(name, program, prepared.timeout)
            if self.state == "STOPPING" and name != "shutdown":
                await self._run("shutdown")  # while what it is to end still runs
                self._lifecycle.stopped()
        finally:
            self._program, self.paused = None, False
            await program.end()
            if self.state != "STOPPING":
                self._idle.set()
        if status and name in ("install", "startup", "run"):
            self._trouble = ended(name, status)
        if name != "shutdown":
            self._lifecycle.ended(name, well=status == 0, now=time.monotonic())
        if status:
            log.warning("%s of %s ended with %s", name, self.made.name, status)

    async def _until_it_ends(self, name: str, program: Program, timeout: float | None) -> int | None:
        """Its exit status; None where it is to be ended, for it was too slow or is not wanted any more."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        ending = asyncio.ensure_future(program.wait())
        while not ending.done():
            changed = asyncio.ensure_future(self._changed.wait())
            left = None if deadline is None else max(0.0, deadline - loop.time())
            done, _ = await asyncio.wait((ending, changed), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            self._changed.clear()
            if not done:
                log.warning("%s of %s took longer than %s s", name, self.made.name, timeout)
                self._trouble = too_slow(name, timeout)
                break
            if name in ("run", "startup") and self.state in ("STOPPING", "ERRORED", "BROKEN"):
                break
        if ending.done():
            return ending.result()
        ending.cancel()
        return None

    def _notice(self) -> None:
        self._changed.set()
        self._told()
